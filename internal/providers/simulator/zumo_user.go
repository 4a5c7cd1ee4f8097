package simulator

import (
	"net/http"
	"strconv"
	"time"
)

// zumoUser is the user object of the API.
type zumoUser struct {
	ID         string `json:"id"`
	CreatedAt  string `json:"createdAt"`
	ModifiedAt string `json:"modifiedAt"`
	AppUserID  string `json:"appUserId"`
	Synced     bool   `json:"synced"`
	Wallet     any    `json:"wallet"` // {} until the user makes one
}

type zumoWallet struct {
	ID         string        `json:"id"`
	CreatedAt  string        `json:"createdAt"`
	ModifiedAt string        `json:"modifiedAt"`
	Accounts   []zumoAccount `json:"accounts"`
}

type zumoAccount struct {
	ID         string `json:"id"`
	CreatedAt  string `json:"createdAt"`
	ModifiedAt string `json:"modifiedAt"`
	Network    string `json:"network"`
	Address    string `json:"address"`
	Path       string `json:"path"`
	Coin       string `json:"coin"`
	Symbol     string `json:"symbol"`
	Version    string `json:"version"`
}

// object is the user as it stands in a stage.
func (z *zumo) object(s *subject, at int) zumoUser {
	d := s.dice()
	u := zumoUser{
		ID: d.uuid("zumo id"), CreatedAt: isoMillis(s.start), ModifiedAt: isoMillis(s.start.Add(s.stages[at].at)),
		AppUserID: s.key.ID, Synced: s.synced, Wallet: struct{}{},
	}
	if s.stages[at].count == 0 {
		return u
	}
	w := zumoWallet{ID: s.walletID, CreatedAt: u.CreatedAt, ModifiedAt: u.ModifiedAt, Accounts: []zumoAccount{}}
	for i := range s.stages[at].count {
		n := strconv.Itoa(i)
		coin := [...]string{"ETH", "BTC"}[i%2]
		w.Accounts = append(w.Accounts, zumoAccount{
			ID: d.uuid("account " + n), CreatedAt: u.CreatedAt, ModifiedAt: u.CreatedAt, Network: "TESTNET",
			Address: "0x" + d.hex("address "+n, 40), Path: "m/44'/60'/0'/0/" + n, Coin: coin, Symbol: coin, Version: "1",
		})
	}
	u.Wallet = w
	return u
}

// zumoEvent is the documented webhook, its sample repaired to valid JSON.
type zumoEvent struct {
	EventType   string      `json:"eventType"`
	SubjectType string      `json:"subjectType"`
	Subject     zumoSubject `json:"subject"`
}

type zumoSubject struct {
	AppUserID string       `json:"appUserId"`
	CreatedAt string       `json:"createdAt"`
	UpdatedAt string       `json:"updatedAt"`
	Wallet    zumoAccounts `json:"wallet"`
}

type zumoAccounts struct {
	Accounts []zumoVersion `json:"accounts"`
}

// zumoVersion is an account in a webhook: no address, and times without a zone.
type zumoVersion struct {
	ID        string `json:"id"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
}

func (z *zumo) compose(s *subject, n *notice, _ time.Time) *outgoing {
	if n.claim >= len(s.stages) || s.stages[n.claim].count == 0 {
		return nil // deleted before its wallet was told of
	}
	created := s.start.UTC().Format(time.DateTime)
	e := zumoEvent{EventType: n.word, SubjectType: "appUser", Subject: zumoSubject{
		AppUserID: s.key.ID, CreatedAt: created,
		UpdatedAt: s.start.Add(s.stages[n.claim].at).UTC().Format(time.DateTime),
	}}
	for i := range s.stages[n.claim].count {
		e.Subject.Wallet.Accounts = append(e.Subject.Wallet.Accounts,
			zumoVersion{s.dice().uuid("account " + strconv.Itoa(i)), created, created})
	}
	body, err := marshal(e)
	if err != nil {
		return nil
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if z.creds.Signing != nil {
		name, value := z.creds.Signing.sign(body, n.has(FaultBadSignature))
		h[name] = []string{value}
	}
	return &outgoing{method: http.MethodPost, url: z.a.hookURL, body: body, header: h}
}
