package koinal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// AuthToken is the authorization hash: base64 of a JSON object with a
// signature over merchantCode + customerReference + timestamp + secret. It
// reproduces the document's example byte for byte.
//
// The parts are joined without separators, so ("User1", "1000") and ("User11",
// "000") sign alike: see SafeReference. The token says nothing about the
// request it comes with and has no documented expiry; make one for each call
// and never log it.
func AuthToken(merchantCode, customerReference, timestamp string, secret providers.Secret) (providers.Secret, error) {
	switch {
	case secret == "":
		return "", errors.New("secret is empty")
	case !wholeNumber(merchantCode):
		return "", errors.New("merchant_code is not a whole number")
	case !events.ValidPart(customerReference):
		return "", errors.New("customer_reference is not 1-128 of [A-Za-z0-9._:-]")
	case !events.ValidPart(timestamp):
		return "", errors.New("timestamp is not usable")
	}
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(merchantCode + customerReference + timestamp + secret.Reveal()))
	// Nothing in the parts needs an escape. In the document's example the code
	// is a number and the timestamp a string.
	doc := `{"merchant_code":` + merchantCode + `,"customer_reference":"` + customerReference + `","timestamp":"` + timestamp +
		`","signature":"` + hex.EncodeToString(mac.Sum(nil)) + `"}`
	return providers.Secret(base64.StdEncoding.EncodeToString([]byte(doc))), nil
}

// SafeReference reports whether a customer reference cannot run into its
// neighbours in the signed string: it begins and ends with something other
// than a digit.
func SafeReference(s string) bool {
	return events.ValidPart(s) && !digit(s[0]) && !digit(s[len(s)-1])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func wholeNumber(s string) bool {
	return s != "" && len(s) <= 18 && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}
