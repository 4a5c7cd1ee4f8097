package simulator

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
)

// kadoOrder is the order object, as public clients type it. All amounts are
// JSON numbers; recvAmount may lack its amount until the last state.
type kadoOrder struct {
	ID                string            `json:"id"`
	OrderType         string            `json:"orderType"`
	OriginOfOrder     string            `json:"originOfOrder"`
	UserRef           string            `json:"userRef"`
	CreatedAt         string            `json:"createdAt"`
	Method            string            `json:"method"`
	ExchangeRate      json.Number       `json:"exchangeRate"`
	CurrencyType      string            `json:"currencyType"`
	WalletAddress     string            `json:"walletAddress"`
	DepositAddress    string            `json:"depositAddress"`
	Asset             string            `json:"asset"`
	Blockchain        string            `json:"blockchain"`
	TxHash            string            `json:"txHash"`
	AllTxHashes       map[string]string `json:"allPossibleTxHashes"`
	HumanStatus       string            `json:"humanStatusField"`
	MachineStatus     string            `json:"machineStatusField"`
	PaymentStatus     *string           `json:"paymentStatus"`
	TransferStatus    string            `json:"transferStatus"`
	DepositMemo       string            `json:"manualDepositMemo"`
	Quote             kadoQuote         `json:"quote"`
	PayAmount         kadoMoney         `json:"payAmount"`
	RecvAmount        kadoMoney         `json:"recvAmount"`
	TotalFee          kadoMoney         `json:"totalFee"`
	CryptoCurrency    kadoCoin          `json:"cryptoCurrency"`
	Chain             kadoChain         `json:"chain"`
	SettlementSeconds int               `json:"settlementTimeInSeconds"`
}

type kadoMoney struct {
	Amount json.Number `json:"amount,omitempty"`
	Unit   string      `json:"unit"`
}

type kadoQuote struct {
	Amount json.Number `json:"amount"`
	Price  json.Number `json:"price"`
	Symbol string      `json:"symbol"`
	Unit   string      `json:"unit"`
}

type kadoCoin struct {
	Symbol   string `json:"symbol"`
	Address  string `json:"address"`
	IsNative bool   `json:"isNative"`
	Decimals int    `json:"decimals"`
}

type kadoChain struct {
	Network string `json:"network"`
	Origin  string `json:"origin"`
}

func (k *kado) order(c *call, id string) answer {
	s := c.find(events.Order, id)
	if s == nil {
		return k.no(http.StatusNotFound, ClassNotFound, "Order not found")
	}
	c.state(s)
	return k.ok(k.object(s, s.current(c.now)))
}

// object is the order as it stands in a stage.
func (k *kado) object(s *subject, at int) kadoOrder {
	payment, transfer, _ := strings.Cut(s.stages[at].word, "+")
	d, can := s.dice(), k.a.w.canaries
	o := kadoOrder{
		ID: s.key.ID, OrderType: s.side, OriginOfOrder: "WIDGET", UserRef: s.customerRef,
		CreatedAt: isoMillis(s.start), Method: [...]string{"ach", "sepa", "debit_card"}[d.below("method", 0, 3)],
		ExchangeRate: json.Number(jsNumber(strconv.Itoa(1000+d.below("rate", 0, 1000)) + ".25")), CurrencyType: "fiat",
		WalletAddress: can["wallet"], DepositAddress: can["deposit"], DepositMemo: can["memo"],
		Asset: s.crypto.Currency, Blockchain: s.network, AllTxHashes: map[string]string{},
		HumanStatus: "Order is " + transfer, MachineStatus: kadoMachine(payment, transfer),
		PaymentStatus: &payment, TransferStatus: transfer,
		Quote:          kadoQuote{json.Number(s.crypto.Amount), json.Number(s.fiat.Amount), s.crypto.Currency, s.fiat.Currency},
		TotalFee:       kadoMoney{"1.5", s.fiat.Currency},
		CryptoCurrency: kadoCoin{s.crypto.Currency, "", true, 18}, Chain: kadoChain{s.network, s.network},
		SettlementSeconds: 30,
	}
	if transfer == "settled" {
		o.TxHash = s.txHash
		o.AllTxHashes[s.network] = s.txHash
	}
	fiat, crypto := kadoMoney{json.Number(s.fiat.Amount), s.fiat.Currency}, kadoMoney{json.Number(s.crypto.Amount), s.crypto.Currency}
	o.PayAmount, o.RecvAmount = fiat, crypto
	if s.side == "sell" {
		o.PayAmount, o.RecvAmount = crypto, fiat
	}
	if at < len(s.stages)-1 && d.chance("receive amount later", 0, 0.3) {
		o.RecvAmount.Amount = ""
	}
	return o
}

func kadoMachine(payment, transfer string) string {
	switch {
	case transfer == "settled":
		return "SETTLED"
	case payment == "failed":
		return "CARD_PAYMENT_FAILED"
	case payment == "pending":
		return "PENDING_PAYMENT"
	}
	return "DELAYED_SETTLEMENT"
}

// kadoWebhook is the documented body.
type kadoWebhook struct {
	ID       string    `json:"id"`
	Resource string    `json:"resource"`
	Type     string    `json:"type"`
	Data     kadoOrder `json:"data"`
	Message  string    `json:"message"`
}

var kadoMessages = map[string]string{
	"order_pending":    "Order is pending crypto trade",
	"order_processing": "Order is disbursing funds",
	"order_completed":  "Order is complete",
	"order_failed":     "Order has failed",
}

func (k *kado) compose(s *subject, n *notice, now time.Time) *outgoing {
	at := n.claim
	if n.has(FaultTypeConflict) {
		at--
	}
	d := s.dice()
	hook := kadoWebhook{
		ID: d.hex("webhook "+strconv.Itoa(n.stage), 24), Resource: "order", Type: n.word, Message: kadoMessages[n.word],
		Data: k.object(s, at),
	}
	if n.has(FaultDeny) {
		deny(&hook.Data, n.word)
	}
	canonical, err := marshal(hook)
	if err != nil {
		return nil
	}
	body := canonical
	if n.has(FaultOddForm) {
		body = oddForm(canonical, d.below("odd form", n.n, 4))
	}
	if n.has(FaultStale) {
		now = now.Add(-time.Hour)
	}
	return &outgoing{method: http.MethodPost, url: k.a.hookURL, body: body, header: k.headers(n, canonical, now)}
}

// deny makes the data agree with the false type, as a signed mistake would.
func deny(o *kadoOrder, word string) {
	payment, transfer := "success", "settled"
	if word == "order_failed" {
		transfer = "failed"
	}
	o.PaymentStatus, o.TransferStatus, o.MachineStatus = &payment, transfer, kadoMachine(payment, transfer)
}

// headers signs the registered URL's path without its query, "/" for a bare
// host, with the webhookSecret once one is configured. Whether a bare host's
// path is "/" or "" is not documented: "/" is what a JavaScript URL says.
func (k *kado) headers(n *notice, canonical []byte, now time.Time) http.Header {
	ts := strconv.FormatInt(now.UnixMilli(), 10)
	path := ""
	if u, err := url.Parse(k.a.hookURL); err == nil {
		path = u.EscapedPath()
	}
	if path == "" {
		path = "/"
	}
	secret := k.creds.WebhookSecret
	if secret == "" {
		secret = k.creds.APISecret
	}
	if n.has(FaultBadSignature) {
		secret = "not-" + secret
	}
	return http.Header{
		"Content-Type": {"application/json"}, "X-Timestamp": {ts}, "X-Public-Key": {k.creds.PublicKey},
		"X-Signature": {hexMAC(sha256New, secret, http.MethodPost+ts+path+hexMD5(canonical))},
	}
}

// oddForm writes the same value in other bytes. JSON.stringify of its parse
// gives canonical back: blanks go, \/ becomes /, 1.10 becomes 1.1.
func oddForm(canonical []byte, form int) []byte {
	switch form {
	case 0:
		var b bytes.Buffer
		if json.Indent(&b, canonical, "", "  ") == nil {
			return b.Bytes()
		}
	case 1: // a slash stands inside strings only
		return bytes.ReplaceAll(canonical, []byte("/"), []byte(`\/`))
	case 2:
		return append(bytes.ReplaceAll(canonical, []byte(`"Order is `), []byte(`"\u004frder is `)), '\n')
	}
	return bytes.ReplaceAll(canonical, []byte(`.25,"currencyType"`), []byte(`.250,"currencyType"`))
}

// compact removes the blanks outside strings; what is not JSON stays as it is.
func compact(body []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return body
	}
	return b.Bytes()
}

// jsNumber is a decimal literal as JavaScript prints its double.
func jsNumber(literal string) string {
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil || f == 0 || math.IsInf(f, 0) {
		return "0"
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	return mantissa + "e" + exp[:1] + strings.TrimLeft(exp[1:], "0")
}
