package simulator

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"rampstream/internal/events"
)

// kuna plays KunaCore. Sources: docs.kunacore.io, "widget-integration-types",
// "authentication", "details-of-operation", "search-of-operations".
type kuna struct {
	a      *account
	creds  KunaCreds
	issued int
}

// AddKuna adds a KunaCore institution whose callbacks go to callbackURL (""
// sends none).
func (w *World) AddKuna(name events.Account, creds KunaCreds, callbackURL string) error {
	return w.add("kuna", name, callbackURL, func(a *account) dialect { return &kuna{a: a, creds: creds} },
		creds.Password, creds.APIKey)
}

func (k *kuna) fates(kind events.SubjectKind) []weighted {
	if kind == events.Customer {
		return []weighted{{FateCompleted, 90}, {FateHeld, 10}}
	}
	return []weighted{{FateCompleted, 66}, {FateHeld, 16}, {FateFailed, 14}, {FateUnpaid, 4}}
}

func (k *kuna) life(kind events.SubjectKind, fate Fate) []stage {
	st := func(word string, s events.Status) stage { return stage{word: word, status: s, hook: word} }
	if kind == events.Customer {
		active := stage{word: "ACCEPTED+Active", status: events.StatusCompleted}
		if fate == FateHeld { // set by Kuna, and the partner cannot undo it
			return []stage{active, {word: "Suspicious", status: events.StatusOnHold}}
		}
		return []stage{active}
	}
	created := stage{word: "Created", status: events.StatusCreated}
	processing, held := st("Processing", events.StatusProcessing), st("OnHold", events.StatusOnHold)
	switch fate {
	case FateUnpaid:
		return []stage{created}
	case FateFailed:
		return []stage{created, processing, held, st("Declined", events.StatusFailed)}
	case FateHeld:
		return []stage{created, processing, held, processing, held, processing, st("Completed", events.StatusCompleted)}
	}
	return []stage{created, processing, st("Completed", events.StatusCompleted)}
}

func (k *kuna) unknown(kind events.SubjectKind) (stage, bool) {
	return stage{word: "Reviewing", status: events.StatusUnknown, hook: "Reviewing"}, kind == events.Order
}

func (k *kuna) newID(_ events.SubjectKind, _ int, d dice) string { return d.uuid("id") }

// fill: the one amount that the document's sample of an operation states is
// targetAmount; of the source it states the asset.
func (k *kuna) fill(s *subject, d dice) {
	s.drawMoney(d)
	s.network = ""
	if s.side == "sell" {
		s.crypto.Amount = ""
	} else {
		s.fiat.Amount = ""
	}
	s.walletID = d.uuid("wallet")
	if s.externalID == "" {
		s.externalID = d.uuid("external")
	}
}

func (k *kuna) can(f Fault) bool {
	switch f {
	case FaultStale, FaultBadSignature, FaultOddForm, FaultTypeConflict, FaultTampered, FaultDeny:
		return false // the callback is not signed: nothing in it can be believed
	}
	return true
}

type kunaErrors struct {
	Errors []kunaError `json:"errors"`
}

type kunaError struct {
	Code string `json:"code"`
}

// no: the shape of KunaCore's errors is not documented; this is Kuna Pro's.
func (k *kuna) no(status int, class Class, code string) answer {
	return jsonAnswer(status, class, kunaErrors{[]kunaError{{code}}})
}

func (k *kuna) failInside() answer { return k.no(http.StatusOK, ClassOK, "TEMPORARILY_UNAVAILABLE") }

func (k *kuna) overBudget(retryAfter string) answer {
	return tooMany(retryAfter, kunaErrors{[]kunaError{{"TOO_MANY_REQUESTS"}}})
}

func (k *kuna) ok(data any) answer {
	return jsonAnswer(http.StatusOK, ClassOK, struct {
		Data any `json:"data"`
	}{data})
}

func (k *kuna) serve(c *call) answer {
	if c.r.Method != http.MethodPost {
		return k.no(http.StatusMethodNotAllowed, ClassBadRequest, "METHOD_NOT_ALLOWED")
	}
	if c.path == "/v2/auth/login" {
		c.log.Op = "login"
		return k.login(c)
	}
	c.log.Op = strings.ReplaceAll(strings.TrimPrefix(c.path, "/v2/"), "/", " ")
	handle := map[string]func(*call) answer{
		"/v2/operation/details": k.details, "/v2/operation/find": k.find,
		"/v2/customer/create": k.createCustomer, "/v2/customer/details": k.customer, "/v2/customer/update": k.customer,
		"/v2/ramp/token": k.rampToken, "/v2/ramp/invalidate": k.invalidate,
	}[c.path]
	if handle == nil {
		c.log.Op = ""
		return k.no(http.StatusNotFound, ClassBadRequest, "NOT_FOUND")
	}
	if !k.authorised(c) {
		return k.no(http.StatusUnauthorized, ClassUnauthorized, "UNAUTHORIZED")
	}
	return handle(c)
}

func (k *kuna) login(c *call) answer {
	var in struct{ Token, Password string }
	if decode(c.body, &in) != nil {
		return k.no(http.StatusBadRequest, ClassBadRequest, "INVALID_BODY")
	}
	if k.creds.Login == "" || c.r.Header.Get("merchant_id") != k.creds.MerchantID || in.Token != k.creds.Login ||
		!sameText(in.Password, k.creds.Password) {
		return k.no(http.StatusUnauthorized, ClassUnauthorized, "INVALID_CREDENTIALS")
	}
	return k.ok(struct {
		Access string `json:"accessToken"`
	}{k.jwt("access", c.now)})
}

// jwt makes a token of the shape in the document: three parts, exp in seconds.
func (k *kuna) jwt(use string, now time.Time) string {
	k.issued++
	claims, err := marshal(struct {
		Use string `json:"use"`
		N   int    `json:"n"`
		Iat int64  `json:"iat"`
		Exp int64  `json:"exp"`
	}{use, k.issued, now.Unix(), now.Add(k.a.w.speed.TokenLife).Unix()})
	if err != nil {
		return ""
	}
	b64 := base64.RawURLEncoding.EncodeToString
	head := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(claims)
	token := head + "." + b64(mac(sha256New, k.tokenKey(), head))
	k.a.w.secrets = append(k.a.w.secrets, token)
	return token
}

func (k *kuna) tokenKey() string {
	return dice{k.a.w.opt.Seed, string(k.a.lane)}.hex("token key", 32)
}

// authorised accepts the API key, or a token of ours that has not expired.
func (k *kuna) authorised(c *call) bool {
	if key := c.r.Header.Get("Api-Key"); key != "" {
		return k.creds.APIKey != "" && sameText(key, k.creds.APIKey)
	}
	token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	i := strings.LastIndexByte(token, '.')
	if !ok || i < 0 {
		return false
	}
	if !sameText(base64.RawURLEncoding.EncodeToString(mac(sha256New, k.tokenKey(), token[:i])), token[i+1:]) {
		return false
	}
	_, payload, _ := strings.Cut(token[:i], ".")
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	var in struct {
		Use string
		Exp json.Number
	}
	if err != nil || decode(claims, &in) != nil {
		return false
	}
	exp, err := in.Exp.Int64()
	return err == nil && in.Use == "access" && c.now.Before(time.Unix(exp, 0))
}
