package zumo

import (
	"errors"
	"strconv"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

// The causes of an answer that cannot be used. They never quote it.
var (
	errUser    = errors.New("appUserId is not an id")
	errWallet  = errors.New("wallet has another shape")
	errAccount = errors.New("an account has another shape")
	errList    = errors.New("users or page has another shape")
)

// User is an app user. Of its accounts the derivation path is left behind.
type User struct {
	AppUserID string // our id of it
	CreatedAt events.Millis
	Synced    bool
	WalletID  string // "" before the wallet exists
	Accounts  []events.WalletAccount
}

func readUser(v jsonx.Value) (User, error) {
	id, ok := v.Get("appUserId").Text()
	if !ok || !validID(id) {
		return User{}, errUser
	}
	u := User{AppUserID: id, CreatedAt: instant(v.Get("createdAt"))}
	u.Synced, _ = v.Get("synced").Truth()
	wallet := v.Get("wallet")
	switch wallet.Kind() {
	case jsonx.Absent, jsonx.Null: // no wallet yet; the document shows {} for that
		return u, nil
	case jsonx.Object:
	default:
		return User{}, errWallet
	}
	if w := wallet.Get("id"); w.Kind() != jsonx.Absent && !w.IsNull() {
		if u.WalletID, ok = w.Text(); !ok || !providers.IsWord(u.WalletID, maxWord) {
			return User{}, errWallet
		}
	}
	var err error
	u.Accounts, err = readAccounts(wallet.Get("accounts"))
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// readAccounts is all or nothing: a list that is short by one unreadable
// account would be taken for the whole wallet.
func readAccounts(v jsonx.Value) ([]events.WalletAccount, error) {
	switch v.Kind() {
	case jsonx.Absent, jsonx.Null:
		return nil, nil
	case jsonx.Array:
	default:
		return nil, errWallet
	}
	var out []events.WalletAccount
	for _, item := range v.Items() {
		var a events.WalletAccount
		for _, f := range []struct {
			key  string
			into *string
		}{{"id", &a.ID}, {"network", &a.Network}, {"coin", &a.Coin}, {"symbol", &a.Symbol}, {"address", &a.Address}} {
			text, ok := optional(item.Get(f.key))
			if !ok {
				return nil, errAccount
			}
			*f.into = text
		}
		if a.ID == "" {
			return nil, errAccount
		}
		out = append(out, a)
	}
	return out, nil
}

// optional is a string that may be missing, null or empty; ok is false for
// anything else, and for text that cannot stand in a record.
func optional(v jsonx.Value) (s string, ok bool) {
	if v.Kind() == jsonx.Absent || v.IsNull() {
		return "", true
	}
	s, ok = v.Text()
	return s, ok && (s == "" || providers.IsWord(strings.ReplaceAll(s, " ", "_"), maxWord)) // names of networks may have blanks
}

// List is one page of users.
type List struct {
	Users []User
	// Unreadable counts the users that are not among Users, for example
	// because their id cannot be a part of a record key.
	Unreadable int
	Offset     int
	All        int // users in the whole list; 0 when the answer does not say
}

func readList(body []byte) (List, error) {
	v, err := jsonx.Parse(body)
	if err != nil {
		return List{}, err
	}
	users, page := v.Get("users"), v.Get("page")
	if users.Kind() != jsonx.Array || page.Kind() != jsonx.Object {
		return List{}, errList
	}
	list := List{Offset: count(page.Get("offset")), All: count(page.Get("all"))}
	for _, item := range users.Items() {
		u, err := readUser(item)
		if err != nil {
			list.Unreadable++
			continue
		}
		list.Users = append(list.Users, u)
	}
	return list, nil
}

// count reads a whole number; 0 when it is anything else.
func count(v jsonx.Value) int {
	literal, _ := v.Literal()
	n, err := strconv.Atoi(literal)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
