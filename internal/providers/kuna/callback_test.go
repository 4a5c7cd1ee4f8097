package kuna_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

const received = events.Millis(1_700_000_040_000)

func delivery(body string) providers.Delivery {
	return providers.Delivery{Method: "POST", Body: []byte(body), ReceivedAt: received,
		Header: map[string][]string{"Content-Type": {"application/json"}}}
}

func TestParseWebhook_accepts(t *testing.T) {
	for name, body := range map[string]string{
		"id":                  `{"id":"` + operationID + `","status":"Completed"}`,
		"in data":             `{"data":{"id":"` + operationID + `","status":"Completed"}}`,
		"operationId":         `{"operationId":"` + operationID + `"}`,
		"id first":            `{"operationId":"other","data":{"id":"other"},"id":"` + operationID + `"}`,
		"null is not there":   `{"id":null,"operationId":"` + operationID + `"}`,
		"case of a key":       `{"ID":"other","id":"` + operationID + `"}`,
		"other shapes around": `{"data":[1,2],"operationId":"` + operationID + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, withKey(), providers.Env{}).Webhook.ParseWebhook(delivery(body))
			if err != nil {
				t.Fatal(err)
			}
			want := events.Webhook{Key: question(events.Order, operationID).Key, EventID: got.EventID, ObservedAt: received,
				Trust: events.TrustHint, HintReason: "unsigned", BodyDigest: providers.BodyDigest([]byte(body))}
			if diff := cmp.Diff(want, got); diff != "" || got.EventID == "" {
				t.Errorf("ParseWebhook (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseWebhook_refuses(t *testing.T) {
	with := func(body string, change func(*providers.Delivery)) providers.Delivery {
		d := delivery(body)
		change(&d)
		return d
	}
	bad := providers.ErrBadRequest
	for _, tc := range []struct {
		name   string
		d      providers.Delivery
		class  error
		reason providers.Reason
	}{
		{"empty", delivery(""), bad, "empty_body"},
		{"form", delivery("id=1"), bad, "json_syntax"},
		{"html", delivery("<html>"), bad, "json_syntax"},
		{"trailing data", delivery(`{"id":"a"}{}`), bad, "json_syntax"},
		{"two ids", delivery(`{"id":"a","id":"b"}`), bad, "json_ambiguous"},
		{"deep", delivery(strings.Repeat("[", 100) + strings.Repeat("]", 100)), bad, "json_bounds"},
		{"not UTF-8", delivery("{\"id\":\"\xff\"}"), bad, "encoding"},
		{"no id", delivery(`{"status":"Completed"}`), bad, "no_order_id"},
		{"array", delivery(`[{"id":"a"}]`), bad, "no_order_id"},
		{"string", delivery(`"a"`), bad, "no_order_id"},
		{"number", delivery(`{"id":7}`), bad, "bad_id"},
		{"slash", delivery(`{"id":"a/b"}`), bad, "bad_id"},
		{"escaped line end", delivery(`{"id":"a\nb"}`), bad, "bad_id"},
		{"lone surrogate", delivery(`{"id":"\ud800"}`), bad, "bad_id"},
		{"a bad id is not skipped", delivery(`{"id":"","operationId":"a"}`), bad, "bad_id"},
		{"GET", with(`{"id":"a"}`, func(d *providers.Delivery) { d.Method = "GET" }), bad, "unknown_shape"},
		{"two types", with(`{"id":"a"}`, func(d *providers.Delivery) {
			d.Header["Content-Type"] = []string{"application/json", "text/plain"}
		}), providers.ErrUnsupportedMedia, "media_type"},
		{"compressed", with(`{"id":"a"}`, func(d *providers.Delivery) { d.Header["Content-Encoding"] = []string{"gzip"} }), providers.ErrUnsupportedMedia, "media_type"},
		{"a token where none is", with(`{"id":"a"}`, func(d *providers.Delivery) { d.PathToken = "x" }), providers.ErrUnauthentic, "path_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refused(t, open(t, withKey(), providers.Env{}).Webhook, tc.d, tc.class, tc.reason)
		})
	}
}

func refused(t *testing.T, p providers.WebhookParser, d providers.Delivery, class error, reason providers.Reason) {
	t.Helper()
	got, err := p.ParseWebhook(d)
	var de *providers.DeliveryError
	if !errors.As(err, &de) || !errors.Is(err, class) || de.Reason != reason {
		t.Errorf("ParseWebhook = %v, want %v, %s", err, class, reason)
	}
	if (got != events.Webhook{}) {
		t.Errorf("ParseWebhook = %+v beside an error", got)
	}
}

func TestParseWebhook_configuredField(t *testing.T) {
	a := withKey()
	a.Webhook.Fields = map[string]string{"id": "payload.operation.uuid"}
	p := open(t, a, providers.Env{}).Webhook
	got, err := p.ParseWebhook(delivery(`{"id":"other","payload":{"operation":{"uuid":"op-1"}}}`))
	if err != nil || got.Key.ID != "op-1" {
		t.Errorf("ParseWebhook = %v, %v; want op-1", got.Key, err)
	}
	refused(t, p, delivery(`{"id":"other"}`), providers.ErrBadRequest, "no_order_id")
}

func TestParseWebhook_pathToken(t *testing.T) {
	a := withKey()
	a.Webhook.PathToken = pathToken
	p := open(t, a, providers.Env{}).Webhook
	d := delivery(`{"id":"a"}`)
	refused(t, p, d, providers.ErrUnauthentic, "path_token")
	d.PathToken = pathToken[:19] + "2"
	refused(t, p, d, providers.ErrUnauthentic, "path_token")
	d.PathToken = pathToken
	if _, err := p.ParseWebhook(d); err != nil {
		t.Errorf("ParseWebhook with the token = %v", err)
	}
}
