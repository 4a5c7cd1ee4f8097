package simulator_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers/simulator"
)

func hexMAC(h func() hash.Hash, key, msg string) string {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(msg))
	return hex.EncodeToString(m.Sum(nil))
}

func kadoHeaders(secret, method, path, body string, at time.Time) map[string]string {
	ts := strconv.FormatInt(at.UnixMilli(), 10)
	payload := ""
	if body != "" {
		sum := md5.Sum([]byte(body))
		payload = hex.EncodeToString(sum[:])
	}
	return map[string]string{
		"X-Timestamp": ts, "X-Public-Key": kadoCreds.PublicKey,
		"X-Signature": hexMAC(sha256.New, secret, method+ts+path+payload),
	}
}

func TestKado_signedRoutes(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 1, Speed: fast}, nil)
	start(t, w)
	base := w.URL("kado", "a")
	who, err := w.PlaceCustomer("kado", "a", simulator.CustomerSpec{Fate: simulator.FateCompleted})
	if err != nil {
		t.Fatal(err)
	}
	quiet(t, w)
	path := "/v1/partner/kyc/" + who.Key.ID
	now := time.Now()
	for _, tc := range []struct {
		name   string
		header map[string]string
		want   int
	}{
		{"right", kadoHeaders(kadoCreds.APISecret, "GET", path, "", now), 200},
		{"wrong secret", kadoHeaders("other", "GET", path, "", now), 401},
		{"other path", kadoHeaders(kadoCreds.APISecret, "GET", path+"x", "", now), 401},
		{"other method", kadoHeaders(kadoCreds.APISecret, "POST", path, "", now), 401},
		{"old timestamp", kadoHeaders(kadoCreds.APISecret, "GET", path, "", now.Add(-time.Hour)), 401},
		{"no headers", nil, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := do(t, "GET", base+path, "", tc.header); got.status != tc.want {
				t.Errorf("GET kyc = %d %s, want %d", got.status, got.raw, tc.want)
			} else if tc.want == 200 && got.text("data", "status") != "L2" {
				t.Errorf("status = %q, want L2", got.text("data", "status"))
			}
		})
	}
	body := `{"webhookUrl":"http://127.0.0.1:1/x","webhookSecret":"new"}`
	path = "/v1/partner/configure-webhook"
	if got := do(t, "POST", base+path, body, kadoHeaders(kadoCreds.APISecret, "POST", path, body, now)); got.status != 200 {
		t.Errorf("configure-webhook = %d %s, want 200", got.status, got.raw)
	}
	if got := do(t, "POST", base+path, body+" ", kadoHeaders(kadoCreds.APISecret, "POST", path, body, now)); got.status != 200 {
		t.Errorf("configure-webhook with a blank = %d, want 200: blanks are not hashed", got.status)
	}
	if got := do(t, "POST", base+path, `{"webhookUrl":"http://evil"}`, kadoHeaders(kadoCreds.APISecret, "POST", path, body, now)); got.status != 401 {
		t.Errorf("configure-webhook with another body = %d, want 401", got.status)
	}
}

func TestKado_publicOrderRoute(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 2, Speed: fast}, nil)
	start(t, w)
	tr := place(t, w, "kado", simulator.OrderSpec{
		Fate: simulator.FateCompleted, Fiat: simulator.Money{Amount: "100.50", Currency: "USD"},
		Crypto: simulator.Money{Amount: "0.0400", Currency: "ETH"},
	})
	quiet(t, w)
	got := do(t, "GET", w.URL("kado", "a")+"/v2/public/orders/"+tr.Key.ID, "", nil)
	for path, want := range map[string]string{
		"id": tr.Key.ID, "paymentStatus": "success", "transferStatus": "settled", "machineStatusField": "SETTLED", "txHash": tr.TxHash,
	} {
		if got.text("data", path) != want {
			t.Errorf("data.%s = %q, want %q", path, got.text("data", path), want)
		}
	}
	if got.text("data", "payAmount", "amount") != "100.5" || got.text("data", "recvAmount", "amount") != "0.04" {
		t.Errorf("amounts = %s, want numbers as JavaScript prints them: 100.5 and 0.04", got.raw)
	}
	if got := do(t, "GET", w.URL("kado", "a")+"/v2/public/orders/000000000000000000000000", "", nil); got.status != 404 {
		t.Errorf("unknown order = %d, want 404", got.status)
	}
}

// The expected spellings are V8's.
func TestKado_amountsAreJavaScriptNumbers(t *testing.T) {
	w := newWorld(t, simulator.Options{}, nil)
	start(t, w)
	for in, want := range map[string]string{
		"10.0": "10", "1.10": "1.1", "1E2": "100", "0.000001": "0.000001", "0.0000001": "1e-7", "1e20": "100000000000000000000",
		"1e21": "1e+21", "9007199254740993": "9007199254740992", "12345678901234567890": "12345678901234567000",
	} {
		tr := place(t, w, "kado", simulator.OrderSpec{Fiat: simulator.Money{Amount: in, Currency: "USD"}})
		got := do(t, "GET", w.URL("kado", "a")+"/v2/public/orders/"+tr.Key.ID, "", nil).text("data", "payAmount", "amount")
		if got != want || tr.Fiat.Amount != want || tr.IntendedFiat.Amount != in {
			t.Errorf("%s is stated as %s, truth %s, intended %s; want %s", in, got, tr.Fiat.Amount, tr.IntendedFiat.Amount, want)
		}
	}
}

func TestTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS() // for its certificate
	defer cert.Close()
	w := newWorld(t, simulator.Options{TLS: cert.TLS.Clone()}, nil)
	start(t, w)
	url := w.URL("kado", "a")
	if got := do(t, "GET", url+"/v2/public/orders/x", "", nil); got.err == nil || !strings.HasPrefix(url, "https://") {
		t.Errorf("%s with a foreign certificate = %d, want an error", url, got.status)
	}
	resp, err := cert.Client().Get(url + "/v2/public/orders/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("with the right root = %d, want 404", resp.StatusCode)
	}
}

// Whatever comes without credentials is answered, and never with success on a
// route that wants them.
func FuzzServe(f *testing.F) {
	for _, s := range [][4]string{
		{"POST", "/v1/partner/kyc/submit", "x", "{}"},
		{"POST", "/v2/partner/kyc/u/upload-docs", "multipart/form-data; boundary=b", "--b\r\n"},
		{"POST", "/api/v2/tpg/transaction", "00", `{"id":"K1","appId":"x","nonce":1}`},
		{"GET", "/order/1/status", "e30=", ""},
		{"PUT", "/v1/app-users/u/", "Bearer x", `{"synchronised":true}`},
		{"POST", "/v2/operation/find?skip=-1&take=x", "Bearer a.b.c", `{"dateFrom":"x"}`},
		{"POST", "/v2/auth/login", "", `{"token":"","password":""}`},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	w := simulator.New(simulator.Options{Keep: 4})
	for _, err := range []error{
		w.AddKado("a", kadoCreds, ""), w.AddKanga("a", kangaCreds, ""), w.AddKoinal("a", koinalCreds, ""),
		w.AddZumo("a", zumoCreds, ""), w.AddKuna("a", kunaCreds, ""),
	} {
		if err != nil {
			f.Fatal(err)
		}
	}
	open := map[string]bool{"kado order": true, "kanga price estimate": true, "kanga start payment": true, "kanga test": true}
	f.Fuzz(func(t *testing.T, method, target, credential, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !token.MatchString(method) {
			t.Skip()
		}
		for _, p := range []events.Provider{"kado", "kanga", "koinal", "zumo", "kuna"} {
			r := &http.Request{Method: method, URL: u, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
				"Authorization": {credential}, "Api-Sig": {credential}, "Api-Key": {credential}, "X-Signature": {credential},
				"X-Timestamp": {"1"}, "X-Public-Key": {kadoCreds.PublicKey}, "Content-Type": {credential},
			}}
			w.Handler(p, "a").ServeHTTP(httptest.NewRecorder(), r)
			calls := w.Calls(p, "a")
			if c := calls[len(calls)-1]; c.Class == simulator.ClassOK && !open[string(p)+" "+c.Op] {
				t.Errorf("%s %s %s: op %q succeeded without credentials", p, method, target, c.Op)
			}
		}
	})
}

var token = regexp.MustCompile("^[A-Z]+$")

func kangaCall(t *testing.T, base, secret, id string, nonce int64) reply {
	t.Helper()
	body := fmt.Sprintf(`{"id":"%s","appId":"%s","nonce":%d}`, id, kangaCreds.APIKey, nonce)
	return do(t, "POST", base+"/api/v2/tpg/transaction", body, map[string]string{"API-Sig": hexMAC(sha512.New, secret, body)})
}

func TestKanga_signatureNonceAndUnknownID(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 3, Speed: fast}, nil)
	start(t, w)
	base := w.URL("kanga", "a")
	tr := place(t, w, "kanga", simulator.OrderSpec{
		ID: "ORDER1", Fate: simulator.FateCompleted, Crypto: simulator.Money{Amount: "0.010", Currency: "BTC"},
	})
	quiet(t, w)
	for _, tc := range []struct {
		name, secret, id string
		nonce            int64
		code, state      string
	}{
		{"wrong secret burns no nonce", "other", "ORDER1", 900, "9000", ""},
		{"right", kangaCreds.Secret, "ORDER1", 10, "", "FINALIZED"},
		{"same nonce", kangaCreds.Secret, "ORDER1", 10, "9000", ""},
		{"lower nonce", kangaCreds.Secret, "ORDER1", 9, "9000", ""},
		{"unknown id", kangaCreds.Secret, "ORDER2", 11, "9001", ""},
		{"unknown id burned its nonce", kangaCreds.Secret, "ORDER1", 11, "9000", ""},
	} {
		got := kangaCall(t, base, tc.secret, tc.id, tc.nonce)
		if got.status != 200 || got.text("code") != tc.code || got.text("state") != tc.state {
			t.Errorf("%s: %d %s, want code %q state %q", tc.name, got.status, got.raw, tc.code, tc.state)
		}
		if tc.state != "" && got.text("amount") != tr.Crypto.Amount {
			t.Errorf("%s: amount %q, want %q", tc.name, got.text("amount"), tr.Crypto.Amount)
		}
	}
	if n := w.Stats().NonceViolations; n != 3 {
		t.Errorf("NonceViolations = %d, want 3", n)
	}
	calls := w.Calls("kanga", "a")
	if len(calls) != 6 || calls[1].Nonce != 10 || calls[1].Class != simulator.ClassOK || !calls[2].NonceViolation || calls[4].Subject != "ORDER2" {
		t.Errorf("Calls = %+v", calls)
	}
}

func TestKanga_documentedTestVector(t *testing.T) {
	w := newWorld(t, simulator.Options{}, nil)
	start(t, w)
	const sig = "19626ab50989ecae16031cf6f90c90203d38b1d17797960d38551b80c37449c118e60050f941077c491ff50bdf48d21841a9379026b10903100708745f6c9a12"
	got := do(t, "POST", w.URL("kanga", "a")+"/api/v2/test", `{"appId":"TEST","nonce":1234}`, map[string]string{"api-sig": sig})
	if got.text("result") != "ok" {
		t.Errorf("the document's own sample call = %s, want ok", got.raw)
	}
}

func TestKanga_payerChangesTheAmount(t *testing.T) {
	w := newWorld(t, simulator.Options{Speed: fast}, nil)
	start(t, w)
	place(t, w, "kanga", simulator.OrderSpec{ID: "K1", Fate: simulator.FateCompleted, Crypto: simulator.Money{Amount: "5", Currency: "BTC"}})
	do(t, "GET", w.URL("kanga", "a")+"/tpg/payment/"+kangaCreds.APIKey+"?currency=BTC&amount=0.01&transactionKey=K1", "", nil)
	quiet(t, w)
	tr, _ := w.TruthOf(events.Key{Provider: "kanga", Account: "a", ID: "K1"})
	got := kangaCall(t, w.URL("kanga", "a"), kangaCreds.Secret, "K1", 1)
	if !tr.Tampered || tr.IntendedCrypto.Amount != "5" || got.text("amount") != "0.01" || tr.Crypto.Amount != "0.01" {
		t.Errorf("truth %+v, answer %s: want the tampered 0.01 in both", tr, got.raw)
	}
}

func koinalToken(secret, code, reference, timestamp string) string {
	sig := hexMAC(sha256.New, secret, code+reference+timestamp+secret)
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil,
		`{"merchant_code":%s,"customer_reference":"%s","timestamp":"%s","signature":"%s"}`, code, reference, timestamp, sig))
}

func TestKoinal_authorizationHash(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 4, Speed: fast}, nil)
	start(t, w)
	base := w.URL("koinal", "a")
	// The document's own example, byte for byte.
	const example = "eyJtZXJjaGFudF9jb2RlIjoxMDAwLCJjdXN0b21lcl9yZWZlcmVuY2UiOiJVc2VyMSIsInRpbWVzdGFtcCI6IjEwMDAiLCJzaWduYXR1cmUiOiI2NjQyZmIxYmY2MDg0ZDNiZmEwZGViODNmOGZlNzFkMWM3YTczMDExOTUwMjI5MzJhMTAzYjFkOTczMWEwNTZiIn0="
	tr := place(t, w, "koinal", simulator.OrderSpec{Fate: simulator.FateExpired})
	quiet(t, w)
	for _, tc := range []struct {
		name, token string
		status      int
	}{
		{"document", example, 200},
		{"made here", koinalToken(koinalCreds.Secret, "1000", "shop", "5"), 200},
		{"wrong secret", koinalToken("other", "1000", "shop", "5"), 401},
		{"wrong merchant", koinalToken(koinalCreds.Secret, "1001", "shop", "5"), 401},
		{"none", "", 401},
	} {
		got := do(t, "GET", base+"/order/"+tr.Key.ID+"/status", "", map[string]string{"Authorization": tc.token})
		if got.status != tc.status || tc.status == 200 && (got.text("data", "status") != "EXPIRED" || got.text("code") != "00") {
			t.Errorf("%s: %d %s, want %d EXPIRED", tc.name, got.status, got.raw, tc.status)
		}
	}
}

func TestKoinal_quoteThenOrder(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5, Speed: fast}, nil)
	start(t, w)
	base, auth := w.URL("koinal", "a"), map[string]string{"Authorization": koinalToken(koinalCreds.Secret, "1000", "u", "1")}
	q := do(t, "POST", base+"/quote", `{"currency_amount":1000,"currency":"USD","cryptocurrency":"BTC"}`, auth)
	body := fmt.Sprintf(`{"token":"%s","wallet_address":"x"}`, q.text("data", "token"))
	o := do(t, "POST", base+"/order", body, auth)
	if o.status != 200 || o.text("data", "checkout_url") == "" {
		t.Fatalf("order = %d %s", o.status, o.raw)
	}
	if again := do(t, "POST", base+"/order", body, auth); again.status != 400 {
		t.Errorf("the same quote again = %d, want 400", again.status)
	}
	tr, ok := w.TruthOf(events.Key{Provider: "koinal", Account: "a", ID: o.text("data", "id")})
	if !ok || tr.Fiat != (simulator.Money{Amount: "1000", Currency: "USD"}) || tr.Crypto.Amount != "0.4" {
		t.Errorf("truth = %+v, %t", tr, ok)
	}
}

func TestZumo_tokensExpireAndRotate(t *testing.T) {
	clk := newClock()
	w := newWorld(t, simulator.Options{Now: clk.now, Speed: simulator.Speed{TokenLife: time.Minute}}, nil)
	start(t, w)
	base := w.URL("zumo", "a")
	login := func(secret string) reply {
		return do(t, "POST", base+"/token/", `{"appId":"app","appSecret":"`+secret+`"}`, nil)
	}
	list := func(token string) int {
		return do(t, "GET", base+"/app-users?synced=false", "", map[string]string{"Authorization": "Bearer " + token}).status
	}
	refresh := func(access, refresh string) reply {
		return do(t, "POST", base+"/token/", `{"refreshToken":"`+refresh+`"}`, map[string]string{"Authorization": "Bearer " + access})
	}
	if got := login("wrong"); got.status != 401 || got.text("message") != "Entity not found." {
		t.Errorf("wrong secret = %d %s", got.status, got.raw)
	}
	first := login(zumoCreds.AppSecret)
	a1, r1 := first.text("accessToken"), first.text("refreshToken")
	if list(a1) != 200 || list("x") != 401 || list("") != 401 || first.text("expiresIn") != "60" {
		t.Fatalf("token of %s does not work as it should", first.raw)
	}
	second := refresh(a1, r1)
	a2, r2 := second.text("accessToken"), second.text("refreshToken")
	if list(a1) != 401 || list(a2) != 200 {
		t.Errorf("after a refresh: old token %d, new %d, want 401 and 200", list(a1), list(a2))
	}
	if got := refresh(a2, r1); got.status != 401 {
		t.Errorf("the old refresh token again = %d, want 401", got.status)
	}
	if got := refresh(a1, r2); got.status != 401 {
		t.Errorf("the new refresh token with the old access token = %d, want 401", got.status)
	}
	clk.add(61 * time.Second)
	if list(a2) != 401 || refresh(a2, r2).status != 401 {
		t.Error("tokens outlive their life")
	}
	if list(login(zumoCreds.AppSecret).text("accessToken")) != 200 {
		t.Error("login after expiry does not work")
	}
}

func TestZumo_usersPathsAndSync(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 6, Speed: fast, PageSize: 2}, nil)
	start(t, w)
	base := w.URL("zumo", "a")
	auth := map[string]string{"Authorization": "Bearer " + do(t, "POST", base+"/token/", `{"appId":"app","appSecret":"`+zumoCreds.AppSecret+`"}`, nil).text("accessToken")}
	for _, id := range []string{"u1", "u2", "u3"} {
		if got := do(t, "POST", base+"/app-users/"+id+"/", `{"appUserId":"`+id+`"}`, auth); got.status != 200 || got.text("appUserId") != id {
			t.Fatalf("create = %d %s", got.status, got.raw)
		}
	}
	quiet(t, w)
	for path, want := range map[string]int{
		"/app-users/u1/": 200, "/app-users/u1": 404, "/app-users/u9/": 404, "/app-users/?synced=false": 404, "/token": 404,
	} {
		if got := do(t, "GET", base+path, "", auth); got.status != want {
			t.Errorf("GET %s = %d, want %d", path, got.status, want)
		}
	}
	page := do(t, "GET", base+"/app-users?synced=false", "", auth)
	if page.text("page", "all") != "3" || len(page.body["users"].([]any)) != 2 {
		t.Errorf("first page = %s, want 2 of 3", page.raw)
	}
	if got := do(t, "PUT", base+"/app-users/u1/", `{"appUserId":"u1","synchronised":true}`, auth); string(got.raw) != "OK" {
		t.Errorf("PUT = %d %s, want OK", got.status, got.raw)
	}
	rest := do(t, "GET", base+"/app-users?synced=false&offset=1&limit=9", "", auth)
	if rest.text("page", "all") != "2" || rest.text("users", "appUserId") != "u3" {
		t.Errorf("second page = %s, want u3 of 2", rest.raw)
	}
	tr, _ := w.TruthOf(events.Key{Provider: "zumo", Account: "a", Kind: events.Customer, ID: "u1"})
	if !tr.Synced {
		t.Error("u1 is not recorded as synced")
	}
	do(t, "DELETE", base+"/app-users/u2/", "", auth)
	if got := do(t, "GET", base+"/app-users/u2/", "", auth); got.status != 404 {
		t.Errorf("deleted user = %d, want 404", got.status)
	}
}

func TestKuna_loginOrKey(t *testing.T) {
	clk := newClock()
	w := newWorld(t, simulator.Options{Seed: 7, Now: clk.now, Speed: simulator.Speed{TokenLife: time.Minute}}, nil)
	start(t, w)
	base := w.URL("kuna", "a")
	tr := place(t, w, "kuna", simulator.OrderSpec{Fate: simulator.FateHeld})
	clk.add(time.Hour)
	details := func(header, value string) reply {
		return do(t, "POST", base+"/v2/operation/details", `{"id":"`+tr.Key.ID+`"}`, map[string]string{header: value})
	}
	body := `{"token":"ops@example.com","password":"kuna-password-0001"}`
	token := do(t, "POST", base+"/v2/auth/login", body, map[string]string{"merchant_id": "m1"}).text("data", "accessToken")
	for _, tc := range []struct {
		name, header, value string
		want                int
	}{
		{"token", "Authorization", "Bearer " + token, 200},
		{"key", "api-key", kunaCreds.APIKey, 200},
		{"wrong key", "api-key", "x", 401},
		{"changed token", "Authorization", "Bearer " + token[:len(token)-2] + "xx", 401},
		{"none", "Accept", "*/*", 401},
	} {
		got := details(tc.header, tc.value)
		if got.status != tc.want || tc.want == 200 && got.text("data", "status") != "Completed" {
			t.Errorf("%s: %d %s, want %d Completed", tc.name, got.status, got.raw, tc.want)
		}
	}
	clk.add(61 * time.Second)
	if got := details("Authorization", "Bearer "+token); got.status != 401 {
		t.Errorf("expired token = %d, want 401", got.status)
	}
	if got := do(t, "POST", base+"/v2/auth/login", body, map[string]string{"merchant_id": "m2"}); got.status != 401 {
		t.Errorf("login for another merchant = %d, want 401", got.status)
	}
	find := do(t, "POST", base+"/v2/operation/find?skip=0&take=10", `{"status":"Completed"}`, map[string]string{"api-key": kunaCreds.APIKey})
	if find.text("data", "id") != tr.Key.ID || find.text("data", "targetAmount") != tr.Crypto.Amount {
		t.Errorf("find = %s, want %s", find.raw, tr.Key.ID)
	}
}

func TestBudget(t *testing.T) {
	clk := newClock()
	w := newWorld(t, simulator.Options{Now: clk.now, Budget: 2}, nil)
	start(t, w)
	path := w.URL("kado", "a") + "/v2/public/orders/x"
	for i, want := range []int{404, 404, 429} {
		if got := do(t, "GET", path, "", nil); got.status != want || want == 429 && got.header.Get("Retry-After") != "1" {
			t.Errorf("call %d = %d, want %d", i, got.status, want)
		}
	}
	for nonce, want := range []string{"9001", "9001", "429"} {
		if got := kangaCall(t, w.URL("kanga", "a"), kangaCreds.Secret, "x", int64(nonce+1)); got.status != 200 || got.text("code") != want {
			t.Errorf("kanga call %d = %d %s, want code %s", nonce, got.status, got.raw, want)
		}
	}
	clk.add(time.Second)
	if got := do(t, "GET", path, "", nil); got.status != 404 {
		t.Errorf("a second later = %d, want 404", got.status)
	}
}
