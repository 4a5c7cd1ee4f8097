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
	"testing"
	"time"

	"rampstream/integration"
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

// kadoBodies: what V8 signs, whatever its bytes look like, is accepted; with
// one byte changed it is not.
func kadoBodies(t *testing.T, p platform) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not on PATH: V8 is the oracle of Kado's signatures")
	}
	w := newWorld(t, p, options{})
	ingest := w.start("ingest", "a")
	ingest.ready()
	account := w.sim.Config(nil, "").Accounts[0]
	ts := strconv.FormatInt(time.Now().UnixMilli(), 10)
	var in bytes.Buffer
	bodies := make([]string, len(oddBodies))
	for i, form := range oddBodies {
		bodies[i] = fmt.Sprintf(form, fmt.Sprintf("6408fd3e24c501549aaac9f%d", i))
		must(t, json.NewEncoder(&in).Encode(map[string]string{"body": base64.StdEncoding.EncodeToString([]byte(bodies[i])),
			"secret": account.Webhook.Secrets[0].Reveal(), "ts": ts, "path": kadoPath}))
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/sign.mjs")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	must(t, err)
	signatures := strings.Fields(string(out))
	if len(signatures) != len(bodies) {
		t.Fatalf("node signed %d of %d bodies", len(signatures), len(bodies))
	}
	for i, body := range bodies {
		h := http.Header{"Content-Type": {"application/json"}, "X-Timestamp": {ts}, "X-Public-Key": {account.Webhook.PublicKey}, "X-Signature": {signatures[i]}}
		changed := strings.Replace(body, "6408fd", "6408fc", 1)
		if got := w.post(kadoPath, h, []byte(changed)); got.Status != http.StatusUnauthorized {
			t.Errorf("body %q with one byte changed: %d %s, want 401", changed, got.Status, got.Body)
		}
		got := w.post(kadoPath, h, []byte(body))
		var r integration.Receipt
		if err := json.Unmarshal(got.Body, &r); err != nil || got.Status != http.StatusOK || r.Topic != w.topics().Webhook {
			t.Errorf("body %q: %d %s, want 200 and an event", body, got.Status, got.Body)
		}
	}
	ingest.stop()
	if n := w.count(w.topics().Webhook); n != len(bodies) {
		t.Errorf("%d events of %d deliveries", n, len(bodies))
	}
}
