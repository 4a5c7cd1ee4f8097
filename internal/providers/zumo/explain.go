package zumo

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// SignWebhook implements providers.WebhookDebugger. The scheme has no time: the
// instant is not used.
func (p *parser) SignWebhook(body []byte, _ events.Millis) (map[string][]string, error) {
	if p.verify == nil {
		return nil, errors.New("zumo: no scheme is configured (trust: hint)")
	}
	v := p.verify
	m := hmac.New(v.hash, v.secrets[0])
	m.Write(body)
	return map[string][]string{"Content-Type": {"application/json"}, v.header: {v.prefix + v.encode(m.Sum(nil))}}, nil
}

// ExplainWebhook implements providers.WebhookDebugger. How Zumo signs is not
// documented, so every scheme that the settings can name is tried beside the
// configured one. No scheme uses the path.
func (p *parser) ExplainWebhook(d providers.Delivery, _ string) []providers.Step {
	steps := []providers.Step{stepOf("path token", p.token.Check(d))}
	if p.verify == nil {
		steps = append(steps, providers.Step{Name: "signature", OK: true, Detail: "not looked at: the account says trust: hint"})
		return append(steps, p.guess(d)...)
	}
	v := p.verify
	values := d.Header[v.header]
	steps = append(steps, providers.Step{Name: "one header " + v.header, OK: len(values) == 1, Detail: fmt.Sprintf("%d are there", len(values))})
	if len(values) != 1 {
		return steps
	}
	_, prefixed := strings.CutPrefix(values[0], v.prefix)
	steps = append(steps, providers.Step{Name: fmt.Sprintf("the value begins with %q", v.prefix), OK: prefixed})
	for _, algorithm := range slices.Sorted(maps.Keys(algorithms)) {
		for _, encoding := range slices.Sorted(maps.Keys(encodings)) {
			steps = append(steps, v.explain(algorithm, encoding, values[0], d.Body)...)
		}
	}
	return steps
}

// guess tries every scheme that the settings can name on an account that
// verifies nothing yet, under the one secret that Zumo has issued: a person who
// saved a delivery wants to know what to configure.
func (p *parser) guess(d providers.Delivery) []providers.Step {
	var steps []providers.Step
	for _, name := range slices.Sorted(maps.Keys(d.Header)) {
		lower := strings.ToLower(name)
		if !strings.Contains(lower, "sig") && !strings.Contains(lower, "hmac") && !strings.Contains(lower, "hash") {
			continue
		}
		for _, value := range d.Header[name] {
			steps = append(steps, p.guessHeader(name, value, d.Body)...)
		}
	}
	if len(steps) == 0 {
		steps = append(steps, providers.Step{Name: "a header that may be a signature", Aside: true, Detail: "there is none: webhook.header can name another"})
	}
	return steps
}

// guessHeader names each reading of one value, those that do not fit too.
func (p *parser) guessHeader(name, value string, body []byte) []providers.Step {
	var steps []providers.Step
	for _, algorithm := range slices.Sorted(maps.Keys(algorithms)) {
		for _, encoding := range slices.Sorted(maps.Keys(encodings)) {
			prefix, fits := p.reading(algorithm, encoding, value, body)
			s := providers.Step{Name: fmt.Sprintf("reading: %s of the body, %s, in %s, under api.app_secret", algorithm, encoding, name), OK: fits, Aside: true}
			switch {
			case fits:
				s.Detail = fmt.Sprintf("it fits: set webhook.algorithm %s, encoding %s, header %s, prefix %q and secrets", algorithm, encoding, name, prefix)
			case p.appSecret == "":
				s.Detail = "cannot be tried: api.app_secret is not set, and no other key is known"
			default:
				s.Detail = "does not fit; Zumo may sign with another secret: set it with an algorithm and verify again"
			}
			steps = append(steps, s)
		}
	}
	return steps
}

// reading tries a value as it stands, and after each sign that ends a prefix.
func (p *parser) reading(algorithm, encoding, value string, body []byte) (prefix string, fits bool) {
	if p.appSecret == "" {
		return "", false
	}
	m := hmac.New(algorithms[algorithm], []byte(p.appSecret.Reveal()))
	m.Write(body)
	want := m.Sum(nil)
	for at := 0; at < len(value); at++ {
		if at > 0 && !strings.ContainsRune("=:, ", rune(value[at-1])) {
			continue
		}
		if signature, ok := encodings[encoding](value[at:]); ok && hmac.Equal(want, signature) {
			return value[:at], true
		}
	}
	return "", false
}

// explain tries one scheme with every secret; one that is not configured is
// shown only where it fits.
func (v *verifier) explain(algorithm, encoding, value string, body []byte) []providers.Step {
	configured := algorithm == v.algorithm && encoding == v.encoding
	text := value
	if configured {
		text = strings.TrimPrefix(value, v.prefix)
	} else if _, after, found := strings.Cut(value, "="); found && encoding == "hex" {
		text = after // "sha256=...", whatever the prefix is
	}
	signature, ok := encodings[encoding](text)
	var steps []providers.Step
	for i, secret := range v.secrets {
		m := hmac.New(algorithms[algorithm], secret)
		m.Write(body)
		fits := ok && hmac.Equal(m.Sum(nil), signature)
		if !configured && !fits {
			continue
		}
		s := providers.Step{Name: fmt.Sprintf("signature: %s of the body, %s, secret %d", algorithm, encoding, i+1), OK: fits, Aside: !configured}
		if !configured {
			s.Detail = "not accepted here: webhook.algorithm, webhook.encoding and webhook.prefix can name it"
		}
		steps = append(steps, s)
	}
	return steps
}

// encode is the inverse of the configured decoding.
func (v *verifier) encode(sum []byte) string {
	if v.encoding == "base64" {
		return base64.StdEncoding.EncodeToString(sum)
	}
	return hex.EncodeToString(sum)
}

func stepOf(name string, err error) providers.Step {
	s := providers.Step{Name: name, OK: err == nil}
	var refused *providers.DeliveryError
	if errors.As(err, &refused) {
		s.Detail = strings.TrimSpace(string(refused.Reason) + " " + refused.Detail)
	}
	return s
}
