package kuna

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/jsonx"
)

// maxAnswer bounds an answer: a page of 500 operations.
const maxAnswer = 1 << 20

// Client makes the calls of one account. It may be used concurrently.
type Client struct {
	account events.Account
	api     providers.API
	fields  fields
	routes  map[string]providers.Route
	base    string
	http    *http.Client
	now     func() time.Time
	session *session // nil with an API key
}

// NewClient builds the client of a valid account. It does no I/O.
func NewClient(a providers.Account, env providers.Env) (*Client, error) {
	if env.HTTP == nil || env.Now == nil {
		return nil, errors.New("kuna: a client needs HTTP and a clock")
	}
	if a.API.BaseURL == "" || a.API.APIKey == "" && (a.API.Login == "" || a.API.Password == "" || a.API.MerchantID == "") {
		return nil, fmt.Errorf("kuna: account %q has no base URL or no credentials", a.Account)
	}
	c := &Client{
		account: a.Account, api: a.API, base: strings.TrimSuffix(a.API.BaseURL, "/"), http: env.HTTP, now: env.Now,
		fields: a.API.Fields, routes: map[string]providers.Route{},
	}
	for name := range defaultRoutes {
		r, err := routeOf(a.API, name)
		if err != nil {
			return nil, fmt.Errorf("kuna: api.paths.%s: %w", name, err)
		}
		c.routes[name] = r
	}
	if a.API.APIKey == "" {
		c.session = newSession(c.login, env.Now)
	}
	return c, nil
}

// Login asks for a fresh access token of the account, and leaves the one that
// the client works with alone. expires is the end that the token states, less
// some seconds in which a call must still arrive; zero where it states none. An
// account with an API key has nothing to log in with: OutcomeRejected.
func (c *Client) Login(ctx context.Context) (token providers.Secret, expires time.Time, err error) {
	if c.session == nil {
		return "", time.Time{}, rejected("kuna login", "the account has an API key and no login")
	}
	t, err := c.login(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	return providers.Secret(t), expiry(t, c.now()), nil
}

// login exchanges the account's e-mail and password for an access token.
func (c *Client) login(ctx context.Context) (string, error) {
	const op = "kuna login"
	body, err := json.Marshal(map[string]string{"token": c.api.Login, "password": c.api.Password.Reveal()})
	if err != nil {
		return "", rejected(op, "credentials")
	}
	status, header, answer, err := c.send(ctx, op, c.routes["login"], body, func(h http.Header) {
		h.Set("merchant_id", c.api.MerchantID)
	})
	if err != nil {
		return "", err
	}
	if err := httpx.StatusError(op, status, header, c.now()); err != nil {
		return "", refusedLogin(err)
	}
	d, err := data(answer, jsonx.Object)
	if err != nil {
		return "", malformed(op, status, err)
	}
	token, _ := c.fields.get(d, "accessToken").Text()
	if !validToken(token) {
		return "", malformed(op, status, errToken)
	}
	return token, nil
}

// refusedLogin keeps a login's 400 or 404 from being read as "no such
// operation": they say that the account's credentials are not known.
func refusedLogin(err error) error {
	var call *providers.CallError
	if errors.As(err, &call) && (call.Outcome == events.OutcomeNotFound || call.Outcome == events.OutcomeRejected) {
		call.Outcome = events.OutcomeUnauthorized
	}
	return err
}

// call makes one authorised request. After a 401 it logs in once more and
// repeats the request once: it was not carried out. Where the budget has no
// request for that the 401 stands.
func (c *Client) call(ctx context.Context, op, name string, request any) (int, []byte, error) {
	return c.callWith(ctx, op, c.routes[name], request)
}

func (c *Client) callWith(ctx context.Context, op string, route providers.Route, request any) (int, []byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return 0, nil, rejected(op, "request")
	}
	refused, stands := "", error(nil)
	for {
		token, authorize, err := c.authorization(ctx, op, refused)
		var status int
		var header http.Header
		var answer []byte
		if err == nil {
			status, header, answer, err = c.send(ctx, op, route, body, authorize)
		}
		switch {
		case stands != nil && errors.Is(err, providers.ErrBudget):
			return 0, nil, stands // there is no budget to try again
		case err != nil:
			return 0, nil, err
		}
		err = httpx.StatusError(op, status, header, c.now())
		if status == http.StatusUnauthorized && c.session != nil && refused == "" {
			refused, stands = token, err
			continue
		}
		return status, answer, err
	}
}

// authorization is how the next request proves itself; token is "" with an API key.
func (c *Client) authorization(ctx context.Context, op, refused string) (token string, set func(http.Header), err error) {
	if c.session == nil {
		return "", func(h http.Header) { h.Set(orDefault(c.api.AuthHeader, "api-key"), c.api.APIKey.Reveal()) }, nil
	}
	token, err = c.session.get(ctx, op, refused)
	if err != nil {
		return "", nil, err
	}
	return token, func(h http.Header) { h.Set("Authorization", "Bearer "+token) }, nil
}

func (c *Client) send(ctx context.Context, op string, route providers.Route, body []byte, authorize func(http.Header)) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, route.Method, c.base+route.Path, bytes.NewReader(body))
	if err != nil { // its text quotes the URL
		return 0, nil, nil, rejected(op, "address of the call")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	authorize(req.Header)
	return httpx.Do(ctx, c.http, op, req, maxAnswer)
}

func rejected(op, what string) error {
	return &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New(what)}
}

func malformed(op string, status int, cause error) error {
	return &providers.CallError{Outcome: events.OutcomeMalformed, HTTPStatus: status, Op: op, Err: cause}
}
