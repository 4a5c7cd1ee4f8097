package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Check answers whether one thing that the program needs is there. It may be
// called concurrently and should return soon after ctx is done. Its error goes
// into a log and must be safe there.
type Check func(ctx context.Context) error

// checkDeadline bounds one check: below the one-second timeout with which
// Kubernetes probes by default.
const checkDeadline = 900 * time.Millisecond

// Checks are named checks. The zero value is ready: nothing is asked. Methods
// may be called concurrently.
type Checks struct {
	mu     sync.Mutex
	checks map[string]*checkState
	log    *slog.Logger
}

type checkState struct {
	check  Check
	flight *flight // the call that has not come back, or nil
	failed bool    // as last logged
}

// A flight is one call of a check; err is set when done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// Add names a check; a second one of the name replaces the first.
func (c *Checks) Add(name string, check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checks == nil {
		c.checks = map[string]*checkState{}
	}
	c.checks[name] = &checkState{check: check}
}

var errNoAnswer = errors.New("does not answer in time")

// Failing runs every check at once and returns those that failed, by name. A
// check that does not come back in time has failed. Whoever asks meanwhile
// joins the call in flight: probes of a stuck check pile up no goroutines.
func (c *Checks) Failing(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, checkDeadline)
	defer cancel()
	failing := map[string]error{}
	for name, f := range c.launch() {
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		select {
		case <-f.done:
			if f.err != nil {
				failing[name] = f.err
			}
		default:
			failing[name] = errNoAnswer
		}
	}
	c.report(failing)
	return failing
}

// launch starts the checks that are not in flight. Their deadline is their
// own: a prober that hangs up must not fail the check for the one that joined.
func (c *Checks) launch() map[string]*flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	flights := make(map[string]*flight, len(c.checks))
	for name, st := range c.checks {
		if st.flight == nil {
			st.flight = &flight{done: make(chan struct{})}
			go c.fly(st, st.flight)
		}
		flights[name] = st.flight
	}
	return flights
}

func (c *Checks) fly(st *checkState, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), checkDeadline)
	defer cancel()
	f.err = call(ctx, st.check)
	c.mu.Lock()
	st.flight = nil
	c.mu.Unlock()
	close(f.done)
}

// call turns a panic into a failure: a probe must not end the program.
func call(ctx context.Context, check Check) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("check panicked: %s", Safe(fmt.Sprint(p)))
		}
	}()
	return check(ctx)
}

// report logs each check once when it starts failing and once when it is well
// again; what a probe every second finds is not news.
func (c *Checks) report(failing map[string]error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.checks)) {
		err, st := failing[name], c.checks[name]
		if c.log == nil || (err != nil) == st.failed {
			continue
		}
		st.failed = err != nil
		if err != nil {
			c.log.Warn("readiness check failed", "check", name, "error", Safe(err.Error()))
		} else {
			c.log.Info("readiness check recovered", "check", name)
		}
	}
}

// ServeHTTP answers 200 {"status":"ready"} or 503 with the names, and only the
// names, of the checks that fail.
func (c *Checks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	failing := c.Failing(r.Context())
	answer := struct {
		Status  string   `json:"status"`
		Failing []string `json:"failing,omitempty"`
	}{Status: "ready", Failing: slices.Sorted(maps.Keys(failing))}
	code := http.StatusOK
	if len(failing) > 0 {
		answer.Status, code = "not ready", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // the prober went away: nothing to do
}
