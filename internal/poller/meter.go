package poller

import (
	"slices"
	"time"

	"rampstream/internal/events"
)

// meter counts the requests of the last minute, a second a slot.
type meter struct {
	slots [60]int32
	sec   int64 // the newest slot's second
}

func (m *meter) add(now time.Time, n int32) {
	m.forward(now.Unix())
	m.slots[m.sec%60] += n
}

// forward empties the slots of the seconds that passed; a clock that stepped
// back starts the count again.
func (m *meter) forward(sec int64) {
	if sec < m.sec || sec-m.sec >= 60 {
		*m = meter{sec: sec}
		return
	}
	for m.sec < sec {
		m.sec++
		m.slots[m.sec%60] = 0
	}
}

func (m *meter) sum(now time.Time) (n int) {
	m.forward(now.Unix())
	for _, c := range m.slots {
		n += int(c)
	}
	return n
}

// maxAges bounds the sample that a snapshot looks at: enough for a p99 that
// means something, few enough to hold nothing up.
const maxAges = 1000

// ages fills what a snapshot says of how long ago orders were asked about: of a
// sample, evenly spread over the queues, of the known orders and customers that
// are not settled.
func (l *lane) ages(s *LaneSnapshot, at events.Millis) {
	total := l.timers.len()
	for c := classRetry; c < classes; c++ {
		total += l.ready[c].len()
	}
	step := max(total/maxAges, 1)
	var known []time.Duration
	visit := func(q *queue) {
		for i := 0; i < len(q.tasks); i += step {
			t := q.tasks[i]
			switch {
			case !t.Known, t.Status.Terminal(), t.GiveUp:
				continue
			case t.lastCall == 0:
				s.AgesUnasked++
			default:
				known = append(known, max(at.Sub(t.lastCall), 0))
			}
		}
	}
	visit(&l.timers)
	for c := classRetry; c < classes; c++ {
		visit(&l.ready[c])
	}
	s.AgesSampled = len(known) + s.AgesUnasked
	if len(known) == 0 {
		return
	}
	slices.Sort(known)
	s.AgeP50 = known[len(known)/2].Milliseconds()
	s.AgeP99 = known[len(known)*99/100].Milliseconds()
}
