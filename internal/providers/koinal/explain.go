package koinal

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// readingNames says what each reading computes.
var readingNames = map[string]string{
	"a": "a, SHA-256(body + secret)", "b": "b, HMAC-SHA256(secret, body + secret)", "c": "c, HMAC-SHA256(secret, body)",
}

// SignWebhook implements providers.WebhookDebugger, under the first accepted
// reading and header name. A callback has no time: the instant is not used.
func (p *parser) SignWebhook(body []byte, _ events.Millis) (map[string][]string, error) {
	if len(p.keys) == 0 {
		return nil, errors.New("koinal: the account verifies nothing (trust: hint)")
	}
	return map[string][]string{
		"Content-Type": {"application/json"}, p.headers[0]: {Sign(p.readings[0], body, p.keys[0].secret)},
	}, nil
}

// ExplainWebhook implements providers.WebhookDebugger. No reading uses the path.
func (p *parser) ExplainWebhook(d providers.Delivery, _ string) []providers.Step {
	steps := []providers.Step{stepOf("method, encoding, media type and body", providers.CheckJSONPost(d, p.strict))}
	if len(p.keys) == 0 {
		return append(steps, providers.Step{Name: "signature", OK: true, Detail: "not looked at: the account says trust: hint"})
	}
	sig, err := p.signature(d)
	steps = append(steps, stepOf("one signature header among "+strings.Join(p.headers, ", ")+", 64 hexadecimal digits", err))
	if err != nil {
		return append(steps, p.misnamed(d)...)
	}
	for _, b := range p.bodies(d.Body) {
		for _, reading := range p.readings {
			for _, k := range p.keys {
				steps = append(steps, providers.Step{
					Name: fmt.Sprintf("signature: reading %s, secret %s, body %s", readingNames[reading], k.name, bodyName(b.scheme)),
					OK:   hmac.Equal(sig, sign(reading, b.body, k.secret)),
				})
			}
		}
	}
	steps = append(steps, p.asides(sig, d.Body)...)
	_, readErr := p.readDelivery(d.Body)
	return append(steps, stepOf("the body can be read", readErr))
}

func bodyName(scheme string) string {
	if scheme == "" {
		return "as it came"
	}
	return "without the newline at its end"
}

// misnamed lists headers whose names look like a signature's: the document does
// not say how it is called.
func (p *parser) misnamed(d providers.Delivery) []providers.Step {
	var steps []providers.Step
	for name := range d.Header {
		lower := strings.ToLower(name)
		if (strings.Contains(lower, "sig") || strings.Contains(lower, "hash")) && !slices.Contains(p.headers, name) {
			steps = append(steps, providers.Step{
				Name: "header " + name + " is there", OK: true, Aside: true, Detail: "not accepted here: webhook.header can name it",
			})
		}
	}
	slices.SortFunc(steps, func(a, b providers.Step) int { return strings.Compare(a.Name, b.Name) })
	return steps
}

// asides are, where no accepted one fits, the readings and bodies that do.
func (p *parser) asides(sig, body []byte) []providers.Step {
	candidates := []match{{"as it came", body}, {"without white space at its ends", bytes.TrimSpace(body)}, {"as compact JSON", compacted(body)}}
	var steps []providers.Step
	if _, fits := p.tryAll(sig, body); fits {
		return nil
	}
	for _, c := range candidates {
		for _, reading := range []string{"a", "b", "c"} {
			if slices.Contains(p.readings, reading) && slices.ContainsFunc(p.bodies(body), func(m match) bool { return bytes.Equal(m.body, c.body) }) {
				continue
			}
			for _, k := range p.keys {
				if hmac.Equal(sig, sign(reading, c.body, k.secret)) {
					steps = append(steps, providers.Step{
						Name: fmt.Sprintf("signature: reading %s, secret %s, body %s", readingNames[reading], k.name, c.scheme), OK: true, Aside: true,
						Detail: "not accepted here: compare webhook.reading and webhook.strict, or a proxy changed the body",
					})
				}
			}
		}
	}
	return steps
}

// compacted is body without the white space between its tokens; body itself
// where it is not JSON.
func compacted(body []byte) []byte {
	if _, _, err := jsonx.Scan(body); err != nil {
		return body
	}
	var out []byte
	inString := false
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case inString && c == '\\':
			out = append(out, c, body[i+1]) // a scanned string does not end in a backslash
			i++
			continue
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		out = append(out, c)
	}
	return out
}

func stepOf(name string, err error) providers.Step {
	s := providers.Step{Name: name, OK: err == nil}
	var refused *providers.DeliveryError
	if errors.As(err, &refused) {
		s.Detail = strings.TrimSpace(string(refused.Reason) + " " + refused.Detail)
	}
	return s
}
