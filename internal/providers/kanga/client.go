package kanga

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
)

const (
	// maxAnswer bounds an answer; a payment has a hundred bytes.
	maxAnswer = 64 << 10
	// maxNonce is the largest integer that every JSON reader keeps exact.
	maxNonce = 1<<53 - 1
)

// The documented failure codes, and one that the wider Kanga API answers with.
const (
	codeTooMany     = 429
	codeCredentials = 9000 // "can be incorrect nonce"
	codeNotFound    = 9001
)

// Sign is the value of API-Sig: HMAC-SHA512 of the body bytes under the
// secret's own bytes, lower-case hexadecimal.
func Sign(secret providers.Secret, body []byte) string {
	mac := hmac.New(sha512.New, []byte(secret.Reveal()))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Client makes the calls of one account. The signed ones need a nonce that is
// larger than that of every call before, arriving in that order: the caller
// makes one at a time. A nonce is spent by a call, however it ends, so nothing
// is retried here.
type Client struct {
	account events.Account
	appID   string
	secret  providers.Secret
	urls    map[string]string
	http    *http.Client
	now     func() time.Time
}

// NewClient builds the client of a valid account. It does no I/O.
func NewClient(a providers.Account, env providers.Env) (*Client, error) {
	if a.API.PublicKey == "" || a.API.PrivateKey == "" {
		return nil, fmt.Errorf("kanga: account %q has no API key and secret", a.Account)
	}
	if env.HTTP == nil || env.Now == nil {
		return nil, errors.New("kanga: a client needs HTTP and a clock")
	}
	return &Client{
		account: a.Account, appID: a.API.PublicKey, secret: a.API.PrivateKey,
		urls: addresses(a.API), http: env.HTTP, now: env.Now,
	}, nil
}

// addresses resolves the address of every call.
func addresses(api providers.API) map[string]string {
	base := api.BaseURL
	if base == "" {
		base = defaultBase
	}
	urls := make(map[string]string, len(defaultPaths))
	for name, path := range defaultPaths {
		if p, ok := api.Paths[name]; ok {
			path = p
		}
		if strings.HasPrefix(path, "/") {
			path = strings.TrimSuffix(base, "/") + path
		}
		urls[name] = path
	}
	return urls
}

// Check asks CHECK PAYMENT about one payment. An answer has no id in it, so it
// is bound to the question: never put a cache between Kanga and this client.
// "9001" is OutcomeNotFound; it also means that the payer has not opened the
// payment page yet.
func (c *Client) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	const op = "kanga check payment"
	if !q.Key.Valid() || q.Key.Provider != Name || q.Key.Account != c.account || q.Key.Kind != events.Order {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("key of another account or kind")}
	}
	// The id and the key are of [A-Za-z0-9._:-]: nothing in them needs an escape.
	body := fmt.Sprintf(`{"id":"%s","appId":"%s","nonce":%d}`, q.Key.ID, c.appID, q.Nonce)
	r, status, err := c.signed(ctx, op, "transaction", q.Nonce, c.secret, body)
	if err != nil {
		return providers.Answer{}, err
	}
	p, err := readPayment(r.body)
	if err != nil {
		return providers.Answer{}, malformed(op, status, err)
	}
	if id, ok := r.body.Get("id").Text(); ok && id != q.Key.ID {
		return providers.Answer{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: status, Op: op}
	}
	return providers.Answer{Key: q.Key, StatusRaw: p.state, Facts: p.facts}, nil
}

// CreatePaymentToken makes a token for StartPayment.
func (c *Client) CreatePaymentToken(ctx context.Context, nonce int64) (providers.Secret, error) {
	const op = "kanga create payment token"
	body := fmt.Sprintf(`{"appId":"%s","nonce":%d}`, c.appID, nonce)
	r, status, err := c.signed(ctx, op, "create_payment", nonce, c.secret, body)
	if err != nil {
		return "", err
	}
	token, ok := r.body.Get("paymentToken").Text()
	if !ok || !providers.IsWord(token, maxWord) {
		return "", malformed(op, status, errToken)
	}
	return providers.Secret(token), nil
}

// Test makes the documented test call, with the documentation's key and secret.
// Its nonce need not increase.
func (c *Client) Test(ctx context.Context, nonce int64) error {
	body := fmt.Sprintf(`{"appId":"%s","nonce":%d}`, testAppID, nonce)
	_, _, err := c.signed(ctx, "kanga test", "test", nonce, testSecret, body)
	return err
}

// signed posts body, whose bytes are exactly those that are signed, and reads
// the envelope. A nil error means result "ok".
func (c *Client) signed(ctx context.Context, op, call string, nonce int64, secret providers.Secret, body string) (reply, int, error) {
	if nonce <= 0 || nonce > maxNonce {
		return reply{}, 0, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("nonce is not within 1 and 2^53-1")}
	}
	status, header, answer, err := c.post(ctx, op, call, body, Sign(secret, []byte(body)))
	if err != nil {
		return reply{}, 0, err
	}
	r, err := readReply(answer)
	if err := c.failure(op, status, header, r, err); err != nil {
		return reply{}, 0, err
	}
	return r, status, nil
}

func (c *Client) post(ctx context.Context, op, call, body, signature string) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.urls[call], bytes.NewReader([]byte(body)))
	if err != nil { // its text quotes the URL
		return 0, nil, nil, &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New("address of the call")}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if signature != "" {
		req.Header.Set("API-Sig", signature)
	}
	return httpx.Do(ctx, c.http, op, req, maxAnswer)
}

// failure decides whether an answer is one. The word in `result` is what
// counts, because the HTTP status of a failure is not documented; but a
// redirect and a 429 are the transport's, and "ok" beside an error status is a
// contradiction that no order should follow.
func (c *Client) failure(op string, status int, header http.Header, r reply, readErr error) error {
	byStatus := httpx.StatusError(op, status, header, c.now())
	transport := status >= 300 && status <= 399 || status == http.StatusTooManyRequests
	switch {
	case transport:
		return byStatus
	case status == http.StatusNotFound && (readErr != nil || r.ok):
		// An unknown payment is code 9001. A 404 without it is a wrong address.
		return &providers.CallError{Outcome: events.OutcomeRejected, HTTPStatus: status, Op: op, RetryAfter: httpx.RetryAfter(header, c.now())}
	case readErr != nil && byStatus == nil:
		return malformed(op, status, readErr)
	case readErr != nil || r.ok:
		return byStatus
	}
	e := &providers.CallError{Outcome: events.OutcomeProvider, HTTPStatus: status, Op: op, RetryAfter: httpx.RetryAfter(header, c.now())}
	switch r.code {
	case codeCredentials:
		e.Outcome, e.Nonce = events.OutcomeUnauthorized, true
	case codeNotFound:
		e.Outcome = events.OutcomeNotFound
	case codeTooMany:
		e.Outcome = events.OutcomeRateLimited
	}
	return e
}

func malformed(op string, status int, cause error) error {
	return &providers.CallError{Outcome: events.OutcomeMalformed, HTTPStatus: status, Op: op, Err: cause}
}
