package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
)

// kanga plays Kanga TPG. Source: support.kanga.exchange/guide/kanga-tpg-api/.
type kanga struct {
	a     *account
	creds KangaCreds
	nonce int64 // the highest that was accepted
}

// AddKanga adds a Kanga shop whose callbacks go to callbackURL ("" sends
// none). The URL must have no query of its own: one is appended.
func (w *World) AddKanga(name events.Account, creds KangaCreds, callbackURL string) error {
	return w.add("kanga", name, callbackURL, func(a *account) dialect { return &kanga{a: a, creds: creds} }, creds.Secret)
}

func (k *kanga) fates(kind events.SubjectKind) []weighted {
	if kind == events.Customer {
		return nil
	}
	return []weighted{{FateCompleted, 70}, {FateCancelled, 12}, {FateFailed, 8}, {FateUnpaid, 6}, {FateAbsent, 4}}
}

// kangaAbsent is the time before the payer opens the redirect: 9001.
var kangaAbsent = stage{status: events.StatusCreated}

func (k *kanga) life(_ events.SubjectKind, fate Fate) []stage {
	if fate == FateAbsent {
		return []stage{kangaAbsent}
	}
	st := func(word string, s events.Status) stage { return stage{word: word, status: s, hook: word} }
	begun := []stage{kangaAbsent, st("NEW", events.StatusCreated), st("ACTIVE", events.StatusPending)}
	switch fate {
	case FateCancelled:
		return append(begun, st("CANCELLING", events.StatusProcessing), st("CANCELED", events.StatusCancelled))
	case FateUnpaid: // not paid in full within 24 hours: cancelled by Kanga, with the same word
		return append(begun, st("CANCELED", events.StatusCancelled))
	case FateFailed:
		return append(begun, st("PROCESSING", events.StatusProcessing), st("FAILED", events.StatusFailed))
	}
	return append(begun, st("PROCESSING", events.StatusProcessing), st("FINALIZING", events.StatusProcessing),
		st("FINALIZED", events.StatusCompleted))
}

func (k *kanga) unknown(events.SubjectKind) (stage, bool) {
	return stage{word: "VERIFYING", status: events.StatusUnknown, hook: "VERIFYING"}, true
}

func (k *kanga) newID(_ events.SubjectKind, n int, d dice) string {
	return "ORDER" + strings.ToUpper(d.hex("id", 8)) + strconv.Itoa(n)
}

// fill: the settlement amount is the one amount there is. It is reported as
// Crypto, as the settlement currency of a shop is a token.
func (k *kanga) fill(s *subject, d dice) {
	given := s.fiat
	if s.crypto.Amount != "" {
		given = s.crypto
	}
	if given.Amount == "" {
		given.Amount = decimal(10+d.below("amount", 0, 100_000), 4)
	}
	if given.Currency == "" {
		given.Currency = [...]string{"BTC", "ETH", "oPLN", "EMT"}[d.below("currency", 0, 4)]
	}
	s.fiat, s.crypto, s.meantFiat, s.meant = Money{}, given, Money{}, given
	s.network = ""
	if s.last().word != "" && d.chance("tamper", 0, k.a.w.opt.Faults.Tamper) {
		s.tampered = true
		if d.chance("tamper currency", 0, 0.3) {
			s.crypto.Currency = "EMT2"
		} else {
			s.crypto.Amount = "0.0001"
		}
	}
}

func (k *kanga) can(f Fault) bool {
	switch f {
	case FaultStale, FaultBadSignature, FaultOddForm, FaultTypeConflict, FaultContradict, FaultDeny:
		return false // a callback says nothing but the id, and is not signed
	}
	return true
}

// Codes of the document, and one that clients of the wider API have seen.
const (
	kangaInvalid  = 9000 // credentials, or the nonce
	kangaNotFound = 9001
	kangaTooMany  = 429
)

func (k *kanga) fail(code int, class Class) answer {
	return jsonAnswer(http.StatusOK, class, struct {
		Result string `json:"result"`
		Code   int    `json:"code"`
	}{"fail", code})
}

func (k *kanga) failInside() answer       { return k.fail(5000, ClassOK) }
func (k *kanga) overBudget(string) answer { return k.fail(kangaTooMany, ClassRateLimited) }

func (k *kanga) serve(c *call) answer {
	switch route := c.r.Method + " " + c.path; route {
	case "POST /api/v2/tpg/transaction":
		c.log.Op = "check payment"
		return k.check(c)
	case "POST /api/v2/tpg/create/payment":
		c.log.Op = "create payment token"
		return k.paymentToken(c)
	case "POST /api/v2/test":
		c.log.Op = "test"
		return k.test(c)
	case "POST /api/tpg/price/estimate":
		c.log.Op = "price estimate"
		return k.estimate(c)
	case "GET /tpg/payment/" + k.creds.APIKey:
		c.log.Op = "start payment"
		return k.start(c)
	}
	return answer{status: http.StatusNotFound, class: ClassBadRequest, body: []byte("{}")}
}

type kangaRequest struct {
	ID    string      `json:"id"`
	AppID string      `json:"appId"`
	Nonce json.Number `json:"nonce"`
}

// signed checks signature, key and nonce; the refusal is nil when all are right.
// A nonce counts as used once the signature is right, whatever comes after.
func (k *kanga) signed(c *call) (in kangaRequest, refusal *answer) {
	no := func(class Class) (kangaRequest, *answer) {
		ans := k.fail(kangaInvalid, class)
		return kangaRequest{}, &ans
	}
	if !sameText(hexMAC(sha512New, k.creds.Secret, string(c.body)), strings.ToLower(c.r.Header.Get("Api-Sig"))) {
		return no(ClassUnauthorized)
	}
	if decode(c.body, &in) != nil || in.AppID != k.creds.APIKey {
		return no(ClassUnauthorized)
	}
	nonce, err := in.Nonce.Int64()
	if err != nil {
		return no(ClassNonce)
	}
	c.log.Nonce = nonce
	if nonce <= k.nonce {
		c.log.NonceViolation = true
		return no(ClassNonce)
	}
	k.nonce = nonce
	return in, nil
}

func (k *kanga) check(c *call) answer {
	in, refusal := k.signed(c)
	if refusal != nil {
		return *refusal
	}
	s := c.find(events.Order, in.ID)
	if s == nil || s.stages[s.current(c.now)].word == "" {
		return k.fail(kangaNotFound, ClassNotFound)
	}
	return jsonAnswer(http.StatusOK, ClassOK, struct {
		Result   string `json:"result"`
		Currency string `json:"currency"`
		Amount   string `json:"amount"`
		State    string `json:"state"`
	}{"ok", s.crypto.Currency, s.crypto.Amount, c.state(s).word})
}

func (k *kanga) paymentToken(c *call) answer {
	if _, refusal := k.signed(c); refusal != nil {
		return *refusal
	}
	token := dice{k.a.w.opt.Seed, string(k.a.lane)}.hex("payment token "+strconv.FormatInt(c.log.Nonce, 10), 32)
	k.a.w.secrets = append(k.a.w.secrets, token)
	return jsonAnswer(http.StatusOK, ClassOK, struct {
		Result string `json:"result"`
		Token  string `json:"paymentToken"`
	}{"ok", token})
}

// kangaTestSecret is published in the document.
const kangaTestSecret = "8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F"

func (k *kanga) test(c *call) answer {
	var in kangaRequest
	sig := hexMAC(sha512New, kangaTestSecret, string(c.body))
	if !sameText(sig, strings.ToLower(c.r.Header.Get("Api-Sig"))) || decode(c.body, &in) != nil || in.AppID != "TEST" {
		return jsonAnswer(http.StatusOK, ClassUnauthorized, map[string]string{"result": "fail"})
	}
	return jsonAnswer(http.StatusOK, ClassOK, map[string]string{"result": "ok"})
}

func (k *kanga) estimate(c *call) answer {
	var in struct{ Token, Quantity, ShopToken string }
	if decode(c.body, &in) != nil || in.Token == "" || in.Quantity == "" || in.ShopToken != k.creds.APIKey {
		return k.fail(kangaInvalid, ClassUnauthorized)
	}
	return jsonAnswer(http.StatusOK, ClassOK, map[string]string{"EMT": "3090", "BTC": "0.0015", "ETH": "0.0685", "oPLN": "40.33"})
}

// start is the payer's browser coming to pay. Nothing of it is signed: the
// amount is what the URL says, whoever wrote it. An order that the merchant
// placed before is opened at once, with the amount of the URL.
func (k *kanga) start(c *call) answer {
	q := c.r.URL.Query()
	id, money := q.Get("transactionKey"), Money{q.Get("amount"), q.Get("currency")}
	page := func(status int, class Class, text string) answer {
		return answer{status: status, class: class, header: http.Header{"Content-Type": {"text/html"}}, body: []byte(text)}
	}
	if id == "" || money.Amount == "" || money.Currency == "" {
		return page(http.StatusBadRequest, ClassBadRequest, "missing parameter")
	}
	c.log.Subject = id
	s := k.a.subjects[events.Key{Provider: k.a.provider, Account: k.a.name, ID: id}]
	if s == nil {
		var err error
		if s, err = k.a.place(events.Order, OrderSpec{ID: id, Crypto: money}); err != nil {
			return page(http.StatusBadRequest, ClassBadRequest, "bad transactionKey")
		}
	} else if s.crypto != money {
		s.tampered = s.tampered || s.meant != money
		s.crypto = money
	}
	return page(http.StatusOK, ClassOK, "<html><body>Pay</body></html>")
}

// compose is the documented callback: the id and nothing else. The method is
// not stated; half of the orders are called back by GET, half by POST.
func (k *kanga) compose(s *subject, n *notice, _ time.Time) *outgoing {
	method := http.MethodGet
	if s.dice().chance("post", 0, 0.5) {
		method = http.MethodPost
	}
	id := s.key.ID
	if n.has(FaultForged) {
		id = "ORDER" + s.dice().hex("forged", 12)
	}
	return &outgoing{method: method, url: k.a.hookURL + "?transactionKey=" + url.QueryEscape(id), header: http.Header{}}
}
