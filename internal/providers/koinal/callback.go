package koinal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// parser authenticates and reads callbacks of one account. It is immutable.
type parser struct {
	account    events.Account
	vocabulary events.Vocabulary
	fields     fields
	headers    []string // candidates, canonical MIME form
	readings   []string // a, b, c: see Sign
	keys       []key    // none: every delivery is a hint
	strict     bool
}

type key struct {
	name   string
	secret providers.Secret
}

// wordCallback is the status word of a callback that states none. The document
// says when callbacks are sent, not what is in them, so it decides nothing.
const wordCallback = "CALLBACK"

// Sign is the hexadecimal signature of a callback body under one reading of
// the document:
//
//	a  SHA-256(body + secret)              the literal words
//	b  HMAC-SHA256(secret, body + secret)  what the same words mean for the authorization hash
//	c  HMAC-SHA256(secret, body)           nothing in the document says so
//
// "" for any other reading and for an empty secret.
func Sign(reading string, body []byte, secret providers.Secret) string {
	if secret == "" {
		return ""
	}
	sum := sign(reading, body, secret)
	return hex.EncodeToString(sum)
}

func sign(reading string, body []byte, secret providers.Secret) []byte {
	s := []byte(secret.Reveal())
	h := sha256.New()
	if reading != "a" {
		h = hmac.New(sha256.New, s)
	}
	h.Write(body)
	switch reading {
	case "a", "b":
		h.Write(s)
	case "c":
	default:
		return nil
	}
	return h.Sum(nil)
}

// ParseWebhook implements providers.WebhookParser. The signature covers the
// bytes as they came, so nothing is parsed before it has been checked, and
// nothing that is wrong with the content afterwards is an ErrBadRequest.
func (p *parser) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	if err := providers.CheckJSONPost(d, p.strict); err != nil {
		return events.Webhook{}, err
	}
	if len(p.keys) == 0 {
		return p.parseHint(d)
	}
	sig, err := p.signature(d)
	if err != nil {
		return events.Webhook{}, err
	}
	m, ok := p.tryAll(sig, d.Body)
	if !ok {
		return events.Webhook{}, providers.Refuse(providers.ErrUnauthentic, "signature", "no key and reading fits")
	}
	w, err := p.readDelivery(m.body)
	if err != nil {
		return events.Webhook{}, err
	}
	w.ObservedAt, w.BodyDigest, w.Scheme, w.Trust = d.ReceivedAt, providers.BodyDigest(d.Body), m.scheme, events.TrustSigned
	// The scheme has no time: the same callback is the same event for ever.
	w.EventID = events.EventID(events.Digest("koinal callback", string(p.account), providers.BodyDigest(m.body), hex.EncodeToString(sig)))
	return w, nil
}

// parseHint reads a callback that nothing verifies: only which order it names.
func (p *parser) parseHint(d providers.Delivery) (events.Webhook, error) {
	w, err := p.readDelivery(d.Body)
	var refused *providers.DeliveryError
	if errors.As(err, &refused) { // nothing was authenticated, so nothing is kept
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, refused.Reason, refused.Detail)
	}
	return providers.Hint(w.Key, d, "unconfigured"), nil
}

// readDelivery says what a body means. Errors are of class ErrMalformed.
func (p *parser) readDelivery(body []byte) (events.Webhook, error) {
	doc, flags, err := jsonx.Scan(body)
	switch {
	case err != nil:
		return events.Webhook{}, malformed(providers.JSONReason(err), err.Error())
	case flags.Duplicates || flags.CaseTwins:
		return events.Webhook{}, malformed("json_ambiguous", "keys are equal, or equal but for case")
	case doc.Kind() != jsonx.Object:
		return events.Webhook{}, malformed("unknown_shape", "body is no object")
	}
	o, err := p.fields.read(doc)
	if err != nil {
		return events.Webhook{}, malformed(readReason(err), err.Error())
	}
	if o.status == "" {
		o.status = wordCallback
	}
	w := events.Webhook{
		Key:       events.Key{Provider: Name, Account: p.account, Kind: events.Order, ID: o.id},
		StatusRaw: o.status, Facts: o.facts,
	}
	if m, ok := p.vocabulary.Meaning(events.Order, o.status); ok {
		w.Status = m.Status
	}
	return w, nil
}

// signature finds the one signature header and decodes it.
func (p *parser) signature(d providers.Delivery) ([]byte, error) {
	var values []string
	for _, name := range p.headers {
		values = append(values, d.Header[name]...)
	}
	switch len(values) {
	case 0:
		return nil, providers.Refuse(providers.ErrUnauthentic, "header_missing", "")
	case 1:
	default: // which one counts would be the sender's choice
		return nil, providers.Refuse(providers.ErrUnauthentic, "header_duplicate", "")
	}
	sig, err := hex.DecodeString(values[0])
	if err != nil || len(sig) != sha256.Size {
		return nil, providers.Refuse(providers.ErrUnauthentic, "signature_format", "not 64 hexadecimal digits")
	}
	return sig, nil
}

type match struct {
	scheme string
	body   []byte // the bytes that were signed
}

// tryAll computes every candidate, whatever matched before.
func (p *parser) tryAll(sig, body []byte) (match, bool) {
	var (
		found match
		any   bool
	)
	for _, c := range p.bodies(body) {
		for _, reading := range p.readings {
			for _, k := range p.keys {
				if hmac.Equal(sig, sign(reading, c.body, k.secret)) && !any {
					any, found = true, match{scheme: reading + "/" + k.name + c.scheme, body: c.body}
				}
			}
		}
	}
	return found, any
}

// bodies are the bytes as they came and, unless strict, without one newline at
// the end, which tools and proxies like to add.
func (p *parser) bodies(body []byte) []match {
	out := []match{{"", body}}
	trimmed, found := bytes.CutSuffix(body, []byte("\n"))
	if found && !p.strict {
		trimmed, _ = bytes.CutSuffix(trimmed, []byte("\r"))
		out = append(out, match{"/newline", trimmed})
	}
	return out
}

func malformed(reason providers.Reason, detail string) error {
	return providers.Refuse(providers.ErrMalformed, reason, detail)
}

func readReason(err error) providers.Reason {
	switch {
	case errors.Is(err, errNoID):
		return "no_order_id"
	case errors.Is(err, errBadID):
		return "bad_id"
	case errors.Is(err, providers.ErrAmount):
		return "number_lossy"
	}
	return "unknown_shape"
}

// UnlistedFields implements providers.FieldWatcher: the names are those of the
// settings, and the envelope of the document's one example.
func (p *parser) UnlistedFields(body []byte) []string {
	known := providers.Listed("data", "code", "message", "timestamp")
	for _, field := range orderFields {
		for name := range strings.SplitSeq(p.fields.name(field), ".") {
			known[name] = true
		}
	}
	return providers.UnlistedFields(body, known)
}
