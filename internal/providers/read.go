package providers

import (
	"errors"
	"strings"
	"unicode"

	"rampstream/internal/events"
	"rampstream/internal/providers/jsonx"
)

// ErrAmount is what ReadAmount gives for a number that no amount can hold.
var ErrAmount = errors.New("amount is not a decimal")

// CheckJSONPost refuses what no reading of a scheme has that signs a JSON body
// POSTed to a route without a path token: ErrUnauthentic for a token, ErrBadRequest for
// another method or an empty body, ErrUnsupportedMedia for a content encoding and for
// two content types. strict refuses every media type but application/json too.
func CheckJSONPost(d Delivery, strict bool) error {
	if d.PathToken != "" { // whoever appended one is not the provider
		return Refuse(ErrUnauthentic, "path_token", "")
	}
	if d.Method != "POST" {
		return Refuse(ErrBadRequest, "unknown_shape", "method is not POST")
	}
	for _, v := range d.Header["Content-Encoding"] {
		if !strings.EqualFold(v, "identity") {
			return Refuse(ErrUnsupportedMedia, "media_type", "content encoding")
		}
	}
	types := d.Header["Content-Type"]
	if len(types) > 1 || (strict && (len(types) == 0 || !isJSON(types[0]))) {
		return Refuse(ErrUnsupportedMedia, "media_type", "content type")
	}
	if len(d.Body) == 0 { // a signature of nothing would authenticate nothing
		return Refuse(ErrBadRequest, "empty_body", "")
	}
	return nil
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// ReadAmount keeps the digits of a number or of a decimal string; every other
// kind, and "", is absent (""), which is not zero. The error is ErrAmount.
func ReadAmount(v jsonx.Value) (events.Amount, error) {
	literal, ok := v.Literal()
	if !ok {
		if literal, ok = v.Text(); !ok || literal == "" {
			return "", nil
		}
	}
	a, err := events.ParseAmount(literal)
	if err != nil {
		return "", ErrAmount
	}
	return a, nil
}

// Token is a string of at most limit bytes, all of which may stand in a key; ""
// for everything else.
func Token(v jsonx.Value, limit int) string {
	s, ok := v.Text()
	if !ok || len(s) > limit || !events.ValidPart(s) {
		return ""
	}
	return s
}

// IsWord reports whether s can stand in a record as a status, currency or id:
// 1 to limit bytes of visible characters, no blank.
func IsWord(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return false
		}
	}
	return true
}
