package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"rampstream/internal/events"
)

// World is a set of provider accounts that share a seed and a clock. All its
// methods may be called concurrently.
type World struct {
	opt    Options
	speed  Speed
	client *http.Client

	// mu guards everything below and in the accounts. It is never held during I/O.
	mu       sync.Mutex
	accounts map[events.Lane]*account
	queue    queue
	pushed   int
	sending  int
	wake     chan struct{}
	stats    Stats
	canaries map[string]string
	secrets  []string
	started  context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// dialect is what one provider's documents say, for one account. Its methods
// are called with the world locked.
type dialect interface {
	// fates are the ends that a subject of the kind can have, with weights; nil
	// when the provider has no such subjects.
	fates(kind events.SubjectKind) []weighted
	// life lists the states on the way to a fate, without times.
	life(kind events.SubjectKind, fate Fate) []stage
	// unknown is a state whose word no document has; ok is false where the
	// provider states no words.
	unknown(kind events.SubjectKind) (s stage, ok bool)
	newID(kind events.SubjectKind, n int, d dice) string
	// fill draws what the spec left open, and what the API states.
	fill(s *subject, d dice)
	serve(c *call) answer
	// compose builds the delivery of n, or nil when there is none to send.
	compose(s *subject, n *notice, now time.Time) *outgoing
	// failInside is a 200 whose body says that the call failed.
	failInside() answer
	// overBudget is how the provider says "too many calls".
	overBudget(retryAfter string) answer
	// can reports whether the provider can have a fault of webhooks or orders.
	can(f Fault) bool
}

type weighted struct {
	fate   Fate
	weight int
}

// account is one set of credentials: its orders, its server, its log.
type account struct {
	w        *World
	provider events.Provider
	name     events.Account
	lane     events.Lane
	dialect  dialect
	hookURL  string
	prefix   string // appended to the server's address in URL

	subjects map[events.Key]*subject
	placed   []*subject
	asked    map[string]int // calls so far, by what they were about
	calls    []*Call        // in the order of serving, in which nonces were judged
	archive  []Delivery
	inflight int
	window   budget
	url      string
	srv      *http.Server // nil before Start

	refusals  int    // of the next calls
	refuseFor string // the Retry-After of those
}

// New makes a world with no accounts.
func New(o Options) *World {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageSize <= 0 {
		o.PageSize = 50
	}
	if o.Keep <= 0 {
		o.Keep = 100_000
	}
	w := &World{
		opt:      o,
		speed:    o.Speed.withDefaults(),
		accounts: map[events.Lane]*account{},
		wake:     make(chan struct{}, 1),
		stats:    newStats(),
	}
	w.canaries = newCanaries(o.Seed)
	w.client = &http.Client{
		Timeout:       w.speed.Patience,
		Transport:     &http.Transport{MaxIdleConnsPerHost: senders, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w
}

func (w *World) now() time.Time { return w.opt.Now() }

func (w *World) add(p events.Provider, name events.Account, hookURL string, make func(*account) dialect, secrets ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	lane := events.LaneOf(p, name)
	if !events.ValidPart(string(name)) {
		return fmt.Errorf("simulator: account %q: not 1-128 of [A-Za-z0-9._:-]", name)
	}
	if w.accounts[lane] != nil {
		return fmt.Errorf("simulator: %s is there already", lane)
	}
	a := &account{
		w: w, provider: p, name: name, lane: lane, hookURL: hookURL,
		subjects: map[events.Key]*subject{}, asked: map[string]int{},
		window: budget{rate: w.opt.Budget},
	}
	a.dialect = make(a)
	w.accounts[lane] = a
	for _, s := range secrets {
		if s != "" {
			w.secrets = append(w.secrets, s)
		}
	}
	if w.started != nil {
		return w.listen(a)
	}
	return nil
}

// Start binds a server for every account and begins to send webhooks. It
// returns when all are bound; accounts added later are served at once. The
// world runs until ctx ends or Close is called. A world is started once.
func (w *World) Start(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started != nil {
		return errors.New("simulator: started twice")
	}
	w.started, w.cancel = context.WithCancel(ctx)
	for _, a := range w.accounts {
		if err := w.listen(a); err != nil {
			w.cancel()
			return err
		}
	}
	w.wg.Go(func() { w.send(w.started) })
	return nil
}

// listen serves a until the world ends. The world is locked.
func (w *World) listen(a *account) error {
	addr := w.opt.Listen[a.lane]
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(w.started, "tcp", addr)
	if err != nil {
		return fmt.Errorf("simulator: %s: %w", a.lane, err)
	}
	a.url = "http://" + ln.Addr().String()
	if w.opt.TLS != nil {
		ln, a.url = tls.NewListener(ln, w.opt.TLS), "https://"+ln.Addr().String()
	}
	srv := &http.Server{
		Handler: a, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // callers that hang up are the point of many tests
	}
	a.srv = srv
	w.wg.Go(func() { _ = srv.Serve(ln) }) // returns ErrServerClosed, always
	ended := w.started
	w.wg.Go(func() {
		<-ended.Done()
		_ = srv.Close()
	})
	return nil
}

// Close ends the servers and the sender and waits for them. It may be called
// twice, and without Start.
func (w *World) Close() {
	w.mu.Lock()
	if w.cancel != nil {
		w.cancel()
	}
	w.mu.Unlock()
	w.wg.Wait()
	w.client.CloseIdleConnections()
}

// HangUp closes the connections to and from the providers on which nothing is
// under way.
func (w *World) HangUp() {
	w.client.CloseIdleConnections()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.accounts {
		if a.srv != nil {
			a.srv.SetKeepAlivesEnabled(false)
			a.srv.SetKeepAlivesEnabled(true)
		}
	}
}

// URL is the base URL of an account's API, "" before Start or for an account
// that is not there. It is what the provider's own base URL is in production:
// Zumo's ends in /v1, the others have no path.
func (w *World) URL(p events.Provider, name events.Account) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[events.LaneOf(p, name)]
	if a == nil || a.url == "" {
		return ""
	}
	return a.url + a.prefix
}

// Handler is an account's API as a handler, for a server of the caller's; nil
// for an account that is not there. Zumo's paths begin with /v1.
func (w *World) Handler(p events.Provider, name events.Account) http.Handler {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.accounts[events.LaneOf(p, name)]; a != nil {
		return a
	}
	return nil
}

// SetWebhookURL says where an account's webhooks go from now on; "" sends none.
func (w *World) SetWebhookURL(p events.Provider, name events.Account, url string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[events.LaneOf(p, name)]
	if a == nil {
		return fmt.Errorf("simulator: no account %s", events.LaneOf(p, name))
	}
	a.hookURL = url
	return nil
}

// Refuse has an account answer its next n calls with "too many calls", and with
// this Retry-After where the provider sends one.
func (w *World) Refuse(p events.Provider, name events.Account, n int, retryAfter string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[events.LaneOf(p, name)]
	if a == nil {
		return fmt.Errorf("simulator: no account %s", events.LaneOf(p, name))
	}
	a.refusals, a.refuseFor = n, retryAfter
	return nil
}

// Lanes lists the accounts, sorted.
func (w *World) Lanes() []events.Lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]events.Lane, 0, len(w.accounts))
	for l := range w.accounts {
		out = append(out, l)
	}
	slices.Sort(out)
	return out
}

// Fates lists the ends that a provider's orders or customers can have; nil for
// a provider without such subjects.
func Fates(p events.Provider, kind events.SubjectKind) []Fate {
	d := dialects[p]
	if d == nil {
		return nil
	}
	var out []Fate
	for _, f := range d.fates(kind) {
		out = append(out, f.fate)
	}
	return out
}

// dialects holds one of each, for questions that need no account.
var dialects = map[events.Provider]dialect{
	"kado": &kado{}, "kanga": &kanga{}, "koinal": &koinal{}, "kuna": &kuna{}, "zumo": &zumo{},
}

// Canaries lists strings that look like personal data and stand in payloads
// where the documents have them: e-mail addresses, names, phones, wallet
// addresses. None may be found outside the world, in no topic, log or metric.
// Zumo's account addresses are not among them: they are asked for.
func (w *World) Canaries() []string {
	out := make([]string, 0, len(w.canaries))
	for _, v := range w.canaries {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// Secrets lists every credential of the accounts and every token issued so far.
func (w *World) Secrets() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.secrets)
}

func newCanaries(seed uint64) map[string]string {
	d := dice{seed, "canaries"}
	return map[string]string{
		"email":    "canary." + d.hex("email", 10) + "@example.com",
		"first":    "Canaryfirst" + d.hex("first", 6),
		"last":     "Canarylast" + d.hex("last", 6),
		"phone":    "+380" + fmt.Sprintf("%09d", d.below("phone", 0, 1_000_000_000)),
		"street":   "Canary Street " + d.hex("street", 6),
		"comment":  "canary comment " + d.hex("comment", 6),
		"wallet":   "0xca4a97" + d.hex("wallet", 34),
		"deposit":  "canarydeposit" + d.hex("deposit", 26),
		"document": "CANARYDOC" + strings.ToUpper(d.hex("document", 8)),
		"memo":     "canarymemo" + d.hex("memo", 8),
	}
}
