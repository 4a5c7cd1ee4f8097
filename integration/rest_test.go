package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rampstream/internal/config"
)

// rest: what programs open and start for a load they close and end after it. A
// first load says what is there to stay, and later ones may add nothing to it.
// Connections that could be used again are closed by the other end. With REST
// there is a steady load for that long between them, in which no memory grows but
// that of the states:
//
//	REST=30m go test -run TestReal/together/rest -timeout 1h -v ./integration
func rest(t *testing.T, p platform) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skipf("this system does not show what a process has open: %v", err)
	}
	long := asked(t, "REST")
	w := newWorld(t, p, options{faults: night(long), change: func(c *config.Config) {
		c.Rules.Horizon = patience // or the load would grow: what never settles is asked about
		if long > 0 {
			c.Reconciler.MaxBatch = 200 // which is soon full
		}
	}})
	ingest, poller, reconciler := w.startAll()
	procs := []*process{ingest, poller, reconciler}
	load := func(n int) {
		t.Helper()
		must(t, w.place(t.Context(), n, n/10, 2*time.Second))
		w.agree()
	}
	load(20)
	var still []footing
	for _, p := range procs {
		still = append(still, p.most())
	}
	const rounds = 2
	for range rounds {
		load(40)
	}
	if long > 0 {
		w.steady(procs, long)
	}
	for i, p := range procs {
		eventually(t, patience, p.String()+" is at rest again", func() (bool, string) {
			now := p.footing()
			return now.files <= still[i].files+slack && now.goroutines <= still[i].goroutines+slack,
				fmt.Sprintf("%+v, after the first load %+v", now, still[i])
		})
		t.Logf("%s: %+v after the first load, %+v after %d more", p.name, still[i], p.footing(), rounds)
	}
	w.finish(procs[:1], procs[1:2], procs[2])
}

// slack is what may be open at the moment of a look: a request to a provider, a
// probe. A leak of one for each order of a round is many times that.
const slack = 10

// footing is what a process holds.
type footing struct{ files, goroutines int }

func (p *process) footing() footing {
	p.w.t.Helper()
	defer p.w.sim.World.HangUp() // for the next look: a poller goes on asking
	defer http.DefaultClient.CloseIdleConnections()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	must(p.w.t, err)
	return footing{len(open), p.gauge("go_goroutines")}
}

// most is the footing of a while: the poller asks now and then.
func (p *process) most() (most footing) {
	p.w.t.Helper()
	began := time.Now()
	eventually(p.w.t, 30*time.Second, "a while is over", func() (bool, string) {
		now := p.footing()
		most = footing{max(most.files, now.files), max(most.goroutines, now.goroutines)}
		return time.Since(began) > 2*time.Second, ""
	})
	return most
}

// metrics is the text of the metrics page, as soon as the process gives it.
func (p *process) metrics() (text string) {
	p.w.t.Helper()
	eventually(p.w.t, patience, p.String()+" answers", func() (bool, string) {
		text = p.Metrics(p.w.t.Context())
		return text != "", ""
	})
	return text
}

// gauge is one value of the metrics page.
func (p *process) gauge(name string) int {
	p.w.t.Helper()
	v, ok := gauge(p.metrics(), name)
	if !ok {
		p.w.t.Fatalf("%s has no metric %s", p, name)
	}
	return v
}

// sum adds up the values of a metrics page whose names begin so.
func sum(page, begin string) (n int) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, begin) {
			v, _ := gauge(line, line[:strings.LastIndexByte(line, ' ')])
			n += v
		}
	}
	return n
}

// gauge is one value of a metrics page.
func gauge(page, name string) (v int, ok bool) {
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			return int(v), err == nil
		}
	}
	return 0, false
}
