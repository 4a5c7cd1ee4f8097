package toy

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"strconv"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// Sign is the value of Toy-Signature.
func Sign(secret providers.Secret, at events.Millis, body []byte) string {
	t := strconv.FormatInt(int64(at), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret providers.Secret, t string, body []byte) []byte {
	h := hmac.New(sha512.New, []byte(secret.Reveal()))
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}

type parser struct {
	account events.Account
	secrets []providers.Secret // none: every delivery is a hint
}

// ParseWebhook implements providers.WebhookParser.
func (p parser) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	switch {
	case d.PathToken != "":
		return events.Webhook{}, providers.Refuse(providers.ErrUnauthentic, "path_token", "")
	case d.Method != "POST":
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, "unknown_shape", "method")
	case len(d.Header["Content-Encoding"]) > 0:
		return events.Webhook{}, providers.Refuse(providers.ErrUnsupportedMedia, "media_type", "content encoding")
	case len(p.secrets) == 0:
		w, err := p.read(d.Body, providers.ErrBadRequest)
		if err != nil {
			return events.Webhook{}, err
		}
		return providers.Hint(w.Key, d, "unconfigured"), nil
	}
	at, signature, scheme, err := p.verify(d)
	if err != nil {
		return events.Webhook{}, err
	}
	w, err := p.read(d.Body, providers.ErrMalformed)
	if err != nil {
		return events.Webhook{}, err
	}
	w.EventID = events.EventID(events.Digest("toy webhook", string(p.account), providers.BodyDigest(d.Body), signature))
	w.ObservedAt, w.BodyDigest, w.Trust, w.Scheme = d.ReceivedAt, providers.BodyDigest(d.Body), events.TrustSigned, scheme
	if age := int64(d.ReceivedAt) - at; age > window.Milliseconds() || age < -window.Milliseconds() {
		w.Trust, w.HintReason, w.Scheme = events.TrustHint, "stale", ""
	}
	return w, nil
}

// verify tries every secret, whichever fits.
func (p parser) verify(d providers.Delivery) (at int64, signature, scheme string, err error) {
	refuse := func(r providers.Reason) (int64, string, string, error) {
		return 0, "", "", providers.Refuse(providers.ErrUnauthentic, r, "")
	}
	values := d.Header["Toy-Signature"]
	switch len(values) {
	case 0:
		return refuse("header_missing")
	case 1:
	default:
		return refuse("header_duplicate")
	}
	t, v1, ok := strings.Cut(strings.TrimPrefix(values[0], "t="), ",v1=")
	raw, errHex := hex.DecodeString(v1)
	at, errInt := strconv.ParseInt(t, 10, 64)
	if !ok || !strings.HasPrefix(values[0], "t=") || errHex != nil || len(raw) != sha512.Size || errInt != nil || at <= 0 {
		return refuse("signature_format")
	}
	for i, s := range p.secrets {
		if hmac.Equal(raw, mac(s, t, d.Body)) && scheme == "" {
			scheme = [...]string{"v1/current", "v1/previous"}[min(i, 1)]
		}
	}
	if scheme == "" {
		return refuse("signature")
	}
	return at, hex.EncodeToString(raw), scheme, nil
}

// read says what a body means; what cannot be read is of class unreadable.
func (p parser) read(body []byte, unreadable error) (events.Webhook, error) {
	doc, err := jsonx.Parse(body)
	if err != nil {
		return events.Webhook{}, providers.Refuse(unreadable, providers.JSONReason(err), err.Error())
	}
	event, ok := doc.Get("event").Text()
	word, found := strings.CutPrefix(event, "order.")
	if !ok || !found || !events.ValidPart(word) {
		return events.Webhook{}, providers.Refuse(unreadable, "unknown_shape", "event")
	}
	id, facts, err := readOrder(doc.Get("order"))
	if err != nil {
		return events.Webhook{}, providers.Refuse(unreadable, "bad_id", err.Error())
	}
	return events.Webhook{
		Key:       events.Key{Provider: Name, Account: p.account, ID: id},
		EventType: event, StatusRaw: word, Status: states[word].Status, Facts: facts,
	}, nil
}
