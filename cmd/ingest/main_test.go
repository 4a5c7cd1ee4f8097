package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/kafka/embedded"
	"rampstream/internal/providers/kado"
	"rampstream/internal/run"
	"rampstream/internal/stream"
)

const (
	secret = "kR7q-webhook-of-acme-2f61"
	token  = "kR7q-token-of-the-shop-9b13"
)

const yaml = `
kafka: {brokers: [%q]}
registry: {url: %q}
topics: {partitions: 3, replication: 1}
ingest:
  memory_reserve: 0
  listen: 127.0.0.1:0
  admin_listen: 127.0.0.1:0
  public_url: https://hooks.example.com
  produce_deadline: 15s
  tokens: [{name: shop, token: %s, accounts: [kado/acme]}]
accounts:
  - {provider: kado, account: acme, webhook: {public_key: pk-acme, secrets: [%s]}}
  - {provider: kanga, account: acme, webhook: {trust: hint, path_token: kR7q-path-of-kanga-77}}
`

// output is what the program writes, readable while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// system is a broker, a registry and a configuration file for them.
type system struct {
	*embedded.Cluster
	cfg  config.Config
	path string
}

func newSystem(t *testing.T, topics, schemas bool) system {
	t.Helper()
	cluster, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := system{Cluster: cluster, path: filepath.Join(t.TempDir(), "rampstream.yaml")}
	text := fmt.Sprintf(yaml, cluster.Brokers()[0], cluster.RegistryURL(), token, secret)
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.cfg, err = config.Load(s.path, nil, nil); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if topics {
		specs := cluster.Specs(kafka.Specs(s.cfg.Topics.Names(), 3, 1))
		changes, err := kafka.PlanTopics(ctx, s.kafka(), specs)
		if err != nil {
			t.Fatal(err)
		}
		if err := kafka.ApplyTopics(ctx, s.kafka(), changes); err != nil {
			t.Fatal(err)
		}
	}
	if schemas {
		reg, err := app.OpenRegistry(s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.RegisterSchemas(ctx, s.cfg, reg); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s system) kafka() kafka.Config { return kafka.Config{Brokers: s.Brokers()} }

// program is a running main.
type program struct {
	public, admin string
	stop          context.CancelFunc
	done          chan error
	out           *output
}

var listening = regexp.MustCompile(`"listen":"([^"]+)"`)

func start(t *testing.T, s system, env ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &program{stop: stop, done: make(chan error, 1), out: &output{}}
	go func() { p.done <- runMain(ctx, []string{"-config", s.path}, env, p.out) }()
	t.Cleanup(stop)
	for range time.Tick(5 * time.Millisecond) {
		select {
		case err := <-p.done:
			t.Fatalf("ended with %v\n%s", err, p.out)
		default:
		}
		if m := listening.FindStringSubmatch(p.out.String()); m != nil {
			p.public = "http://" + m[1]
			return p
		}
	}
	return nil
}

func send(t *testing.T, method, url, body string, header map[string]string) (int, []byte, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b, resp.Header
}

// kadoHeaders signs as Kado documents, for the registered URL's path.
func kadoHeaders(body string) map[string]string {
	ts := fmt.Sprint(time.Now().UnixMilli())
	return map[string]string{
		"Content-Type": "application/json", "X-Timestamp": ts, "X-Public-Key": "pk-acme",
		"X-Signature": kado.Sign(secret, "POST", ts, "/v1/webhooks/kado/acme", kado.PayloadHex([]byte(body))),
	}
}

// A delivery signed by Kado's scheme, a callback of Kanga's and an order of the
// shop's become records that the codec reads, at the coordinates of the answer.
func TestProgram(t *testing.T) {
	s := newSystem(t, true, true)
	p := start(t, s)
	const delivery = `{"id":"w-1","resource":"order","type":"order_completed","data":{"id":"6408fd3e24c501549aaac9fd","paymentStatus":"success","transferStatus":"settled"},"message":"m"}`
	const order = `{"provider":"kado","account":"acme","order_id":"6408fd3e24c501549aaac9fd","fiat":{"amount":"100.00","currency":"USD"}}`
	for _, tc := range []struct {
		name, method, path, body string
		header                   map[string]string
		key                      string
	}{
		{"kado", "POST", "/v1/webhooks/kado/acme", delivery, kadoHeaders(delivery), "kado/acme/6408fd3e24c501549aaac9fd"},
		{"kanga", "GET", "/v1/webhooks/kanga/acme/kR7q-path-of-kanga-77?transactionKey=k-1", "", nil, "kanga/acme/k-1"},
		{"order", "POST", "/v1/orders", order, map[string]string{"Content-Type": "application/json", "Authorization": "Bearer " + token}, "kado/acme/6408fd3e24c501549aaac9fd"},
	} {
		status, body, _ := send(t, tc.method, p.public+tc.path, tc.body, tc.header)
		var r struct {
			EventID   string `json:"event_id"`
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
			Offset    int64  `json:"offset"`
		}
		if err := json.Unmarshal(body, &r); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s\n%s", tc.name, status, body, p.out)
		}
		rec := s.read(t, r.Topic, r.Partition, r.Offset)
		if id, _ := rec.Header("ce_id"); string(rec.Key) != tc.key || string(id) != r.EventID {
			t.Errorf("%s: record %s %s at the receipt's coordinates; want %s %s", tc.name, rec.Key, id, tc.key, r.EventID)
		}
		if r.Partition != stream.PartitionOf(rec.Key, 3) {
			t.Errorf("%s: partition %d is not murmur2 of the key", tc.name, r.Partition)
		}
	}
	forged := kadoHeaders(delivery)
	forged["X-Signature"] = strings.Repeat("0", 64)
	if status, body, _ := send(t, "POST", p.public+"/v1/webhooks/kado/acme", delivery, forged); status != http.StatusUnauthorized {
		t.Errorf("a forged delivery = %d %s; want 401", status, body)
	}
	for _, private := range []string{"/metrics", "/readyz", "/livez", "/debug/pprof/"} {
		if status, _, _ := send(t, "GET", p.public+private, "", nil); status != http.StatusNotFound {
			t.Errorf("public GET %s = %d; want 404", private, status)
		}
	}
	p.stop()
	if err := <-p.done; err != nil {
		t.Errorf("runMain = %v; want nil after a stop", err)
	}
	if out := p.out.String(); strings.Contains(out, secret) || strings.Contains(out, token) || !strings.Contains(out, "route unauthenticated") {
		t.Errorf("log has a secret, or does not name the unauthenticated route:\n%s", out)
	}
}

func (s system) read(t *testing.T, topic string, partition int32, offset int64) stream.Record {
	t.Helper()
	l, err := kafka.OpenLog(s.kafka())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var found stream.Record
	if err := l.Read(t.Context(), topic, partition, offset, offset+1, true, func(r stream.Record) error {
		found = r
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// Topics that are weaker than they should be are told of, and refuse nothing.
func TestProgram_topicsDiffer(t *testing.T) {
	s := newSystem(t, true, true) // with the senders' clocks: the embedded broker has no other
	p := start(t, s)
	m := regexp.MustCompile(`"admin":"([^"]+)"`).FindStringSubmatch(p.out.String())
	if m == nil {
		t.Fatalf("no admin address\n%s", p.out)
	}
	_, metrics, _ := send(t, "GET", "http://"+m[1]+"/metrics", "", nil)
	for topic, n := range map[string]int{s.cfg.Topics.Names().Webhook: 1, s.cfg.Topics.Names().Intent: 1, s.cfg.Topics.Names().DeadLetter: 0} {
		if series := fmt.Sprintf("ramp_ingest_topic_differences{topic=%q} %d\n", topic, n); !bytes.Contains(metrics, []byte(series)) {
			t.Errorf("metrics have no %s", series)
		}
		if told := strings.Count(p.out.String(), `"msg":"topic differs","program":"ingest","topic":"`+topic+`"`); told != n {
			t.Errorf("%d lines tell of %s, want %d\n%s", told, topic, n, p.out)
		}
	}
	if !strings.Contains(p.out.String(), "our own clocks are trusted without a referee") {
		t.Errorf("no word of what follows from it\n%s", p.out)
	}
}

// Kafka goes away under a running program: an honest 503, before the sender that
// waits least has given up. ingest/TestPublish_deadline has the deadline itself.
func TestProgram_kafkaGone(t *testing.T) {
	s := newSystem(t, true, true)
	p := start(t, s, "RAMP_INGEST_PRODUCE_DEADLINE=500ms")
	s.Kafka().Close()
	const delivery = `{"id":"w-1","resource":"order","type":"order_pending","data":{"id":"6408fd3e24c501549aaac9fd"},"message":"m"}`
	begin := time.Now()
	status, body, header := send(t, "POST", p.public+"/v1/webhooks/kado/acme", delivery, kadoHeaders(delivery))
	if took := time.Since(begin); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || took > 10*time.Second {
		t.Errorf("= %d %s after %v; want 503 with Retry-After soon after the deadline of 500ms", status, body, took)
	}
}

func TestProgram_refuses(t *testing.T) {
	for _, tc := range []struct {
		name            string
		topics, schemas bool
		change          func(string) string
		code            int
		says            string
	}{
		{"no topics", false, true, nil, run.Refused, "ramp.webhook.v1"},
		{"no schemas", true, false, nil, run.Refused, "rampctl schemas register"},
		{"unknown key", true, true, func(s string) string { return s + "\nbrokers: x\n" }, run.BadConfig, "brokers"},
		{"no verifier", true, true, func(s string) string {
			return strings.Replace(s, "{public_key: pk-acme, secrets: ["+secret+"]}", "{}", 1)
		}, run.BadConfig, "trust: hint"},
		{"no public URL", true, true, func(s string) string {
			return strings.Replace(s, "  public_url: https://hooks.example.com\n", "", 1)
		}, run.BadConfig, "public_url"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, tc.topics, tc.schemas)
			if tc.change != nil {
				b, err := os.ReadFile(s.path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(s.path, []byte(tc.change(string(b))), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := runMain(t.Context(), []string{"-config", s.path}, nil, io.Discard)
			if run.Code(err) != tc.code || !strings.Contains(fmt.Sprint(err), tc.says) || strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("runMain = %v, code %d; want code %d and %q", err, run.Code(err), tc.code, tc.says)
			}
		})
	}
}

// -check and the start find the same faults, those of the clients' properties and
// of the files that they name too. A relative name is relative to the file.
func TestProgram_checkFindsWhatTheStartWould(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	good := fmt.Sprintf(yaml, "127.0.0.1:1", "http://127.0.0.1:1", token, secret)
	for _, tc := range []struct{ name, old, new, says string }{
		{"nothing", "", "", ""},
		{"unknown property", "127.0.0.1:1\"]}", "127.0.0.1:1\"], properties: {security.protocl: SSL}}", "kafka.properties.security.protocl: unknown (did you mean security.protocol?)"},
		{"no such CA", "127.0.0.1:1\"]}", "127.0.0.1:1\"], properties: {security.protocol: SSL, ssl.ca.location: nowhere.pem}}", "kafka.properties: ssl.ca.location: open nowhere.pem"},
		{"registry property", "http://127.0.0.1:1\"}", "http://127.0.0.1:1\", properties: {basic.auth.user: x}}", "registry: property basic.auth.user: unknown"},
		{"registry without a scheme", "http://127.0.0.1:1", "127.0.0.1:1", "registry.url"},
		{"no such certificate", "  listen: 127.0.0.1:0", "  tls: {cert_file: tls.crt, key_file: tls.key}\n  listen: 127.0.0.1:0", filepath.Join(dir, "tls.crt")},
	} {
		text := strings.Replace(good, tc.old, tc.new, 1)
		if tc.old != "" && text == good {
			t.Fatalf("%s: nothing was replaced in\n%s", tc.name, good)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := runMain(t.Context(), []string{"-config", path, "-check"}, nil, io.Discard)
		if tc.says == "" && err != nil || tc.says != "" && (run.Code(err) != run.BadConfig || strings.Count(err.Error(), tc.says) != 1) {
			t.Errorf("%s: -check = %v, code %d; want code 2 and once %q", tc.name, err, run.Code(err), tc.says)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"extra"}, {"-config", "does-not-exist.yaml"}} {
		if err := runMain(t.Context(), args, nil, io.Discard); run.Code(err) != run.BadConfig {
			t.Errorf("runMain(%q) = %v; want a configuration fault", args, err)
		}
	}
	var out bytes.Buffer
	if err := runMain(t.Context(), []string{"-h"}, nil, &out); err != nil || !strings.Contains(out.String(), "-config") {
		t.Errorf("-h = %v, %q", err, out.String())
	}
}
