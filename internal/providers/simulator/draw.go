package simulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
)

// sha256New and sha512New name the hashes that the documents use.
var (
	sha256New = sha256.New
	sha512New = sha512.New
)

func mac(h func() hash.Hash, key, message string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(message))
	return m.Sum(nil)
}

func hexMAC(h func() hash.Hash, key, message string) string {
	return hex.EncodeToString(mac(h, key, message))
}

// sameText compares without telling how far two texts agree.
func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// isoMillis is how the documents write times: 2020-04-15T13:30:55.570Z.
func isoMillis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// assets are what orders are about when a spec does not say.
var assets = [...]struct{ asset, network string }{
	{"ETH", "ethereum"}, {"USDC", "polygon"}, {"BTC", "bitcoin"}, {"XRP", "ripple"},
}

// drawMoney fills what a spec left open: 20 to 2000 of fiat with two places,
// and crypto with six. A customer has no money.
func (s *subject) drawMoney(d dice) {
	if s.kind == events.Customer {
		return
	}
	pick := assets[d.below("asset", 0, len(assets))]
	if s.fiat.Amount == "" {
		cents := 2000 + d.below("fiat", 0, 198_000)
		s.fiat.Amount = decimal(cents, 2)
	}
	if s.fiat.Currency == "" {
		s.fiat.Currency = [...]string{"USD", "EUR"}[d.below("currency", 0, 2)]
	}
	if s.crypto.Amount == "" {
		s.crypto.Amount = decimal(1000+d.below("crypto", 0, 5_000_000), 6)
	}
	if s.crypto.Currency == "" {
		s.crypto.Currency = pick.asset
		if s.network == "" {
			s.network = pick.network
		}
	}
	if s.network == "" {
		s.network = "ethereum"
	}
	if s.side == "" {
		s.side = "buy"
	}
	s.meantFiat, s.meant = s.fiat, s.crypto
}

// decimal writes n over 10^places, all places given.
func decimal(n, places int) string {
	digits := strconv.Itoa(n)
	if pad := places + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	return digits[:len(digits)-places] + "." + digits[len(digits)-places:]
}

func multipartOf(c *call) (*multipart.Reader, error) {
	_, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	return multipart.NewReader(bytes.NewReader(c.body), params["boundary"]), nil
}

func readPart(r io.Reader) string {
	b, err := io.ReadAll(io.LimitReader(r, 1024))
	if err != nil {
		return ""
	}
	return string(b)
}
