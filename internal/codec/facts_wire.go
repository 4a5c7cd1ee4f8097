package codec

import "rampstream/internal/events"

// The wire structs are what the Avro library decodes into. Values written with
// another version of a schema take this way: the library resolves that version
// to ours, whatever fields it had and in whatever order.

// subjectWire are the key columns.
type subjectWire struct {
	Key       string `avro:"key"`
	Provider  string `avro:"provider"`
	Account   string `avro:"account"`
	Subject   string `avro:"subject"`
	SubjectID string `avro:"subject_id"`
}

func (w *subjectWire) key(f *faults) events.Key {
	return keyOf(f, w.Key, w.Provider, w.Account, w.Subject, w.SubjectID)
}

// factsWire are the fact columns. Which of them a record has is up to its
// schema: a column that the schema lacks is not read.
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

func (w *expectedWire) facts() events.Facts {
	return events.Facts{
		FiatAmount: val(w.FiatAmount), FiatCurrency: val(w.FiatCurrency),
		CryptoAmount: val(w.CryptoAmount), CryptoAsset: val(w.CryptoAsset), CryptoNetwork: val(w.CryptoNetwork),
		CryptoReceiveMin: val(w.CryptoReceiveMin), Side: val(w.Side), CustomerID: val(w.CustomerID),
		MerchantRef: val(w.MerchantRef), CustomerRef: val(w.CustomerRef), ExternalID: val(w.ExternalID),
	}
}

// walletWire is one element of the array wallet_accounts.
type walletWire struct {
	ID      string  `avro:"id"`
	Network *string `avro:"network"`
	Coin    *string `avro:"coin"`
	Symbol  *string `avro:"symbol"`
	Address *string `avro:"address"`
}

func wallets(in []walletWire) string {
	out := make([]events.WalletAccount, len(in))
	for i, w := range in {
		out[i] = events.WalletAccount{ID: w.ID, Network: val(w.Network), Coin: val(w.Coin), Symbol: val(w.Symbol), Address: val(w.Address)}
	}
	return events.JoinWalletAccounts(out)
}

// val is the value p points to; null and the empty string are both absent.
func val[T any](p *T) T {
	if p == nil {
		var absent T
		return absent
	}
	return *p
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
