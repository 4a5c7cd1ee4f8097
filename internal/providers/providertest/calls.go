package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// callTest is a Call under test.
type callTest struct {
	Call
	provider providers.Provider
	secret   canaries // in no error and no result
}

func runCall(t *testing.T, p providers.Provider, c Call) {
	complete(t, "Call", c)
	valid(t, p, c.Account)
	ct := callTest{c, p, personal.with(secretsOf(c.Account)...).with(c.Tokens...)}
	for _, part := range []struct {
		name string
		fn   func(*testing.T)
	}{
		{"good", ct.good}, {"every status", ct.everyStatus}, {"failures", ct.failures}, {"answers", ct.answers},
		{"network", ct.network}, {"deadlines", ct.deadlines}, {"endless answer", ct.endless}, {"retry after", ct.retryAfter},
		{"attempts", ct.attempts}, {"concurrent", ct.concurrent},
	} {
		// In a bubble pauses between attempts and deadlines take no time.
		t.Run(part.name, func(t *testing.T) { synctest.Test(t, part.fn) })
	}
	t.Run("real client", ct.realClient)
}

// result is how a call ended: OutcomeOK, or the class of its error.
func result(err error) events.Outcome {
	var call *providers.CallError
	switch {
	case err == nil:
		return events.OutcomeOK
	case errors.As(err, &call):
		return call.Outcome
	}
	return ""
}

// make opens a fresh client over w and makes the call once, with everything
// that always holds checked.
func (c callTest) make(t *testing.T, ctx context.Context, w *wire) (any, error) {
	t.Helper()
	call, err := c.open(w)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	return c.once(t, ctx, call)
}

func (c callTest) once(t *testing.T, ctx context.Context, call func(context.Context) (any, error)) (any, error) {
	t.Helper()
	got, err := call(ctx)
	if err == nil {
		c.checkResult(t, got)
		return got, nil
	}
	var failed *providers.CallError
	if !errors.As(err, &failed) {
		t.Errorf("error %T is no *providers.CallError", err)
	} else if !slices.Contains(events.Outcomes(), failed.Outcome) || failed.Outcome == events.OutcomeOK || failed.Op == "" {
		t.Errorf("error has outcome %q and operation %q", failed.Outcome, failed.Op)
	}
	if v := reflect.ValueOf(got); v.IsValid() && !v.IsZero() {
		t.Errorf("a result comes beside the error %v", err)
	}
	c.secret.with(CanaryID, "canary", "://", "127.0.0.1").keptOut(t, "the error", err)
	return got, err
}

// checkResult: an answer is about the one that was asked, and has nothing
// personal in it.
func (c callTest) checkResult(t *testing.T, got any) {
	t.Helper()
	c.secret.keptOut(t, "the result", got)
	answers := []providers.Answer{}
	switch v := got.(type) {
	case providers.Answer:
		if v.Key.ID != CanaryID {
			t.Errorf("the answer is about %s; asked about %s", v.Key, CanaryID)
		}
		answers = append(answers, v)
	case providers.Page:
		answers = v.Answers
	}
	for _, a := range answers {
		if !a.Key.Valid() || a.Key.Provider != c.provider.Name || a.Key.Account != c.Account.Account || a.StatusRaw == "" {
			t.Errorf("answer %+v: want a key of the account and a status", a)
		}
	}
}

// want fails unless the call over w ends with one of the outcomes.
func (c callTest) want(t *testing.T, what string, w *wire, outcomes ...events.Outcome) error {
	t.Helper()
	_, err := c.make(t, t.Context(), w)
	if !slices.Contains(outcomes, result(err)) {
		t.Errorf("%s: %s (%v); want %v", what, result(err), err, outcomes)
	}
	return err
}

func (c callTest) good(t *testing.T) {
	w := c.answering(Reply{Body: c.Good})
	_ = c.want(t, "a good answer", w, events.OutcomeOK)
	if _, calls := w.made(); len(calls) != 1 || calls[0] != c.Request {
		t.Errorf("requests %q; want %q once", calls, c.Request)
	}
	if c.Unknown == "" {
		return
	}
	got, err := c.make(t, t.Context(), c.answering(Reply{Body: c.Unknown}))
	a, ok := got.(providers.Answer)
	if err != nil || !ok || !strings.Contains(a.StatusRaw, UnknownWord) {
		t.Fatalf("an unknown status: %+v, %v; want it kept", got, err)
	}
	if m, ok := c.provider.Vocabulary(c.Account).Meaning(a.Key.Kind, a.StatusRaw); ok {
		t.Errorf("the vocabulary says that %q is %s; want nothing", a.StatusRaw, m.Status)
	}
}

// meaningOf is what an HTTP status other than 2xx means, in the words of RFC
// 9110 and of the design; not taken from the code under test.
func meaningOf(status int) events.Outcome {
	switch status {
	case 401, 403:
		return events.OutcomeUnauthorized
	case 404:
		return events.OutcomeNotFound
	case 408:
		return events.OutcomeTimeout
	case 429:
		return events.OutcomeRateLimited
	}
	switch status / 100 {
	case 3:
		return events.OutcomeRedirect
	case 4:
		return events.OutcomeRejected
	case 5:
		return events.OutcomeProvider
	}
	return events.OutcomeMalformed // 1xx as a final answer is not HTTP
}

// everyStatus: each of 100 to 599 has one outcome, with an empty body, with a
// page of HTML, and with what would be a good answer to a 200.
func (c callTest) everyStatus(t *testing.T) {
	const page = "<html><body>" + CanaryEmail + " " + CanaryName + "</body></html>"
	for status := 100; status <= 599; status++ {
		want := []events.Outcome{meaningOf(status)}
		own, differs := c.Statuses[status]
		if differs {
			want[0] = own
		}
		for name, body := range map[string]string{"nothing": "", "HTML": page, "a good body": c.Good} {
			reply := Reply{Status: status, Body: body, Header: http.Header{"Location": {"https://canary-location.example.com/"}}}
			if status/100 == 2 && !differs {
				want = []events.Outcome{c.Bodyless}
				if body == c.Good && status == 200 {
					want = []events.Outcome{events.OutcomeOK}
				} else if body == c.Good { // a success nobody documented is one or is not understood
					want = []events.Outcome{events.OutcomeOK, events.OutcomeMalformed}
				}
			}
			w := c.answering(reply)
			err := c.want(t, fmt.Sprintf("%d with %s", status, name), w, want...)
			var call *providers.CallError
			if errors.As(err, &call) && call.HTTPStatus != status {
				t.Errorf("%d: HTTPStatus = %d", status, call.HTTPStatus)
			}
			if logins, calls := w.made(); len(calls) > 3 || logins > 3 {
				t.Errorf("%d: %d requests and %d logins; want an end", status, len(calls), logins)
			}
		}
	}
}

func (c callTest) failures(t *testing.T) {
	for _, f := range c.Failures {
		_ = c.want(t, f.Name, c.answering(f.Reply), f.Want)
	}
	if c.Other != "" {
		_ = c.want(t, "an answer about another subject", c.answering(Reply{Body: c.Other}), events.OutcomeMismatch)
	}
}

// answers: a 200 that cannot be read is no answer, and never a status.
func (c callTest) answers(t *testing.T) {
	if c.Bodyless == events.OutcomeOK {
		return
	}
	bodies := map[string][]byte{}
	if strings.HasPrefix(c.Good, "{") {
		bodies = hostile([]byte(c.Good))
	}
	for name, body := range bodies {
		if name == "an empty object" && !c.hasResult(t) {
			continue // where nothing is read out of an answer, nothing is missing in it
		}
		if slices.Contains(unusable, name) || name == "every key twice" || name == "an unknown key twice" {
			_ = c.want(t, name, c.answering(Reply{Body: string(body)}), events.OutcomeMalformed, events.OutcomeOversized)
			continue
		}
		_, _ = c.make(t, t.Context(), c.answering(Reply{Body: string(body)}))
	}
}

// hasResult: the call returns something beside its error.
func (c callTest) hasResult(t *testing.T) bool {
	got, _ := c.make(t, t.Context(), c.answering(Reply{Body: c.Good}))
	return got != nil
}

// network: what goes wrong below HTTP has a class, and names no address.
func (c callTest) network(t *testing.T) {
	broken := c.failing(func(*http.Request) error { return errCanary })
	_ = c.want(t, "no connection", broken, events.OutcomeUnreachable)
	cut, _ := c.streaming(func(context.Context, []byte) (int, error) { return 0, io.ErrUnexpectedEOF })
	_ = c.want(t, "an answer that ends early", cut, events.OutcomeUnreachable)
	a := c.Account
	a.API.BaseURL = baseURL
	call, err := c.Open(a, providers.Env{Now: time.Now})
	if err == nil { // a client that cannot be built without one is as good
		if _, err = c.once(t, t.Context(), call); err == nil {
			t.Error("a call without an HTTP client succeeds")
		}
	}
}

// deadlines: the caller's, its cancellation and the client's own end a call,
// before the answer and in the middle of it.
func (c callTest) deadlines(t *testing.T) {
	hang := func(r *http.Request) error { <-r.Context().Done(); return r.Context().Err() }
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.make(t, ctx, c.failing(hang))
	if result(err) != events.OutcomeTimeout || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("a deadline of 1s: %v after %v; want a timeout then", err, time.Since(start))
	}
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.make(t, cancelled, c.failing(hang)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v; want context.Canceled inside", err)
	}
	start = time.Now()
	_ = c.want(t, "a provider that never answers", c.failing(hang), events.OutcomeTimeout)
	if time.Since(start) > 4*callTimeout {
		t.Errorf("a provider that never answers is waited for %v", time.Since(start))
	}
	drip, _ := c.streaming(func(ctx context.Context, p []byte) (int, error) {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
			return copy(p, " "), nil
		}
	})
	_ = c.want(t, "an answer of a byte a second", drip, events.OutcomeTimeout)
}

// maxAnswer is the most that any call may read, with what a reader takes ahead.
const maxAnswer = 1<<20 + 64<<10

func (c callTest) endless(t *testing.T) {
	w, read := c.streaming(func(_ context.Context, p []byte) (int, error) {
		for i := range p {
			p[i] = ' '
		}
		return len(p), nil
	})
	_ = c.want(t, "an answer without end", w, events.OutcomeOversized)
	if read.get() > maxAnswer {
		t.Errorf("%d bytes are read of an answer without end", read.get())
	}
	zipped := Reply{Body: string(zip(make([]byte, 1<<20))), Header: http.Header{"Content-Encoding": {"gzip"}}}
	if c.Bodyless != events.OutcomeOK {
		_ = c.want(t, "a compressed answer", c.answering(zipped), events.OutcomeMalformed)
	}
}

// retryAfter is obeyed by whoever makes the schedule: the call hands it over,
// bounded, and does not try again itself.
func (c callTest) retryAfter(t *testing.T) {
	for _, tc := range []struct {
		header string
		want   time.Duration
	}{{"7", 7 * time.Second}, {"0", time.Second}, {"-5", time.Second}, {"99999999999999999999", 24 * time.Hour}, {"soon", 0}} {
		for _, status := range []int{429, 503} {
			w := c.answering(Reply{Status: status, Header: http.Header{"Retry-After": {tc.header}}})
			_, err := c.make(t, t.Context(), w)
			var call *providers.CallError
			if !errors.As(err, &call) || call.RetryAfter != tc.want {
				t.Errorf("%d with Retry-After %q: %v; want %v", status, tc.header, err, tc.want)
			}
			if _, calls := w.made(); tc.want > 0 && len(calls) != 1 {
				t.Errorf("%d with Retry-After %q: %d requests; want 1", status, tc.header, len(calls))
			}
		}
	}
}

// attempts: what changes something, or burns a nonce, is sent once.
func (c callTest) attempts(t *testing.T) {
	for _, w := range []*wire{c.answering(Reply{Status: 503}), c.failing(func(*http.Request) error { return errCanary })} {
		_, _ = c.make(t, t.Context(), w)
		if _, calls := w.made(); len(calls) != c.Attempts {
			t.Errorf("%d requests while nothing works; want %d", len(calls), c.Attempts)
		}
	}
	w := c.answering(Reply{Status: 401})
	_, _ = c.make(t, t.Context(), w)
	logins, calls := w.made()
	if c.Login == nil && len(calls) != 1 || len(calls) > 2 || logins > 2 {
		t.Errorf("a 401: %d requests and %d logins; want one more login and attempt at most", len(calls), logins)
	}
}

// One client serves many calls at once; the race detector watches.
func (c callTest) concurrent(t *testing.T) {
	call, err := c.open(c.answering(Reply{Body: c.Good}))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				if _, err := call(t.Context()); err != nil {
					t.Errorf("a concurrent call: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
