package kado

import (
	"encoding/hex"
	"errors"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// defaultWindow is how far a delivery's timestamp may be from our clock, either
// way. The document says "recent" and no number; 5 minutes is what others use.
const defaultWindow = 5 * time.Minute

// parser authenticates and reads deliveries of one account. It is immutable.
type parser struct {
	account    events.Account
	vocabulary events.Vocabulary
	publicKey  string
	keys       []named // none: every delivery is a hint
	paths      []named // candidates for the signed path
	window     time.Duration
	strict     bool
	canonical  bool // MD5 of the canonical form is an accepted payloadHex
	raw        bool // MD5 of the bytes as they came is one
}

// named is a candidate for something ambiguous, with the word that
// Webhook.Scheme shows for it.
type named struct {
	name, value string
}

// ParseWebhook implements providers.WebhookParser.
func (p *parser) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	if err := providers.CheckJSONPost(d, p.strict); err != nil {
		return events.Webhook{}, err
	}
	doc, flags, scanErr := jsonx.Scan(d.Body)
	if errors.Is(scanErr, jsonx.ErrEncoding) {
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, "encoding", scanErr.Error())
	}
	if len(p.keys) == 0 {
		return p.parseHint(d, doc, flags, scanErr)
	}
	c := content{raw: d.Body, doc: doc, flags: flags, err: scanErr}
	if scanErr == nil {
		c.canonical, c.lossy, c.err = stringify(doc, flags)
	}
	h, m, err := p.authenticate(d, c)
	if err != nil {
		return events.Webhook{}, err
	}
	age := int64(d.ReceivedAt) - h.millis
	stale := age > p.window.Milliseconds() || age < -p.window.Milliseconds()
	if stale && p.strict {
		return events.Webhook{}, providers.Refuse(providers.ErrUnauthentic, "stale", "timestamp is outside the window")
	}
	w, err := p.read(c, m)
	if err != nil && stale {
		return events.Webhook{}, unusableHint(err)
	}
	if err != nil {
		return events.Webhook{}, err
	}
	w.ObservedAt, w.BodyDigest, w.Scheme = d.ReceivedAt, providers.BodyDigest(d.Body), m.scheme
	// The canonical form, not the body: one signature fits endless spellings of it.
	w.EventID = events.EventID(events.Digest("kado webhook", string(p.account), providers.BodyDigest(c.canonical), hex.EncodeToString(h.signature)))
	w.Trust = events.TrustSigned
	if stale {
		w.Trust, w.HintReason, w.Scheme = events.TrustHint, "stale", ""
	}
	return w, nil
}

// read says what the signed part of a body means. Errors are of class ErrMalformed.
func (p *parser) read(c content, m match) (events.Webhook, error) {
	believed, err := c.believed(m, p.strict)
	if err != nil {
		return events.Webhook{}, err
	}
	return p.readDelivery(believed)
}

// unusableHint names a stale delivery that cannot be read by its staleness: whoever
// has seen one of any age can spell it in endless ways that cannot be read, and
// ingest gives such ones the budget of hints.
func unusableHint(err error) error {
	var refused *providers.DeliveryError
	if errors.As(err, &refused) {
		return malformed("stale", string(refused.Reason)+" "+refused.Detail)
	}
	return err
}

// parseHint reads a delivery that nothing verifies: only which order it names.
func (p *parser) parseHint(d providers.Delivery, doc jsonx.Value, flags jsonx.Flags, err error) (events.Webhook, error) {
	switch {
	case err != nil:
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, providers.JSONReason(err), err.Error())
	case flags.Duplicates:
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, "json_ambiguous", "duplicate key")
	}
	w, err := p.readDelivery(doc)
	var refused *providers.DeliveryError
	if errors.As(err, &refused) { // nothing was authenticated, so nothing is kept
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, refused.Reason, refused.Detail)
	}
	return providers.Hint(w.Key, d, "unconfigured"), nil
}
