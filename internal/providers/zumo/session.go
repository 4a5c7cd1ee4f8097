package zumo

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// expirySlack is how long before its end a token is renewed, at most half its
// life: the call must arrive within it.
const expirySlack = 30 * time.Second

// Tokens is a set of credentials, of our account or of one app user.
type Tokens struct {
	Access  providers.Secret
	Refresh providers.Secret // "" when the answer has none
	// ExpiresIn is the life of Access; 0 when the answer does not say so in a
	// way that can be read. That its unit is seconds is our guess, and a setting.
	ExpiresIn time.Duration
}

// session holds the tokens of one account. One login or refresh runs at a
// time, because a refresh ends the refresh token that a second one would use;
// callers that wait use what it brings.
type session struct {
	login   func(context.Context) (Tokens, error)
	refresh func(context.Context, Tokens) (Tokens, error)
	now     func() time.Time
	turn    chan struct{} // of one element: who holds it may read and write the rest

	tokens Tokens
	renew  time.Time // zero when the token does not say; it is used until a 401
}

// get returns an access token that is not refused. refused is the one that the
// provider has just answered 401 to, "" at first: a new login replaces it,
// unless another caller's already has.
func (s *session) get(ctx context.Context, op string, refused providers.Secret) (providers.Secret, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", &providers.CallError{Outcome: events.OutcomeTimeout, Op: op, Err: ctx.Err()}
	}
	usable := s.tokens.Access != "" && s.tokens.Access != refused
	if usable && (s.renew.IsZero() || s.now().Before(s.renew)) {
		return s.tokens.Access, nil
	}
	if usable && s.tokens.Refresh != "" {
		if done, err := s.tryRefresh(ctx); done || err != nil {
			return s.tokens.Access, err
		}
	}
	s.tokens = Tokens{}
	return s.keep(s.login(ctx))
}

// tryRefresh renews the tokens. done is false where only a login can help: the
// provider refused the old ones. After any failure the old set is forgotten,
// since a refresh whose answer was lost may have ended it.
func (s *session) tryRefresh(ctx context.Context) (done bool, err error) {
	old := s.tokens
	s.tokens = Tokens{}
	fresh, err := s.refresh(ctx, old)
	if err == nil {
		if fresh.Refresh == "" {
			fresh.Refresh = old.Refresh
		}
		_, _ = s.keep(fresh, nil)
		return true, nil
	}
	var call *providers.CallError
	if errors.As(err, &call) {
		switch call.Outcome {
		case events.OutcomeUnauthorized, events.OutcomeNotFound, events.OutcomeRejected, events.OutcomeMalformed:
			return false, nil
		}
	}
	return false, err
}

func (s *session) keep(t Tokens, err error) (providers.Secret, error) {
	if err != nil {
		return "", err
	}
	s.tokens, s.renew = t, time.Time{}
	if t.ExpiresIn > 0 {
		s.renew = s.now().Add(t.ExpiresIn - min(expirySlack, t.ExpiresIn/2))
	}
	return t.Access, nil
}

var errToken = errors.New("accessToken is not a token")

// readTokens reads the answer to a login or refresh, for an account or a user.
func readTokens(body []byte, unit time.Duration) (Tokens, error) {
	v, err := jsonx.Parse(body)
	if err != nil {
		return Tokens{}, err
	}
	access, _ := v.Get("accessToken").Text()
	refresh, _ := v.Get("refreshToken").Text()
	if !validToken(access) || refresh != "" && !validToken(refresh) {
		return Tokens{}, errToken
	}
	return Tokens{Access: providers.Secret(access), Refresh: providers.Secret(refresh), ExpiresIn: lifetime(v.Get("expiresIn"), unit)}, nil
}

// maxLife is ten years. A larger number is no such count (an instant, or
// another unit), and the token is used until a 401.
const maxLife = 10 * 365 * 24 * time.Hour

// lifetime reads expiresIn, a number or a numeric string.
func lifetime(v jsonx.Value, unit time.Duration) time.Duration {
	literal, ok := v.Literal()
	if !ok {
		literal, _ = v.Text()
	}
	n, err := strconv.ParseFloat(literal, 64)
	if err != nil || math.IsNaN(n) || n <= 0 || n > float64(maxLife/unit) {
		return 0
	}
	return time.Duration(n * float64(unit))
}

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
