package poller_test

import (
	"fmt"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
	"rampstream/internal/providers"
)

func TestSnapshot_ages(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) { a.Poll = providers.Poll{Rate: 10, Burst: 10} }))
	w.onResult = reschedule(time.Hour)
	var tasks []events.CheckTask
	for i := range 5000 { // 4000 are asked within the first 400 s, the others are not due for long
		due := time.Duration(0)
		if i%5 == 0 {
			due = 24 * time.Hour
		}
		tasks = append(tasks, known(fmt.Sprintf("o-%04d", i), -48*time.Hour, due))
	}
	settled := known("settled", -time.Hour, 100*time.Hour)
	settled.Status = events.StatusCompleted
	w.assign(append(tasks, settled))
	w.run(500 * time.Second)
	s := w.lane(lane)
	if s.AgesSampled < 900 || s.AgesSampled > 2000 {
		t.Errorf("sampled = %d of 5000", s.AgesSampled)
	}
	if share := float64(s.AgesUnasked) / float64(s.AgesSampled); share < 0.15 || share > 0.25 {
		t.Errorf("not yet asked = %.2f of the sample, want a fifth", share)
	}
	// Asked at 10 a second in the first 400 s: ages are spread over 100 to 500 s.
	if p50 := time.Duration(s.AgeP50) * time.Millisecond; p50 < 250*time.Second || p50 > 350*time.Second {
		t.Errorf("p50 = %s, want some 300 s", p50)
	}
	if p99 := time.Duration(s.AgeP99) * time.Millisecond; p99 < 480*time.Second || p99 > 500*time.Second {
		t.Errorf("p99 = %s, want some 495 s", p99)
	}
}

func TestSnapshot_counts(t *testing.T) {
	w := newWorld(t, poller.Settings{}, account(func(a *poller.Account) {
		a.Poll = providers.Poll{Rate: 2, Burst: 2, HintRate: 0.5}
	}))
	var tasks []events.CheckTask
	for i := range 300 {
		tasks = append(tasks, known(fmt.Sprintf("o-%03d", i), -48*time.Hour, time.Duration(i)*time.Second/5))
	}
	w.assign(tasks)
	w.run(90 * time.Second)
	s := w.lane(lane)
	if s.LastMinute < 118 || s.LastMinute > 122 || s.HintRate != 0.5 {
		t.Errorf("last minute = %d, hint rate = %v; want 120 and 0.5", s.LastMinute, s.HintRate)
	}
	// 180 were asked and are held, some again; those due before second 30 are overdue.
	if s.Held+s.Due+s.InFlight != 300 || s.Overdue == 0 || s.Overdue > s.Due {
		t.Errorf("held = %d, due = %d, in flight = %d, overdue = %d of 300", s.Held, s.Due, s.InFlight, s.Overdue)
	}
	overdue := 0
	for i, task := range tasks {
		if w.now.Sub(epoch)-time.Duration(i)*time.Second/5 > time.Minute && len(w.callsOf(task.Key.ID)) == 0 {
			overdue++
		}
	}
	if s.Overdue < overdue {
		t.Errorf("overdue = %d, at least %d were never asked", s.Overdue, overdue)
	}
	w.run(2 * time.Hour)
	w.now = w.now.Add(-time.Hour) // the clock steps back: the count begins again
	if n := w.lane(lane).LastMinute; n != 0 {
		t.Errorf("last minute = %d after a step back, want 0", n)
	}
}
