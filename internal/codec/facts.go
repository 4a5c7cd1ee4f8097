package codec

import "rampstream/internal/events"

// facts checks every field of x.
func (f *faults) facts(x *events.Facts) {
	f.amount("fiat_amount", x.FiatAmount)
	f.text("fiat_currency", x.FiatCurrency)
	f.amount("crypto_amount", x.CryptoAmount)
	f.text("crypto_asset", x.CryptoAsset)
	f.text("crypto_network", x.CryptoNetwork)
	f.amount("crypto_receive_min_amount", x.CryptoReceiveMin)
	f.text("side", x.Side)
	f.text("tx_hash", x.TxHash)
	f.text("customer_id", x.CustomerID)
	f.text("merchant_ref", x.MerchantRef)
	f.text("customer_ref", x.CustomerRef)
	f.text("external_id", x.ExternalID)
	f.text("status_in_data", x.StatusInData)
	f.yesNo("funds_taken", x.FundsTaken)
	f.at("provider_created_at", x.ProviderCreatedAt)
	f.text("kyc_level", x.KYCLevel)
	f.yesNo("docs_uploaded", x.DocsUploaded)
	f.text("verification_status", x.VerificationStatus)
	f.text("wallet_status", x.WalletStatus)
	f.text("wallet_id", x.WalletID)
	if x.WalletAccounts != "" {
		f.walletAccounts(x.WalletAccounts)
	}
}

func (f *faults) walletAccounts(text string) {
	f.text("wallet_accounts", text)
	accounts := events.SplitWalletAccounts(text)
	f.items("wallet_accounts", len(accounts))
	f.require(events.JoinWalletAccounts(accounts) == text, "wallet_accounts", "not in canonical form")
}

// said checks the facts of a provider. What only intents state has no column in
// its records, and dropping it silently would be a loss.
func (f *faults) said(x *events.Facts) {
	f.facts(x)
	f.require(x.CryptoReceiveMin == "" && x.MerchantRef == "" && x.CustomerRef == "", "facts", "one that only an intent can state")
}

// stated checks the facts of an intent, which has no column for any other.
func (f *faults) stated(x *events.Facts) {
	f.facts(x)
	f.require(*x == (events.Facts{
		FiatAmount: x.FiatAmount, FiatCurrency: x.FiatCurrency,
		CryptoAmount: x.CryptoAmount, CryptoAsset: x.CryptoAsset, CryptoNetwork: x.CryptoNetwork,
		CryptoReceiveMin: x.CryptoReceiveMin, Side: x.Side, CustomerID: x.CustomerID,
		MerchantRef: x.MerchantRef, CustomerRef: x.CustomerRef, ExternalID: x.ExternalID,
	}), "facts", "one that an intent cannot state")
}
