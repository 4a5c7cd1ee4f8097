package providertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

type hintedRoute struct {
	route
	h Hinted
}

func runHinted(t *testing.T, p providers.Provider, h Hinted) {
	complete(t, "Hinted", h)
	valid(t, p, h.Account)
	if h.Account.Webhook.PathToken.Reveal() != h.PathToken {
		t.Fatal("PathToken is not the account's")
	}
	r := hintedRoute{openRoute(t, p, h.Account, ""), h}
	t.Run("only the subject", r.onlySubject)
	t.Run("repetitions", r.repetitions)
	t.Run("path token", r.pathToken)
	t.Run("ids", r.ids)
	t.Run("every bit", r.everyBit)
	t.Run("bodies", r.bodies)
	t.Run("concurrent", r.concurrent)
}

func (r hintedRoute) deliver(id string) providers.Delivery { return r.h.Deliver(r.h.Account, id, now) }

// hint fails unless w is a hint and nothing more than that.
func (r hintedRoute) hint(t testing.TB, what string, w events.Webhook) {
	t.Helper()
	want := events.Webhook{
		Key: w.Key, EventID: w.EventID, ObservedAt: w.ObservedAt, Trust: events.TrustHint, HintReason: r.h.Reason, BodyDigest: w.BodyDigest,
	}
	if w != want || w.Key.Kind != r.h.Kind {
		t.Errorf("%s: %+v; want a hint that names a %s and nothing else", what, w, r.h.Kind)
	}
}

// Nothing of an unsigned delivery is kept but the subject that it names: not
// even its status word, which anybody may have written.
func (r hintedRoute) onlySubject(t *testing.T) {
	w, err := r.parse(t, r.deliver(CanaryID))
	if err != nil || w.Key.ID != CanaryID {
		t.Fatalf("an honest delivery: %s, %v", w.Key, err)
	}
	r.hint(t, "an honest delivery", w)
}

// Repetitions within a minute are one event: each would have the poller ask the
// same question again.
func (r hintedRoute) repetitions(t *testing.T) {
	at := func(ms events.Millis) events.EventID {
		w, err := r.parse(t, r.h.Deliver(r.h.Account, CanaryID, ms))
		if err != nil {
			t.Fatal(err)
		}
		return w.EventID
	}
	if at(now) != at(now+20_000) {
		t.Error("two deliveries of one minute are two events")
	}
	if at(now) == at(now+60_000) {
		t.Error("deliveries a minute apart are one event")
	}
	other, err := r.parse(t, r.deliver("another-id"))
	if err != nil || other.EventID == at(now) {
		t.Errorf("deliveries about two subjects are one event, %v", err)
	}
}

func (r hintedRoute) pathToken(t *testing.T) {
	d := r.deliver(CanaryID)
	for _, token := range []string{"", "x", r.h.PathToken + "x", strings.ToUpper(r.h.PathToken), r.h.PathToken + "/", strings.Repeat("x", 64<<10)} {
		if token == r.h.PathToken {
			continue
		}
		d.PathToken = token
		r.refused(t, "another path token", d, providers.ErrUnauthentic)
	}
}

func (r hintedRoute) ids(t *testing.T) {
	for _, id := range []string{"", " ", "a/b", "../b", "a b", "a\u00e9", "a\x00", "a\n", "a%2Fb", strings.Repeat("a", 129)} {
		r.refused(t, fmt.Sprintf("id %q", id), r.deliver(id), providers.ErrBadRequest)
	}
}

// everyBit: whatever becomes of a delivery that nothing protects, it stays a
// hint about a subject of this account.
func (r hintedRoute) everyBit(t *testing.T) {
	d := r.deliver(CanaryID)
	check := func(where string, f providers.Delivery) {
		w, err := r.parse(t, f)
		if err == nil {
			r.hint(t, where, w)
		} else if c := classOf(err); c == providers.ErrMalformed {
			t.Errorf("%s: %v; want no dead letter of what nobody signed", where, err)
		}
	}
	for bit := range 8 * len(d.Body) {
		f := clone(d)
		f.Body[bit/8] ^= 1 << (bit % 8)
		check(fmt.Sprintf("bit %d of the body", bit), f)
	}
	for bit := range 8 * len(d.RawQuery) {
		q := []byte(d.RawQuery)
		q[bit/8] ^= 1 << (bit % 8)
		f := clone(d)
		f.RawQuery = string(q)
		check(fmt.Sprintf("bit %d of the query", bit), f)
	}
}

func (r hintedRoute) bodies(t *testing.T) {
	d := r.deliver(CanaryID)
	if len(d.Body) == 0 || d.Body[0] != '{' {
		return // the subject is not in a JSON body
	}
	for name, body := range hostile(d.Body) {
		f := clone(d)
		f.Body = body
		if slices.Contains(unusable, name) {
			r.refused(t, name, f, providers.ErrBadRequest, providers.ErrUnsupportedMedia)
		} else if w, err := r.parse(t, f); err == nil {
			r.hint(t, name, w)
		}
	}
	f := clone(d)
	f.Header["Content-Encoding"] = []string{"gzip"}
	r.refused(t, "a content encoding", f, providers.ErrUnsupportedMedia, providers.ErrBadRequest)
}

func (r hintedRoute) concurrent(t *testing.T) {
	d := r.deliver(CanaryID)
	want, err := r.parse(t, d)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, err := r.parser.ParseWebhook(d); err != nil || got != want {
					t.Errorf("concurrent ParseWebhook = %v; want what it was alone", err)
				}
			}
		})
	}
	wg.Wait()
}
