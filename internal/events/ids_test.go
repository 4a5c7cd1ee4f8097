package events_test

import (
	"strings"
	"testing"

	"rampstream/internal/events"
)

// Digests stand in records and in other people's links: these never change.
func TestDigest_isFrozen(t *testing.T) {
	full := events.Facts{
		FiatAmount: "1", FiatCurrency: "2", CryptoAmount: "3", CryptoAsset: "4", CryptoNetwork: "5", CryptoReceiveMin: "6",
		Side: "7", TxHash: "8", CustomerID: "9", MerchantRef: "10", CustomerRef: "11", ExternalID: "12", StatusInData: "13",
		FundsTaken: "14", ProviderCreatedAt: 15, KYCLevel: "16", DocsUploaded: "17", VerificationStatus: "18",
		WalletStatus: "19", WalletID: "20", WalletAccounts: strings.Repeat("21", 400),
	}
	for _, tc := range []struct{ name, got, want string }{
		{"no parts", events.Digest(), "e3b0c44298fc1c149afbf4c8996fb924"},
		{"two parts", events.Digest("a", "bc"), "3fafa1cf2f19a7c1129beb20cf0983f7"},
		{"a long part", events.Digest("state", strings.Repeat("x", 1000)), "502d87315dc2613dda768f7ead6007b0"},
		{"no facts", (&events.Facts{}).Digest(), "f71092f56fe980a726d0bf403b1cd8b6"},
		{"all facts", full.Digest(), "9d78e58d46c3fe34b5f4a1f9ecd5e1fb"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: digest %s, want %s", tc.name, tc.got, tc.want)
		}
	}
}

func TestDigestBytes_isDigest(t *testing.T) {
	var room []byte
	var got string
	for _, parts := range [][]string{{}, {"a"}, {"a", ""}, {"state", strings.Repeat("x", 1000)}, {"b"}} {
		var raw [][]byte
		for _, p := range parts {
			raw = append(raw, []byte(p))
		}
		if got, room = events.DigestBytes(room, raw...); got != events.Digest(parts...) {
			t.Errorf("DigestBytes(%.20q) = %s, Digest = %s", parts, got, events.Digest(parts...))
		}
	}
}

func TestKey_named(t *testing.T) {
	order := events.Key{Provider: "kado", Account: "shop", ID: "o1"}
	customer := events.Key{Provider: "kado", Account: "shop", Kind: events.Customer, ID: "o1"}
	for _, k := range []events.Key{order, customer} {
		for _, name := range []string{order.String(), customer.String(), "", "kado", "kado/shop", "kado/shop/", "kado/shop/o", "kado/shop/o12", "kado/shopx/o1",
			"kado/shop/customer/", "kado/shop/customer/o", "/shop/o1"} {
			if got, want := events.Named(k, name), name == k.String(); got != want || events.Named(k, []byte(name)) != want {
				t.Errorf("Named(%s, %q) = %v, want %v", k, name, got, want)
			}
		}
	}
}
