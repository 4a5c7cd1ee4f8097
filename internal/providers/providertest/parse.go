package providertest

import (
	"errors"
	"regexp"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// now is when deliveries are received: an instant in the middle of a minute,
// so that hints a few seconds apart share their bucket.
const now events.Millis = 1_700_000_010_000

// route is an opened route under test. Every parse goes through it, so that
// what holds for all deliveries is checked for all of them.
type route struct {
	provider providers.Provider
	account  providers.Account
	parser   providers.WebhookParser
	secret   canaries // in no result
}

func openRoute(t testing.TB, p providers.Provider, a providers.Account, url string) route {
	t.Helper()
	caps, err := p.Open(a, providers.Env{WebhookURL: url})
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	if caps.Webhook == nil {
		t.Fatal("Open gives no WebhookParser")
	}
	if signed := a.Webhook.Trust != "hint"; caps.Authenticated != signed {
		t.Fatalf("Authenticated = %v with trust %q", caps.Authenticated, a.Webhook.Trust)
	}
	return route{p, a, caps.Webhook, personal.with(secretsOf(a)...)}
}

var (
	eventID    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	reasonForm = regexp.MustCompile(`^[a-z_]{3,30}$`)
)

// parse is ParseWebhook with everything that always holds checked.
func (r route) parse(t testing.TB, d providers.Delivery) (events.Webhook, error) {
	t.Helper()
	body := string(d.Body)
	w, err := r.parser.ParseWebhook(d)
	if string(d.Body) != body {
		t.Error("ParseWebhook changes the body that it is given")
	}
	if err != nil {
		r.checkRefusal(t, w, err)
		return w, err
	}
	nothingPersonal(t, r.secret, w)
	switch {
	case !w.Key.Valid() || w.Key.Provider != r.provider.Name || w.Key.Account != r.account.Account:
		t.Errorf("key %q is not one of the account %s/%s", w.Key, r.provider.Name, r.account.Account)
	case !eventID.MatchString(string(w.EventID)):
		t.Errorf("event id %q is not 32 hexadecimal digits", w.EventID)
	case w.ObservedAt != d.ReceivedAt:
		t.Errorf("ObservedAt = %d; want when it was received, %d", w.ObservedAt, d.ReceivedAt)
	case w.BodyDigest != providers.BodyDigest(d.Body):
		t.Errorf("BodyDigest = %q is not that of the body", w.BodyDigest)
	case w.Trust == events.TrustHint && (w.HintReason == "" || w.Scheme != ""):
		t.Errorf("a hint has reason %q and scheme %q; want a reason and no scheme", w.HintReason, w.Scheme)
	case w.Trust == events.TrustSigned && (w.HintReason != "" || w.Scheme == "" || w.StatusRaw == ""):
		t.Errorf("a signed delivery has hint reason %q, scheme %q and status %q", w.HintReason, w.Scheme, w.StatusRaw)
	}
	return w, nil
}

func (r route) checkRefusal(t testing.TB, w events.Webhook, err error) {
	t.Helper()
	var refused *providers.DeliveryError
	switch {
	case !errors.As(err, &refused):
		t.Errorf("error %T is no *providers.DeliveryError", err)
	case w != (events.Webhook{}):
		t.Errorf("a webhook comes beside the error %v", err)
	case classOf(err) == nil:
		t.Errorf("error %v has none of the four classes", err)
	case !reasonForm.MatchString(string(refused.Reason)):
		t.Errorf("reason %q is no label", refused.Reason)
	}
	r.secret.with(CanaryID).keptOut(t, "the error", err)
}

// classOf is the class of a refusal; nil for an error that has none.
func classOf(err error) error {
	for _, class := range []error{
		providers.ErrUnauthentic, providers.ErrBadRequest, providers.ErrUnsupportedMedia, providers.ErrMalformed,
	} {
		if errors.Is(err, class) {
			return class
		}
	}
	return nil
}

// refused fails unless d is refused with one of the classes.
func (r route) refused(t testing.TB, what string, d providers.Delivery, classes ...error) {
	t.Helper()
	w, err := r.parse(t, d)
	if err == nil {
		t.Errorf("%s: accepted as %s %q of %s; want a refusal", what, w.Trust, w.StatusRaw, w.Key)
		return
	}
	for _, c := range classes {
		if errors.Is(err, c) {
			return
		}
	}
	t.Errorf("%s: refused with %v; want one of %v", what, err, classes)
}

// clone copies a delivery so deep that a change of one is none of the other.
func clone(d providers.Delivery) providers.Delivery {
	d.Body = append([]byte(nil), d.Body...)
	header := make(map[string][]string, len(d.Header))
	for name, values := range d.Header {
		header[name] = append([]string(nil), values...)
	}
	d.Header = header
	return d
}

// meaning is a webhook without what says nothing about its meaning: the
// spelling of its body and the reading that verified it.
func meaning(w events.Webhook) events.Webhook {
	w.BodyDigest, w.Scheme = "", ""
	return w
}
