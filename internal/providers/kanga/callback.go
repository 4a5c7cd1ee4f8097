package kanga

import (
	"mime"
	"net/url"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

const (
	// keyParam is the one parameter of a callback; the name is exact.
	keyParam = "transactionKey"
	// maxForm bounds the query, and the form body, of a callback. One id of
	// 128 bytes, every byte percent-encoded, fits five times over.
	maxForm = 2 << 10
)

// parser reads callbacks. It has no verifier: there is nothing to verify but
// the route's own token.
type parser struct {
	account events.Account
	token   providers.PathToken
	method  string // the pinned method, "" for GET and POST
}

func newParser(a providers.Account) *parser {
	return &parser{
		account: a.Account,
		token:   providers.NewPathToken(a.Webhook.PathToken),
		method:  pinnedMethod(a.Webhook),
	}
}

// pinnedMethod is the one method that a strict account accepts. A URL with a
// query and no body suggests GET; the document does not say.
func pinnedMethod(w providers.Webhook) string {
	switch {
	case !w.Strict:
		return ""
	case w.Reading == readingPost:
		return "POST"
	}
	return "GET"
}

// ParseWebhook reads the payment's id from the query or, where the query has
// none, from a form body. The result is always a hint, reason "unsigned".
func (p *parser) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	if err := p.token.Check(d); err != nil {
		return events.Webhook{}, err
	}
	id, err := p.transactionKey(d)
	if err != nil {
		return events.Webhook{}, err
	}
	key := events.Key{Provider: Name, Account: p.account, Kind: events.Order, ID: id}
	return providers.Hint(key, d, "unsigned"), nil
}

// transactionKey finds the one id of a delivery. The body is read only where
// the query names no payment: two places would be two meanings.
func (p *parser) transactionKey(d providers.Delivery) (string, error) {
	method := d.Method
	if method == "HEAD" { // a probe of the URL means what GET means
		method = "GET"
	}
	if method != "GET" && method != "POST" || p.method != "" && method != p.method {
		return "", badRequest("unknown_shape", "method")
	}
	id, found, err := formValue(d.RawQuery)
	if err != nil || found {
		return id, err
	}
	if method != "POST" || len(d.Body) == 0 {
		return "", badRequest("no_order_id", "no transactionKey")
	}
	if !isForm(d.Header) {
		return "", providers.Refuse(providers.ErrUnsupportedMedia, "media_type", "no transactionKey in the query, and the body is no form")
	}
	id, found, err = formValue(string(d.Body))
	if err == nil && !found {
		err = badRequest("no_order_id", "no transactionKey")
	}
	return id, err
}

// formValue reads transactionKey out of a query or form. found is false when
// it is not there at all.
func formValue(form string) (id string, found bool, err error) {
	if len(form) > maxForm {
		return "", false, badRequest("unknown_shape", "more than 2 KiB of parameters")
	}
	values, err := url.ParseQuery(form)
	if err != nil { // its text quotes the input
		return "", false, badRequest("encoding", "parameters")
	}
	keys, found := values[keyParam]
	switch {
	case !found:
		return "", false, nil
	case len(keys) != 1:
		return "", false, badRequest("bad_id", "transactionKey more than once")
	case !events.ValidPart(keys[0]):
		return "", false, badRequest("bad_id", "transactionKey")
	}
	return keys[0], true, nil
}

// isForm reports whether the body is declared, once, as a plain form.
func isForm(h map[string][]string) bool {
	types := h["Content-Type"]
	if len(types) != 1 || len(h["Content-Encoding"]) != 0 {
		return false
	}
	t, _, err := mime.ParseMediaType(types[0])
	return err == nil && t == "application/x-www-form-urlencoded"
}

func badRequest(r providers.Reason, detail string) error {
	return providers.Refuse(providers.ErrBadRequest, r, detail)
}
