package providertest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// signedRoute is a Signed under test.
type signedRoute struct {
	route
	s Signed
}

func runSigned(t *testing.T, p providers.Provider, s Signed) {
	complete(t, "Signed", s)
	valid(t, p, s.Account)
	valid(t, p, s.Other)
	r := signedRoute{openRoute(t, p, s.Account, s.WebhookURL), s}
	if body := string(r.body()); personal[:3].missingFrom(body) {
		t.Error("Body does not carry the canaries: what it proves about personal data is nothing")
	}
	t.Run("words", r.words)
	t.Run("unknown word", r.unknownWord)
	t.Run("every bit", r.everyBit)
	t.Run("clock", r.clock)
	t.Run("replay", r.replay)
	t.Run("headers", r.headers)
	t.Run("methods", r.methods)
	t.Run("path token", r.pathToken)
	t.Run("bodies", r.bodies)
	t.Run("ids", r.ids)
	t.Run("amounts", r.amounts)
	t.Run("fields of tomorrow", r.tomorrow)
	t.Run("accounts are apart", r.accounts)
	t.Run("empty keys", r.emptyKeys)
	t.Run("without API credentials", r.withoutAPI)
	t.Run("debugger", r.debugger)
	t.Run("concurrent", r.concurrent)
}

func (c canaries) missingFrom(text string) bool {
	return slices.ContainsFunc(c, func(s string) bool { return !strings.Contains(text, s) })
}

// body is an honest body with the first documented word.
func (r signedRoute) body() []byte { return r.s.Body(CanaryID, r.s.Words[0].Word) }

func (r signedRoute) sign(body []byte) providers.Delivery { return r.s.Sign(r.s.Account, body, now) }

// accepted is the webhook of a delivery that must be believed.
func (r signedRoute) accepted(t testing.TB, d providers.Delivery) events.Webhook {
	t.Helper()
	w, err := r.parse(t, d)
	if err != nil || w.Trust != events.TrustSigned {
		t.Fatalf("an honest delivery: %s, %v; want SIGNED", w.Trust, err)
	}
	return w
}

func (r signedRoute) words(t *testing.T) {
	for _, word := range r.s.Words {
		raw := word.Raw
		if raw == "" {
			raw = word.Word
		}
		w := r.accepted(t, r.sign(r.s.Body(CanaryID, word.Word)))
		if w.Key.ID != CanaryID || w.Key.Kind != r.s.Kind || w.StatusRaw != raw || w.Status != word.Status {
			t.Errorf("%s: %s %q means %s; want %q, %s", word.Word, w.Key, w.StatusRaw, w.Status, raw, word.Status)
		}
		if m, ok := r.provider.Vocabulary(r.account).Meaning(r.s.Kind, raw); !ok && word.Status != events.StatusUnknown || m.Status != word.Status {
			t.Errorf("%s: the vocabulary says %s, %v; want %s", raw, m.Status, ok, word.Status)
		}
	}
}

// A word that nobody has documented is kept under its own spelling and decides
// nothing: a guess would settle orders that are not settled.
func (r signedRoute) unknownWord(t *testing.T) {
	w := r.accepted(t, r.sign(r.s.Body(CanaryID, UnknownWord)))
	if w.Status != events.StatusUnknown || w.Status.Terminal() || !strings.Contains(w.StatusRaw, UnknownWord) {
		t.Errorf("StatusRaw = %q, Status = %s; want the word kept, and UNKNOWN", w.StatusRaw, w.Status)
	}
	if m, ok := r.provider.Vocabulary(r.account).Meaning(r.s.Kind, w.StatusRaw); ok {
		t.Errorf("the vocabulary has %q as %s", w.StatusRaw, m.Status)
	}
}

// clock: both edges of the window are inside, a millisecond beyond is not. A
// scheme without a time cannot tell old from new.
func (r signedRoute) clock(t *testing.T) {
	d := r.sign(r.body())
	if r.s.Window == 0 {
		for _, age := range []time.Duration{10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
			late := clone(d)
			late.ReceivedAt += events.Millis(age.Milliseconds())
			r.accepted(t, late)
		}
		return
	}
	for _, sign := range []int64{1, -1} {
		for _, beyond := range []int64{0, 1, 1000, 1 << 40} {
			skewed := clone(d)
			skewed.ReceivedAt += events.Millis(sign * (r.s.Window.Milliseconds() + beyond))
			w, err := r.parse(t, skewed)
			switch {
			case beyond == 0:
				if err != nil || w.Trust != events.TrustSigned {
					t.Errorf("at the edge of the window: %s, %v; want SIGNED", w.Trust, err)
				}
			case r.s.Stale == StaleIsHint:
				if err != nil || w.Trust != events.TrustHint || w.HintReason != "stale" || w.Key.ID != CanaryID {
					t.Errorf("%d ms beyond the window: %s %q, %v; want a stale HINT", beyond, w.Trust, w.HintReason, err)
				}
			default:
				if !errors.Is(err, providers.ErrUnauthentic) {
					t.Errorf("%d ms beyond the window: %v; want ErrUnauthentic", beyond, err)
				}
			}
		}
	}
}

// A delivery that comes again is the same event, whenever it comes.
func (r signedRoute) replay(t *testing.T) {
	d := r.sign(r.body())
	first := r.accepted(t, d)
	later := clone(d)
	later.ReceivedAt += 1500
	if again := r.accepted(t, later); again.EventID != first.EventID {
		t.Error("the same delivery a second later is another event")
	}
	if other := r.accepted(t, r.sign(r.s.Body("another-id", r.s.Words[0].Word))); other.EventID == first.EventID {
		t.Error("deliveries about two subjects are one event")
	}
}

// What is signed for one account is about that account's orders only, whatever
// the body names, and is nothing to another account.
func (r signedRoute) accounts(t *testing.T) {
	other := openRoute(t, r.provider, r.s.Other, r.s.WebhookURL)
	if r.s.Other.Account == r.s.Account.Account {
		t.Fatal("Other is the same account")
	}
	d := r.sign(r.body())
	if w := r.accepted(t, d); w.Key.Account != r.s.Account.Account {
		t.Errorf("key %s; want account %s, from the route", w.Key, r.s.Account.Account)
	}
	other.refused(t, "another account's delivery", d, providers.ErrUnauthentic)
	theirs := r.s.Sign(r.s.Other, r.body(), now)
	if w, err := other.parse(t, theirs); err != nil || w.Key.Account != r.s.Other.Account {
		t.Errorf("the other account's own delivery: key %s, %v", w.Key, err)
	}
	r.refused(t, "a delivery under the other account's secret", theirs, providers.ErrUnauthentic)
	if mine, err := other.parse(t, theirs); err == nil && mine.EventID == r.accepted(t, d).EventID {
		t.Error("two accounts' deliveries are one event")
	}
}

// An empty key would make everybody the provider, so no verifier exists for
// one, whether Validate was asked or not.
func (r signedRoute) emptyKeys(t *testing.T) {
	for _, secrets := range [][]providers.Secret{nil, {}, {""}, {r.s.Account.Webhook.Secrets[0], ""}} {
		a := r.s.Account
		a.Webhook.Secrets = secrets
		a.API.PrivateKey, a.API.AppSecret = "", ""
		caps, err := r.provider.Open(a, providers.Env{WebhookURL: r.s.WebhookURL})
		if err == nil && caps.Webhook != nil && caps.Authenticated {
			t.Errorf("Open with %d webhook secrets, one empty or none, makes a verifier", len(secrets))
		}
	}
	forged := r.s.Account
	forged.Webhook.Secrets = []providers.Secret{""}
	r.refused(t, "signed with the empty key", r.s.Sign(forged, r.body(), now), providers.ErrUnauthentic)
}

// ingest has no API credentials, and needs none to verify.
func (r signedRoute) withoutAPI(t *testing.T) {
	a := r.s.Account
	a.API = providers.API{Statuses: a.API.Statuses}
	bare := signedRoute{openRoute(t, r.provider, a, r.s.WebhookURL), r.s}
	bare.accepted(t, bare.sign(r.body()))
}

func (r signedRoute) methods(t *testing.T) {
	if len(r.s.Methods) == 0 {
		return
	}
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "", "post"} {
		d := r.sign(r.body())
		d.Method = m
		if slices.Contains(r.s.Methods, m) {
			r.accepted(t, d)
		} else {
			r.refused(t, "method "+m, d, providers.ErrBadRequest, providers.ErrUnauthentic)
		}
	}
}

// A route has the last element that is configured for it, and a verified one
// has none: what a stranger appends is not ours.
func (r signedRoute) pathToken(t *testing.T) {
	d := r.sign(r.body())
	d.PathToken = "appended"
	r.refused(t, "a path token", d, providers.ErrUnauthentic)
}

// One parser serves all requests at once; the race detector watches.
func (r signedRoute) concurrent(t *testing.T) {
	d := r.sign(r.body())
	want := r.accepted(t, d)
	bad := clone(d)
	bad.Body[len(bad.Body)/2] ^= 1
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, err := r.parser.ParseWebhook(d); err != nil || got != want {
					t.Errorf("concurrent ParseWebhook = %v; want what it was alone", err)
				}
				_, _ = r.parser.ParseWebhook(bad)
			}
		})
	}
	wg.Wait()
}
