package integration_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/internal/config"
	"rampstream/internal/demo"
)

const kadoPath = "/v1/webhooks/kado/" + demo.Account

// oddBodies are deliveries in forms that no Go encoder writes. %s is the
// order's id, in which one byte is changed afterwards.
var oddBodies = []string{
	`{"id":"w1","resource":"order","type":"order_pending","data":{"id":"%s"},"message":"m"}`,
	"\n\t{ \"type\" : \"order_pending\",\r\n  \"data\" : { \"id\" : \"%s\" } ,\"id\":\"w2\", \"resource\":\"order\" , \"message\":\"\" } \n",
	`{"10":1,"2":2,"b":3,"1":4,"id":"w3","resource":"order","type":"order_pending","data":{"id":"%s","9":0,"07":1}}`,
	`{"id":"w4","resource":"order","type":"order_pend\u0069ng","data":{"id":"%s","note":"\u00e9\ud83d\ude00\/\b\f\u2028"}}`,
	`{"id":"w5","resource":"order","type":"order_pending","data":{"id":"%s","a":1.0,"b":1e2,"c":-0,"d":1E-7,"e":0.10,"f":1200}}`,
	`{"id":"w6","resource":"order","type":"order_pending","data":{"id":"%s","a":[ ],"b":{ },"c":[ null , true,false ]}}`,
	`{"id":"w7","message":"é 😀 ` + "\u2028" + `","resource":"order","type":"order_pending","data":{"id":"%s"}}`,
	`{"id":"w8","resource":"order","type":"order_pending","data":{"id":"%s","lone":"\ud800","nul":"\u0000"}}`,
	`{"__proto__":1,"id":"w9","resource":"order","type":"order_pending","data":{"id":"%s","constructor":"x","":""}}`,
}

// corpus is what a JavaScript engine wrote and read again, made by gen_v8.mjs.
const corpus = "../internal/providers/kado/testdata/v8-corpus.tsv"

// places are where a value of the corpus comes to stand in a delivery.
var places = []string{
	`{"id":"w","resource":"order","type":"order_pending","data":{"id":"%[1]s","extra":%[2]s},"message":"m"}`,
	"{\t\"z\" : %[2]s ,\r\n\"type\":\"order_pending\" , \"data\" : { \"id\":\"%[1]s\" } }",
	`{"data":{"10":[%[2]s],"id":"%[1]s","2":%[2]s},"type":"order_pending"}`,
	`{"type":"order_pending","data":{"id":"%[1]s","x":{"y":[null,%[2]s,"\u00e9"]}},"message":"\/"}`,
}

// many is how many deliveries are signed.
const many = 10_000

// signedBodies are deliveries in odd forms, each about an order of its own.
func signedBodies(t *testing.T) []string {
	t.Helper()
	order := func(n int) string { return fmt.Sprintf("6408fd3e24c50154%08x", n) }
	var out []string
	for _, form := range oddBodies {
		out = append(out, fmt.Sprintf(form, order(len(out))))
	}
	text, err := os.ReadFile(corpus)
	must(t, err)
	for _, place := range places {
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
			if len(cells) != 3 || cells[1] == "!" || len(out) >= many {
				continue
			}
			value, err := base64.StdEncoding.DecodeString(cells[0])
			must(t, err)
			out = append(out, fmt.Sprintf(place, order(len(out)), value))
		}
	}
	if len(out) != many {
		t.Fatalf("%d bodies, want %d", len(out), many)
	}
	return out
}

// signAll signs bodies as Kado would, in V8.
func signAll(t *testing.T, bodies []string, secret, ts string) []string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not on PATH: V8 is the oracle of Kado's signatures")
	}
	var in bytes.Buffer
	for _, body := range bodies {
		must(t, json.NewEncoder(&in).Encode(map[string]string{
			"body": base64.StdEncoding.EncodeToString([]byte(body)), "secret": secret, "ts": ts, "path": kadoPath,
		}))
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/sign.mjs")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	must(t, err)
	signatures := strings.Fields(string(out))
	if len(signatures) != len(bodies) {
		t.Fatalf("node signed %d of %d bodies", len(signatures), len(bodies))
	}
	return signatures
}

// kadoBodies: what V8 signs, whatever its bytes look like, is accepted; with
// one byte changed it is not. A number whose digits the signature does not
// cover sets its delivery aside.
func kadoBodies(t *testing.T, p platform) {
	bodies := signedBodies(t)
	w := newWorld(t, p, options{change: func(c *config.Config) {
		c.Accounts[0].Webhook.Window = time.Hour // all are signed before the first is sent
		c.Ingest.ProduceDeadline = 15 * time.Second
	}})
	account := w.cfg.Accounts[0]
	ts := strconv.FormatInt(time.Now().UnixMilli(), 10)
	signatures := signAll(t, bodies, account.Webhook.Secrets[0].Reveal(), ts)
	ingest := w.start("ingest", "a")
	ingest.ready()
	var next, events, letters, again atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(bodies)) && !t.Failed(); i = next.Add(1) - 1 {
				body := bodies[i]
				h := http.Header{"Content-Type": {"application/json"}, "X-Timestamp": {ts}, "X-Public-Key": {account.Webhook.PublicKey}, "X-Signature": {signatures[i]}}
				changed := strings.Replace(body, "6408fd", "6408fc", 1)
				if got := w.post(kadoPath, h, []byte(changed)); got.Status != http.StatusUnauthorized {
					t.Errorf("body %q with one byte changed: %d %s, want 401", changed, got.Status, got.Body)
				}
				got := w.post(kadoPath, h, []byte(body))
				for got.Status == http.StatusServiceUnavailable && again.Add(1) < many { // Kado repeats it
					got = w.post(kadoPath, h, []byte(body))
				}
				var r integration.Receipt
				err := json.Unmarshal(got.Body, &r)
				switch {
				case err != nil || got.Status != http.StatusOK:
					t.Errorf("body %q: %d %s, want 200", body, got.Status, got.Body)
				case r.Topic == w.topics().DeadLetter:
					letters.Add(1)
				default:
					events.Add(1)
				}
			}
		})
	}
	wg.Wait()
	ingest.stop()
	t.Logf("%d events and %d dead letters of %d deliveries", events.Load(), letters.Load(), len(bodies))
	// What was answered 503 may stand there too.
	off := func(topic string, want int64) bool {
		n := int64(w.count(topic))
		return n < want || n > want+again.Load()
	}
	if off(w.topics().Webhook, events.Load()) {
		t.Errorf("%d events of %d deliveries, %d of them repeated", w.count(w.topics().Webhook), events.Load(), again.Load())
	}
	if off(w.topics().DeadLetter, letters.Load()) || events.Load() < many/3 {
		t.Errorf("%d dead letters of %d, %d deliveries repeated; %d events", w.count(w.topics().DeadLetter), letters.Load(), again.Load(), events.Load())
	}
}
