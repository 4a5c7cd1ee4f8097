package codec

import "rampstream/internal/events"

// The fact columns stand in runs that several records share.

// appendSubject writes the key columns, key first. x has been checked.
func appendSubject(b []byte, k *events.Key) []byte {
	n := len(k.Provider) + 1 + len(k.Account) + 1 + len(k.ID)
	if k.Kind == events.Customer {
		n += len("customer/")
	}
	b = appendLong(b, int64(n))
	b = append(append(b, k.Provider...), '/')
	b = append(append(b, k.Account...), '/')
	if k.Kind == events.Customer {
		b = append(b, "customer/"...)
	}
	b = append(b, k.ID...)
	b = appendText(b, string(k.Provider))
	b = appendText(b, string(k.Account))
	b = appendText(b, k.Kind.String())
	return appendText(b, k.ID)
}

func (r *reader) readSubject() events.Key {
	key, provider, account, subject, id := r.text(), r.text(), r.text(), r.text(), r.text()
	return keyOf(&r.faults, key, provider, account, subject, id)
}

// appendMoney writes what every record with amounts begins its facts with.
func appendMoney(b []byte, x *events.Facts) []byte {
	b = appendOptText(b, string(x.FiatAmount))
	b = appendOptText(b, x.FiatCurrency)
	b = appendOptText(b, string(x.CryptoAmount))
	b = appendOptText(b, x.CryptoAsset)
	return appendOptText(b, x.CryptoNetwork)
}

func (r *reader) readMoney(x *events.Facts) {
	r.optText((*string)(&x.FiatAmount))
	r.optText(&x.FiatCurrency)
	r.optText((*string)(&x.CryptoAmount))
	r.optText(&x.CryptoAsset)
	r.optText(&x.CryptoNetwork)
}

// appendCustomer writes the facts that only customers have, and the wallet.
func appendCustomer(b []byte, x *events.Facts) []byte {
	b = appendOptText(b, x.KYCLevel)
	b = appendOptBool(b, x.DocsUploaded)
	b = appendOptText(b, x.VerificationStatus)
	b = appendOptText(b, x.WalletStatus)
	return appendOptText(b, x.WalletID)
}

func (r *reader) readCustomer(x *events.Facts) {
	if r.nulls(5) {
		return
	}
	r.optText(&x.KYCLevel)
	x.DocsUploaded = r.optBool()
	r.optText(&x.VerificationStatus)
	r.optText(&x.WalletStatus)
	r.optText(&x.WalletID)
}

// appendSaid writes the facts of Webhook and StatusCheck.
func appendSaid(b []byte, x *events.Facts) []byte {
	b = appendMoney(b, x)
	b = appendOptText(b, x.Side)
	b = appendOptText(b, x.TxHash)
	b = appendOptText(b, x.CustomerID)
	b = appendOptText(b, x.ExternalID)
	b = appendOptText(b, x.StatusInData)
	b = appendOptBool(b, x.FundsTaken)
	b = appendOptLong(b, int64(x.ProviderCreatedAt))
	b = appendCustomer(b, x)
	return appendWallets(b, x.WalletAccounts)
}

func (r *reader) readSaid(x *events.Facts) {
	r.readMoney(x)
	if !r.nulls(7) {
		r.optText(&x.Side)
		r.optText(&x.TxHash)
		r.optText(&x.CustomerID)
		r.optText(&x.ExternalID)
		r.optText(&x.StatusInData)
		x.FundsTaken = r.optBool()
		x.ProviderCreatedAt = events.Millis(r.optLong())
	}
	r.readCustomer(x)
	x.WalletAccounts = r.readWallets()
}

// appendStated writes the facts of Intent, and what an order's state expects.
func appendStated(b []byte, x *events.Facts) []byte {
	b = appendMoney(b, x)
	b = appendOptText(b, string(x.CryptoReceiveMin))
	b = appendOptText(b, x.Side)
	b = appendOptText(b, x.CustomerID)
	b = appendOptText(b, x.MerchantRef)
	b = appendOptText(b, x.CustomerRef)
	return appendOptText(b, x.ExternalID)
}

func (r *reader) readStated(x *events.Facts) {
	if r.nulls(11) { // nobody stated anything
		return
	}
	r.readMoney(x)
	r.optText((*string)(&x.CryptoReceiveMin))
	r.optText(&x.Side)
	r.optText(&x.CustomerID)
	r.optText(&x.MerchantRef)
	r.optText(&x.CustomerRef)
	r.optText(&x.ExternalID)
}

// appendOrder writes the facts that the state of an order and a row of evidence
// have.
func appendOrder(b []byte, x *events.Facts) []byte {
	b = appendMoney(b, x)
	b = appendOptText(b, string(x.CryptoReceiveMin))
	b = appendOptText(b, x.Side)
	b = appendOptText(b, x.TxHash)
	b = appendOptText(b, x.CustomerID)
	b = appendOptText(b, x.MerchantRef)
	b = appendOptText(b, x.CustomerRef)
	b = appendOptText(b, x.ExternalID)
	b = appendOptText(b, x.StatusInData)
	b = appendOptBool(b, x.FundsTaken)
	return appendOptLong(b, int64(x.ProviderCreatedAt))
}

func (r *reader) readOrder(x *events.Facts) {
	r.readMoney(x)
	if r.nulls(10) {
		return
	}
	r.optText((*string)(&x.CryptoReceiveMin))
	r.optText(&x.Side)
	r.optText(&x.TxHash)
	r.optText(&x.CustomerID)
	r.optText(&x.MerchantRef)
	r.optText(&x.CustomerRef)
	r.optText(&x.ExternalID)
	r.optText(&x.StatusInData)
	x.FundsTaken = r.optBool()
	x.ProviderCreatedAt = events.Millis(r.optLong())
}

// appendWallets writes the array wallet_accounts of what a fact holds as JSON.
func appendWallets(b []byte, text string) []byte {
	if text != "" {
		accounts := events.SplitWalletAccounts(text)
		b = appendCount(b, len(accounts))
		for i := range accounts {
			a := &accounts[i]
			b = appendText(b, a.ID)
			b = appendOptText(b, a.Network)
			b = appendOptText(b, a.Coin)
			b = appendOptText(b, a.Symbol)
			b = appendOptText(b, a.Address)
		}
	}
	return appendCount(b, 0)
}

func (r *reader) readWallets() string {
	const least = 5 // an empty id and four nulls
	var out []events.WalletAccount
	var seen blocks
	for n := r.block(&seen, least); n > 0; n = r.block(&seen, least) {
		for ; n > 0; n-- {
			a := events.WalletAccount{ID: r.text()}
			r.optText(&a.Network)
			r.optText(&a.Coin)
			r.optText(&a.Symbol)
			r.optText(&a.Address)
			out = append(out, a)
		}
	}
	if r.err != nil {
		return ""
	}
	return events.JoinWalletAccounts(out)
}
