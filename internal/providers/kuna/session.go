package kuna

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// expirySlack is how long before its end a token is no longer used: the call
// must arrive within it.
const expirySlack = 30 * time.Second

// session holds the access token of one account and lets one login run at a
// time. Callers that wait for it use what it brings.
type session struct {
	login func(context.Context) (string, error)
	now   func() time.Time
	turn  chan struct{} // of one element: who holds it may read and write the rest

	token   string
	expires time.Time // zero when the token does not say
}

func newSession(login func(context.Context) (string, error), now func() time.Time) *session {
	return &session{login: login, now: now, turn: make(chan struct{}, 1)}
}

// get returns a usable token that is not refused, logging in where there is
// none. refused is the token that the provider has just answered 401 to, "" at
// first. Of many callers with the same refused token the first logs in, and the
// others find a token that is not theirs.
func (s *session) get(ctx context.Context, op, refused string) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", &providers.CallError{Outcome: events.OutcomeTimeout, Op: op, Err: ctx.Err()}
	}
	if s.token != "" && s.token != refused && (s.expires.IsZero() || s.now().Before(s.expires)) {
		return s.token, nil
	}
	s.token = ""
	token, err := s.login(ctx)
	if err != nil {
		return "", err
	}
	s.token, s.expires = token, expiry(token, s.now())
	return token, nil
}

// expiry reads exp out of a JWT without believing anything else in it. A token
// that is none, has no exp, or is over by our clock already is used until a
// 401: logging in for every call would be worse.
func expiry(token string, now time.Time) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	claims, err := jsonx.Parse(payload)
	if err != nil {
		return time.Time{}
	}
	literal, _ := claims.Get("exp").Literal()
	seconds, err := strconv.ParseInt(literal, 10, 64)
	if err != nil || seconds <= 0 || seconds > maxExpiry {
		return time.Time{}
	}
	at := time.Unix(seconds, 0).Add(-expirySlack)
	if !now.Before(at) {
		return time.Time{}
	}
	return at
}

// maxExpiry is the year 9999: beyond it a time is a mistake.
const maxExpiry = 253402300799

// validToken reports whether s can be sent as a credential in a header.
func validToken(s string) bool {
	if s == "" || len(s) > 8<<10 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
