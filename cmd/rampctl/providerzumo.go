package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"rampstream/internal/events"
	"rampstream/internal/providers/zumo"
)

func zumoCalls() []*call {
	calls := []*call{
		zumoToken(), zumoUserToken(), zumoUsers(),
		zumoUser("get-user", "Ask for a user and the wallet's accounts", "GET /app-users/{id}/.", func(ctx context.Context, c *zumo.Client, id string) (any, error) {
			return shownUser(c.User(ctx, id))
		}),
		zumoUser("create-user", "Create a user", "POST /app-users/{id}/. What a second creation answers is not documented.", func(ctx context.Context, c *zumo.Client, id string) (any, error) {
			return shownUser(c.CreateUser(ctx, id))
		}),
		zumoUser("mark-synced", "Mark a user as known to us", "PUT /app-users/{id}/. A marked user leaves the list that the poller sweeps.", func(ctx context.Context, c *zumo.Client, id string) (any, error) {
			return done(c.MarkSynced(ctx, id))
		}),
		zumoUser("delete-user", "Delete a user for ever", "DELETE /app-users/{id}/. It cannot be undone; --dry-run first.", func(ctx context.Context, c *zumo.Client, id string) (any, error) {
			return done(c.DeleteUser(ctx, id))
		}),
	}
	for _, k := range calls {
		k.login = func(r *http.Request) (string, bool) {
			return `{"accessToken":"dry-run"}`, strings.HasSuffix(r.URL.Path, "/token/") && !strings.Contains(r.URL.Path, "/app-users/")
		}
		k.clear = []string{"appUserId", "synchronised"}
	}
	return calls
}

func zumoClient(s *session) (*zumo.Client, error) { return zumo.NewClient(s.account, s.env) }

func zumoToken() *call {
	return &call{
		use: "token", short: "Log in, and print how long the token is good", args: cobra.NoArgs, example: "token --account shop",
		long: "POST /token/. The tokens are printed with --reveal only. Whether a second login ends the poller's tokens is not documented.",
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			c, err := zumoClient(s)
			if err != nil {
				return nil, err
			}
			t, err := c.Login(ctx)
			if err != nil {
				return nil, err
			}
			return s.tokens(t), nil
		},
	}
}

func (s *session) tokens(t zumo.Tokens) any {
	return object{
		{"access_token", s.secret(t.Access)}, {"refresh_token", s.secret(t.Refresh)}, {"expires_in_seconds", int64(t.ExpiresIn.Seconds())},
	}
}

func zumoUserToken() *call {
	var refresh string
	return &call{
		use: "user-token USER-ID", short: "Make or refresh the tokens of a user, for the SDK", args: cobra.ExactArgs(1), example: "user-token user-1 --reveal",
		long: "POST /app-users/{id}/token/. The tokens are printed with --reveal only.",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&refresh, "refresh", "", "file with the user's refresh token, or - for standard input: refresh instead")
		},
		run: func(ctx context.Context, s *session, a []string) (any, error) {
			c, err := zumoClient(s)
			if err != nil {
				return nil, err
			}
			var t zumo.Tokens
			if refresh == "" {
				t, err = c.UserToken(ctx, a[0])
			} else if old, errOld := s.token("refresh", refresh); errOld != nil {
				return nil, errOld
			} else {
				t, err = c.RefreshUserToken(ctx, a[0], old)
			}
			if err != nil {
				return nil, err
			}
			return s.tokens(t), nil
		},
	}
}

func zumoUser(name, short, long string, do func(context.Context, *zumo.Client, string) (any, error)) *call {
	return &call{
		use: name + " USER-ID", short: short, long: long, args: cobra.ExactArgs(1), example: name + " user-1 --account shop",
		run: func(ctx context.Context, s *session, a []string) (any, error) {
			c, err := zumoClient(s)
			if err != nil {
				return nil, err
			}
			return do(ctx, c, a[0])
		},
	}
}

func zumoUsers() *call {
	var synced bool
	var offset int
	return &call{
		use: "users", short: "List the users that are not marked synced, one page", args: cobra.NoArgs, example: "users --account shop",
		long: "GET /app-users?synced=false. api.page_size is the size of a page; the names of the paging parameters are not documented (api.fields).",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&synced, "synced", false, "those that are marked instead")
			cmd.Flags().IntVar(&offset, "offset", 0, "entries to leave out")
		},
		run: func(ctx context.Context, s *session, _ []string) (any, error) {
			c, err := zumoClient(s)
			if err != nil {
				return nil, err
			}
			list, err := c.List(ctx, synced, max(offset, 0))
			if err != nil {
				return nil, err
			}
			rows := []any{}
			for _, u := range list.Users {
				row, _ := shownUser(u, nil)
				rows = append(rows, row)
			}
			return object{{"users", rows}, {"offset", list.Offset}, {"all", list.All}, {"unreadable", list.Unreadable}}, nil
		},
	}
}

// shownUser is a user as the output has it.
func shownUser(u zumo.User, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	accounts := u.Accounts
	if accounts == nil {
		accounts = []events.WalletAccount{}
	}
	return object{
		{"app_user_id", u.AppUserID}, {"synced", u.Synced}, {"wallet_id", u.WalletID}, {"accounts", accounts},
		{"provider_created_at", clock(u.CreatedAt)},
	}, nil
}
