package kado_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/kado"
)

const orderID = "6408fd3e24c501549aaac9fd"

const orderAnswer = `{"success":true,"message":"ok","data":{"id":"` + orderID + `","paymentStatus":"success","transferStatus":"failed",` +
	`"orderType":"buy","payAmount":{"amount":100.50,"unit":"USD"},"recvAmount":{"unit":"USDC"},"createdAt":"2023-11-14T22:13:20Z"}}`

func apiAccount(base string) providers.Account {
	a := account()
	a.API = providers.API{BaseURL: base, AllowInsecure: true, PublicKey: publicKey, PrivateKey: privateKey, WidgetID: "widget-1"}
	return a
}

func env() providers.Env {
	return providers.Env{
		HTTP: httpx.New(httpx.Options{AllowInsecure: true, Timeout: time.Minute}),
		Now:  func() time.Time { return receivedAt.Time() },
	}
}

func serve(t *testing.T, h http.HandlerFunc) (providers.Capabilities, *kado.Client) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	caps, err := kado.Provider.Open(apiAccount(srv.URL+"/"), env())
	if err != nil {
		t.Fatal(err)
	}
	c, err := kado.NewClient(apiAccount(srv.URL), env())
	if err != nil {
		t.Fatal(err)
	}
	return caps, c
}

// verified checks the signature headers as Kado would, with the path it sees.
func verified(t *testing.T, r *http.Request, payload []byte) {
	t.Helper()
	ts := r.Header.Get("X-Timestamp")
	want := kado.Sign(privateKey, r.Method, ts, r.URL.Path, kado.PayloadHex(payload))
	if got := r.Header.Get("X-Signature"); got != want || ts != "1700000000000" || r.Header.Get("X-Public-Key") != publicKey {
		t.Errorf("%s %s: timestamp %q, signature %q, want %q", r.Method, r.URL.Path, ts, got, want)
	}
}

func TestCheck_order(t *testing.T) {
	caps, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/v2/public/orders/"+orderID || r.Header.Get("X-Widget-Id") != "widget-1" {
			t.Errorf("request %s %s, widget %q", r.Method, r.URL.Path, r.Header.Get("X-Widget-Id"))
		}
		if r.Header.Get("Content-Type") != "" || r.Header.Get("X-Signature") != "" {
			t.Error("a public GET carries a content type or a signature")
		}
		fmt.Fprint(w, orderAnswer)
	})
	key := events.Key{Provider: "kado", Account: "acme", ID: orderID}
	got, err := caps.Orders.Check(t.Context(), providers.Question{Key: key})
	want := providers.Answer{Key: key, StatusRaw: "success+failed", Facts: events.Facts{
		FiatAmount: "100.50", FiatCurrency: "USD", CryptoAsset: "USDC", Side: "buy", FundsTaken: "true", ProviderCreatedAt: receivedAt,
	}}
	if err != nil || got != want {
		t.Errorf("Check = %+v, %v; want %+v", got, err, want)
	}
}

func TestCheck_customer(t *testing.T) {
	for _, answer := range []string{
		`{"success":true,"data":{"status":"L1","docsUploaded":true,"email":"jane@example.com"}}`,
		`{"status":"L1","docsUploaded":true}`,
		`{"success":true,"data":{"userId":"u1","status":"L1","docsUploaded":true}}`,
	} {
		caps, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/partner/kyc/u1" {
				t.Errorf("path %s", r.URL.Path)
			}
			verified(t, r, nil)
			fmt.Fprint(w, answer)
		})
		key := events.Key{Provider: "kado", Account: "acme", Kind: events.Customer, ID: "u1"}
		got, err := caps.Customers.Check(t.Context(), providers.Question{Key: key})
		want := providers.Answer{Key: key, StatusRaw: "L1", Facts: events.Facts{KYCLevel: "L1", DocsUploaded: "true"}}
		if err != nil || got != want {
			t.Errorf("%s: Check = %+v, %v; want %+v", answer, got, err, want)
		}
	}
}

// The document names the call and no path: without the setting it is not made.
func TestKYCByUserRef(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/v1/partner/kyc/ref/our-ref-1" {
			t.Errorf("request %s %s", r.Method, r.URL.Path)
		}
		verified(t, r, nil)
		fmt.Fprint(w, `{"success":true,"data":{"userId":"u1","status":"L2","docsUploaded":false,"email":"jane@example.com"}}`)
	}))
	t.Cleanup(srv.Close)
	a := apiAccount(srv.URL)
	client := func() *kado.Client {
		c, err := kado.NewClient(a, env())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rejected := func(c *kado.Client, ref string) {
		var failed *providers.CallError
		if got, err := c.KYCByUserRef(t.Context(), ref); got != (kado.KYC{}) || !errors.As(err, &failed) || failed.Outcome != events.OutcomeRejected || failed.HTTPStatus != 0 {
			t.Errorf("KYCByUserRef(%q) = %+v, %v; want it refused before it is sent", ref, got, err)
		}
	}
	rejected(client(), "our-ref-1")
	a.API.Paths = map[string]string{"kyc_by_user_ref": "/v1/partner/kyc/ref/{userRef}"}
	rejected(client(), "a/b")
	rejected(client(), "..")
	want := kado.KYC{Level: "L2", DocsUploaded: "false", UserID: "u1"}
	if got, err := client().KYCByUserRef(t.Context(), "our-ref-1"); err != nil || got != want {
		t.Errorf("KYCByUserRef = %+v, %v; want %+v", got, err, want)
	}
}

// Every way in which a status call can fail has its class, and no error says
// anything of the request or the answer.
func TestCheck_failures(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://location-canary.example.com/")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	other := strings.Replace(orderAnswer, orderID, "6408fd3e24c501549aaac9fe", 1)
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    events.Outcome
		status  int
	}{
		{"301", answer(301, ""), events.OutcomeRedirect, 301},
		{"307", answer(307, ""), events.OutcomeRedirect, 307},
		{"400", answer(400, `{"success":false,"message":"jane@example.com"}`), events.OutcomeRejected, 400},
		{"401", answer(401, ""), events.OutcomeUnauthorized, 401},
		{"403", answer(403, ""), events.OutcomeUnauthorized, 403},
		{"404", answer(404, `{"success":false}`), events.OutcomeNotFound, 404},
		{"408", answer(408, ""), events.OutcomeTimeout, 408},
		{"429", answer(429, ""), events.OutcomeRateLimited, 429},
		{"500", answer(500, "<html>jane@example.com"), events.OutcomeProvider, 500},
		{"503", answer(503, ""), events.OutcomeProvider, 503},
		{"failure inside a 200", answer(200, `{"success":false,"message":"jane@example.com"}`), events.OutcomeProvider, 200},
		{"html", answer(200, "<html>jane@example.com"), events.OutcomeMalformed, 200},
		{"empty", answer(200, ""), events.OutcomeMalformed, 200},
		{"204", answer(204, ""), events.OutcomeMalformed, 204},
		{"array", answer(200, "[]"), events.OutcomeMalformed, 200},
		{"null data", answer(200, `{"success":true,"data":null}`), events.OutcomeMalformed, 200},
		{"array data", answer(200, `{"success":true,"data":[{"id":"x"}]}`), events.OutcomeMalformed, 200},
		{"no success", answer(200, `{"data":{"id":"`+orderID+`","paymentStatus":"failed"}}`), events.OutcomeMalformed, 200},
		{"no id", answer(200, `{"success":true,"data":{"paymentStatus":"failed"}}`), events.OutcomeMalformed, 200},
		{"no status", answer(200, `{"success":true,"data":{"id":"`+orderID+`"}}`), events.OutcomeMalformed, 200},
		{"prose for a status", answer(200, `{"success":true,"data":{"id":"`+orderID+`","paymentStatus":"jane@example.com"}}`), events.OutcomeMalformed, 200},
		{"amount beyond money", answer(200, strings.Replace(orderAnswer, "100.50", "1e9999", 1)), events.OutcomeMalformed, 200},
		{"duplicate keys", answer(200, strings.Replace(orderAnswer, `"message"`, `"success":true,"message"`, 1)), events.OutcomeMalformed, 200},
		{"another order", answer(200, other), events.OutcomeMismatch, 200},
		{"oversized", answer(200, orderAnswer+strings.Repeat(" ", httpx.MaxBody)), events.OutcomeOversized, 200},
		{"timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, events.OutcomeTimeout, 0},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, events.OutcomeUnreachable, 200},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, events.OutcomeUnreachable, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if tc.want == events.OutcomeTimeout && tc.status == 0 { // nobody waits for a whole timeout of the client's
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			caps, _ := serve(t, tc.handler)
			got, err := caps.Orders.Check(ctx, providers.Question{Key: events.Key{Provider: "kado", Account: "acme", ID: orderID}})
			checkFailure(t, err, tc.want, tc.status)
			if got != (providers.Answer{}) {
				t.Errorf("Check = %+v beside %v", got, err)
			}
		})
	}
}

func checkFailure(t *testing.T, err error, want events.Outcome, status int) {
	t.Helper()
	var call *providers.CallError
	if !errors.As(err, &call) || call.Outcome != want || call.HTTPStatus != status {
		t.Errorf("error %v; want %s (HTTP %d)", err, want, status)
		return
	}
	for _, secret := range []string{"canary", "jane", "://", "127.0.0.1", orderID, privateKey.Reveal(), publicKey, "html", "1700000000000"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q has %q in it", err, secret)
		}
	}
}

func TestCheck_refusesBeforeCalling(t *testing.T) {
	caps, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was made") })
	for _, k := range []events.Key{
		{Provider: "kado", Account: "acme", ID: ".."}, {Provider: "kado", Account: "acme", ID: "a/b"}, {Provider: "kado", Account: "acme"},
		{Provider: "kado", Account: "acme", ID: "u1", Kind: events.Customer},
	} {
		_, err := caps.Orders.Check(t.Context(), providers.Question{Key: k})
		checkFailure(t, err, events.OutcomeRejected, 0)
	}
	_, err := caps.Customers.Check(t.Context(), providers.Question{Key: events.Key{Provider: "kado", Account: "acme", ID: orderID}})
	checkFailure(t, err, events.OutcomeRejected, 0)
	a := account()
	open, err := kado.Provider.Open(a, env())
	if err != nil || open.Customers != nil {
		t.Errorf("without keys: Customers = %v, %v; want none", open.Customers, err)
	}
}

var person = kado.Person{
	FirstName: "Jane<&>", LastName: "Roe-canary", Phone: "+15183334444", Email: "jane@example.com", DateOfBirth: "1992-01-31", SSN: "123456789",
	Address: kado.Address{Street1: "1 Main", PostalCode: "12345", City: "Troy", State: "NY", Country: "US"},
}

func TestSubmitKYC_signsWhatItSends(t *testing.T) {
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		canonical, err := kado.Canonical(body)
		if err != nil || string(canonical) != string(body) || strings.Contains(string(body), `\u003c`) {
			t.Errorf("body is not canonical: %s", body)
		}
		if r.URL.Path != "/v1/partner/kyc/submit" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s with %q", r.URL.Path, r.Header.Get("Content-Type"))
		}
		verified(t, r, body)
		fmt.Fprint(w, `{"success":true,"data":{"userId":"u1"}}`)
	})
	if id, err := c.SubmitKYC(t.Context(), person); err != nil || id != "u1" {
		t.Errorf("SubmitKYC = %q, %v; want u1", id, err)
	}
	p := person
	p.Phone = ""
	_, err := c.SubmitKYC(t.Context(), p)
	checkFailure(t, err, events.OutcomeRejected, 0)
	if s := fmt.Sprintf("%v %+v %#v %s %v", person, person, person, person, &person); strings.Contains(s, "Jane") || strings.Contains(s, "canary") {
		t.Errorf("a Person prints as %s", s)
	}
}

func TestInitPartialKYC_withoutPhone(t *testing.T) {
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verified(t, r, body)
		if r.URL.Path != "/v1/partner/kyc/init-partial" || strings.Contains(string(body), "phone") {
			t.Errorf("%s %s", r.URL.Path, body)
		}
		fmt.Fprint(w, `{"success":true,"data":{"user":"jane@example.com"}}`)
	})
	p := person
	p.Phone = ""
	_, err := c.InitPartialKYC(t.Context(), p)
	checkFailure(t, err, events.OutcomeMalformed, 200) // no userId
}

func TestConfigureWebhook(t *testing.T) {
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verified(t, r, body)
		if want := `{"webhookSecret":"` + current.Reveal() + `","webhookUrl":"` + hookURL + `"}`; string(body) != want || r.URL.Path != "/v1/partner/configure-webhook" {
			t.Errorf("%s %s", r.URL.Path, body)
		}
		fmt.Fprint(w, `{"success":true}`)
	})
	if err := c.ConfigureWebhook(t.Context(), hookURL, current); err != nil {
		t.Error(err)
	}
	checkFailure(t, c.ConfigureWebhook(t.Context(), "ftp://h", current), events.OutcomeRejected, 0)
	checkFailure(t, c.ConfigureWebhook(t.Context(), hookURL, "short"), events.OutcomeRejected, 0)
}

func TestUploadDocuments_streams(t *testing.T) {
	const size = 3 << 20
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		verified(t, r, nil) // documents are not part of what is signed
		if r.ContentLength != -1 || r.URL.Path != "/v2/partner/kyc/u1/upload-docs" {
			t.Errorf("%s with length %d; want a stream", r.URL.Path, r.ContentLength)
		}
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
			return
		}
		front := r.MultipartForm.File["documentFront"]
		if r.FormValue("documentType") != "passport" || len(front) != 1 || front[0].Size != size || len(r.MultipartForm.File["documentBack"]) != 0 {
			t.Errorf("form %v", r.MultipartForm)
		}
		fmt.Fprint(w, `{"success":true}`)
	})
	if err := c.UploadDocuments(t.Context(), "u1", kado.Documents{Type: "passport", Front: io.LimitReader(zeros{}, size)}); err != nil {
		t.Error(err)
	}
	checkFailure(t, c.UploadDocuments(t.Context(), "u1", kado.Documents{Type: "visa", Front: zeros{}}), events.OutcomeRejected, 0)
	checkFailure(t, c.UploadDocuments(t.Context(), "..", kado.Documents{Type: "passport", Front: zeros{}}), events.OutcomeRejected, 0)
}

// A refusal in the middle of an endless upload must end it.
func TestUploadDocuments_endsWithTheCall(t *testing.T) {
	_, c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	err := c.UploadDocuments(t.Context(), "u1", kado.Documents{Type: "passport", Front: zeros{}})
	var call *providers.CallError
	if !errors.As(err, &call) {
		t.Errorf("UploadDocuments = %v, want a CallError", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestQuote(t *testing.T) {
	_, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/v2/ramp/quote" || q.Get("amount") != "100.5" || q.Get("transactionType") != "buy" || r.Header.Get("X-Widget-Id") == "" {
			t.Errorf("request %s", r.URL)
		}
		fmt.Fprint(w, `{"success":true,"data":{"quote":{"asset":"USDC","price":{"amount":1.001,"unit":"USD"},"totalFee":{"amount":2,"unit":"USD"},`+
			`"receive":{"amount":98.5,"unit":"USD","unitCount":98.40159840159840159840}}}}`)
	})
	got, err := c.Quote(t.Context(), kado.QuoteRequest{TransactionType: "buy", FiatMethod: "ach", Amount: "100.5", Asset: "USDC", Blockchain: "solana", Currency: "USD"})
	want := kado.Quote{Asset: "USDC", Price: "1.001", PriceUnit: "USD", TotalFee: "2", TotalFeeUnit: "USD", Receive: "98.5", ReceiveUnit: "USD", ReceiveUnitCount: "98.40159840159840159840"}
	if err != nil || got != want {
		t.Errorf("Quote = %+v, %v; want %+v", got, err, want)
	}
	_, err = c.Quote(t.Context(), kado.QuoteRequest{TransactionType: "swap", Amount: "1"})
	checkFailure(t, err, events.OutcomeRejected, 0)
}

func TestCheck_cancelled(t *testing.T) {
	caps, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := caps.Orders.Check(ctx, providers.Question{Key: events.Key{Provider: "kado", Account: "acme", ID: orderID}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Check = %v, want context.Canceled inside", err)
	}
}
