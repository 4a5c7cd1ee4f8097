package zumo

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"net/textproto"
	"strings"

	"rampstream/internal/providers"
)

// defaultHeader is the one thing that the document says about the signature.
const defaultHeader = "X-Signature"

// algorithms and encodings are the values that the configuration may name.
// None is documented.
var (
	algorithms = map[string]func() hash.Hash{"hmac-sha256": sha256.New, "hmac-sha512": sha512.New}
	encodings  = map[string]func(string) ([]byte, bool){"hex": decodeHex, "base64": decodeBase64}
)

// verifier checks a configured signature over the bytes of the body.
type verifier struct {
	algorithm string
	encoding  string
	header    string // canonical
	prefix    string
	decode    func(string) ([]byte, bool)
	hash      func() hash.Hash
	secrets   [][]byte
}

// newVerifier builds the configured scheme. An empty secret is an error: a
// signature under it is anybody's.
func newVerifier(w providers.Webhook) (*verifier, error) {
	v := &verifier{
		algorithm: w.Algorithm, encoding: orDefault(w.Encoding, "hex"), header: textproto.CanonicalMIMEHeaderKey(orDefault(w.Header, defaultHeader)), prefix: w.Prefix,
		decode: encodings[orDefault(w.Encoding, "hex")], hash: algorithms[w.Algorithm],
	}
	for _, s := range w.Secrets {
		if s == "" {
			return nil, errors.New("zumo: empty webhook secret")
		}
		v.secrets = append(v.secrets, []byte(s.Reveal()))
	}
	if v.hash == nil || v.decode == nil || len(v.secrets) == 0 {
		return nil, errors.New("zumo: webhook algorithm, encoding or secrets missing")
	}
	return v, nil
}

// verified is what a delivery proved.
type verified struct {
	signature []byte
	scheme    string // algorithm and which secret
}

// check finds the secret that signed the body. Every secret is tried, whichever
// fits, so that the time taken tells nothing about them.
func (v *verifier) check(d providers.Delivery) (verified, error) {
	values := d.Header[v.header]
	switch {
	case len(values) == 0:
		return verified{}, unauthentic("header_missing")
	case len(values) > 1:
		return verified{}, unauthentic("header_duplicate")
	}
	text, ok := strings.CutPrefix(values[0], v.prefix)
	if !ok {
		return verified{}, unauthentic("signature_format")
	}
	signature, ok := v.decode(text)
	if !ok || len(signature) != v.hash().Size() {
		return verified{}, unauthentic("signature_format")
	}
	matched := -1
	for i := len(v.secrets) - 1; i >= 0; i-- { // backwards: the current secret wins
		mac := hmac.New(v.hash, v.secrets[i])
		mac.Write(d.Body)
		if hmac.Equal(mac.Sum(nil), signature) {
			matched = i
		}
	}
	switch matched {
	case -1:
		return verified{}, unauthentic("signature")
	case 0:
		return verified{signature, v.algorithm + "/current"}, nil
	}
	return verified{signature, v.algorithm + "/previous"}, nil
}

func unauthentic(r providers.Reason) error {
	return providers.Refuse(providers.ErrUnauthentic, r, "")
}

func decodeHex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil
}

// decodeBase64 reads the one padded standard spelling of the bytes. The
// library skips line ends, which would give a signature many spellings.
func decodeBase64(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && base64.StdEncoding.EncodeToString(b) == s
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
