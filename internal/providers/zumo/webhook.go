package zumo

import (
	"encoding/hex"
	"slices"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// accountsUpdated is the one documented event type.
const accountsUpdated = "appUser.wallet.accounts.updated"

// parser reads webhooks; verify is nil where the account says trust: hint.
type parser struct {
	account events.Account
	token   providers.PathToken
	verify  *verifier
	// appSecret is for ExplainWebhook alone: nothing is believed by it.
	appSecret providers.Secret
}

func newParser(a providers.Account) (*parser, error) {
	p := &parser{account: a.Account, token: providers.NewPathToken(a.Webhook.PathToken), appSecret: a.API.AppSecret}
	if a.Webhook.Algorithm == "" {
		return p, nil
	}
	v, err := newVerifier(a.Webhook)
	if err != nil {
		return nil, err
	}
	p.verify = v
	return p, nil
}

// ParseWebhook reads a delivery about an app user. Without a configured scheme
// it takes the user's id and nothing else: a hint, reason "unconfigured", and
// what cannot be read is ErrBadRequest. With one, the body is read after its
// bytes are verified, and what cannot be read is ErrMalformed.
func (p *parser) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	if err := p.token.Check(d); err != nil {
		return events.Webhook{}, err
	}
	var proof verified
	unreadable := providers.ErrBadRequest
	if p.verify != nil {
		var err error
		if proof, err = p.verify.check(d); err != nil {
			return events.Webhook{}, err
		}
		unreadable = providers.ErrMalformed
	} else if len(d.Header["Content-Type"]) > 1 || len(d.Header["Content-Encoding"]) > 0 {
		return events.Webhook{}, providers.Refuse(providers.ErrUnsupportedMedia, "media_type", "")
	}
	if len(d.Body) == 0 {
		return events.Webhook{}, providers.Refuse(unreadable, "empty_body", "")
	}
	body, err := jsonx.Parse(d.Body)
	if err != nil {
		return events.Webhook{}, providers.Refuse(unreadable, providers.JSONReason(err), err.Error())
	}
	key, reason := p.key(body)
	if reason != "" {
		return events.Webhook{}, providers.Refuse(unreadable, reason, "subject.appUserId")
	}
	if p.verify == nil {
		return providers.Hint(key, d, "unconfigured"), nil
	}
	return signed(key, d, body, proof)
}

// key names the customer; the reason is "" when it can be named.
func (p *parser) key(body jsonx.Value) (events.Key, providers.Reason) {
	v := body.At("subject", "appUserId")
	id, ok := v.Text()
	switch {
	case v.Kind() == jsonx.Absent || v.IsNull():
		return events.Key{}, "no_order_id"
	case !ok || !validID(id):
		return events.Key{}, "bad_id"
	}
	return events.Key{Provider: Name, Account: p.account, Kind: events.Customer, ID: id}, ""
}

// validID reports whether id can be a part of a key and of a path: the two
// names of directories would turn /app-users/{id}/ into another address.
func validID(id string) bool {
	return events.ValidPart(id) && id != "." && id != ".."
}

// signed says what a verified delivery means. Its accounts have ids only, so
// they are counted and not kept: the answer of the API has the addresses, and
// half a list must not stand where the whole one could.
func signed(key events.Key, d providers.Delivery, body jsonx.Value, proof verified) (events.Webhook, error) {
	eventType, ok := body.Get("eventType").Text()
	if !ok || !providers.IsWord(eventType, maxWord) {
		return events.Webhook{}, providers.Refuse(providers.ErrMalformed, "unknown_shape", "eventType")
	}
	subject := body.Get("subject")
	accounts, ok := accountsOf(subject.Get("wallet"))
	if !ok && eventType == accountsUpdated {
		return events.Webhook{}, providers.Refuse(providers.ErrMalformed, "unknown_shape", "subject.wallet")
	}
	raw := eventType // another event is kept under its own name, and means nothing yet
	switch eventType {
	case accountsUpdated:
		raw = statusWord(len(accounts))
	case wordCreated, wordProvisioned: // these words are ours, and mean something
		raw = "event:" + eventType
	}
	w := events.Webhook{
		Key:        key,
		ObservedAt: d.ReceivedAt,
		Trust:      events.TrustSigned,
		EventType:  eventType,
		StatusRaw:  raw,
		BodyDigest: providers.BodyDigest(d.Body),
		Scheme:     proof.scheme,
		Facts:      events.Facts{ProviderCreatedAt: instant(subject.Get("createdAt"))},
	}
	if id, ok := subject.At("wallet", "id").Text(); ok && providers.IsWord(id, maxWord) {
		w.Facts.WalletID = id
	}
	w.Status = customerStatus(raw)
	parts := []string{"zumo webhook", key.String(), eventType, subject.Get("updatedAt").WTF8(), hex.EncodeToString(proof.signature)}
	w.EventID = events.EventID(events.Digest(append(parts, versions(accounts)...)...))
	return w, nil
}

// accountsOf is the list of a wallet, none where there is no wallet or no list; ok is
// false for another shape, which does not say how many there are.
func accountsOf(wallet jsonx.Value) (list []jsonx.Value, ok bool) {
	none := func(v jsonx.Value) bool { return v.Kind() == jsonx.Absent || v.IsNull() }
	accounts := wallet.Get("accounts")
	switch {
	case none(wallet), wallet.Kind() == jsonx.Object && none(accounts):
		return nil, true
	case accounts.Kind() == jsonx.Array:
		return accounts.Items(), true
	}
	return nil, false
}

// versions are the accounts' ids and times in an order that does not depend on
// the delivery's.
func versions(accounts []jsonx.Value) []string {
	var out []string
	for _, a := range accounts {
		out = append(out, a.Get("id").WTF8()+"\x00"+a.Get("updatedAt").WTF8())
	}
	slices.Sort(out)
	return out
}

func statusWord(accounts int) string {
	if accounts > 0 {
		return wordProvisioned
	}
	return wordCreated
}

func customerStatus(raw string) events.Status {
	w, _ := vocabulary(providers.Account{}).Meaning(events.Customer, raw)
	return w.Status
}

// instant reads both spellings of a time: RFC 3339, and one without a zone,
// which is taken as UTC. That is our assumption, so such a time is shown and
// never compared. Absent when it is neither.
func instant(v jsonx.Value) events.Millis {
	s, _ := v.Text()
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if t, err := time.Parse(layout, s); err == nil {
			return events.At(t)
		}
	}
	return 0
}

// maxWord bounds a word or id in a record, in bytes.
const maxWord = 128

// listed are the members of the document's sample, and of a user of the API.
var listed = providers.Listed(
	"eventType", "subjectType", "subject", "id", "appUserId", "createdAt", "updatedAt", "modifiedAt", "synced", "wallet", "accounts", "network",
	"address", "path", "coin", "symbol", "version",
)

// UnlistedFields implements providers.FieldWatcher.
func (p *parser) UnlistedFields(body []byte) []string { return providers.UnlistedFields(body, listed) }
