package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/ingest"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// scheme is a provider of the tests' own: a delivery is authentic when its
// signature header says so, and everything else is in the body.
type scheme struct{ hint bool }

type said struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Class   string `json:"class"` // asks for a failure of this class
	Account string `json:"account"`
}

func (p scheme) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	sig := d.Header["X-Test-Signature"]
	switch {
	case p.hint:
	case len(sig) > 1:
		return events.Webhook{}, providers.Refuse(providers.ErrUnauthentic, "header_duplicate", "")
	case len(sig) == 0:
		return events.Webhook{}, providers.Refuse(providers.ErrUnauthentic, "header_missing", "")
	case !strings.HasPrefix(sig[0], "good"):
		return events.Webhook{}, providers.Refuse(providers.ErrUnauthentic, "signature", "")
	}
	var in said
	if d.Method != http.MethodPost {
		in.ID = strings.TrimPrefix(d.RawQuery, "transactionKey=")
	} else if json.Unmarshal(d.Body, &in) != nil {
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, "json_syntax", "")
	}
	switch in.Class {
	case "malformed":
		return events.Webhook{}, providers.Refuse(providers.ErrMalformed, "no_order_id", "")
	case "media":
		return events.Webhook{}, providers.Refuse(providers.ErrUnsupportedMedia, "media_type", "")
	case "foreign":
		return events.Webhook{}, errors.New("a class that no parser has")
	case "invented":
		return events.Webhook{}, providers.Refuse(providers.ErrBadRequest, providers.Reason(in.ID), "")
	case "panic":
		panic("a payload: " + in.ID)
	}
	account := events.Account("acme")
	if in.Account != "" {
		account = events.Account(in.Account)
	}
	w := events.Webhook{
		Key:        events.Key{Provider: "kado", Account: account, ID: in.ID},
		EventID:    events.EventID(events.Digest("test", in.ID, in.Status)),
		ObservedAt: d.ReceivedAt, Trust: events.TrustSigned, StatusRaw: in.Status, Status: events.StatusPending,
		BodyDigest: providers.BodyDigest(d.Body), Scheme: "raw/current",
	}
	if p.hint {
		w.Key.Provider = "kanga"
		return providers.Hint(w.Key, d, "unsigned"), nil
	}
	if sig[0] == "good stale" {
		w.Trust, w.HintReason, w.Scheme = events.TrustHint, "stale", ""
	}
	if sig[0] == "good previous" {
		w.Scheme = "raw/previous"
	}
	if in.Status == "odd" {
		w.Status = events.StatusUnknown
	}
	return w, nil
}

// log is an in-memory Kafka: it appends and acknowledges, or does what a test
// scripted for the next records.
type log struct {
	mu         sync.Mutex
	records    []stream.Record
	script     []error       // consumed one a call; nil acknowledges
	max        int           // bytes of a value, 0 for any
	hold       chan struct{} // a call waits until it is closed, or ctx is done
	ahead      time.Duration // broker's clock minus ours
	now        func() time.Time
	appendTime bool
	waiting    int
}

func (l *log) Publish(ctx context.Context, rs ...stream.Record) ([]stream.Record, error) {
	l.mu.Lock()
	hold := l.hold
	l.waiting++
	l.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, errors.Join(stream.ErrTransient, ctx.Err())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.script) > 0 {
		err := l.script[0]
		l.script = l.script[1:]
		if err != nil {
			return nil, err
		}
	}
	var out []stream.Record
	for _, r := range rs {
		if l.max > 0 && len(r.Value) > l.max {
			return nil, stream.ErrTooLarge
		}
		r.Partition, r.Offset = stream.PartitionOf(r.Key, 12), int64(len(l.records))
		r.TimestampMs, r.AppendTime = l.now().Add(l.ahead).UnixMilli(), l.appendTime
		l.records = append(l.records, r)
		out = append(out, r)
	}
	return out, nil
}

func (l *log) snapshot() []stream.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]stream.Record(nil), l.records...)
}

func (l *log) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// discard acknowledges and keeps nothing.
type discard struct{}

func (discard) Publish(_ context.Context, rs ...stream.Record) ([]stream.Record, error) {
	return rs, nil
}

// rig is a server with its surroundings.
type rig struct {
	*ingest.Server
	log     *log
	codec   *codec.Codec
	reg     *prometheus.Registry
	healthy error
	logged  *bytes.Buffer

	mu sync.Mutex
	at time.Time // zero: the real clock
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() {
		return time.Now()
	}
	return r.at
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = r.at.Add(d)
}

const secret = "a-token-of-the-shop-0001"

func newRig(t testing.TB, change ...func(*ingest.Config, *ingest.Deps, *rig)) *rig {
	t.Helper()
	r := &rig{reg: prometheus.NewRegistry(), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r.log = &log{now: r.now}
	var err error
	if r.codec, err = codec.New(map[string]int{"Webhook": 1, "Intent": 2}, nil); err != nil {
		t.Fatal(err)
	}
	cfg := ingest.Config{
		Topics: stream.DefaultTopics("ramp."), Limits: ingest.DefaultLimits(),
		Routes: []ingest.Route{
			{Provider: "kado", Account: "acme", Parser: scheme{}, Authenticated: true},
			{Provider: "kado", Account: "other", Parser: scheme{}, Authenticated: true},
			{Provider: "kanga", Account: "acme", Parser: scheme{hint: true}, GET: true, Media: ingest.MediaAny, PathToken: true},
		},
		Accounts: []events.Lane{"koinal/acme"},
		Tokens: []ingest.Token{
			{Name: "shop", Secret: secret, Accounts: []events.Lane{"kado/acme", "koinal/acme"}},
			{Name: "back-office", Secret: "another-token-of-the-shop", Accounts: []events.Lane{"kado/other"}},
		},
	}
	deps := ingest.Deps{
		Publisher: r.log, Encoder: r.codec, Now: r.now, Rand: func() float64 { return 0.5 }, Metrics: r.reg,
		Healthy: func(context.Context) error { return r.healthy },
	}
	for _, f := range change {
		f(&cfg, &deps, r)
	}
	if r.Server, err = ingest.New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	return r
}

// count sums the counter's series whose labels include want ("name=value").
func (r *rig) count(t *testing.T, name string, want ...string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]bool{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()+"="+l.GetValue()] = true
			}
			match := true
			for _, w := range want {
				match = match && labels[w]
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

const hook = "/v1/webhooks/kado/acme"

func post(target, body string, header ...string) ingest.Request {
	h := http.Header{"Content-Type": {"application/json"}, "X-Test-Signature": {"good"}}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			h.Del(header[i])
			continue
		}
		h.Set(header[i], header[i+1])
	}
	return ingest.Request{Method: http.MethodPost, Target: target, Header: h, ContentLength: int64(len(body)), Body: strings.NewReader(body)}
}

func (r *rig) post(target, body string, header ...string) ingest.Response {
	return r.Handle(context.Background(), post(target, body, header...))
}

type receipt struct {
	EventID   string `json:"event_id"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Dropped   bool   `json:"dropped"`
}

func receiptOf(t *testing.T, resp ingest.Response) receipt {
	t.Helper()
	var r receipt
	if err := json.Unmarshal(resp.Body, &r); err != nil || resp.Status != http.StatusOK {
		t.Fatalf("answer %d %s: %v; want a 200 with a receipt", resp.Status, resp.Body, err)
	}
	return r
}
