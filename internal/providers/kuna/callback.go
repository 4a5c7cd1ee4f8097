package kuna

import (
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// idPaths are the places where an operation's id may be, in this order. None
// is documented; the account's own webhook.fields.id replaces them all.
var idPaths = [][]string{{"id"}, {"data", "id"}, {"operationId"}}

// parser reads callbacks. There is nothing to verify but the route's token.
type parser struct {
	account events.Account
	token   providers.PathToken
	paths   [][]string
}

func newParser(a providers.Account) *parser {
	p := &parser{account: a.Account, token: providers.NewPathToken(a.Webhook.PathToken), paths: idPaths}
	if path := a.Webhook.Fields["id"]; path != "" {
		p.paths = [][]string{strings.Split(path, ".")}
	}
	return p
}

// ParseWebhook finds the id of an operation in a JSON body. The result is
// always a hint, reason "unsigned"; nothing else of the body is kept. The
// content type is not judged, because no document names one.
func (p *parser) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	if err := p.token.Check(d); err != nil {
		return events.Webhook{}, err
	}
	if d.Method != "POST" {
		return events.Webhook{}, badRequest("unknown_shape", "method")
	}
	if len(d.Header["Content-Type"]) > 1 || len(d.Header["Content-Encoding"]) > 0 {
		return events.Webhook{}, providers.Refuse(providers.ErrUnsupportedMedia, "media_type", "")
	}
	if len(d.Body) == 0 {
		return events.Webhook{}, badRequest("empty_body", "")
	}
	body, err := jsonx.Parse(d.Body)
	if err != nil {
		return events.Webhook{}, badRequest(providers.JSONReason(err), err.Error())
	}
	id, err := p.operationID(body)
	if err != nil {
		return events.Webhook{}, err
	}
	key := events.Key{Provider: Name, Account: p.account, Kind: events.Order, ID: id}
	return providers.Hint(key, d, "unsigned"), nil
}

// operationID is the first id that is there. One that is there and cannot be
// an id is refused, not skipped: another place would be another meaning.
func (p *parser) operationID(body jsonx.Value) (string, error) {
	for _, path := range p.paths {
		v := body.At(path...)
		if v.Kind() == jsonx.Absent || v.IsNull() {
			continue
		}
		id, ok := v.Text()
		if !ok || !events.ValidPart(id) {
			return "", badRequest("bad_id", "operation id")
		}
		return id, nil
	}
	return "", badRequest("no_order_id", "no operation id")
}

func badRequest(r providers.Reason, detail string) error {
	return providers.Refuse(providers.ErrBadRequest, r, detail)
}
