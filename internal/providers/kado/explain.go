package kado

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

var errNoVerifier = errors.New("kado: the account verifies nothing (trust: hint, or no registered URL)")

// SignWebhook implements providers.WebhookDebugger: the canonical form where
// body has one and it is accepted, else the bytes.
func (p *parser) SignWebhook(body []byte, at events.Millis) (map[string][]string, error) {
	if len(p.keys) == 0 || len(p.paths) == 0 {
		return nil, errNoVerifier
	}
	payload := body
	if c, err := Canonical(body); err == nil && p.canonical {
		payload = c
	}
	ts := strconv.FormatInt(int64(at), 10)
	return map[string][]string{
		"Content-Type": {"application/json"}, "X-Timestamp": {ts}, "X-Public-Key": {p.publicKey},
		"X-Signature": {Sign(providers.Secret(p.keys[0].value), "POST", ts, p.paths[0].value, PayloadHex(payload))},
	}, nil
}

// ExplainWebhook implements providers.WebhookDebugger.
func (p *parser) ExplainWebhook(d providers.Delivery, path string) []providers.Step {
	steps := []providers.Step{stepOf("method, encoding, media type and body", providers.CheckJSONPost(d, p.strict))}
	c := content{raw: d.Body}
	c.doc, c.flags, c.err = jsonx.Scan(d.Body)
	if c.err == nil {
		c.canonical, c.lossy, c.err = stringify(c.doc, c.flags)
	}
	steps = append(steps, stepOf("body is JSON with a canonical form", c.err))
	if c.err == nil {
		steps = append(steps, providers.Step{Name: "every number keeps its value in the canonical form", OK: !c.lossy})
	}
	if c.err == nil && c.flags.Duplicates {
		steps = append(steps, providers.Step{
			Name: "no key twice", Aside: p.canonical && !p.strict, Detail: "of the canonical form the last one counts; the raw body is set aside",
		})
	}
	if len(p.keys) == 0 {
		return append(steps, providers.Step{Name: "signature", OK: true, Detail: "not looked at: the account says trust: hint"})
	}
	h, err := readHeaders(d)
	steps = append(steps, stepOf("x-timestamp, x-public-key and x-signature, once each and well formed", err))
	if err != nil {
		return steps
	}
	age := time.Duration(int64(d.ReceivedAt)-h.millis) * time.Millisecond
	steps = append(steps,
		providers.Step{Name: "x-public-key is the account's", OK: hmac.Equal([]byte(h.publicKey), []byte(p.publicKey))},
		providers.Step{
			Name: fmt.Sprintf("x-timestamp is within %v", p.window), OK: age.Abs() <= p.window, Detail: ageOf(age),
		})
	return append(steps, p.explainSignature(h, c, path)...)
}

func ageOf(age time.Duration) string {
	if age < 0 {
		return fmt.Sprintf("signed %v after it was received: a clock is wrong, or the time it is judged at", -age)
	}
	return fmt.Sprintf("signed %v before it was received", age)
}

// explainSignature shows every accepted reading and, where none fits, the ones
// that are not accepted and do: those name the sender's mistake, or ours.
func (p *parser) explainSignature(h headers, c content, path string) []providers.Step {
	var steps []providers.Step
	for _, r := range p.readings(c) {
		for _, at := range p.paths {
			for _, key := range p.keys {
				steps = append(steps, providers.Step{
					Name: fmt.Sprintf("signature: payloadHex of the %s body, secret %s, path %q", r.name, key.name, at.value),
					OK:   fits(h, key.value, "POST", at.value, PayloadHex(r.body)),
				})
			}
		}
	}
	if slices.ContainsFunc(steps, func(s providers.Step) bool { return s.OK }) {
		return steps
	}
	for _, m := range p.asides(c, path) {
		for _, key := range p.keys {
			if fits(h, key.value, m.method, m.path, m.payloadHex) {
				steps = append(steps, providers.Step{Name: "signature: " + m.name + ", secret " + key.name, OK: true, Aside: true, Detail: m.detail})
			}
		}
	}
	return steps
}

func fits(h headers, key, method, path, payloadHex string) bool {
	return hmac.Equal(h.signature, signature(providers.Secret(key), method, h.timestamp, path, payloadHex))
}

// The names of the bodies whose payloadHex can be accepted.
const (
	canonicalBodyName = "the canonical body"
	rawBody           = "the body as it came"
)

// aside is a reading that this account does not accept.
type aside struct {
	name, detail, method, path, payloadHex string
}

func (p *parser) asides(c content, path string) []aside {
	paths := append([]named(nil), p.paths...)
	for _, q := range p.paths {
		if strings.HasSuffix(q.value, "/") {
			paths = append(paths, named{"", strings.TrimSuffix(q.value, "/")})
		} else {
			paths = append(paths, named{"", q.value + "/"})
		}
	}
	if path != "" && !slices.ContainsFunc(paths, func(q named) bool { return q.value == path }) {
		paths = append(paths, named{"", path})
	}
	bodies := []named{
		{rawBody, PayloadHex(c.raw)}, {"the body without any white space", PayloadHex(stripped(c.raw))}, {"no body", ""},
		{rawBody + ", in capitals", strings.ToUpper(PayloadHex(c.raw))},
	}
	if c.canonical != nil {
		bodies = append(bodies, named{canonicalBodyName, PayloadHex(c.canonical)})
	}
	var out []aside
	for _, q := range paths {
		for _, b := range bodies {
			if p.accepts(q.value, b.name) {
				continue
			}
			out = append(out, aside{
				name: fmt.Sprintf("payloadHex of %s, path %q", b.name, q.value), method: "POST", path: q.value, payloadHex: b.value,
				detail: "not accepted here: compare webhook.url and webhook.reading with what the sender signs",
			})
		}
	}
	return out
}

// accepts reports whether a pair is among the readings already shown.
func (p *parser) accepts(path, body string) bool {
	known := body == canonicalBodyName && p.canonical || body == rawBody && p.raw
	for _, q := range p.paths {
		if q.value == path {
			return known
		}
	}
	return false
}

// stripped is the reading of "after removing whitespace" that takes it from
// inside strings too. It contradicts the document's code and is never accepted.
func stripped(body []byte) []byte {
	return []byte(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, string(body)))
}

func stepOf(name string, err error) providers.Step {
	s := providers.Step{Name: name, OK: err == nil}
	var refused *providers.DeliveryError
	switch {
	case errors.As(err, &refused):
		s.Detail = strings.TrimSpace(string(refused.Reason) + " " + refused.Detail)
	case err != nil:
		s.Detail = err.Error()
	}
	return s
}
