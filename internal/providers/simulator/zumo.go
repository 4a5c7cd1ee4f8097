package simulator

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
)

// zumo plays the ZumoKit client API: users and wallets, no orders. Source:
// developers.zumo.money/docs/setup/server.html.
type zumo struct {
	a        *account
	creds    ZumoCreds
	sessions map[string]*zumoSession // by access token
	issued   int
}

// zumoSession is one set of tokens. Refreshing ends both of its tokens.
type zumoSession struct {
	refresh string
	expires time.Time
	user    string // the app user of an SDK token; "" for the app itself
}

// AddZumo adds a Zumo app whose webhooks go to webhookURL ("" sends none).
func (w *World) AddZumo(name events.Account, creds ZumoCreds, webhookURL string) error {
	secrets := []string{creds.AppSecret}
	if creds.Signing != nil {
		secrets = append(secrets, creds.Signing.Secret)
	}
	return w.add("zumo", name, webhookURL, func(a *account) dialect {
		a.prefix = "/v1"
		return &zumo{a: a, creds: creds, sessions: map[string]*zumoSession{}}
	}, secrets...)
}

// fates: that a user is deleted by somebody else has no word, only a 404, so
// it happens where a spec asks for it.
func (z *zumo) fates(kind events.SubjectKind) []weighted {
	if kind == events.Order {
		return nil
	}
	return []weighted{{FateCompleted, 80}, {FateUnpaid, 20}, {FateCancelled, 0}}
}

func (z *zumo) life(_ events.SubjectKind, fate Fate) []stage {
	const event = "appUser.wallet.accounts.updated"
	created := stage{word: "created", status: events.StatusCreated}
	one := stage{word: "provisioned", status: events.StatusCompleted, hook: event, count: 1}
	two := stage{word: "provisioned", status: events.StatusCompleted, hook: event, count: 2}
	switch fate {
	case FateUnpaid:
		return []stage{created}
	case FateCancelled:
		return []stage{created, one, zumoDeleted}
	}
	return []stage{created, one, two}
}

var zumoDeleted = stage{status: events.StatusCancelled}

func (z *zumo) unknown(events.SubjectKind) (stage, bool) { return stage{}, false }

func (z *zumo) newID(_ events.SubjectKind, _ int, d dice) string { return d.uuid("id") }

func (z *zumo) fill(s *subject, d dice) { s.walletID = d.uuid("wallet") }

func (z *zumo) can(f Fault) bool {
	switch f {
	case FaultBadSignature:
		return z.creds.Signing != nil
	case FaultStale, FaultOddForm, FaultTypeConflict, FaultContradict, FaultForged, FaultTampered, FaultUnknownWord, FaultDeny:
		return false
	}
	return true
}

// no: every refusal has the same message; only the status tells them apart.
func (z *zumo) no(status int, class Class) answer {
	return jsonAnswer(status, class, struct {
		StatusCode int    `json:"statusCode"`
		Type       string `json:"type"`
		Message    string `json:"message"`
	}{status, "invalid_request_error", "Entity not found."})
}

func (z *zumo) failInside() answer {
	ans := z.no(http.StatusNotFound, ClassOK)
	ans.status = http.StatusOK
	return ans
}

func (z *zumo) overBudget(retryAfter string) answer {
	return tooMany(retryAfter, map[string]any{"statusCode": 429, "type": "invalid_request_error", "message": "Too many requests."})
}

// serve keeps the document's trailing slashes: every path has one but the list.
func (z *zumo) serve(c *call) answer {
	if c.path == "/token/" && c.r.Method == http.MethodPost {
		return z.token(c)
	}
	if !z.authorised(c) {
		return z.no(http.StatusUnauthorized, ClassUnauthorized)
	}
	if c.path == "/app-users" && c.r.Method == http.MethodGet {
		c.log.Op = "list users"
		return z.list(c)
	}
	id, ok := strings.CutPrefix(c.path, "/app-users/")
	if id, user := strings.CutSuffix(id, "/token/"); ok && user && c.r.Method == http.MethodPost {
		c.log.Op = "user token"
		return z.userToken(c, id)
	}
	id, slash := strings.CutSuffix(id, "/")
	if !ok || !slash || id == "" || strings.Contains(id, "/") {
		return z.no(http.StatusNotFound, ClassBadRequest)
	}
	switch c.r.Method {
	case http.MethodGet:
		c.log.Op = "user"
		return z.user(c, id)
	case http.MethodPost:
		c.log.Op = "create user"
		return z.create(c, id)
	case http.MethodPut:
		c.log.Op = "mark synced"
		return z.mark(c, id)
	case http.MethodDelete:
		c.log.Op = "delete user"
		return z.remove(c, id)
	}
	return z.no(http.StatusBadRequest, ClassBadRequest)
}

func (z *zumo) bearer(c *call) string {
	t, _ := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	return t
}

func (z *zumo) authorised(c *call) bool {
	s := z.sessions[z.bearer(c)]
	return s != nil && s.user == "" && c.now.Before(s.expires)
}

// token logs in by app id and secret, or refreshes: the body has the refresh
// token then, and the header the access token that it came with, which must
// still be alive.
func (z *zumo) token(c *call) answer {
	var in struct{ AppID, AppSecret, RefreshToken string }
	if decode(c.body, &in) != nil {
		return z.no(http.StatusBadRequest, ClassBadRequest)
	}
	if in.RefreshToken == "" {
		c.log.Op = "login"
		if in.AppID != z.creds.AppID || !sameText(in.AppSecret, z.creds.AppSecret) {
			return z.no(http.StatusUnauthorized, ClassUnauthorized)
		}
		return z.issue(c, "")
	}
	c.log.Op = "refresh"
	old := z.bearer(c)
	s := z.sessions[old]
	if s == nil || s.user != "" || s.refresh != in.RefreshToken || !c.now.Before(s.expires) {
		return z.no(http.StatusUnauthorized, ClassUnauthorized)
	}
	delete(z.sessions, old)
	return z.issue(c, "")
}

// issue makes a new set of tokens. The unit of expiresIn is not documented;
// seconds here.
func (z *zumo) issue(c *call, user string) answer {
	z.issued++
	d := dice{z.a.w.opt.Seed, string(z.a.lane)}
	access := "zat-" + d.hex("access "+strconv.Itoa(z.issued), 40)
	s := &zumoSession{refresh: "zrt-" + d.hex("refresh "+strconv.Itoa(z.issued), 40), expires: c.now.Add(z.a.w.speed.TokenLife), user: user}
	for t, old := range z.sessions { // the dead ones would only add up
		if !c.now.Before(old.expires) {
			delete(z.sessions, t)
		}
	}
	z.sessions[access] = s
	z.a.w.secrets = append(z.a.w.secrets, access, s.refresh)
	return jsonAnswer(http.StatusOK, ClassOK, struct {
		Access  string      `json:"accessToken"`
		Expires json.Number `json:"expiresIn"`
		Refresh string      `json:"refreshToken"`
	}{access, json.Number(strconv.FormatFloat(z.a.w.speed.TokenLife.Seconds(), 'f', -1, 64)), s.refresh})
}

func (z *zumo) userToken(c *call, id string) answer {
	var in struct{ AppUserID, RefreshToken string }
	if decode(c.body, &in) != nil || (in.AppUserID != id) == (in.RefreshToken == "") {
		return z.no(http.StatusBadRequest, ClassBadRequest)
	}
	if z.alive(c, id) == nil {
		return z.no(http.StatusNotFound, ClassNotFound)
	}
	if in.RefreshToken != "" {
		known := false
		for t, s := range z.sessions {
			if s.user == id && s.refresh == in.RefreshToken {
				known = true
				delete(z.sessions, t)
			}
		}
		if !known {
			return z.no(http.StatusUnauthorized, ClassUnauthorized)
		}
	}
	return z.issue(c, id)
}

// alive finds a user that is not deleted.
func (z *zumo) alive(c *call, id string) *subject {
	s := c.find(events.Customer, id)
	if s == nil || s.stages[s.current(c.now)].word == "" {
		return nil
	}
	return s
}

func (z *zumo) user(c *call, id string) answer {
	s := z.alive(c, id)
	if s == nil {
		return z.no(http.StatusNotFound, ClassNotFound)
	}
	return jsonAnswer(http.StatusOK, ClassOK, z.object(s, s.current(c.now)))
}

func (z *zumo) create(c *call, id string) answer {
	var in struct{ AppUserID string }
	if decode(c.body, &in) != nil || in.AppUserID != id {
		return z.no(http.StatusBadRequest, ClassBadRequest)
	}
	c.log.Subject = id
	s, err := z.a.place(events.Customer, OrderSpec{ID: id})
	if err != nil {
		return z.no(http.StatusBadRequest, ClassBadRequest)
	}
	return jsonAnswer(http.StatusOK, ClassOK, z.object(s, 0))
}

// mark sets the flag. The request's word is synchronised, the answer's synced.
func (z *zumo) mark(c *call, id string) answer {
	var in struct {
		AppUserID    string
		Synchronised *bool
	}
	if decode(c.body, &in) != nil || in.AppUserID != id || in.Synchronised == nil {
		return z.no(http.StatusBadRequest, ClassBadRequest)
	}
	s := z.alive(c, id)
	if s == nil {
		return z.no(http.StatusNotFound, ClassNotFound)
	}
	s.synced = *in.Synchronised
	return answer{status: http.StatusOK, class: ClassOK, header: http.Header{"Content-Type": {"text/plain"}}, body: []byte("OK")}
}

func (z *zumo) remove(c *call, id string) answer {
	s := z.alive(c, id)
	if s == nil {
		return z.no(http.StatusNotFound, ClassNotFound)
	}
	gone := zumoDeleted
	gone.at = c.now.Sub(s.start)
	s.stages, s.fate = append(s.stages[:s.current(c.now)+1:s.current(c.now)+1], gone), FateCancelled
	return answer{status: http.StatusOK, class: ClassOK, header: http.Header{"Content-Type": {"text/plain"}}, body: []byte("OK")}
}

func (z *zumo) list(c *call) answer {
	q := c.r.URL.Query()
	rows := []*subject{}
	for _, s := range z.a.placed {
		if w := q.Get("synced"); s.stages[s.current(c.now)].word != "" && (w == "" || w == strconv.FormatBool(s.synced)) {
			rows = append(rows, s)
		}
	}
	all := len(rows)
	limit, offset := number(q.Get("limit"), z.a.w.opt.PageSize), number(q.Get("offset"), 0)
	rows = rows[min(offset, all):min(offset+limit, all)]
	type page struct {
		Limit  int `json:"limit"`
		Offset int `json:"offset"`
		All    int `json:"all"`
	}
	out := struct {
		Page  page       `json:"page"`
		Users []zumoUser `json:"users"`
	}{page{limit, offset, all}, []zumoUser{}}
	for _, s := range rows {
		out.Users = append(out.Users, z.object(s, s.current(c.now)))
	}
	return jsonAnswer(http.StatusOK, ClassOK, out)
}

// number reads a query parameter that must be a small natural number.
func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1_000_000 {
		return otherwise
	}
	return n
}

func (s *ZumoSigning) sign(body []byte, forged bool) (header, value string) {
	var h func() hash.Hash = sha256New
	if s.Algorithm == "hmac-sha512" {
		h = sha512New
	}
	secret := s.Secret
	if forged {
		secret = "not-" + secret
	}
	sum := mac(h, secret, string(body))
	value = hex.EncodeToString(sum)
	if s.Encoding == "base64" {
		value = base64.StdEncoding.EncodeToString(sum)
	}
	header = s.Header
	if header == "" {
		header = "X-SIGNATURE"
	}
	return http.CanonicalHeaderKey(header), s.Prefix + value
}
