package events

import (
	"bytes"
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
	var room [256]byte // on the stack: enough for most
	b := room[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return hash128(b)
}

// DigestBytes is Digest of parts that are bytes. room is memory to work in, and
// is returned, perhaps grown, for the next call.
func DigestBytes(room []byte, parts ...[]byte) (digest string, again []byte) {
	room = room[:0]
	for _, p := range parts {
		room = binary.BigEndian.AppendUint64(room, uint64(len(p)))
		room = append(room, p...)
	}
	return hash128(room), room
}

func hash128(b []byte) string {
	sum := sha256.Sum256(b)
	var text [32]byte
	hex.Encode(text[:], sum[:16])
	return string(text[:])
}

// Digest is a content hash of the facts; equal facts have equal digests.
func (f *Facts) Digest() string {
	const head = "facts"
	var room [512]byte
	b := binary.BigEndian.AppendUint64(room[:0], uint64(len(head)))
	b = append(b, head...)
	at := len(b)
	b = f.appendTo(append(b, make([]byte, 8)...)) // the length of the text comes last
	binary.BigEndian.PutUint64(b[at:], uint64(len(b)-at-8))
	return hash128(b)
}

// appendTo appends every field and a zero byte each, in an order that is part of
// the digest. A zero byte within a text becomes 0xFF, which UTF-8 does not have:
// else two facts could be one text.
func (f *Facts) appendTo(b []byte) []byte {
	for _, s := range [...]string{
		string(f.FiatAmount), f.FiatCurrency, string(f.CryptoAmount), f.CryptoAsset, f.CryptoNetwork,
		string(f.CryptoReceiveMin), f.Side, f.TxHash, f.CustomerID, f.MerchantRef, f.CustomerRef, f.ExternalID,
		f.StatusInData, f.FundsTaken,
	} {
		b = appendField(b, s)
	}
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(f.ProviderCreatedAt))
	b = append(hex.AppendEncode(b, n[:]), 0)
	for _, s := range [...]string{f.KYCLevel, f.DocsUploaded, f.VerificationStatus, f.WalletStatus, f.WalletID, f.WalletAccounts} {
		b = appendField(b, s)
	}
	return b
}

func appendField(b []byte, s string) []byte {
	if s == "" {
		return append(b, 0)
	}
	at := len(b)
	b = append(b, s...)
	for i := bytes.IndexByte(b[at:], 0); i >= 0; i = bytes.IndexByte(b[at:], 0) {
		b[at+i] = 0xFF
	}
	return append(b, 0)
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
