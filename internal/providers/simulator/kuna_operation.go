package simulator

import (
	"net/http"
	"strings"
	"time"

	"rampstream/internal/events"
)

// kunaOperation is an element of operation/details and operation/find: the
// members of the document's sample, and those that operation/find filters by.
type kunaOperation struct {
	ID           string `json:"id"`
	WalletID     string `json:"walletId"`
	ExternalID   string `json:"externalId"`
	Type         string `json:"type"`
	Status       string `json:"status"`
	SourceAsset  string `json:"sourceAsset"`
	TargetAsset  string `json:"targetAsset"`
	TargetAmount string `json:"targetAmount"`
	CreatedAt    string `json:"createdAt"`
}

func (k *kuna) operation(s *subject, status string) kunaOperation {
	o := kunaOperation{
		ID: s.key.ID, WalletID: s.walletID, ExternalID: s.externalID, Type: "DepositWithExchange", Status: status,
		SourceAsset: s.fiat.Currency, TargetAsset: s.crypto.Currency, TargetAmount: s.crypto.Amount, CreatedAt: isoMillis(s.start),
	}
	if s.side == "sell" {
		o.Type, o.SourceAsset, o.TargetAsset, o.TargetAmount = "WithdrawWithExchange", s.crypto.Currency, s.fiat.Currency, s.fiat.Amount
	}
	return o
}

// details answers with an array, also for one id. What an unknown id gives is
// not documented; an empty array here.
func (k *kuna) details(c *call) answer {
	var in struct{ ID string }
	if decode(c.body, &in) != nil || in.ID == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "INVALID_BODY")
	}
	s := c.find(events.Order, in.ID)
	if s == nil {
		ans := k.ok([]kunaOperation{})
		ans.class = ClassNotFound
		return ans
	}
	return k.ok([]kunaOperation{k.operation(s, c.state(s).word)})
}

type kunaFilter struct {
	Type, Status, WalletID, ExternalID, TargetAsset, SourceAsset, DateFrom, DateTo string
}

// find lists operations, the newest first, as the filter says.
func (k *kuna) find(c *call) answer {
	var f kunaFilter
	if len(c.body) > 0 && decode(c.body, &f) != nil {
		return k.no(http.StatusBadRequest, ClassBadRequest, "INVALID_BODY")
	}
	rows := []kunaOperation{}
	for i := len(k.a.placed) - 1; i >= 0; i-- {
		if s := k.a.placed[i]; s.kind == events.Order {
			if o := k.operation(s, s.stages[s.current(c.now)].word); f.fits(o) {
				rows = append(rows, o)
			}
		}
	}
	q := c.r.URL.Query()
	skip := min(number(q.Get("skip"), 0), len(rows))
	take := number(q.Get("take"), k.a.w.opt.PageSize)
	return k.ok(rows[skip:min(skip+take, len(rows))])
}

func (f kunaFilter) fits(o kunaOperation) bool {
	for _, x := range [...][2]string{
		{f.Type, o.Type}, {f.Status, o.Status}, {f.WalletID, o.WalletID}, {f.ExternalID, o.ExternalID},
		{f.TargetAsset, o.TargetAsset}, {f.SourceAsset, o.SourceAsset},
	} {
		if x[0] != "" && x[0] != x[1] {
			return false
		}
	}
	created, err := time.Parse(time.RFC3339, o.CreatedAt)
	if err != nil {
		return false
	}
	if from, err := time.Parse(time.RFC3339, f.DateFrom); err == nil && created.Before(from) {
		return false
	}
	to, err := time.Parse(time.RFC3339, f.DateTo)
	return err != nil || !created.After(to)
}

// kunaCustomer is the documented answer to customer/create.
type kunaCustomer struct {
	ID                 string `json:"id"`
	Email              string `json:"email"`
	WalletID           string `json:"walletId"`
	PhoneNumber        string `json:"phoneNumber"`
	FirstName          string `json:"firstName"`
	LastName           string `json:"lastName"`
	Comment            string `json:"comment"`
	ExternalID         string `json:"externalId"`
	CreatedAt          string `json:"createdAt"`
	ReferralID         string `json:"referralId"`
	VerificationStatus string `json:"verificationStatus"`
	WalletStatus       string `json:"walletStatus"`
}

func (k *kuna) person(s *subject, word string) answer {
	can := k.a.w.canaries
	verification, wallet, both := strings.Cut(word, "+")
	if !both {
		verification, wallet = "ACCEPTED", word
	}
	return k.ok(kunaCustomer{
		ID: s.key.ID, Email: can["email"], WalletID: s.walletID, PhoneNumber: can["phone"], FirstName: can["first"],
		LastName: can["last"], Comment: can["comment"], ExternalID: s.externalID, CreatedAt: isoMillis(s.start),
		ReferralID: s.dice().uuid("referral"), VerificationStatus: verification, WalletStatus: wallet,
	})
}

func (k *kuna) customer(c *call) answer {
	var in struct{ ID string }
	if decode(c.body, &in) != nil || in.ID == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "INVALID_BODY")
	}
	s := c.find(events.Customer, in.ID)
	if s == nil {
		return k.no(http.StatusNotFound, ClassNotFound, "CUSTOMER_NOT_FOUND")
	}
	return k.person(s, c.state(s).word)
}

func (k *kuna) createCustomer(c *call) answer {
	var in struct {
		Email, FirstName, LastName, Country, VerificationDocumentID, ResidenceAddress, ExternalID string
	}
	if decode(c.body, &in) != nil || in.Email == "" || in.FirstName == "" || in.LastName == "" || in.Country == "" ||
		in.VerificationDocumentID == "" || in.ResidenceAddress == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "INVALID_BODY")
	}
	s, err := k.a.place(events.Customer, OrderSpec{ExternalID: in.ExternalID})
	if err != nil {
		return k.no(http.StatusConflict, ClassBadRequest, "CONFLICT")
	}
	c.log.Subject = s.key.ID
	return k.person(s, s.stages[0].word)
}

type kunaRamp struct{ CustomerID, UserAgent string }

func (k *kuna) rampToken(c *call) answer {
	var in kunaRamp
	if decode(c.body, &in) != nil || in.CustomerID == "" || in.UserAgent == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "INVALID_BODY")
	}
	if c.find(events.Customer, in.CustomerID) == nil {
		return k.no(http.StatusNotFound, ClassNotFound, "CUSTOMER_NOT_FOUND")
	}
	return k.ok(struct {
		Token string `json:"token"`
	}{k.jwt("widget", c.now)})
}

func (k *kuna) invalidate(c *call) answer {
	var in kunaRamp
	if decode(c.body, &in) != nil || in.CustomerID == "" {
		return k.no(http.StatusBadRequest, ClassBadRequest, "INVALID_BODY")
	}
	if c.find(events.Customer, in.CustomerID) == nil {
		return k.no(http.StatusNotFound, ClassNotFound, "CUSTOMER_NOT_FOUND")
	}
	return k.ok(struct{}{})
}

// compose is the callback. Its body is not documented: the operation object,
// without a signature, so that a reader who believes it is found out.
func (k *kuna) compose(s *subject, n *notice, _ time.Time) *outgoing {
	o := k.operation(s, n.word)
	if n.has(FaultForged) {
		o.ID, o.Status = s.dice().uuid("forged"), "Completed"
	}
	body, err := marshal(o)
	if err != nil {
		return nil
	}
	return &outgoing{method: http.MethodPost, url: k.a.hookURL, body: body, header: http.Header{"Content-Type": {"application/json"}}}
}
