package simulator

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
)

// kado plays Kado. Sources: docs.kado.money "Advanced" and "get-order-status".
type kado struct {
	a     *account
	creds KadoCreds
}

// AddKado adds a Kado organisation whose webhooks go to webhookURL ("" sends none).
func (w *World) AddKado(name events.Account, creds KadoCreds, webhookURL string) error {
	return w.add("kado", name, webhookURL, func(a *account) dialect { return &kado{a, creds} },
		creds.APISecret, creds.WebhookSecret)
}

func (k *kado) fates(kind events.SubjectKind) []weighted {
	if kind == events.Customer {
		return []weighted{{FateCompleted, 80}, {FateFailed, 10}, {FateUnpaid, 10}}
	}
	return []weighted{{FateCompleted, 70}, {FateFailed, 14}, {FateUnpaid, 8}, {FateUnsettled, 8}}
}

func (k *kado) life(kind events.SubjectKind, fate Fate) []stage {
	if kind == events.Customer {
		return kadoKYC(fate)
	}
	paid := []stage{
		{word: "pending+uninitiated", status: events.StatusPending},
		{word: "success+uninitiated", status: events.StatusProcessing, hook: "order_pending"},
		{word: "success+pending", status: events.StatusProcessing, hook: "order_processing"},
	}
	done := stage{word: "success+settled", status: events.StatusCompleted, hook: "order_completed"}
	switch fate {
	case FateUnpaid: // no word ends such an order: it stays pending for ever
		return paid[:1]
	case FateFailed:
		return append(paid[:1:1], stage{word: "failed+uninitiated", status: events.StatusFailed, hook: "order_failed"})
	case FateUnsettled:
		return append(paid, stage{word: "success+unknown", status: events.StatusProcessing}, done)
	}
	return append(paid, done)
}

func kadoKYC(fate Fate) []stage {
	l0 := stage{word: "L0", status: events.StatusCreated}
	l1 := stage{word: "L1", status: events.StatusProcessing}
	switch fate {
	case FateUnpaid:
		return []stage{l0}
	case FateFailed: // back to L0: "a problem with the initial validation"
		return []stage{l0, l1, l0}
	}
	return []stage{l0, l1, {word: "L2", status: events.StatusCompleted}}
}

func (k *kado) unknown(kind events.SubjectKind) (stage, bool) {
	return stage{word: "success+reviewing", status: events.StatusUnknown, hook: "order_reviewing"}, kind == events.Order
}

func (k *kado) newID(_ events.SubjectKind, _ int, d dice) string { return d.hex("id", 24) }

// fill draws what is paid. A failed order is as likely to have failed after
// the payment as before it.
func (k *kado) fill(s *subject, d dice) {
	s.drawMoney(d)
	if s.kind == events.Order {
		s.fiat.Amount, s.crypto.Amount = jsNumber(s.fiat.Amount), jsNumber(s.crypto.Amount)
	}
	if s.txHash == "" && s.last().word == "success+settled" {
		s.txHash = "0x" + d.hex("tx", 64)
	}
	if s.customerRef == "" {
		s.customerRef = d.uuid("userRef")
	}
	if s.kind == events.Order && s.fate == FateFailed && d.chance("failed after payment", 0, 0.5) {
		s.last().word = "success+failed"
	}
}

func (k *kado) can(f Fault) bool { return f != FaultForged && f != FaultTampered }

func (k *kado) opposite(end events.Status) string {
	if end == events.StatusCompleted {
		return "order_failed"
	}
	return "order_completed"
}

// kadoEnvelope is what every answer has around it.
type kadoEnvelope struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (k *kado) failInside() answer {
	return jsonAnswer(http.StatusOK, ClassOK, kadoEnvelope{Message: "Unable to process " + k.a.w.canaries["email"]})
}

func (k *kado) overBudget(retryAfter string) answer {
	return tooMany(retryAfter, kadoEnvelope{Message: "Too many requests"})
}

// tooMany is a 429, with Retry-After unless it is "".
func tooMany(retryAfter string, body any) answer {
	ans := jsonAnswer(http.StatusTooManyRequests, ClassRateLimited, body)
	if retryAfter != "" {
		ans.header = http.Header{"Retry-After": {retryAfter}}
	}
	return ans
}

func (k *kado) ok(data any) answer {
	return jsonAnswer(http.StatusOK, ClassOK, kadoEnvelope{Success: true, Message: "ok", Data: data})
}

func (k *kado) no(status int, class Class, message string) answer {
	return jsonAnswer(status, class, kadoEnvelope{Message: message})
}

func (k *kado) serve(c *call) answer {
	route := c.r.Method + " " + c.path
	if id, ok := strings.CutPrefix(route, "GET /v2/public/orders/"); ok {
		c.log.Op = "order"
		return k.order(c, id)
	}
	if route == "GET /v2/ramp/quote" {
		c.log.Op = "quote"
		return k.quote(c)
	}
	op := kadoOp(route)
	if op == "" {
		return k.no(http.StatusNotFound, ClassBadRequest, "no such route")
	}
	c.log.Op = op
	if !k.signed(c, op) {
		return k.no(http.StatusUnauthorized, ClassUnauthorized, "unauthorized")
	}
	switch op {
	case "configure-webhook":
		return k.configure(c)
	case "kyc submit", "kyc init-partial":
		return k.person(c, op == "kyc submit")
	case "kyc upload":
		return k.upload(c)
	}
	s := c.find(events.Customer, strings.TrimPrefix(c.path, "/v1/partner/kyc/"))
	if s == nil {
		return k.no(http.StatusNotFound, ClassNotFound, "not found")
	}
	level := c.state(s).word
	return k.ok(struct {
		Status string `json:"status"`
		Docs   bool   `json:"docsUploaded"`
	}{level, level != "L0"})
}

// kadoOp names a signed route, "" for one that the document does not have.
func kadoOp(route string) string {
	switch route {
	case "POST /v1/partner/configure-webhook":
		return "configure-webhook"
	case "POST /v1/partner/kyc/submit":
		return "kyc submit"
	case "POST /v1/partner/kyc/init-partial":
		return "kyc init-partial"
	}
	if rest, ok := strings.CutPrefix(route, "GET /v1/partner/kyc/"); ok && rest != "" && !strings.Contains(rest, "/") {
		return "kyc status"
	}
	if rest, ok := strings.CutPrefix(route, "POST /v2/partner/kyc/"); ok && strings.HasSuffix(rest, "/upload-docs") {
		return "kyc upload"
	}
	return ""
}

// kadoWindow is how far a call's timestamp may be off. The document says
// "recent" and nothing more.
const kadoWindow = 5 * time.Minute

// signed checks the three headers over the path without the query. A body that
// is JSON is hashed in its compact form; an upload is signed without its body.
func (k *kado) signed(c *call, op string) bool {
	h := c.r.Header
	ts := h.Get("X-Timestamp")
	ms, err := strconv.ParseInt(ts, 10, 64)
	if err != nil || c.now.Sub(time.UnixMilli(ms)).Abs() > kadoWindow || h.Get("X-Public-Key") != k.creds.PublicKey {
		return false
	}
	payload := ""
	if op != "kyc upload" && len(c.body) > 0 {
		payload = hexMD5(compact(c.body))
	}
	want := hexMAC(sha256New, k.creds.APISecret, c.r.Method+ts+c.path+payload)
	return sameText(want, h.Get("X-Signature"))
}

func hexMD5(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func (k *kado) configure(c *call) answer {
	var in struct{ WebhookURL, WebhookSecret string }
	if decode(c.body, &in) != nil || in.WebhookURL == "" || in.WebhookSecret == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "webhookUrl and webhookSecret are required")
	}
	k.a.hookURL, k.creds.WebhookSecret = in.WebhookURL, in.WebhookSecret
	k.a.w.secrets = append(k.a.w.secrets, in.WebhookSecret)
	return k.ok(nil)
}

func (k *kado) person(c *call, phone bool) answer {
	var in struct {
		FirstName, LastName, Phone, Email, DateOfBirth string
		Address                                        struct{ Street1, PostalCode, City, Country string }
	}
	if decode(c.body, &in) != nil || in.FirstName == "" || in.LastName == "" || in.Email == "" || in.DateOfBirth == "" ||
		in.Address.Street1 == "" || in.Address.PostalCode == "" || in.Address.City == "" || in.Address.Country == "" ||
		phone && in.Phone == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "a required field is missing")
	}
	s, err := k.a.place(events.Customer, OrderSpec{})
	if err != nil {
		return k.no(http.StatusConflict, ClassBadRequest, "cannot be created")
	}
	c.log.Subject = s.key.ID
	return k.ok(struct {
		UserID string `json:"userId"`
	}{s.key.ID})
}

func (k *kado) upload(c *call) answer {
	id := strings.TrimSuffix(strings.TrimPrefix(c.path, "/v2/partner/kyc/"), "/upload-docs")
	if c.find(events.Customer, id) == nil {
		return k.no(http.StatusNotFound, ClassNotFound, "not found")
	}
	kind, front := "", false
	if r, err := multipartOf(c); err == nil {
		for part, err := r.NextPart(); err == nil; part, err = r.NextPart() {
			switch part.FormName() {
			case "documentType":
				kind = readPart(part)
			case "documentFront":
				front = true
			}
		}
	}
	switch kind {
	case "license", "identificationCard", "passport":
		if front {
			return k.ok(nil)
		}
	}
	return k.no(http.StatusBadRequest, ClassBadRequest, "documents are missing")
}

func (k *kado) quote(c *call) answer {
	if k.creds.WidgetID != "" && c.r.Header.Get("X-Widget-Id") != k.creds.WidgetID {
		return k.no(http.StatusUnauthorized, ClassUnauthorized, "unauthorized")
	}
	q, _ := url.ParseQuery(c.r.URL.RawQuery) // what cannot be parsed is missing
	amount, err := strconv.ParseFloat(q.Get("amount"), 64)
	if err != nil || amount <= 0 || q.Get("asset") == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "amount and asset are required")
	}
	type money map[string]any
	return k.ok(money{"request": money{"asset": q.Get("asset"), "amount": amount}, "quote": money{
		"asset": q.Get("asset"), "baseAmount": money{"amount": amount, "unit": q.Get("currency")},
		"receive": money{"amount": amount / 2500, "unitCount": amount / 2500, "symbol": q.Get("asset")},
	}})
}
