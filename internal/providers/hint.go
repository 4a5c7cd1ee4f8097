package providers

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers/jsonx"
)

// hintBucket is the time in which hints about one subject are one event: each
// of them would have the poller ask the same question again.
const hintBucket = time.Minute

// Hint is what a delivery that nothing verifies amounts to: a subject that is
// worth asking about. It has no signed meaning, so its event id is that of the
// subject and of the minute in which we received it: repetitions within the
// minute are one event, later ones another. Nothing else of the delivery is kept
// but the digest of its body.
func Hint(k events.Key, d Delivery, reason string) events.Webhook {
	bucket := int64(d.ReceivedAt) / hintBucket.Milliseconds()
	return events.Webhook{
		Key:        k,
		EventID:    events.EventID(events.Digest("hint", k.String(), strconv.FormatInt(bucket, 10))),
		ObservedAt: d.ReceivedAt,
		Trust:      events.TrustHint,
		HintReason: reason,
		BodyDigest: BodyDigest(d.Body),
	}
}

// BodyDigest is the SHA-256 of body, lower-case hexadecimal.
func BodyDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// PathToken is the capability in the route of an unsigned callback, kept as a
// hash so that comparing it takes the same time for every guess of any length.
type PathToken [sha256.Size]byte

// NewPathToken hashes a configured token; "" asks for a route without one.
func NewPathToken(s Secret) PathToken { return sha256.Sum256([]byte(s.Reveal())) }

// Check refuses a delivery whose route has another token than the configured
// one, none where one is configured, or one where none is: ErrUnauthentic,
// reason "path_token".
func (t PathToken) Check(d Delivery) error {
	got := sha256.Sum256([]byte(d.PathToken))
	if subtle.ConstantTimeCompare(got[:], t[:]) != 1 {
		return Refuse(ErrUnauthentic, "path_token", "")
	}
	return nil
}

// JSONReason is the label for a body that jsonx refused.
func JSONReason(err error) Reason {
	switch {
	case errors.Is(err, jsonx.ErrDuplicate):
		return "json_ambiguous"
	case errors.Is(err, jsonx.ErrBounds):
		return "json_bounds"
	case errors.Is(err, jsonx.ErrEncoding):
		return "encoding"
	}
	return "json_syntax"
}
