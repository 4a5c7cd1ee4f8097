package providers

import "rampstream/internal/events"

// Step is one check of a delivery, for a person who asks why it was refused.
// It has no secret, no expected signature and nothing of the body in it.
type Step struct {
	Name string
	OK   bool
	// Aside marks a reading that this account does not accept. One that fits
	// says what the sender does differently; it never makes a delivery valid.
	Aside  bool
	Detail string
}

// A WebhookDebugger is a WebhookParser of a signed scheme that can also say how
// it judges, and sign for itself. Only rampctl asks for it.
type WebhookDebugger interface {
	// ExplainWebhook lists every check in its order, and every reading of the
	// provider's document that was tried. path is that of the request as it
	// came, "" when unknown; no accepted reading uses it.
	ExplainWebhook(d Delivery, path string) []Step
	// SignWebhook returns the headers with which body verifies at an instant,
	// under the first secret and the default reading.
	SignWebhook(body []byte, at events.Millis) (map[string][]string, error)
}
