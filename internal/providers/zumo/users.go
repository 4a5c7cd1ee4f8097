package zumo

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// Check asks for one user. OutcomeNotFound also is what a deleted user looks
// like: the document has no word for one, so a customer that was known is never
// declared gone by this package.
func (c *Client) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	const op = "zumo get user"
	if err := c.owns(op, q.Key); err != nil {
		return providers.Answer{}, err
	}
	u, err := c.User(ctx, q.Key.ID)
	if err != nil {
		return providers.Answer{}, err
	}
	return c.answer(u), nil
}

// owns refuses a key that is not this account's customer, and an id that would
// make another path.
func (c *Client) owns(op string, k events.Key) error {
	if !k.Valid() || k.Provider != Name || k.Account != c.account || k.Kind != events.Customer || !validID(k.ID) {
		return rejected(op, "key of another account or kind")
	}
	return nil
}

func (c *Client) answer(u User) providers.Answer {
	return providers.Answer{
		Key:       events.Key{Provider: Name, Account: c.account, Kind: events.Customer, ID: u.AppUserID},
		StatusRaw: statusWord(len(u.Accounts)),
		Facts: events.Facts{
			WalletID: u.WalletID, WalletAccounts: events.JoinWalletAccounts(u.Accounts), ProviderCreatedAt: u.CreatedAt,
		},
	}
}

// User asks for one user by our id of it.
func (c *Client) User(ctx context.Context, appUserID string) (User, error) {
	const op = "zumo get user"
	if !validID(appUserID) {
		return User{}, rejected(op, "user id")
	}
	status, body, err := c.read(ctx, op, userPath(appUserID))
	if err != nil {
		return User{}, err
	}
	return c.readOne(op, status, body, appUserID)
}

// CreateUser registers a user. What a second creation of the same user answers
// is not documented.
func (c *Client) CreateUser(ctx context.Context, appUserID string) (User, error) {
	const op = "zumo create user"
	if !validID(appUserID) {
		return User{}, rejected(op, "user id")
	}
	status, body, err := c.call(ctx, op, http.MethodPost, userPath(appUserID), map[string]string{"appUserId": appUserID})
	if err != nil {
		return User{}, err
	}
	return c.readOne(op, status, body, appUserID)
}

func (c *Client) readOne(op string, status int, body []byte, want string) (User, error) {
	v, err := jsonx.Parse(body)
	if err != nil {
		return User{}, malformed(op, status, err)
	}
	u, err := readUser(v)
	if err != nil {
		return User{}, malformed(op, status, err)
	}
	if u.AppUserID != want {
		return User{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: status, Op: op}
	}
	return u, nil
}

// MarkSynced tells Zumo that a user is known to us. The request says
// synchronised where answers and queries say synced, and the answer "OK" is not
// JSON: any 2xx is success.
func (c *Client) MarkSynced(ctx context.Context, appUserID string) error {
	const op = "zumo mark synced"
	if !validID(appUserID) {
		return rejected(op, "user id")
	}
	_, _, err := c.call(ctx, op, http.MethodPut, userPath(appUserID), struct {
		AppUserID    string `json:"appUserId"`
		Synchronised bool   `json:"synchronised"`
	}{appUserID, true})
	return err
}

// DeleteUser removes a user for ever.
func (c *Client) DeleteUser(ctx context.Context, appUserID string) error {
	const op = "zumo delete user"
	if !validID(appUserID) {
		return rejected(op, "user id")
	}
	_, _, err := c.call(ctx, op, http.MethodDelete, userPath(appUserID), nil)
	return err
}

// UserToken makes the tokens with which the SDK of one user authenticates.
func (c *Client) UserToken(ctx context.Context, appUserID string) (Tokens, error) {
	return c.userToken(ctx, appUserID, map[string]string{"appUserId": appUserID})
}

// RefreshUserToken replaces a user's tokens by means of its refresh token.
func (c *Client) RefreshUserToken(ctx context.Context, appUserID string, refresh providers.Secret) (Tokens, error) {
	return c.userToken(ctx, appUserID, map[string]string{"refreshToken": refresh.Reveal()})
}

func (c *Client) userToken(ctx context.Context, appUserID string, request any) (Tokens, error) {
	const op = "zumo user token"
	if !validID(appUserID) {
		return Tokens{}, rejected(op, "user id")
	}
	status, body, err := c.call(ctx, op, http.MethodPost, userPath(appUserID)+"token/", request)
	if err != nil {
		return Tokens{}, err
	}
	t, err := readTokens(body, c.expiresUnit())
	if err != nil {
		return Tokens{}, malformed(op, status, err)
	}
	return t, nil
}

// userPath has the document's trailing slash. The id is of characters that a
// path holds as they are; see validID.
func userPath(appUserID string) string { return "/app-users/" + appUserID + "/" }

// Sweep lists the users that are not marked synced, one page at a time. The
// first request is exactly the documented one, unless api.page_size is set;
// later pages use an offset, whose parameter is a guess and a setting.
//
// Users that are marked while a sweep goes on leave the list, and those behind
// them move up across the edge of a page: the next sweep finds them.
func (c *Client) Sweep(ctx context.Context, cursor string) (providers.Page, error) {
	const op = "zumo list users"
	offset, ok := offsetOf(cursor)
	if !ok {
		return providers.Page{}, rejected(op, "cursor")
	}
	list, err := c.List(ctx, false, offset)
	if err != nil {
		return providers.Page{}, err
	}
	page := providers.Page{Unreadable: list.Unreadable}
	for _, u := range list.Users {
		page.Answers = append(page.Answers, c.answer(u))
	}
	next := offset + len(list.Users) + list.Unreadable
	if next > offset && next < list.All {
		page.Next = strconv.Itoa(next)
	}
	return page, nil
}

// maxOffset bounds a cursor.
const maxOffset = 10_000_000

func offsetOf(cursor string) (int, bool) {
	if cursor == "" {
		return 0, true
	}
	n, err := strconv.Atoi(cursor)
	return n, err == nil && n > 0 && n <= maxOffset
}

// List asks for one page of the users that are, or are not, marked synced.
func (c *Client) List(ctx context.Context, synced bool, offset int) (List, error) {
	const op = "zumo list users"
	query := "?synced=" + strconv.FormatBool(synced)
	if c.api.PageSize > 0 {
		query += "&" + url.QueryEscape(c.field("limit")) + "=" + strconv.Itoa(c.api.PageSize)
	}
	if offset > 0 {
		query += "&" + url.QueryEscape(c.field("offset")) + "=" + strconv.Itoa(offset)
	}
	status, body, err := c.read(ctx, op, "/app-users"+query)
	if err != nil {
		return List{}, err
	}
	list, err := readList(body)
	if err != nil {
		return List{}, malformed(op, status, err)
	}
	if offset > 0 && list.Offset != offset { // our guess at the parameter is wrong: this is another page
		return List{}, &providers.CallError{Outcome: events.OutcomeMismatch, HTTPStatus: status, Op: op}
	}
	return list, nil
}

func (c *Client) field(name string) string { return orDefault(c.api.Fields[name], defaultFields[name]) }

// Ack marks the user of an answer as synced where its wallet has accounts.
// Others stay in the list, so that their first account is found even if no
// webhook comes.
func (c *Client) Ack(ctx context.Context, a providers.Answer) error {
	if err := c.owns("zumo mark synced", a.Key); err != nil {
		return err
	}
	if a.StatusRaw != wordProvisioned {
		return nil
	}
	return c.MarkSynced(ctx, a.Key.ID)
}
