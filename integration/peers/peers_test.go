package peers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"rampstream/integration/peers"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/httpx"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
)

var known = map[events.Provider]providers.Provider{
	"kado": kado.Provider, "kanga": kanga.Provider, "koinal": koinal.Provider, "kuna": kuna.Provider, "zumo": zumo.Provider,
}

// start runs the peers, or skips where they cannot and need not.
func start(t *testing.T, dialect string) *peers.Peers {
	t.Helper()
	p, err := peers.Start(context.Background(), dialect) // ended by Close, at the end of the test
	if errors.Is(err, peers.ErrNoNode) && os.Getenv("PEERS") != "required" {
		t.Skip("node is not installed: the providers in another language cannot run")
	}
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// side is one provider's peer and the account that reaches it.
type side struct {
	t       *testing.T
	p       *peers.Peers
	account providers.Account
	env     providers.Env
	caps    providers.Capabilities
	ahead   *atomic.Int64 // how far the client's clock is ahead, in nanoseconds
	nonce   int64
}

func newSide(t *testing.T, p *peers.Peers, name events.Provider) *side {
	t.Helper()
	s := &side{t: t, p: p, ahead: &atomic.Int64{}}
	for _, a := range p.Accounts() {
		if a.Provider == name {
			s.account = a
		}
	}
	if faults := known[name].Validate(s.account, providers.Policy{}); len(faults) > 0 {
		t.Fatalf("the account of %s: %q", name, faults)
	}
	s.env = providers.Env{
		HTTP:       httpx.New(httpx.Options{AllowInsecure: true, Timeout: time.Minute}),
		Now:        func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
		WebhookURL: p.Credentials.Kado.WebhookURL,
	}
	t.Cleanup(s.env.HTTP.CloseIdleConnections)
	var err error
	s.caps, err = known[name].Open(s.account, s.env)
	must(t, err)
	return s
}

// next is a nonce above all before.
func (s *side) next() int64 {
	s.nonce = max(s.nonce+1, time.Now().UnixMilli())
	return s.nonce
}

func (s *side) set(f peers.Fields) {
	s.t.Helper()
	must(s.t, s.p.Set(s.account.Provider, f))
}

func (s *side) key(kind events.SubjectKind, id string) events.Key {
	return events.Key{Provider: s.account.Provider, Account: peers.Account, Kind: kind, ID: id}
}

// status asks about a subject and wants a word with a meaning.
func (s *side) status(kind events.SubjectKind, id, word string, means events.Status) providers.Answer {
	s.t.Helper()
	c := s.caps.Orders
	if kind == events.Customer {
		c = s.caps.Customers
	}
	a, err := c.Check(s.t.Context(), providers.Question{Key: s.key(kind, id), Nonce: s.next()})
	if err != nil || a.Key != s.key(kind, id) || a.StatusRaw != word {
		s.t.Errorf("Check(%s) = %+v, %v; want %s", id, a, err, word)
	}
	m, ok := known[s.account.Provider].Vocabulary(s.account).Meaning(kind, a.StatusRaw)
	if !ok || m.Status != means {
		s.t.Errorf("%s means %v, %v; want %v", a.StatusRaw, m.Status, ok, means)
	}
	return a
}

// outcome wants a call's failure to be of a class.
func (s *side) outcome(what string, err error, want events.Outcome) {
	s.t.Helper()
	var failed *providers.CallError
	if !errors.As(err, &failed) || failed.Outcome != want {
		s.t.Errorf("%s: %v; want %s", what, err, want)
	}
}

func (s *side) unknown(kind events.SubjectKind, want events.Outcome) {
	s.t.Helper()
	c := s.caps.Orders
	if kind == events.Customer {
		c = s.caps.Customers
	}
	_, err := c.Check(s.t.Context(), providers.Question{Key: s.key(kind, "nobody-knows-1"), Nonce: s.next()})
	s.outcome("an unknown subject", err, want)
}

// delivered parses a delivery that the peer made, as ingest would.
func (s *side) delivered(f peers.Fields) events.Webhook {
	s.t.Helper()
	d, err := s.p.Sign(s.account.Provider, f)
	must(s.t, err)
	w, err := s.caps.Webhook.ParseWebhook(asDelivery(d))
	if err != nil {
		s.t.Errorf("delivery about %v: %v", f, err)
	}
	return w
}

// asDelivery is what ingest makes of the request.
func asDelivery(d peers.Delivery) providers.Delivery {
	h := http.Header{}
	for name, v := range d.Headers {
		h.Set(name, v)
	}
	query := ""
	if len(d.Path) > 0 && d.Path[0] == '?' {
		query = d.Path[1:]
	}
	return providers.Delivery{Method: d.Method, RawQuery: query, Header: h, Body: []byte(d.Body), ReceivedAt: events.At(time.Now())}
}

// get opens an address as a browser would.
func get(t *testing.T, address string) int {
	t.Helper()
	resp, err := http.Get(address)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// stories are everything that can be done with a provider.
var stories = map[events.Provider]func(*side){"kado": kadoStory, "kanga": kangaStory, "koinal": koinalStory, "kuna": kunaStory, "zumo": zumoStory}

// Every typed client makes every documented call against a server that somebody
// wrote from the documents in another language, in both of its dialects.
func TestClients(t *testing.T) {
	for _, dialect := range []string{peers.Document, peers.Other} {
		t.Run(dialect, func(t *testing.T) {
			p := start(t, dialect)
			t.Logf("Kado signs with %s", p.Crypto)
			for name, story := range stories {
				t.Run(string(name), func(t *testing.T) { story(newSide(t, p, name)) })
			}
			r, err := p.Report()
			must(t, err)
			for _, f := range r.Faults {
				t.Errorf("against the document: %s", f)
			}
			for _, c := range documented(t) {
				if r.Calls[c.provider][c.call] == 0 && !(dialect == peers.Other && c == call{"kuna", "login"}) {
					t.Errorf("%s: %q was never asked for", c.provider, c.call)
				}
			}
		})
	}
}

// wrong opens the account with another credential; the call must be refused.
func (s *side) wrong(change func(*providers.API), try func(providers.Capabilities) error) {
	s.t.Helper()
	a := s.account
	change(&a.API)
	caps, err := known[a.Provider].Open(a, s.env)
	must(s.t, err)
	s.outcome("another credential", try(caps), events.OutcomeUnauthorized)
}

func (s *side) try(kind events.SubjectKind, id string) func(providers.Capabilities) error {
	return func(caps providers.Capabilities) error {
		c := caps.Orders
		if kind == events.Customer {
			c = caps.Customers
		}
		_, err := c.Check(s.t.Context(), providers.Question{Key: s.key(kind, id), Nonce: s.next()})
		return err
	}
}

const otherSecret providers.Secret = "somebody-else's-secret-0001"

func id(n int) string { return fmt.Sprintf("o-%d", n) }
