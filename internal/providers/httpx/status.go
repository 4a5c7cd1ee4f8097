package httpx

import (
	"net/http"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The bounds of what a provider may ask of us with Retry-After: a second, so
// that "0" is not a licence to hammer, and a day, so that nonsense does not
// silence a lane for ever.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 24 * time.Hour
)

// StatusError says what an HTTP status means: nil for 2xx, else a
// *providers.CallError with its Retry-After, relative to now.
func StatusError(op string, status int, header http.Header, now time.Time) error {
	if status >= 200 && status <= 299 {
		return nil
	}
	return &providers.CallError{
		Outcome: statusOutcome(status), HTTPStatus: status, Op: op, RetryAfter: RetryAfter(header, now),
	}
}

// statusOutcome is total: a status outside 100..599 is not HTTP and malformed.
func statusOutcome(status int) events.Outcome {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return events.OutcomeUnauthorized
	case status == http.StatusNotFound:
		return events.OutcomeNotFound
	case status == http.StatusRequestTimeout:
		return events.OutcomeTimeout
	case status == http.StatusTooManyRequests:
		return events.OutcomeRateLimited
	case status >= 300 && status <= 399:
		return events.OutcomeRedirect
	case status >= 400 && status <= 499:
		return events.OutcomeRejected
	case status >= 500 && status <= 599:
		return events.OutcomeProvider
	}
	return events.OutcomeMalformed
}

// RetryAfter reads how long the provider asks not to be called: seconds or a
// date, at least 1 s and at most 24 h. 0 when it does not ask or cannot be
// understood; a negative number and a date that has passed are 1 s. Of several
// values the longest counts.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	var longest time.Duration
	for _, v := range header.Values("Retry-After") {
		longest = max(longest, retryAfter(strings.TrimSpace(v), now))
	}
	return longest
}

func retryAfter(v string, now time.Time) time.Duration {
	if seconds, ok := wholeSeconds(v); ok {
		return min(max(seconds, minRetryAfter), maxRetryAfter)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), minRetryAfter), maxRetryAfter)
}

// wholeSeconds reads an integer of any length; too long to be sensible is the
// maximum, negative is the minimum.
func wholeSeconds(v string) (time.Duration, bool) {
	digits, negative := strings.CutPrefix(v, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	if negative {
		return minRetryAfter, true
	}
	var n int64
	for i := range len(digits) {
		n = n*10 + int64(digits[i]-'0')
		if n > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
	}
	return time.Duration(n) * time.Second, true
}
