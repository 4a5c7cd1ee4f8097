package providertest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rampstream/internal/providers"
)

// hostile are bodies that a strict reader refuses or that mean one thing to
// every reader. honest is an object.
func hostile(honest []byte) map[string][]byte {
	text := string(honest)
	inner := text[strings.IndexByte(text, '{')+1 : strings.LastIndexByte(text, '}')]
	with := func(member string) []byte { return []byte("{" + member + "," + inner + "}") }
	return map[string][]byte{
		"empty": {}, "a blank": []byte(" "), "null": []byte("null"), "an array": []byte("[]"), "a string": []byte(`"x"`), "a number": []byte("0"),
		"an empty object": []byte("{}"), "not JSON": []byte("<html>" + CanaryEmail), "a form": []byte("id=" + CanaryEmail), "zeros": make([]byte, 64),
		"cut off": honest[:len(honest)/2], "trailing data": append(slices.Clone(honest), "{}"...), "two documents": append(slices.Clone(honest), honest...),
		"trailing comma": []byte("{" + inner + ",}"), "byte order mark": append([]byte("\xef\xbb\xbf"), honest...),
		"no-break space": append([]byte("\xc2\xa0"), honest...), "comment": []byte("/**/" + text),
		"not UTF-8":                with("\"zz\":\"Canary\xff\xfe\""),
		"overlong UTF-8":           with("\"zz\":\"Canary\xc0\xaf\""),
		"raw control character":    with("\"zz\":\"Canary\x01\""),
		"UTF-16":                   utf16(text),
		"every key twice":          []byte("{" + strings.ReplaceAll(inner, CanaryID, "first-id") + "," + inner + "}"),
		"an unknown key twice":     with(`"zz":1,"zz":2`),
		"keys equal but for case":  []byte("{" + strings.ToUpper(inner) + "," + inner + "}"),
		"__proto__":                with(`"__proto__":{"id":"` + CanaryEmail + `"}`),
		"lone surrogate":           with(`"zz":"\ud800"`),
		"33 levels":                with(`"zz":` + strings.Repeat("[", 33) + strings.Repeat("]", 33)),
		"100000 levels":            with(`"zz":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)),
		"100000 open brackets":     bytes.Repeat([]byte("["), 100_000),
		"100000 elements":          with(`"zz":[0` + strings.Repeat(",0", 100_000) + "]"),
		"20000 keys":               []byte("{" + manyKeys(20_000) + inner + "}"),
		"a number of 10000 digits": with(`"zz":` + strings.Repeat("7", 10_000)),
		"an exponent without end":  with(`"zz":1e` + strings.Repeat("9", 10_000)),
		"1000 costly numbers":      with(`"zz":[1e300` + strings.Repeat(",1.7976931348623157e308", 1000) + "]"),
		"gzip":                     zip(honest),
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"zz%d":0,`, i)
	}
	return b.String()
}

func utf16(s string) []byte {
	out := []byte{0xff, 0xfe}
	for i := range len(s) {
		out = append(out, s[i], 0)
	}
	return out
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err1 := w.Write(b)
	if err2 := w.Close(); err1 != nil || err2 != nil {
		return nil // a buffer refuses nothing
	}
	return out.Bytes()
}

// unusable are bodies that no reading can make a delivery of.
var unusable = []string{
	"empty", "a blank", "null", "an array", "a string", "a number", "an empty object", "not JSON", "a form", "zeros", "cut off", "trailing data",
	"two documents", "trailing comma", "byte order mark", "no-break space", "comment", "not UTF-8", "overlong UTF-8", "raw control character",
	"UTF-16", "33 levels", "100000 levels", "100000 open brackets", "100000 elements", "20000 keys", "gzip",
}

// bodies: without the provider's signature nothing is set aside, because a dead
// letter answers 200; with it nothing is Unauthentic, and what is accepted has
// the one meaning that was signed.
func (r signedRoute) bodies(t *testing.T) {
	bodies := hostile(r.body())
	for name, body := range bodies {
		d := r.sign(body)
		forged := clone(d)
		for _, h := range r.s.coveredHeaders() {
			if v := forged.Header[h]; len(v) == 1 && v[0] != "" && h == r.s.SignatureHeader {
				forged.Header[h] = r.s.Sign(r.s.Other, body, now).Header[h]
			}
		}
		r.refused(t, name+", forged", forged, providers.ErrUnauthentic, providers.ErrBadRequest, providers.ErrUnsupportedMedia)
		if slices.Contains(unusable, name) {
			r.refused(t, name, d, providers.ErrMalformed, providers.ErrBadRequest, providers.ErrUnsupportedMedia)
			continue
		}
		r.oneMeaning(t, name, d)
		if w, err := r.parse(t, d); err == nil && w.Key.ID != CanaryID {
			t.Errorf("%s: is about %s; want the last id or a refusal", name, w.Key)
		}
	}
	compressed := r.sign(bodies["gzip"])
	compressed.Header["Content-Encoding"] = []string{"gzip"}
	r.refused(t, "gzip, declared", compressed, providers.ErrUnsupportedMedia, providers.ErrMalformed, providers.ErrBadRequest)
}

// oneMeaning: a signed delivery is set aside, or what was read out of it is
// what the canonical spelling of the signed bytes says.
func (r signedRoute) oneMeaning(t testing.TB, name string, d providers.Delivery) {
	t.Helper()
	got, err := r.parse(t, d)
	if err != nil {
		if c := classOf(err); c != providers.ErrMalformed && c != providers.ErrBadRequest {
			t.Errorf("%s: %v; want it accepted or set aside: it is authentic", name, err)
		}
		return
	}
	respelled := r.sign(r.s.canonical(d.Body))
	respelled.ReceivedAt = d.ReceivedAt
	again, err := r.parse(t, respelled)
	if err != nil || meaning(again) != meaning(got) {
		t.Errorf("%s: accepted as %+v, but its canonical spelling is %+v, %v", name, meaning(got), meaning(again), err)
	}
}

// canonical is the spelling that the signature of body covers.
func (s Signed) canonical(body []byte) []byte {
	if s.Canonical != nil {
		if c, ok := s.Canonical(body); ok {
			return c
		}
	}
	return body
}
