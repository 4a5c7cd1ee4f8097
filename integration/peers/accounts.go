package peers

import (
	"strconv"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Account is the account name of every provider.
const Account events.Account = "peer"

// Accounts is the configuration that reaches the peers. The two dialects differ
// in it and in nothing else.
func (p *Peers) Accounts() []providers.Account {
	accounts := p.document()
	if p.Dialect == Other {
		for i := range accounts {
			other[accounts[i].Provider](&accounts[i], p)
		}
	}
	return accounts
}

// document has the settings that every account needs, and no more.
func (p *Peers) document() []providers.Account {
	c := p.Credentials
	api := func(name events.Provider) providers.API {
		return providers.API{BaseURL: p.URL(name), AllowInsecure: true}
	}
	kado, kanga, koinal, kuna, zumo := api("kado"), api("kanga"), api("koinal"), api("kuna"), api("zumo")
	kado.PublicKey, kado.PrivateKey, kado.WidgetID = c.Kado.PublicKey, providers.Secret(c.Kado.PrivateKey), c.Kado.WidgetID
	kado.Paths = map[string]string{"kyc_by_user_ref": "/v1/partner/kyc/ref/{userRef}"}
	kanga.PublicKey, kanga.PrivateKey = c.Kanga.AppID, providers.Secret(c.Kanga.Secret)
	kanga.Paths = map[string]string{"payment_page": p.URL("kanga") + "/tpg/payment/"}
	koinal.MerchantCode, koinal.CustomerRef, koinal.PrivateKey = strconv.Itoa(c.Koinal.MerchantCode), "shop-x", providers.Secret(c.Koinal.Secret)
	kuna.MerchantID, kuna.Login, kuna.Password = c.Kuna.MerchantID, c.Kuna.Login, providers.Secret(c.Kuna.Password)
	kuna.Paths = map[string]string{"widget": p.URL("kuna") + "/widget/"}
	zumo.BaseURL += "/v1"
	zumo.AppID, zumo.AppSecret = c.Zumo.AppID, providers.Secret(c.Zumo.AppSecret)
	hint := providers.Webhook{Trust: "hint"}
	return []providers.Account{
		{Provider: "kado", Account: Account, API: kado, Webhook: providers.Webhook{PublicKey: c.Kado.PublicKey, Secrets: []providers.Secret{KadoSecret}}},
		{Provider: "kanga", Account: Account, API: kanga, Webhook: hint},
		{Provider: "koinal", Account: Account, API: koinal, Webhook: providers.Webhook{Secrets: []providers.Secret{providers.Secret(c.Koinal.CallbackSecret)}}},
		{Provider: "kuna", Account: Account, API: kuna, Webhook: hint},
		{Provider: "zumo", Account: Account, API: zumo, Webhook: providers.Webhook{Algorithm: "hmac-sha256", Secrets: []providers.Secret{providers.Secret(c.Zumo.WebhookSecret)}}},
	}
}

// KadoSecret is the webhookSecret to register with Kado.
const KadoSecret providers.Secret = "peers-webhook-secret-0001"

// other are the settings that the other dialect needs beyond.
var other = map[events.Provider]func(*providers.Account, *Peers){
	"kado": func(a *providers.Account, _ *Peers) { a.Webhook.Reading = "raw" },
	"kanga": func(a *providers.Account, _ *Peers) {
		a.API.Paths["price_estimate"], a.API.Paths["test"] = "/gateway/tpg/price/estimate", "/gateway/v2/test"
		a.API.Paths["create_payment"], a.API.Paths["transaction"] = "/gateway/v2/tpg/create/payment", "/gateway/v2/tpg/transaction"
		a.API.Statuses = map[string]string{"RETURNED": "REFUNDED"}
		a.Webhook.Strict, a.Webhook.Reading = true, "post"
	},
	"koinal": func(a *providers.Account, _ *Peers) {
		order := map[string]string{
			"id": "order.number", "status": "order.state", "currency_amount": "totalFiat", "currency": "fiatCode", "cryptocurrency_amount": "amount",
			"cryptocurrency": "coin", "transaction_id": "txid",
		}
		a.Webhook.Header, a.Webhook.Reading, a.Webhook.Fields = "Koinal-Callback-Sign", "b", order
		a.API.Paths = map[string]string{"quote": "/api/checkout/get-quote", "order": "PUT /api/checkout/create", "status": "POST /api/checkout/{id}/status"}
		a.API.Statuses, a.API.AuthHeader = map[string]string{"Settled": "COMPLETED"}, "X-Authorization-Hash"
		a.API.Fields = map[string]string{
			"id": "order.number", "status": "order.state", "status_currency_amount": "totalFiat", "status_currency": "fiatCode",
			"status_cryptocurrency_amount": "amount", "status_cryptocurrency": "coin", "transaction_id": "txid", "token_header": "Quote-Token", "wallet_address": "walletAddress",
			"destination_tag": "xrpTag", "ip_address": "customerIp", "checkout_url": "redirect.to", "timestamp_unit": "s", "auth_scheme": "Hash",
		}
	},
	"kuna": func(a *providers.Account, p *Peers) {
		a.API.MerchantID, a.API.Login, a.API.Password = "", "", ""
		a.API.APIKey, a.API.AuthHeader = providers.Secret(p.Credentials.Kuna.APIKey), "X-Kuna-Key"
		a.API.Paths = map[string]string{
			"operation_details": "/core/v3/operation", "operation_find": "PUT /core/v3/operations", "customer_create": "/core/v3/customer",
			"customer_details": "/core/v3/customer/one", "ramp_token": "PUT /core/v3/widget", "ramp_invalidate": "DELETE /core/v3/widget",
			"widget": p.URL("kuna") + "/widget/",
		}
		a.API.Fields = map[string]string{
			"id": "uuid", "status": "state", "token": "refreshToken", "skip": "offset", "take": "limit", "verificationStatus": "kycState",
			"walletStatus": "walletState", "dateFrom": "createdAfter", "sourceAmount": "paidAmount",
		}
		a.API.Statuses = map[string]string{"Returned": "REFUNDED"}
		a.Webhook.Fields = map[string]string{"id": "operation.uuid"}
	},
	"zumo": func(a *providers.Account, _ *Peers) {
		a.Webhook.Algorithm, a.Webhook.Encoding, a.Webhook.Header, a.Webhook.Prefix = "hmac-sha512", "base64", "X-Zumo-Signature", "v1="
		a.API.Fields = map[string]string{"app_id": "appUserId", "expires_unit": "ms", "limit": "pageSize", "offset": "startAt"}
	},
}
