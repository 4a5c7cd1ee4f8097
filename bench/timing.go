package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// benchTiming asks whether time tells how much of a secret was right. Two
// classes of forgeries are measured in random turns: those whose first byte is
// wrong and all others right, and those whose last byte is. A comparison that
// ends at the first difference is faster for the first class. Welch's t over the
// times says how sure a difference is: below 4.5 there is none to be seen.
//
// Where a forgery lies in memory has an effect of a third of a nanosecond, which
// a million samples find. So each class has copies in many places, and the row
// "same forgery" has one class twice: what is found there is no leak, and neither is
// a t of that size in another row.
//
// Interrupts make a few times very long, so the longest tenth is left out; the
// bound is that of both classes together. The rows "control" compare as nobody
// should: if they are not found the machine is too noisy to find anything.
func benchTiming(ctx context.Context, o options) error {
	subjects, err := timed()
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	n := o.calls
	if n == 0 {
		n = 100_000
	}
	for _, s := range subjects {
		a, b := measure(ctx, s, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		limit := quantile(slices.Concat(a, b), 0.9)
		ca, cb := below(a, limit), below(b, limit)
		t := welch(ca, cb)
		row(struct {
			Subject string  `json:"subject"`
			Samples int     `json:"samples_a_class"`
			First   float64 `json:"first_byte_wrong_ns"`
			Last    float64 `json:"last_byte_wrong_ns"`
			T       float64 `json:"t"`
			All     float64 `json:"t_of_all"`
			Shows   bool    `json:"shows_a_difference"`
		}{s.name, n, round(mean(ca)), round(mean(cb)), round(t), round(welch(a, b)), math.Abs(t) >= 4.5})
	}
	return nil
}

// timedSubject is something that refuses a forgery.
type timedSubject struct {
	name   string
	refuse [2][]func() // with the first byte wrong, and with the last; in copies
}

// copies of each class.
const copies = 256

// add makes the copies in random turns: in regular ones each class would have
// places of its own, which shows.
func (s *timedSubject) add(refuse func(class int) func()) {
	classes := make([]int, 2*copies)
	for i := range classes {
		classes[i] = i & 1
	}
	rand.New(rand.NewPCG(uint64(len(s.name)), 7)).Shuffle(len(classes), func(i, j int) { classes[i], classes[j] = classes[j], classes[i] })
	for _, class := range classes {
		s.refuse[class] = append(s.refuse[class], refuse(class))
	}
}

func timed() ([]timedSubject, error) {
	all, err := verifiers()
	if err != nil {
		return nil, err
	}
	var out []timedSubject
	for _, v := range all {
		s := timedSubject{name: v.Name}
		for class := range s.refuse {
			if _, err := v.parser.ParseWebhook(forged(v, class)); err == nil {
				return nil, fmt.Errorf("%s believes a forgery", v.Name)
			}
		}
		refuse := func(class int) func() {
			d := forged(v, class)
			return func() { _, _ = v.parser.ParseWebhook(d) }
		}
		s.add(refuse)
		same := timedSubject{name: v.Name + ", same forgery"}
		same.add(func(int) func() { return refuse(0) })
		out = append(out, s, same)
	}
	for name, classes := range map[string][2]int{"ingest, bearer token": {0, 1}, "ingest, bearer token, same forgery": {0, 0}} {
		bearer, err := bearerToken(name, classes)
		if err != nil {
			return nil, err
		}
		out = append(out, bearer)
	}
	return append(out, control(32), control(64)), nil
}

// forged is v's delivery with the first or the last digit of what proves it changed.
func forged(v verifier, class int) providers.Delivery {
	d := v.delivery
	if v.header == "" {
		d.PathToken = wrongAt(d.PathToken, class)
		return d
	}
	h := map[string][]string{}
	for name, values := range d.Header {
		h[name] = values
	}
	h[v.header] = []string{wrongAt(h[v.header][0], class)}
	d.Header = h
	return d
}

// wrongAt changes the first character, or the last that can be changed: the end
// of a base64 text is not free.
func wrongAt(s string, class int) string {
	at := 0
	if class == 1 {
		for at = len(s) - 1; s[at] == '='; {
			at--
		}
		if at < len(s)-1 {
			at--
		}
	}
	b := []byte(s)
	if b[at]++; b[at] == 'g' || b[at] == ':' {
		b[at] -= 2
	}
	return string(b)
}

// bearerToken is the intents route's own credential.
func bearerToken(name string, classes [2]int) (timedSubject, error) {
	srv, err := ingest.New(ingest.Config{
		Topics: stream.DefaultTopics("bench."), Limits: ingest.DefaultLimits(), Accounts: []events.Lane{"kado/bench"},
		Tokens: []ingest.Token{{Name: "shop", Secret: benchSecret, Accounts: []events.Lane{"kado/bench"}}},
	}, ingest.Deps{Publisher: nobody{}, Encoder: nobody{}})
	if err != nil {
		return timedSubject{}, err
	}
	status := 0
	s := timedSubject{name: name}
	s.add(func(class int) func() {
		req := ingest.Request{Method: "POST", Target: "/v1/orders", Header: map[string][]string{
			"Content-Type": {"application/json"}, "Authorization": {"Bearer " + wrongAt(benchSecret.Reveal(), classes[class])},
		}}
		return func() { status = srv.Handle(context.Background(), req).Status }
	})
	for class := range s.refuse {
		if s.refuse[class][0](); status != 401 {
			return timedSubject{}, fmt.Errorf("a wrong bearer token: %d", status)
		}
	}
	return s, nil
}

// nobody is a publisher and encoder that is never asked.
type nobody struct{}

func (nobody) Publish(context.Context, ...stream.Record) ([]stream.Record, error) { return nil, nil }
func (nobody) EncodeWebhook(events.Webhook) ([]byte, error)                       { return nil, nil }
func (nobody) EncodeIntent(events.Intent) ([]byte, error)                         { return nil, nil }

// control compares n bytes and stops at the first that differs.
func control(n int) timedSubject {
	right := make([]byte, n)
	s := timedSubject{name: fmt.Sprintf("control, %d bytes compared until they differ", n)}
	s.add(func(class int) func() {
		wrong := make([]byte, n)
		wrong[class*(n-1)] = 1
		return func() { differs(right, wrong) }
	})
	return s
}

//go:noinline
func differs(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] {
			return true
		}
	}
	return false
}

// measure takes n times of each class, in random turns, after a warm-up.
func measure(ctx context.Context, s timedSubject, n int) (first, last []float64) {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	times := [2][]float64{}
	for i := 0; len(times[0]) < n || len(times[1]) < n; i++ {
		draw := r.Uint64()
		class := int(draw & 1)
		refuse := s.refuse[class][draw>>8%copies]
		start := time.Now()
		refuse()
		took := time.Since(start)
		if i > 1000 && len(times[class]) < n {
			times[class] = append(times[class], float64(took.Nanoseconds()))
		}
		if i&0xfff == 0 && ctx.Err() != nil {
			return nil, nil
		}
	}
	return times[0], times[1]
}

// welch is Welch's t of two samples.
func welch(a, b []float64) float64 {
	return (mean(a) - mean(b)) / math.Sqrt(variance(a)/float64(len(a))+variance(b)/float64(len(b)))
}

func mean(a []float64) float64 {
	sum := 0.0
	for _, v := range a {
		sum += v
	}
	return sum / float64(len(a))
}

func variance(a []float64) float64 {
	m, sum := mean(a), 0.0
	for _, v := range a {
		sum += (v - m) * (v - m)
	}
	return sum / float64(len(a)-1)
}

func quantile(a []float64, q float64) float64 {
	slices.Sort(a)
	return a[int(q*float64(len(a)-1))]
}

func below(a []float64, limit float64) []float64 {
	var out []float64
	for _, v := range a {
		if v <= limit {
			out = append(out, v)
		}
	}
	return out
}

// round leaves out digits that say nothing.
func round(v float64) float64 { return math.Round(v*100) / 100 }
