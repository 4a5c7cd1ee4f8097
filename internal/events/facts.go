package events

// Facts are the whitelisted fields of what a provider or merchant said about
// an order or a customer. Nothing outside this struct leaves a payload: no
// name, e-mail, phone, address, document, token or memo. Every field is
// optional; "" means not stated. Facts are comparable.
type Facts struct {
	FiatAmount       Amount // what the customer pays or receives, in FiatCurrency
	FiatCurrency     string // the provider's spelling, compared exactly
	CryptoAmount     Amount // in CryptoAsset
	CryptoAsset      string
	CryptoNetwork    string
	CryptoReceiveMin Amount // intents only: the least the merchant accepts
	Side             string // "buy" (fiat to crypto) or "sell"
	TxHash           string // transaction id on the chain
	CustomerID       string // the provider's or the merchant's opaque customer id
	MerchantRef      string // intents only: the merchant's own reference of the order
	CustomerRef      string // intents only: the merchant's own reference of the customer
	ExternalID       string // our id as the provider keeps it (Kuna externalId)

	// StatusInData is the status word of the payload where a webhook states its
	// status twice (Kado: type, and the order object in data).
	StatusInData string
	// FundsTaken is "true" where a failed order has already taken the
	// customer's money (Kado payment success, transfer failed), else "".
	FundsTaken string
	// ProviderCreatedAt is the provider's own creation time: shown, never ranked.
	ProviderCreatedAt Millis

	KYCLevel           string // Kado: L0, L1, L2
	DocsUploaded       string // Kado: "true", "false" or not stated
	VerificationStatus string // Kuna
	WalletStatus       string // Kuna: Active, Blocked, Suspicious
	WalletID           string // Kuna, Zumo
	// WalletAccounts is a JSON array of WalletAccount, compact, sorted by id,
	// so that equal sets are equal strings. See JoinWalletAccounts.
	WalletAccounts string
}

// WalletAccount is one blockchain account of a customer's wallet. Address is
// public ledger data; it is in the whitelist because a consumer of the
// customer state needs to know where the wallet is.
type WalletAccount struct {
	ID      string `json:"id"`
	Network string `json:"network,omitempty"`
	Coin    string `json:"coin,omitempty"`
	Symbol  string `json:"symbol,omitempty"`
	Address string `json:"address,omitempty"`
}
