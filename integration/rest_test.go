package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rampstream/internal/providers/simulator"
)

// rest: what programs open and start for a load they close and end after it. A
// first load says what is there to stay, and later ones may add nothing to it.
// Connections that could be used again are closed by the other end.
func rest(t *testing.T, p platform) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skipf("this system does not show what a process has open: %v", err)
	}
	w := newWorld(t, p, options{faults: simulator.DefaultFaults()})
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
	for line := range strings.Lines(p.metrics()) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			must(p.w.t, err)
			return int(v)
		}
	}
	p.w.t.Fatalf("%s has no metric %s", p, name)
	return 0
}
