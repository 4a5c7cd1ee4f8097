package codec

import "rampstream/internal/events"

// subjectWire are the key columns.
type subjectWire struct {
	Key       string          `avro:"key"`
	Provider  events.Provider `avro:"provider"`
	Account   events.Account  `avro:"account"`
	Subject   string          `avro:"subject"`
	SubjectID string          `avro:"subject_id"`
}

func subjectOf(k events.Key) subjectWire {
	return subjectWire{Key: k.String(), Provider: k.Provider, Account: k.Account, Subject: k.Kind.String(), SubjectID: k.ID}
}

// key reads the columns back; key and parts must agree.
func (w *subjectWire) key(f *faults) events.Key {
	k := events.Key{Provider: w.Provider, Account: w.Account, ID: w.SubjectID}
	switch w.Subject {
	case events.Order.String():
	case events.Customer.String():
		k.Kind = events.Customer
	default:
		f.add("subject", "not order or customer")
	}
	f.key(k)
	f.require(w.Key == k.String(), "key", "disagrees with its parts")
	return k
}

// factsWire are the fact columns. Which of them a record has is up to its
// schema: a column that the schema lacks is neither written nor read. Pointers
// of a value to be written point into the value itself.
type factsWire struct {
	FiatAmount         *events.Amount `avro:"fiat_amount"`
	FiatCurrency       *string        `avro:"fiat_currency"`
	CryptoAmount       *events.Amount `avro:"crypto_amount"`
	CryptoAsset        *string        `avro:"crypto_asset"`
	CryptoNetwork      *string        `avro:"crypto_network"`
	CryptoReceiveMin   *events.Amount `avro:"crypto_receive_min_amount"`
	Side               *string        `avro:"side"`
	TxHash             *string        `avro:"tx_hash"`
	CustomerID         *string        `avro:"customer_id"`
	MerchantRef        *string        `avro:"merchant_ref"`
	CustomerRef        *string        `avro:"customer_ref"`
	ExternalID         *string        `avro:"external_id"`
	StatusInData       *string        `avro:"status_in_data"`
	FundsTaken         *bool          `avro:"funds_taken"`
	ProviderCreatedAt  *events.Millis `avro:"provider_created_at"`
	KYCLevel           *string        `avro:"kyc_level"`
	DocsUploaded       *bool          `avro:"docs_uploaded"`
	VerificationStatus *string        `avro:"verification_status"`
	WalletStatus       *string        `avro:"wallet_status"`
	WalletID           *string        `avro:"wallet_id"`
}

func factsOf(x *events.Facts) factsWire {
	return factsWire{
		FiatAmount: opt(&x.FiatAmount), FiatCurrency: opt(&x.FiatCurrency),
		CryptoAmount: opt(&x.CryptoAmount), CryptoAsset: opt(&x.CryptoAsset), CryptoNetwork: opt(&x.CryptoNetwork),
		CryptoReceiveMin: opt(&x.CryptoReceiveMin), Side: opt(&x.Side), TxHash: opt(&x.TxHash),
		CustomerID: opt(&x.CustomerID), MerchantRef: opt(&x.MerchantRef), CustomerRef: opt(&x.CustomerRef),
		ExternalID: opt(&x.ExternalID), StatusInData: opt(&x.StatusInData), FundsTaken: optBool(x.FundsTaken),
		ProviderCreatedAt: opt(&x.ProviderCreatedAt), KYCLevel: opt(&x.KYCLevel), DocsUploaded: optBool(x.DocsUploaded),
		VerificationStatus: opt(&x.VerificationStatus), WalletStatus: opt(&x.WalletStatus), WalletID: opt(&x.WalletID),
	}
}

func (w *factsWire) facts() events.Facts {
	return events.Facts{
		FiatAmount: val(w.FiatAmount), FiatCurrency: val(w.FiatCurrency),
		CryptoAmount: val(w.CryptoAmount), CryptoAsset: val(w.CryptoAsset), CryptoNetwork: val(w.CryptoNetwork),
		CryptoReceiveMin: val(w.CryptoReceiveMin), Side: val(w.Side), TxHash: val(w.TxHash),
		CustomerID: val(w.CustomerID), MerchantRef: val(w.MerchantRef), CustomerRef: val(w.CustomerRef),
		ExternalID: val(w.ExternalID), StatusInData: val(w.StatusInData), FundsTaken: boolWord(w.FundsTaken),
		ProviderCreatedAt: val(w.ProviderCreatedAt), KYCLevel: val(w.KYCLevel), DocsUploaded: boolWord(w.DocsUploaded),
		VerificationStatus: val(w.VerificationStatus), WalletStatus: val(w.WalletStatus), WalletID: val(w.WalletID),
	}
}

// expectedWire are the columns of what an intent states, in states.
type expectedWire struct {
	FiatAmount       *events.Amount `avro:"expected_fiat_amount"`
	FiatCurrency     *string        `avro:"expected_fiat_currency"`
	CryptoAmount     *events.Amount `avro:"expected_crypto_amount"`
	CryptoAsset      *string        `avro:"expected_crypto_asset"`
	CryptoNetwork    *string        `avro:"expected_crypto_network"`
	CryptoReceiveMin *events.Amount `avro:"expected_crypto_receive_min_amount"`
	Side             *string        `avro:"expected_side"`
	CustomerID       *string        `avro:"expected_customer_id"`
	MerchantRef      *string        `avro:"expected_merchant_ref"`
	CustomerRef      *string        `avro:"expected_customer_ref"`
	ExternalID       *string        `avro:"expected_external_id"`
}

func expectedOf(x *events.Facts) expectedWire {
	return expectedWire{
		FiatAmount: opt(&x.FiatAmount), FiatCurrency: opt(&x.FiatCurrency),
		CryptoAmount: opt(&x.CryptoAmount), CryptoAsset: opt(&x.CryptoAsset), CryptoNetwork: opt(&x.CryptoNetwork),
		CryptoReceiveMin: opt(&x.CryptoReceiveMin), Side: opt(&x.Side), CustomerID: opt(&x.CustomerID),
		MerchantRef: opt(&x.MerchantRef), CustomerRef: opt(&x.CustomerRef), ExternalID: opt(&x.ExternalID),
	}
}

func (w *expectedWire) facts() events.Facts {
	return events.Facts{
		FiatAmount: val(w.FiatAmount), FiatCurrency: val(w.FiatCurrency),
		CryptoAmount: val(w.CryptoAmount), CryptoAsset: val(w.CryptoAsset), CryptoNetwork: val(w.CryptoNetwork),
		CryptoReceiveMin: val(w.CryptoReceiveMin), Side: val(w.Side), CustomerID: val(w.CustomerID),
		MerchantRef: val(w.MerchantRef), CustomerRef: val(w.CustomerRef), ExternalID: val(w.ExternalID),
	}
}

// stated keeps what an intent can state: the columns of its schema.
func stated(x events.Facts) events.Facts {
	w := expectedOf(&x)
	return w.facts()
}

// walletWire is one element of the array wallet_accounts.
type walletWire struct {
	ID      string  `avro:"id"`
	Network *string `avro:"network"`
	Coin    *string `avro:"coin"`
	Symbol  *string `avro:"symbol"`
	Address *string `avro:"address"`
}

func walletsOf(x *events.Facts) []walletWire {
	accounts := events.SplitWalletAccounts(x.WalletAccounts)
	if len(accounts) == 0 {
		return nil
	}
	out := make([]walletWire, len(accounts))
	for i := range accounts {
		a := &accounts[i]
		out[i] = walletWire{ID: a.ID, Network: opt(&a.Network), Coin: opt(&a.Coin), Symbol: opt(&a.Symbol), Address: opt(&a.Address)}
	}
	return out
}

func wallets(in []walletWire) string {
	if len(in) == 0 {
		return ""
	}
	out := make([]events.WalletAccount, len(in))
	for i, w := range in {
		out[i] = events.WalletAccount{ID: w.ID, Network: val(w.Network), Coin: val(w.Coin), Symbol: val(w.Symbol), Address: val(w.Address)}
	}
	return events.JoinWalletAccounts(out)
}

// facts checks every field of x.
func (f *faults) facts(x *events.Facts) {
	if *x == (events.Facts{}) {
		return
	}
	f.amount("fiat_amount", x.FiatAmount)
	f.amount("crypto_amount", x.CryptoAmount)
	f.amount("crypto_receive_min_amount", x.CryptoReceiveMin)
	f.at("provider_created_at", x.ProviderCreatedAt)
	f.require(x.FundsTaken == "" || x.FundsTaken == "true" || x.FundsTaken == "false", "funds_taken", "not true or false")
	f.require(x.DocsUploaded == "" || x.DocsUploaded == "true" || x.DocsUploaded == "false", "docs_uploaded", "not true or false")
	for _, t := range [...]struct{ name, s string }{
		{"fiat_currency", x.FiatCurrency}, {"crypto_asset", x.CryptoAsset}, {"crypto_network", x.CryptoNetwork},
		{"side", x.Side}, {"tx_hash", x.TxHash}, {"customer_id", x.CustomerID}, {"merchant_ref", x.MerchantRef},
		{"customer_ref", x.CustomerRef}, {"external_id", x.ExternalID}, {"status_in_data", x.StatusInData},
		{"kyc_level", x.KYCLevel}, {"verification_status", x.VerificationStatus}, {"wallet_status", x.WalletStatus},
		{"wallet_id", x.WalletID}, {"wallet_accounts", x.WalletAccounts},
	} {
		f.text(t.name, t.s)
	}
	if x.WalletAccounts != "" && events.JoinWalletAccounts(events.SplitWalletAccounts(x.WalletAccounts)) != x.WalletAccounts {
		f.add("wallet_accounts", "not in canonical form")
	}
}

// said checks the facts of a provider. What only intents state has no column in
// its records, and dropping it silently would be a loss.
func (f *faults) said(x *events.Facts) {
	f.facts(x)
	f.require(x.CryptoReceiveMin == "" && x.MerchantRef == "" && x.CustomerRef == "", "facts", "one that only an intent can state")
}

// opt is p, or nil when it points to an absent value.
func opt[T comparable](p *T) *T {
	var absent T
	if *p == absent {
		return nil
	}
	return p
}

// val is the value p points to; null and the empty string are both absent.
func val[T any](p *T) T {
	if p == nil {
		var absent T
		return absent
	}
	return *p
}

// yes and no are what written boolean columns point to; nobody writes to them.
var yes, no = true, false

func optBool(word string) *bool {
	switch word {
	case "true":
		return &yes
	case "false":
		return &no
	}
	return nil
}

func boolWord(p *bool) string {
	switch {
	case p == nil:
		return ""
	case *p:
		return "true"
	}
	return "false"
}
