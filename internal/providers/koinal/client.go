package koinal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/jsonx"
)

// Client makes the described calls. Every error of a call is a
// *providers.CallError. It may be used concurrently.
type Client struct {
	http         *http.Client
	now          func() time.Time
	base         string // without a slash at the end
	routes       map[string]providers.Route
	fields       fields
	authHeader   string
	merchantCode string
	reference    string
	secret       providers.Secret
	account      events.Account
}

// NewClient builds a client from an account's api settings. It makes no call.
func NewClient(a providers.Account, env providers.Env) (*Client, error) {
	if u, err := url.Parse(a.API.BaseURL); err != nil || u.Host == "" {
		return nil, errors.New("api.base_url: must be an absolute URL")
	}
	if a.API.PrivateKey == "" {
		return nil, errors.New("api.private_key: must be set")
	}
	c := &Client{
		http: env.HTTP, now: env.Now, base: strings.TrimRight(a.API.BaseURL, "/"), routes: map[string]providers.Route{},
		fields: newFields(a.API.Fields), authHeader: a.API.AuthHeader, merchantCode: a.API.MerchantCode,
		reference: a.API.CustomerRef, secret: a.API.PrivateKey, account: a.Account,
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.authHeader == "" {
		c.authHeader = "Authorization"
	}
	for name := range defaultRoutes {
		r, err := routeOf(name, a.API.Paths[name])
		if err != nil {
			return nil, fmt.Errorf("api.paths.%s: %w", name, err)
		}
		c.routes[name] = r
	}
	return c, nil
}

// Check implements providers.Checker with .../{id}/status.
func (c *Client) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	const op = "koinal order status"
	if q.Key.Kind != events.Order || !usableID(q.Key.ID) {
		return providers.Answer{}, rejected(op, errBadID)
	}
	var doc jsonx.Value
	route := c.routes["status"]
	route.Path = strings.Replace(route.Path, "{id}", q.Key.ID, 1)
	err := httpx.Retry(ctx, func(ctx context.Context) (err error) {
		doc, err = c.do(ctx, request{op: op, route: route})
		return err
	})
	if err != nil {
		return providers.Answer{}, err
	}
	o, err := c.fields.ofStatus().read(doc)
	switch {
	case err != nil:
		return providers.Answer{}, malformedAnswer(op, http.StatusOK, err)
	case o.id != q.Key.ID:
		return providers.Answer{}, &providers.CallError{
			Outcome: events.OutcomeMismatch, HTTPStatus: http.StatusOK, Op: op, Err: errors.New("answer is about another id"),
		}
	case o.status == "":
		return providers.Answer{}, malformedAnswer(op, http.StatusOK, errors.New("answer has no status"))
	}
	key := events.Key{Provider: Name, Account: c.account, Kind: events.Order, ID: o.id}
	return providers.Answer{Key: key, StatusRaw: o.status, Facts: o.facts}, nil
}

type request struct {
	op        string
	route     providers.Route
	body      []byte
	reference string           // customer_reference; "" for the account's
	quote     providers.Secret // the quote's token for the header; "" for none
}

// do makes the call and returns the part of the answer that has the fields.
func (c *Client) do(ctx context.Context, r request) (jsonx.Value, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return jsonx.Value{}, rejected(r.op, err)
	}
	status, header, body, err := httpx.Do(ctx, c.http, r.op, req, httpx.MaxBody)
	if err != nil {
		return jsonx.Value{}, err
	}
	if err := httpx.StatusError(r.op, status, header, c.now()); err != nil {
		return jsonx.Value{}, err
	}
	doc, err := jsonx.Parse(body)
	if err != nil {
		return jsonx.Value{}, malformedAnswer(r.op, status, err)
	}
	data, err := unwrap(doc)
	if errors.Is(err, errCode) {
		return jsonx.Value{}, &providers.CallError{
			Outcome: events.OutcomeProvider, HTTPStatus: status, Op: r.op, RetryAfter: httpx.RetryAfter(header, c.now()), Err: err,
		}
	}
	if err != nil {
		return jsonx.Value{}, malformedAnswer(r.op, status, err)
	}
	return data, nil
}

var errCode = errors.New("code is not 00")

// unwrap opens the envelope {data, code, message, status} of the document's
// one example. Its status is that of the call, so with an envelope the order's
// fields are looked for in data only; without one, where the document shows no
// answer, at the top.
func unwrap(doc jsonx.Value) (jsonx.Value, error) {
	if doc.Kind() != jsonx.Object {
		return jsonx.Value{}, errors.New("answer is no object")
	}
	data, code := doc.Get("data"), doc.Get("code")
	if code.Kind() != jsonx.Absent {
		if s, _ := code.Text(); s != "00" {
			return jsonx.Value{}, errCode
		}
		if data.Kind() != jsonx.Object {
			return jsonx.Value{}, errors.New("data is no object")
		}
	}
	if data.Kind() == jsonx.Object {
		return data, nil
	}
	return doc, nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.route.Method, c.base+r.route.Path, body)
	if err != nil {
		return nil, errors.New("request cannot be built") // err quotes the URL
	}
	token, err := c.Token(r.reference)
	if err != nil {
		return nil, err
	}
	value := token.Reveal()
	if scheme := c.fields["auth_scheme"]; scheme != "" {
		value = scheme + " " + value
	}
	req.Header.Set(c.authHeader, value)
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.quote != "" {
		req.Header.Set(c.fields.name("token_header"), r.quote.Reveal())
	}
	return req, nil
}

// Token is the authorization hash of this moment, as each call sends it, for a
// customer reference, "" for the account's. See AuthToken.
func (c *Client) Token(reference string) (providers.Secret, error) {
	if reference == "" {
		reference = c.reference
	}
	if !SafeReference(reference) {
		return "", errors.New("customer_reference begins or ends with a digit")
	}
	return AuthToken(c.merchantCode, reference, c.timestamp(), c.secret)
}

func (c *Client) timestamp() string {
	if c.fields.name("timestamp_unit") == "s" {
		return strconv.FormatInt(c.now().Unix(), 10)
	}
	return strconv.FormatInt(c.now().UnixMilli(), 10)
}

func malformedAnswer(op string, status int, err error) error {
	return &providers.CallError{Outcome: events.OutcomeMalformed, HTTPStatus: status, Op: op, Err: err}
}

func rejected(op string, err error) error {
	return &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: err}
}
