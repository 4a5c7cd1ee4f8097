package providertest

import (
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// FuzzSigned looks for a body that the provider could sign and that then has
// two meanings: what is accepted, signed again in its canonical spelling, is the
// same event; and of an accepted delivery one flipped bit is a refusal or the
// same event.
func FuzzSigned(f *testing.F, p providers.Provider, s Signed) {
	r := signedRoute{openRoute(f, p, s.Account, s.WebhookURL), s}
	r.secret = secretsOf(s.Account) // the personal canaries may come to stand in an id
	f.Add(r.body(), int64(0), uint(7))
	f.Add(r.s.Body("a/b", UnknownWord), int64(1000), uint(100))
	for _, name := range []string{"every key twice", "keys equal but for case", "lone surrogate", "not UTF-8", "cut off", "an array"} {
		f.Add(hostile(r.body())[name], int64(-1000), uint(9))
	}
	f.Fuzz(func(t *testing.T, body []byte, age int64, bit uint) {
		d := r.sign(body)
		d.ReceivedAt += events.Millis(age % (1 << 40))
		r.oneMeaning(t, "fuzzed", d)
		honest, err := r.parse(t, d)
		if err != nil {
			return
		}
		flipped := r.s.flip(d, bit)
		if got, err := r.parse(t, flipped); err == nil && meaning(got) != meaning(honest) {
			t.Errorf("bit %d: accepted as %+v; want %+v or a refusal", bit, meaning(got), meaning(honest))
		}
	})
}

// flip changes one bit of the body or of a covered header, counted through all of them.
func (s Signed) flip(d providers.Delivery, bit uint) providers.Delivery {
	out := clone(d)
	total := len(d.Body)
	for _, name := range s.coveredHeaders() {
		total += len(d.Header[name][0])
	}
	i := int(bit/8) % total
	mask := byte(1) << (bit % 8)
	if i < len(out.Body) {
		out.Body[i] ^= mask
		return out
	}
	i -= len(out.Body)
	for _, name := range s.coveredHeaders() {
		v := []byte(out.Header[name][0])
		if i < len(v) {
			v[i] ^= mask
			out.Header[name][0] = string(v)
			return out
		}
		i -= len(v)
	}
	return out
}

// FuzzHinted looks for a delivery that nobody signed and that claims more than
// a subject of the account.
func FuzzHinted(f *testing.F, p providers.Provider, h Hinted) {
	r := hintedRoute{openRoute(f, p, h.Account, ""), h}
	r.secret = secretsOf(h.Account)
	d := r.deliver(CanaryID)
	f.Add(d.Method, d.RawQuery, d.Body, d.PathToken)
	f.Add("POST", "", []byte(`{"id":"a/b"}`), "")
	f.Add("GET", "transactionKey=a&transactionKey=b", []byte(nil), d.PathToken)
	f.Fuzz(func(t *testing.T, method, query string, body []byte, token string) {
		got := clone(d)
		got.Method, got.RawQuery, got.Body, got.PathToken = method, query, body, token
		w, err := r.parse(t, got)
		switch {
		case err == nil && token != h.PathToken:
			t.Error("accepted with another path token")
		case err == nil:
			r.hint(t, "fuzzed", w)
		case classOf(err) == providers.ErrMalformed:
			t.Errorf("%v; want no dead letter of what nobody signed", err)
		}
	})
}
