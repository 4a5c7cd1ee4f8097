package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// order is what the shop knows of an order. ID is the id that the provider's
// webhooks carry, Ref the shop's own.
type order struct {
	Provider      string `json:"provider"`
	Account       string `json:"account"`
	ID            string `json:"order_id"`
	Ref           string `json:"merchant_ref"`
	FiatAmount    string `json:"fiat_amount"`
	FiatCurrency  string `json:"fiat_currency"`
	CryptoAmount  string `json:"crypto_amount"`
	CryptoAsset   string `json:"crypto_asset"`
	CryptoNetwork string `json:"crypto_network"`
	CryptoLeast   string `json:"crypto_receive_min_amount"`
	Side          string `json:"side"`
	CustomerID    string `json:"customer_id"`
	Revision      int64  `json:"revision"`
}

// key is the record key.
func (o order) key() string { return o.Provider + "/" + o.Account + "/" + o.ID }

// intent is the record as Avro sees it. What the shop does not know is null,
// which is never compared with what the provider says.
func (o order) intent(now time.Time) map[string]any {
	return map[string]any{
		"key": o.key(), "provider": o.Provider, "account": o.Account, "subject": "order", "subject_id": o.ID,
		// The same statement has the same id, however often it is published.
		"event_id": o.eventID(), "observed_at": now, "kind": "EXPECT",
		"revision": optional("long", o.Revision, o.Revision > 0), "source": optional("string", "merchant", true),
		"decision": nil, "operator": nil, "reason": nil, "customer_ref": nil, "external_id": nil,
		"fiat_amount": text(o.FiatAmount), "fiat_currency": text(o.FiatCurrency),
		"crypto_amount": text(o.CryptoAmount), "crypto_asset": text(o.CryptoAsset), "crypto_network": text(o.CryptoNetwork),
		"crypto_receive_min_amount": text(o.CryptoLeast), "side": text(o.Side), "customer_id": text(o.CustomerID), "merchant_ref": text(o.Ref),
	}
}

func (o order) eventID() string {
	text, err := json.Marshal(o)
	if err != nil { // a struct of strings always marshals
		text = fmt.Append(nil, o)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func text(s string) any { return optional("string", s, s != "") }

// optional is a value of the union ["null", kind] in goavro's form.
func optional(kind string, v any, stated bool) any {
	if !stated {
		return nil
	}
	return map[string]any{kind: v}
}
