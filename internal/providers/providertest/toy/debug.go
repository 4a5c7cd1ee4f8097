package toy

import (
	"errors"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// SignWebhook implements providers.WebhookDebugger.
func (p parser) SignWebhook(body []byte, at events.Millis) (map[string][]string, error) {
	if len(p.secrets) == 0 {
		return nil, errors.New("toy: the account verifies nothing")
	}
	return map[string][]string{"Toy-Signature": {Sign(p.secrets[0], at, body)}}, nil
}

// ExplainWebhook implements providers.WebhookDebugger. The scheme has one
// reading, so there is one step.
func (p parser) ExplainWebhook(d providers.Delivery, _ string) []providers.Step {
	_, _, scheme, err := p.verify(d)
	return []providers.Step{{Name: "signature: v1, HMAC-SHA512 of time and body", OK: err == nil, Detail: scheme}}
}
