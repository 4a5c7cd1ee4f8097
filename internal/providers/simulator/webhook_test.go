package simulator_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers/simulator"
)

// kadoSignature is the documented scheme over a body in canonical form.
func kadoSignature(secret, ts, path string, canonical []byte) string {
	sum := md5.Sum(canonical)
	return hexMAC(sha256.New, secret, "POST"+ts+path+hex.EncodeToString(sum[:]))
}

// kadoCanonical undoes the odd forms that the simulator sends. It is no
// JSON.stringify: it knows these bodies only.
func kadoCanonical(body []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return nil
	}
	return []byte(strings.NewReplacer(`\/`, `/`, `\u004f`, `O`, `.250,"cur`, `.25,"cur`).Replace(b.String()))
}

func verifyKado(r *http.Request, body []byte) bool {
	want := kadoSignature(kadoCreds.WebhookSecret, r.Header.Get("X-Timestamp"), r.URL.Path, kadoCanonical(body))
	return r.Header.Get("X-Signature") == want && r.Header.Get("X-Public-Key") == kadoCreds.PublicKey
}

func koinalSignature(reading, secret, body string) string {
	switch reading {
	case "b":
		return hexMAC(sha256.New, secret, body+secret)
	case "c":
		return hexMAC(sha256.New, secret, body)
	}
	sum := sha256.Sum256([]byte(body + secret))
	return hex.EncodeToString(sum[:])
}

func verifyKoinal(r *http.Request, body []byte) bool {
	return r.Header.Get("Signature") == koinalSignature("a", koinalCreds.CallbackSecret, string(body))
}

func verifyZumo(r *http.Request, body []byte) bool {
	return r.Header.Get("X-Signature") == hexMAC(sha256.New, zumoCreds.Signing.Secret, string(body))
}

// The verifiers of this file are held to vectors that were made elsewhere, by
// V8 for Kado, so that they may judge the simulator.
func TestVectors_judgeTheVerifiers(t *testing.T) {
	compactBody := `{"id":"w1","resource":"order","type":"order_pending","data":{"id":"6408fd3e24c501549aaac9fd"},"message":"m"}`
	if got, want := kadoSignature("kado-test-private-key", "1700000000000", "/kado", []byte(compactBody)),
		"1673d446526993791b15eaafdfc4df3b67987aa0b4a7aa14f45bbbbf9eaceae7"; got != want {
		t.Errorf("kado already_compact = %s, want %s", got, want)
	}
	blanks := "{ \"a\" : [ 1 , 2 ] ,\n\t\"b\" : { } }\r\n"
	if got, want := kadoSignature("kado-test-private-key", "1700000000000", "/kado", kadoCanonical([]byte(blanks))),
		"5b545338e55b1336e439785e6e0032e248c05177539c1c20669a534c4d788582"; got != want {
		t.Errorf("kado whitespace = %s, want %s", got, want)
	}
	for reading, want := range map[string]string{
		"a": "79ba7f16ed8a74fb95e97cc6852b737854af6e98420ffa2497d6e91808993c74",
		"b": "71b287407913af16bfa93e25695472fc62a9540d0205fe0b8daebd0b1a43b466",
		"c": "865230358e78a523ccdafe808a9109a5fd35662dab6b236776ea4906432de20a",
	} {
		if got := koinalSignature(reading, "11qq22ww", `{"id":123,"status":"COMPLETED"}`); got != want {
			t.Errorf("koinal (%s) = %s, want %s", reading, got, want)
		}
	}
}

func TestWebhooks_areSignedAsDocumented(t *testing.T) {
	for _, tc := range []struct {
		provider events.Provider
		verify   func(*http.Request, []byte) bool
		faults   simulator.Faults
		want     []string // words, in order
		member   []string // where the word is in the body
	}{
		{"kado", verifyKado, simulator.Faults{}, []string{"order_pending", "order_processing", "order_completed"}, []string{"type"}},
		{"kado", verifyKado, simulator.Faults{OddForm: 1}, []string{"order_pending", "order_processing", "order_completed"}, []string{"type"}},
		{"koinal", verifyKoinal, simulator.Faults{}, []string{"COMPLETED"}, []string{"status"}},
		{"zumo", verifyZumo, simulator.Faults{}, []string{"appUser.wallet.accounts.updated", "appUser.wallet.accounts.updated"}, []string{"eventType"}},
		{"kuna", nil, simulator.Faults{}, []string{"Processing", "Completed"}, []string{"status"}},
	} {
		in := newInbox(t, 0, tc.verify)
		w := newWorld(t, simulator.Options{Seed: 8, Speed: fast, Faults: tc.faults}, map[events.Provider]string{tc.provider: in.URL + "/hooks/a"})
		start(t, w)
		place(t, w, tc.provider, simulator.OrderSpec{Fate: simulator.FateCompleted})
		quiet(t, w)
		var got []string
		for _, r := range in.received() {
			if !r.ok || r.r.Method != http.MethodPost || r.r.URL.Path != "/hooks/a" {
				t.Errorf("%s: a delivery does not verify: %s %s", tc.provider, r.r.Method, r.body)
			}
			got = append(got, reply{body: parse(t, r.body)}.text(tc.member...))
		}
		slices.Sort(got) // several senders: the order of arrival is not certain
		want := slices.Sorted(slices.Values(tc.want))
		if !slices.Equal(got, want) {
			t.Errorf("%s: webhooks %q, want %q", tc.provider, got, want)
		}
		if s := w.Stats(); s.Acknowledged != len(want) || tc.faults.OddForm > 0 && s.Injected[simulator.FaultOddForm] != len(want) {
			t.Errorf("%s: stats %+v", tc.provider, s)
		}
	}
}

func parse(t *testing.T, b []byte) map[string]any {
	t.Helper()
	out := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return out
}

func TestKoinal_readingsAndHeader(t *testing.T) {
	for _, reading := range []string{"a", "b", "c"} {
		in := newInbox(t, 0, func(r *http.Request, b []byte) bool {
			return r.Header.Get("X-Callback") == koinalSignature(reading, "s3cret", string(b))
		})
		w := simulator.New(simulator.Options{Seed: 9, Speed: fast})
		if err := w.AddKoinal("a", simulator.KoinalCreds{CallbackSecret: "s3cret", Reading: reading, Header: "x-callback"}, in.URL); err != nil {
			t.Fatal(err)
		}
		start(t, w)
		place(t, w, "koinal", simulator.OrderSpec{Fate: simulator.FateCompleted})
		quiet(t, w)
		if got := in.received(); len(got) != 1 || !got[0].ok {
			t.Errorf("reading %s: %d deliveries, the first does not verify", reading, len(got))
		}
	}
}

func TestZumo_signingEncodings(t *testing.T) {
	in := newInbox(t, 0, func(r *http.Request, b []byte) bool {
		sum, _ := hex.DecodeString(hexMAC(sha256.New, "k", string(b)))
		return r.Header.Get("X-Zumo") == "sha256="+base64.StdEncoding.EncodeToString(sum)
	})
	w := simulator.New(simulator.Options{Speed: fast})
	err := w.AddZumo("a", simulator.ZumoCreds{Signing: &simulator.ZumoSigning{Secret: "k", Encoding: "base64", Header: "X-ZUMO", Prefix: "sha256="}}, in.URL)
	if err != nil {
		t.Fatal(err)
	}
	start(t, w)
	place(t, w, "zumo", simulator.OrderSpec{Fate: simulator.FateCompleted})
	quiet(t, w)
	if s := w.Stats(); s.Acknowledged != 2 {
		t.Errorf("stats %+v, want 2 acknowledged", s)
	}
}

func TestKanga_callbackNamesTheOrderAndRepeatsThreeTimes(t *testing.T) {
	in := newInbox(t, 1<<20, nil)
	w := newWorld(t, simulator.Options{Seed: 10, Speed: fast}, map[events.Provider]string{"kanga": in.URL + "/k"})
	start(t, w)
	place(t, w, "kanga", simulator.OrderSpec{ID: "ORDER7", Fate: simulator.FateUnpaid}) // NEW, ACTIVE, CANCELED
	quiet(t, w)
	s := w.Stats()
	if s.Sent != 12 || s.GivenUp != 3 || s.Repeated != 9 || s.Answers[503] != 12 {
		t.Errorf("stats %+v, want 3 callbacks of 4 tries each", s)
	}
	for _, d := range w.Deliveries("kanga", "a") {
		if !strings.HasSuffix(d.URL, "/k?transactionKey=ORDER7") || d.Body != nil {
			t.Errorf("callback %s %s with body %q", d.Method, d.URL, d.Body)
		}
	}
}

func TestWebhooks_areRepeatedUntilExactly200(t *testing.T) {
	in := newInbox(t, 3, verifyKado)
	w := newWorld(t, simulator.Options{Seed: 11, Speed: fast}, map[events.Provider]string{"kado": in.URL})
	start(t, w)
	place(t, w, "kado", simulator.OrderSpec{Fate: simulator.FateCompleted})
	quiet(t, w)
	if s := w.Stats(); s.Acknowledged != 3 || s.Repeated != 3 || s.GivenUp != 0 || s.Answers[503] != 3 {
		t.Errorf("stats %+v, want 3 acknowledged after 3 repeats", s)
	}
	for _, code := range []int{201, 204, 302} {
		other := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", "/")
			rw.WriteHeader(code)
			_, _ = rw.Write([]byte(`{"receipt":1}`))
		})
		in := newInbox(t, 0, nil)
		in.Config.Handler = other
		w := newWorld(t, simulator.Options{Seed: 12, Speed: fast}, map[events.Provider]string{"koinal": in.URL})
		start(t, w)
		place(t, w, "koinal", simulator.OrderSpec{Fate: simulator.FateCompleted})
		quiet(t, w)
		if s := w.Stats(); s.Acknowledged != 0 || s.GivenUp != 1 {
			t.Errorf("answer %d: stats %+v, want it given up", code, s)
		}
		if d := w.Deliveries("koinal", "a")[0]; code == 201 && string(d.Answer) != `{"receipt":1}` {
			t.Errorf("the archive has the answer %q", d.Answer)
		}
	}
}

// A world that is not started moves by hand: the clock, then Deliver.
func TestDeliver_byHand(t *testing.T) {
	clk := newClock()
	in := newInbox(t, 0, verifyKado)
	w := newWorld(t, simulator.Options{Seed: 13, Now: clk.now}, map[events.Provider]string{"kado": in.URL + "/x"})
	place(t, w, "kado", simulator.OrderSpec{Fate: simulator.FateCompleted})
	if n := w.Deliver(t.Context()); n != 0 || w.Quiet() {
		t.Errorf("Deliver at once = %d, quiet %t; want nothing yet", n, w.Quiet())
	}
	clk.add(time.Minute)
	if n := w.Deliver(t.Context()); n != 3 || !w.Quiet() {
		t.Errorf("Deliver a minute later = %d, quiet %t; want 3 and quiet", n, w.Quiet())
	}
	if ds := w.Deliveries("kado", "a"); len(ds) != 3 || ds[2].Word != "order_completed" || ds[2].Status != 200 {
		t.Errorf("archive %+v", ds)
	}
}
