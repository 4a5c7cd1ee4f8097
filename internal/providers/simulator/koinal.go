package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
)

// koinal plays Koinal Checkout. Its document lost every path, most names and
// the list of states: what stands here for those is a placeholder.
type koinal struct {
	a      *account
	creds  KoinalCreds
	quotes map[string]OrderSpec // by token
}

// AddKoinal adds a Koinal merchant whose callbacks go to callbackURL ("" sends none).
func (w *World) AddKoinal(name events.Account, creds KoinalCreds, callbackURL string) error {
	if creds.Header == "" {
		creds.Header = "Signature"
	}
	creds.Paths = creds.Paths.withDefaults()
	return w.add("koinal", name, callbackURL, func(a *account) dialect {
		return &koinal{a: a, creds: creds, quotes: map[string]OrderSpec{}}
	}, creds.Secret, creds.CallbackSecret)
}

func (k *koinal) fates(kind events.SubjectKind) []weighted {
	if kind == events.Customer {
		return nil
	}
	return []weighted{{FateCompleted, 72}, {FateFailed, 10}, {FateCancelled, 6}, {FateExpired, 6}, {FateRefunded, 4}, {FateUnpaid, 2}}
}

// life: the only certain fact is that a completed order is called back.
func (k *koinal) life(_ events.SubjectKind, fate Fate) []stage {
	pending := stage{word: "PENDING", status: events.StatusPending}
	processing := stage{word: "PROCESSING", status: events.StatusProcessing}
	done := stage{word: "COMPLETED", status: events.StatusCompleted, hook: "COMPLETED"}
	switch fate {
	case FateUnpaid:
		return []stage{pending}
	case FateFailed:
		return []stage{pending, processing, {word: "DECLINED", status: events.StatusFailed}}
	case FateCancelled:
		return []stage{pending, {word: "CANCELLED", status: events.StatusCancelled}}
	case FateExpired:
		return []stage{pending, {word: "EXPIRED", status: events.StatusExpired}}
	case FateRefunded:
		return []stage{pending, processing, done, {word: "REFUNDED", status: events.StatusRefunded}}
	}
	return []stage{pending, processing, done}
}

func (k *koinal) unknown(events.SubjectKind) (stage, bool) {
	return stage{word: "IN_REVIEW", status: events.StatusUnknown}, true
}

func (k *koinal) newID(_ events.SubjectKind, n int, d dice) string {
	return strconv.Itoa(n*1000 + d.below("id", 0, 1000)) // a number, as the one visible example
}

func (k *koinal) fill(s *subject, d dice) {
	s.drawMoney(d)
	s.fiat.Amount, s.crypto.Amount = jsNumber(s.fiat.Amount), jsNumber(s.crypto.Amount)
	s.network = ""
	if w := s.last().word; s.txHash == "" && (w == "COMPLETED" || w == "REFUNDED") {
		s.txHash = "0x" + d.hex("tx", 64)
	}
}

func (k *koinal) can(f Fault) bool {
	switch f {
	case FaultStale, FaultOddForm, FaultTypeConflict, FaultForged, FaultTampered:
		return false // no time in it, raw bytes are signed, one status only
	}
	return true
}

func (k *koinal) opposite(end events.Status) string {
	if end == events.StatusCompleted || end == events.StatusRefunded {
		return "" // only completion is called back
	}
	return "COMPLETED"
}

type koinalEnvelope struct {
	Data    any    `json:"data,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Status  string `json:"status"`
}

func (k *koinal) ok(data any) answer {
	return jsonAnswer(http.StatusOK, ClassOK, koinalEnvelope{data, "00", "APPROVED", "APPROVED"})
}

// no: which HTTP status a refusal has is not documented.
func (k *koinal) no(status int, class Class, code string) answer {
	return jsonAnswer(status, class, koinalEnvelope{nil, code, "DECLINED", "DECLINED"})
}

func (k *koinal) failInside() answer {
	return jsonAnswer(http.StatusOK, ClassOK, koinalEnvelope{nil, "96", "SYSTEM ERROR " + k.a.w.canaries["email"], "DECLINED"})
}

func (k *koinal) overBudget(retryAfter string) answer {
	return tooMany(retryAfter, koinalEnvelope{nil, "61", "TOO MANY REQUESTS", "DECLINED"})
}

func (k *koinal) serve(c *call) answer {
	before, after, _ := strings.Cut(k.creds.Paths.Status, "{id}")
	id, status := strings.CutPrefix(c.path, before)
	if status {
		id, status = strings.CutSuffix(id, after)
	}
	switch route := c.r.Method + " " + c.path; {
	case route == "POST "+k.creds.Paths.Quote:
		c.log.Op = "quote"
	case route == "POST "+k.creds.Paths.Order:
		c.log.Op = "create order"
	case status && c.r.Method == http.MethodGet && id != "":
		c.log.Op = "order"
	default:
		return k.no(http.StatusNotFound, ClassBadRequest, "14")
	}
	if !k.authorised(c.r.Header.Get("Authorization")) {
		return k.no(http.StatusUnauthorized, ClassUnauthorized, "05")
	}
	switch c.log.Op {
	case "quote":
		return k.quote(c)
	case "create order":
		return k.create(c)
	}
	s := c.find(events.Order, id)
	if s == nil {
		return k.no(http.StatusNotFound, ClassNotFound, "25")
	}
	return k.ok(k.data(s, c.state(s), c.now))
}

// authorised checks the hash: base64 of a JSON object whose merchant_code is a
// number and whose timestamp is a string, signed without separators.
func (k *koinal) authorised(header string) bool {
	raw, err := base64.StdEncoding.DecodeString(header)
	var in struct {
		MerchantCode json.Number `json:"merchant_code"`
		CustomerRef  string      `json:"customer_reference"`
		Timestamp    string      `json:"timestamp"`
		Signature    string      `json:"signature"`
	}
	if err != nil || decode(raw, &in) != nil {
		return false
	}
	code := strconv.FormatInt(k.creds.MerchantCode, 10)
	if in.MerchantCode.String() != code || in.Timestamp == "" || in.CustomerRef == "" ||
		k.creds.CustomerReference != "" && in.CustomerRef != k.creds.CustomerReference {
		return false
	}
	return sameText(hexMAC(sha256New, k.creds.Secret, code+in.CustomerRef+in.Timestamp+k.creds.Secret), in.Signature)
}

func (k *koinal) quote(c *call) answer {
	var in struct {
		CryptoAmount json.Number `json:"cryptocurrency_amount"`
		Crypto       string      `json:"cryptocurrency"`
		FiatAmount   json.Number `json:"currency_amount"`
		Fiat         string      `json:"currency"`
	}
	if decode(c.body, &in) != nil || (in.CryptoAmount == "") == (in.FiatAmount == "") {
		return k.no(http.StatusBadRequest, ClassBadRequest, "30")
	}
	spec := OrderSpec{Fiat: Money{in.FiatAmount.String(), in.Fiat}, Crypto: Money{in.CryptoAmount.String(), in.Crypto}}
	const price = 2500 // one price for everything
	if f, err := in.FiatAmount.Float64(); err == nil {
		spec.Crypto.Amount = strconv.FormatFloat(f/price, 'f', 8, 64)
	} else if x, err := in.CryptoAmount.Float64(); err == nil {
		spec.Fiat.Amount = strconv.FormatFloat(x*price, 'f', 2, 64)
	}
	token := dice{k.a.w.opt.Seed, string(k.a.lane)}.hex("quote "+strconv.Itoa(len(k.quotes)), 32)
	k.quotes[token] = spec
	return k.ok(struct {
		CryptoAmount json.Number `json:"cryptocurrency_amount"`
		Crypto       string      `json:"cryptocurrency"`
		FiatAmount   json.Number `json:"currency_amount"`
		Fiat         string      `json:"currency"`
		Token        string      `json:"token"`
	}{json.Number(jsNumber(spec.Crypto.Amount)), spec.Crypto.Currency, json.Number(jsNumber(spec.Fiat.Amount)), spec.Fiat.Currency, token})
}

// create makes an order from a quote, which is used up. Whether the real
// answer states the order's id is not documented; this one does.
func (k *koinal) create(c *call) answer {
	var in struct {
		Token  string `json:"token"`
		Wallet string `json:"wallet_address"`
	}
	spec, ok := OrderSpec{}, false
	if decode(c.body, &in) == nil {
		spec, ok = k.quotes[in.Token]
	}
	if !ok || in.Wallet == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "30")
	}
	delete(k.quotes, in.Token)
	s, err := k.a.place(events.Order, spec)
	if err != nil {
		return k.no(http.StatusBadRequest, ClassBadRequest, "30")
	}
	c.log.Subject = s.key.ID
	return k.ok(struct {
		ID  json.Number `json:"id"`
		URL string      `json:"checkout_url"`
	}{json.Number(s.key.ID), "https://checkout.example.com/" + s.key.ID})
}

// koinalOrder is the status answer's data and, by assumption, the callback's
// body. An id that is a number in JSON is one only if it looks like one.
type koinalOrder struct {
	ID           any         `json:"id"`
	Status       string      `json:"status"`
	FiatAmount   json.Number `json:"currency_amount"`
	Fiat         string      `json:"currency"`
	CryptoAmount json.Number `json:"cryptocurrency_amount"`
	Crypto       string      `json:"cryptocurrency"`
	TxID         string      `json:"transaction_id"`
	Timestamp    string      `json:"timestamp"`
}

func (k *koinal) data(s *subject, st stage, now time.Time) koinalOrder {
	o := koinalOrder{
		ID: s.key.ID, Status: st.word, FiatAmount: json.Number(s.fiat.Amount), Fiat: s.fiat.Currency,
		CryptoAmount: json.Number(s.crypto.Amount), Crypto: s.crypto.Currency,
		Timestamp: strconv.FormatInt(now.UnixMilli(), 10),
	}
	if st.word == "COMPLETED" || st.word == "REFUNDED" {
		o.TxID = s.txHash
	}
	return o
}

func (k *koinal) compose(s *subject, n *notice, now time.Time) *outgoing {
	o := k.data(s, stage{word: n.word}, now)
	if n := json.Number(s.key.ID); isDigits(s.key.ID) {
		o.ID = n
	}
	body, err := marshal(o)
	if err != nil {
		return nil
	}
	secret := k.creds.CallbackSecret
	if n.has(FaultBadSignature) {
		secret = "not-" + secret
	}
	return &outgoing{method: http.MethodPost, url: k.a.hookURL, body: body, header: http.Header{
		"Content-Type": {"application/json"}, http.CanonicalHeaderKey(k.creds.Header): {koinalSign(k.creds.Reading, secret, body)},
	}}
}

func isDigits(s string) bool {
	return s != "" && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

// koinalSign signs a callback in one of the readings of the document.
func koinalSign(reading, secret string, body []byte) string {
	switch reading {
	case "b":
		return hexMAC(sha256New, secret, string(body)+secret)
	case "c":
		return hexMAC(sha256New, secret, string(body))
	}
	sum := sha256.Sum256([]byte(string(body) + secret))
	return hex.EncodeToString(sum[:])
}
