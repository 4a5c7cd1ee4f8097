package events

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// EventID identifies what was said, not how often it was delivered: 32
// lower-case hexadecimal digits derived from content.
type EventID string

// Digest hashes parts with their lengths, so that no two lists of parts share
// a digest by concatenation. 128 bits of SHA-256, lower-case hexadecimal.
func Digest(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Digest is a content hash of the facts; equal facts have equal digests.
func (f Facts) Digest() string {
	var b strings.Builder
	for _, s := range f.strings() {
		b.WriteString(s)
		b.WriteByte(0)
	}
	return Digest("facts", b.String())
}

// strings lists every field, in a fixed order that is part of the digest.
func (f Facts) strings() []string {
	return []string{
		string(f.FiatAmount), f.FiatCurrency, string(f.CryptoAmount), f.CryptoAsset, f.CryptoNetwork,
		string(f.CryptoReceiveMin), f.Side, f.TxHash, f.CustomerID, f.MerchantRef, f.CustomerRef, f.ExternalID,
		f.StatusInData, f.FundsTaken, int64String(int64(f.ProviderCreatedAt)),
		f.KYCLevel, f.DocsUploaded, f.VerificationStatus, f.WalletStatus, f.WalletID, f.WalletAccounts,
	}
}

func int64String(n int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return hex.EncodeToString(b[:])
}

// JoinWalletAccounts is the canonical form that Facts.WalletAccounts holds:
// sorted by id, compact JSON; "" for none.
func JoinWalletAccounts(accounts []WalletAccount) string {
	if len(accounts) == 0 {
		return ""
	}
	sorted := slices.Clone(accounts)
	slices.SortFunc(sorted, func(a, b WalletAccount) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Network, b.Network), strings.Compare(a.Coin, b.Coin),
			strings.Compare(a.Symbol, b.Symbol), strings.Compare(a.Address, b.Address))
	})
	out, err := json.Marshal(sorted)
	if err != nil { // a struct of strings always marshals
		return ""
	}
	return string(out)
}

// SplitWalletAccounts is the inverse of JoinWalletAccounts. A string that it
// did not make gives no accounts.
func SplitWalletAccounts(s string) []WalletAccount {
	var out []WalletAccount
	if s == "" || json.Unmarshal([]byte(s), &out) != nil {
		return nil
	}
	return out
}
