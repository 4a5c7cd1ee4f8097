package kado

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

// Client makes the documented calls. Every error of a call is a
// *providers.CallError. It may be used concurrently.
type Client struct {
	http     *http.Client
	now      func() time.Time
	base     string // without a slash at the end
	public   string
	private  providers.Secret
	widgetID string
	account  events.Account
	byRef    string // route of the KYC status by userRef; "" where none is configured
}

// NewClient builds a client from an account's api settings. It makes no call.
func NewClient(a providers.Account, env providers.Env) (*Client, error) {
	base := a.API.BaseURL
	if base == "" {
		base = DefaultBaseURL
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" {
		return nil, errors.New("api.base_url: must be an absolute URL")
	}
	c := &Client{
		http: env.HTTP, now: env.Now, base: strings.TrimRight(base, "/"), account: a.Account,
		public: a.API.PublicKey, private: a.API.PrivateKey, widgetID: a.API.WidgetID,
	}
	if c.now == nil {
		c.now = time.Now
	}
	if a.API.Paths[byUserRef] != "" {
		r, err := userRefRoute(a.API)
		if err != nil {
			return nil, fmt.Errorf("api.paths.%s: %w", byUserRef, err)
		}
		c.byRef = r.Path
	}
	return c, nil
}

func (c *Client) canSign() bool { return c.public != "" && c.private != "" }

// request is one call before it is signed.
type request struct {
	op     string // for errors
	method string
	route  string // the signed path: host and query are not in it
	query  string // encoded; never signed, no signed route needs one
	body   []byte // canonical JSON; nil for none
	signed bool
	widget bool // send X-Widget-Id where one is configured

	stream     io.Reader // instead of body: sent as it is, not covered by the signature
	streamType string
}

// do makes the call and returns the decoded answer of a 2xx.
func (c *Client) do(ctx context.Context, r request) (jsonx.Value, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return jsonx.Value{}, &providers.CallError{Outcome: events.OutcomeRejected, Op: r.op, Err: err}
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
	if doc.Kind() != jsonx.Object {
		return jsonx.Value{}, malformedAnswer(r.op, status, errors.New("answer is no object"))
	}
	// A failure inside a 200. The message beside it may quote the request.
	if ok, isBool := doc.Get("success").Truth(); isBool && !ok {
		return jsonx.Value{}, &providers.CallError{
			Outcome: events.OutcomeProvider, HTTPStatus: status, Op: r.op, RetryAfter: httpx.RetryAfter(header, c.now()),
			Err: errors.New("success is false"),
		}
	}
	return doc, nil
}

// get is do for idempotent calls, each attempt with its own timestamp.
func (c *Client) get(ctx context.Context, r request) (doc jsonx.Value, err error) {
	r.method = http.MethodGet
	err = httpx.Retry(ctx, func(ctx context.Context) error {
		doc, err = c.do(ctx, r)
		return err
	})
	return doc, err
}

var errNoKeys = errors.New("api.public_key and api.private_key are not set")

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	target := c.base + r.route
	if r.query != "" {
		target += "?" + r.query
	}
	var body io.Reader
	switch {
	case r.stream != nil:
		body = r.stream
	case r.body != nil:
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, errors.New("request cannot be built") // err quotes the URL
	}
	req.Header.Set("Accept", "application/json")
	// No Content-Type without a body: a GET that claims JSON has two readings of
	// payloadHex, and only one of them can be computed.
	switch {
	case r.stream != nil:
		req.Header.Set("Content-Type", r.streamType)
	case r.body != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	if r.widget && c.widgetID != "" {
		req.Header.Set("X-Widget-Id", c.widgetID)
	}
	if r.signed {
		if !c.canSign() {
			return nil, errNoKeys
		}
		timestamp := strconv.FormatInt(c.now().UnixMilli(), 10)
		req.Header.Set("X-Timestamp", timestamp)
		req.Header.Set("X-Public-Key", c.public)
		req.Header.Set("X-Signature", Sign(c.private, r.method, timestamp, r.route, PayloadHex(r.body)))
	}
	return req, nil
}

func malformedAnswer(op string, status int, err error) error {
	return &providers.CallError{Outcome: events.OutcomeMalformed, HTTPStatus: status, Op: op, Err: err}
}

// dataOf is the data object of the envelope {success, message, data}.
func dataOf(op string, doc jsonx.Value) (jsonx.Value, error) {
	if ok, isBool := doc.Get("success").Truth(); !ok || !isBool {
		return jsonx.Value{}, malformedAnswer(op, http.StatusOK, errors.New("answer has no success"))
	}
	data := doc.Get("data")
	if data.Kind() != jsonx.Object {
		return jsonx.Value{}, malformedAnswer(op, http.StatusOK, errors.New("data is no object"))
	}
	return data, nil
}
