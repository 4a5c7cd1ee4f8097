package providertest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// flips calls fn for every single-bit change of the body and of the covered headers.
func (s Signed) flips(d providers.Delivery, fn func(where string, flipped providers.Delivery)) {
	for bit := range 8 * len(d.Body) {
		f := clone(d)
		f.Body[bit/8] ^= 1 << (bit % 8)
		fn(fmt.Sprintf("bit %d of the body", bit), f)
	}
	for _, name := range s.coveredHeaders() {
		for bit := range 8 * len(d.Header[name][0]) {
			f := clone(d)
			v := []byte(f.Header[name][0])
			v[bit/8] ^= 1 << (bit % 8)
			f.Header[name][0] = string(v)
			fn(fmt.Sprintf("bit %d of %s", bit, name), f)
		}
	}
}

func (s Signed) coveredHeaders() []string {
	return append([]string{s.SignatureHeader}, s.Covered...)
}

// everyBit: a flipped bit is refused, or it changed only the spelling and the
// delivery is the same event with the same meaning.
func (r signedRoute) everyBit(t *testing.T) {
	d := r.sign(r.body())
	want := meaning(r.accepted(t, d))
	accepted := 0
	r.s.flips(d, func(where string, f providers.Delivery) {
		got, err := r.parse(t, f)
		if err != nil {
			return
		}
		if accepted++; meaning(got) != want {
			t.Errorf("%s: accepted as %+v; want %+v or a refusal", where, meaning(got), want)
		}
	})
	t.Logf("%d flips changed the spelling only", accepted)
}

// headers: one value, spelled as the scheme spells it, or none at all.
func (r signedRoute) headers(t *testing.T) {
	honest := r.sign(r.body())
	r.accepted(t, honest)
	for _, name := range r.s.coveredHeaders() {
		v := honest.Header[name][0]
		for what, values := range map[string][]string{
			"missing": nil, "empty": {""}, "blank": {" "}, "twice": {v, v}, "twice, once empty": {v, ""}, "a list": {v + "," + v},
			"a list with a blank": {v + ", " + v}, "oversized": {strings.Repeat("a", 64<<10)}, "a digit short": {v[:len(v)-1]},
			"a digit long": {v + "0"}, "blank before": {" " + v}, "blank after": {v + " "}, "0x before": {"0x" + v},
			"line end": {v + "\r\n"}, "quoted": {`"` + v + `"`}, "NUL": {v + "\x00"}, "fullwidth digits": {fullwidth(v)},
			"base64": {base64.StdEncoding.EncodeToString([]byte(v))}, "not UTF-8": {v[:len(v)-1] + "\xff"}, "hexadecimal of nothing": {"00"},
		} {
			d := clone(honest)
			d.Header[name] = values
			if values == nil {
				delete(d.Header, name)
			}
			r.refused(t, name+" "+what, d, providers.ErrUnauthentic)
		}
	}
	r.lengths(t, honest)
}

// fullwidth spells ASCII letters and digits in their fullwidth form.
func fullwidth(s string) string {
	return strings.Map(func(c rune) rune {
		if c > ' ' && c <= '~' {
			return c - ' ' + 0xFF00
		}
		return c
	}, s)
}

// lengths: no part of a signature, and nothing longer, verifies.
func (r signedRoute) lengths(t *testing.T, honest providers.Delivery) {
	v := honest.Header[r.s.SignatureHeader][0]
	for n := range 2*len(v) + 1 {
		if n == len(v) {
			continue
		}
		d := clone(honest)
		d.Header[r.s.SignatureHeader] = []string{(v + v)[:n]}
		r.refused(t, fmt.Sprintf("%d of %d bytes of the signature", n, len(v)), d, providers.ErrUnauthentic)
	}
}

// ids: what cannot be a part of a key is no order, however well it is signed.
func (r signedRoute) ids(t *testing.T) {
	for _, id := range []string{
		"", " ", "a/b", "../b", "a b", "a\u00e9", "e\u0301", "a\x00", "a\n", "a\u200b", "a%2Fb", "a\\b", strings.Repeat("a", 129),
		"kado/other/a", "customer/a",
	} {
		r.refused(t, fmt.Sprintf("id %q", id), r.sign(r.s.Body(id, r.s.Words[0].Word)), providers.ErrMalformed)
	}
	for _, id := range []string{"a", "A-b_c:d.e", strings.Repeat("a", 128)} {
		if w := r.accepted(t, r.sign(r.s.Body(id, r.s.Words[0].Word))); w.Key.ID != id {
			t.Errorf("id %q is kept as %q", id, w.Key.ID)
		}
	}
}

// amounts: every digit is kept, or the delivery is set aside. Nothing is rounded.
func (r signedRoute) amounts(t *testing.T) {
	if r.s.Amount == nil {
		return
	}
	for _, literal := range []string{
		"0", "-0", "0.10", "1E2", "1e-7", "100.5", "9007199254740993", "12345678901234567890", "0.1000000000000000055511151231257827",
		"1e400", "-1e400", "1e-400", "3e99999999999999999999", strings.Repeat("9", 40), "0." + strings.Repeat("3", 60), strings.Repeat("1", 5000),
	} {
		w, err := r.parse(t, r.sign(r.s.Amount(literal)))
		if err != nil {
			if !slices.Contains([]error{providers.ErrMalformed, providers.ErrBadRequest}, classOf(err)) {
				t.Errorf("amount %.40s: %v; want it kept or set aside", literal, err)
			}
			continue
		}
		want, err := events.ParseAmount(literal)
		if err != nil || !sameDecimal(r.s.AmountOf(w.Facts), want) {
			t.Errorf("amount %.40s is kept as %s", literal, r.s.AmountOf(w.Facts))
		}
	}
}

// sameDecimal compares plain decimals; trailing zeros of a fraction do not count.
func sameDecimal(a, b events.Amount) bool {
	trim := func(a events.Amount) string {
		s := string(a)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	return a != "" && trim(a) == trim(b)
}
