package zumo

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
)

// maxAnswer bounds an answer: a page of users with their accounts.
const maxAnswer = 1 << 20

// Client makes the calls of one account. It may be used concurrently, by one
// process: a second one that refreshes the same account's tokens would end the
// first one's.
type Client struct {
	account events.Account
	api     providers.API
	base    string
	http    *http.Client
	now     func() time.Time
	session *session
}

// NewClient builds the client of a valid account. It does no I/O.
func NewClient(a providers.Account, env providers.Env) (*Client, error) {
	if env.HTTP == nil || env.Now == nil {
		return nil, errors.New("zumo: a client needs HTTP and a clock")
	}
	if a.API.AppID == "" || a.API.AppSecret == "" {
		return nil, fmt.Errorf("zumo: account %q has no app id and secret", a.Account)
	}
	c := &Client{
		account: a.Account, api: a.API, base: strings.TrimSuffix(orDefault(a.API.BaseURL, defaultBase), "/"),
		http: env.HTTP, now: env.Now,
	}
	c.session = &session{login: c.login, refresh: c.refresh, now: env.Now, turn: make(chan struct{}, 1)}
	return c, nil
}

// Login asks for a fresh set of tokens of the account, and leaves those that
// the client works with alone. Whether it ends another process's set is not
// documented.
func (c *Client) Login(ctx context.Context) (Tokens, error) { return c.login(ctx) }

// login asks for a first set of tokens. The document's PHP sample says
// appUserId where the two others say appId: api.fields.app_id.
func (c *Client) login(ctx context.Context) (Tokens, error) {
	t, err := c.tokens(ctx, "zumo token", "/token/", "",
		map[string]string{c.field("app_id"): c.api.AppID, "appSecret": c.api.AppSecret.Reveal()})
	return t, refusedLogin(err)
}

// refusedLogin keeps a login's 400 or 404, both documented, from being read as
// "no such user": they say that the account's credentials are not known.
func refusedLogin(err error) error {
	var call *providers.CallError
	if errors.As(err, &call) && (call.Outcome == events.OutcomeNotFound || call.Outcome == events.OutcomeRejected && call.HTTPStatus != 0) {
		call.Outcome = events.OutcomeUnauthorized
	}
	return err
}

// refresh asks for a new set of tokens with both old ones.
func (c *Client) refresh(ctx context.Context, old Tokens) (Tokens, error) {
	return c.tokens(ctx, "zumo token refresh", "/token/", old.Access,
		map[string]string{"refreshToken": old.Refresh.Reveal()})
}

func (c *Client) tokens(ctx context.Context, op, path string, bearer providers.Secret, request any) (Tokens, error) {
	status, header, body, err := c.send(ctx, op, http.MethodPost, path, bearer, request)
	if err != nil {
		return Tokens{}, err
	}
	if err := httpx.StatusError(op, status, header, c.now()); err != nil {
		return Tokens{}, err
	}
	t, err := readTokens(body, c.expiresUnit())
	if err != nil {
		return Tokens{}, malformed(op, status, err)
	}
	return t, nil
}

// call makes one authorised request. After a 401 it logs in once more and
// repeats the request once: it was not carried out. Where the budget has no
// request for that the 401 stands. All error messages of Zumo read "Entity not
// found.", so only the HTTP status counts.
func (c *Client) call(ctx context.Context, op, method, path string, request any) (int, []byte, error) {
	refused, stands := providers.Secret(""), error(nil)
	for {
		token, err := c.session.get(ctx, op, refused)
		var status int
		var header http.Header
		var body []byte
		if err == nil {
			status, header, body, err = c.send(ctx, op, method, path, token, request)
		}
		switch {
		case stands != nil && errors.Is(err, providers.ErrBudget):
			return 0, nil, stands // there is no budget to try again
		case err != nil:
			return 0, nil, err
		}
		err = httpx.StatusError(op, status, header, c.now())
		if status == http.StatusUnauthorized && refused == "" {
			refused, stands = token, err
			continue
		}
		return status, body, err
	}
}

// read is call for a GET, which may be repeated when Zumo could not be reached.
func (c *Client) read(ctx context.Context, op, path string) (status int, body []byte, err error) {
	err = httpx.Retry(ctx, func(ctx context.Context) error {
		status, body, err = c.call(ctx, op, http.MethodGet, path, nil)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return status, body, nil
}

// send makes one request to a path below the base URL, whose trailing slashes
// are those of the document: a redirect to another spelling is not followed.
func (c *Client) send(ctx context.Context, op, method, path string, bearer providers.Secret, request any) (int, http.Header, []byte, error) {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return 0, nil, nil, rejected(op, "request")
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil { // its text quotes the URL
		return 0, nil, nil, rejected(op, "address of the call")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	}
	return httpx.Do(ctx, c.http, op, req, maxAnswer)
}

// expiresUnit is what expiresIn counts.
func (c *Client) expiresUnit() time.Duration {
	if c.field("expires_unit") == "ms" {
		return time.Millisecond
	}
	return time.Second
}

func rejected(op, what string) error {
	return &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New(what)}
}

func malformed(op string, status int, cause error) error {
	return &providers.CallError{Outcome: events.OutcomeMalformed, HTTPStatus: status, Op: op, Err: cause}
}
