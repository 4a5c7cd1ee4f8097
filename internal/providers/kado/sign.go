package kado

import (
	"crypto/hmac"
	"crypto/md5" // the scheme's own; the HMAC around it is what authenticates
	"crypto/sha256"
	"encoding/hex"

	"rampstream/internal/providers"
)

// PayloadHex is the payloadHex of a body as it stands: its MD5 in lower-case
// hexadecimal, and "" for no body. Kado hashes the canonical form, so give it
// that.
func PayloadHex(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

// Sign is the value of X-Signature: lower-case hexadecimal HMAC-SHA256, keyed
// with the bytes of the key as it was issued, over method, timestamp, path and
// payloadHex without separators. The timestamp is the very string of
// X-Timestamp.
func Sign(key providers.Secret, method, timestamp, path, payloadHex string) string {
	return hex.EncodeToString(signature(key, method, timestamp, path, payloadHex))
}

func signature(key providers.Secret, method, timestamp, path, payloadHex string) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	for _, s := range []string{method, timestamp, path, payloadHex} {
		mac.Write([]byte(s))
	}
	return mac.Sum(nil)
}
