package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/integration/peers"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// rival is a second account of every provider: its secrets are others, and its
// orders have the ids of the first one's.
const rival events.Account = "rival"

// peersRing: the built programs against providers that somebody wrote from the
// documents in another language, in the dialect that the documents suggest.
func peersRing(t *testing.T, p platform) { peersIn(t, p, peers.Document) }

// peersOther: the same in a dialect that only the configuration knows.
func peersOther(t *testing.T, p platform) { peersIn(t, p, peers.Other) }

// peered is a world whose providers are peers.
type peered struct {
	*world
	peers *peers.Peers
}

func peersIn(t *testing.T, p platform, dialect string) {
	far, err := peers.Start(t.Context(), dialect)
	if errors.Is(err, peers.ErrNoNode) && os.Getenv("PEERS") != "required" {
		t.Skip("node is not installed: the providers in another language cannot run")
	}
	must(t, err)
	t.Cleanup(far.Close)
	w := peered{peers: far}
	w.world = newWorld(t, p, options{change: func(c *config.Config) {
		poll := providers.Poll{Rate: 100, Burst: 50, HintRate: 40, SweepEvery: time.Second}
		c.Accounts = nil
		for _, a := range append(far.Accounts(), rivals(far)...) {
			a.Poll = poll
			c.Accounts = append(c.Accounts, a)
		}
		c.Ingest.Tokens[0].Accounts = c.Lanes()
		c.Ingest.Hint = config.Hint{PerOrder: 100 * time.Millisecond, Rate: 1000, Burst: 1000}
		c.Ingest.ProduceDeadline = 15 * time.Second
	}})
	w.everyCommand()
	byHand := w.report().Calls["zumo"]["update user"]
	ingest, poller, reconciler := w.startAll()
	w.settles()
	w.accountsAreApart()
	w.strangersAreKeptOut()
	w.everyBitFlip()
	w.webhookCommands()
	eventually(t, patience, "the poller marks users of Zumo as read", func() (bool, string) {
		n := w.report().Calls["zumo"]["update user"]
		return n > byHand, fmt.Sprintf("%d calls, %d of them by hand", n, byHand)
	})
	for _, f := range w.report().Faults {
		t.Errorf("against the document: %s", f)
	}
	for _, p := range []*process{ingest, poller, reconciler} {
		p.stop()
	}
}

func (w peered) report() peers.Report {
	w.t.Helper()
	r, err := w.peers.Report()
	must(w.t, err)
	return r
}

// rivals have credentials of their own, which the peers do not know: nothing of
// theirs is polled with success, and what is signed for the first is not theirs.
func rivals(far *peers.Peers) []providers.Account {
	accounts := far.Accounts()
	for i := range accounts {
		a := &accounts[i]
		a.Account = rival
		for j := range a.Webhook.Secrets {
			a.Webhook.Secrets[j] = providers.Secret(fmt.Sprintf("rival-webhook-secret-of-%s", a.Provider))
		}
		if a.Provider == "kuna" { // which nothing signs: an address is all there is
			a.Webhook.AllowFrom = []string{"192.0.2.0/24"}
		}
		if a.Provider == "kado" {
			a.Webhook.PublicKey, a.API.PublicKey = "rival-public-key", "rival-public-key"
		}
		if a.Provider == "kanga" {
			a.API.PublicKey = "rivalkey"
		}
		for _, s := range []*providers.Secret{&a.API.PrivateKey, &a.API.Password, &a.API.APIKey, &a.API.AppSecret} {
			if *s != "" {
				*s = providers.Secret(fmt.Sprintf("rival-api-secret-of-%s-0001", a.Provider))
			}
		}
	}
	return accounts
}

func (w peered) hook(name events.Provider, account events.Account) string {
	return w.ingest + "/v1/webhooks/" + string(name) + "/" + string(account)
}

// subject is one whose end is known.
type subject struct {
	provider events.Provider
	kind     events.SubjectKind
	id       string
	fields   peers.Fields // what the provider says of it in the end
	intent   string       // members of the merchant's intent; "" for none
	deliver  peers.Fields // of the delivery, beside the id; nil for none
}

func (w peered) subjects() []subject {
	completed := "COMPLETED"
	if w.peers.Dialect == peers.Other {
		completed = "Settled"
	}
	wallet := peers.Fields{"accounts": []any{map[string]string{"id": "acc-1", "address": "0x1"}}}
	return []subject{
		{"kado", events.Order, "6408fd3e24c501549aaac9f1", peers.Fields{"paymentStatus": "success", "transferStatus": "settled"},
			`"fiat":{"amount":"100.50","currency":"USD"}`, peers.Fields{"type": "order_completed"}},
		{"kado", events.Order, "6408fd3e24c501549aaac9f2", peers.Fields{"paymentStatus": "success", "transferStatus": "settled"},
			`"fiat":{"amount":"100.50","currency":"USD"}`, nil},
		{"kanga", events.Order, "kanga-1", peers.Fields{"state": "FINALIZED"}, `"crypto":{"amount":"10.5","asset":"oPLN"}`, peers.Fields{}},
		{"koinal", events.Order, "70001", peers.Fields{"status": completed}, `"fiat":{"amount":"1000","currency":"USD"}`, peers.Fields{}},
		{"koinal", events.Order, "70002", peers.Fields{"status": completed}, `"fiat":{"amount":"1000","currency":"USD"}`, nil},
		{"kuna", events.Order, "kuna-1", peers.Fields{"status": "Completed"}, `"crypto":{"amount":"15.07768","asset":"USDT"}`, peers.Fields{}},
		{"kuna", events.Order, "kuna-2", peers.Fields{"status": "Completed"}, "", nil}, // found by a sweep alone
		{"zumo", events.Customer, "zumo-user-1", wallet, "", peers.Fields{}},
		{"zumo", events.Customer, "zumo-user-2", wallet, "", nil}, // found by a sweep alone
	}
}

func (s subject) key(a events.Account) events.Key {
	return events.Key{Provider: s.provider, Account: a, Kind: s.kind, ID: s.id}
}

// settles: every subject ends as its provider says, by webhook, callback, poll
// or sweep.
func (w peered) settles() {
	for _, s := range w.subjects() {
		f := peers.Fields{"id": s.id}
		for k, v := range s.fields {
			f[k] = v
		}
		if s.kind == events.Customer {
			f["kind"] = "customer"
		}
		must(w.t, w.peers.Set(s.provider, f))
		if s.intent != "" {
			w.announce(s, "peer")
		}
		if s.deliver != nil {
			w.deliver(s)
		}
	}
	table := w.table()
	eventually(w.t, patience, "every subject ends as its provider says", func() (bool, string) {
		if _, err := table.Refresh(w.t.Context()); err != nil {
			return false, err.Error()
		}
		states, wrong := table.States(), []string(nil)
		for _, s := range w.subjects() {
			if st := states[s.key("peer")]; st.Status != events.StatusCompleted || st.StatusRaw == "" {
				wrong = append(wrong, fmt.Sprintf("%s is %v by %s (%s)", s.key("peer"), st.Status, st.DecidedBy, st.StatusRaw))
			}
		}
		return len(wrong) == 0, strings.Join(wrong, "\n")
	})
}

// announce posts the merchant's intent.
func (w peered) announce(s subject, account events.Account) {
	w.t.Helper()
	body := fmt.Sprintf(`{"provider":%q,"account":%q,"order_id":%q,%s}`, s.provider, account, s.id, s.intent)
	got := w.post("/v1/orders", http.Header{"Authorization": {"Bearer " + w.sim.Token}, "Content-Type": {"application/json"}}, []byte(body))
	if got.Status != http.StatusOK {
		w.t.Fatalf("intent of %s: %d %s", s.id, got.Status, got.Body)
	}
}

// deliver lets the provider send its own delivery.
func (w peered) deliver(s subject) {
	w.t.Helper()
	d, err := w.peers.Send(s.provider, w.hook(s.provider, "peer"), s.delivery())
	must(w.t, err)
	if d.Status != http.StatusOK {
		w.t.Errorf("a delivery of %s about %s was answered with %d", s.provider, s.id, d.Status)
	}
}

func (s subject) delivery() peers.Fields {
	f := peers.Fields{"id": s.id}
	for k, v := range s.deliver {
		f[k] = v
	}
	return f
}

// accountsAreApart: what is signed for one account is not the other's, and a
// delivery that names an order of the other changes nothing there.
func (w peered) accountsAreApart() {
	for _, s := range w.subjects() {
		if s.intent != "" {
			w.announce(s, rival)
		}
	}
	table := w.table()
	known := func() int {
		_, err := table.Refresh(w.t.Context())
		must(w.t, err)
		n := 0
		for key := range table.States() {
			if key.Account == rival {
				n++
			}
		}
		return n
	}
	eventually(w.t, patience, "the rival's orders are known", func() (bool, string) { n := known(); return n >= 6, fmt.Sprint(n) })
	for _, s := range w.subjects() {
		if s.deliver == nil {
			continue
		}
		d, err := w.peers.Sign(s.provider, s.delivery())
		must(w.t, err)
		signed := s.provider != "kanga"
		// To the first account, naming an id that the rival has too.
		if got, _ := w.repeat(d, s.provider, "peer"); got != http.StatusOK {
			w.t.Errorf("%s: a delivery to its own account: %d", s.provider, got)
		}
		if s.provider == "kuna" {
			continue // see strangersAreKeptOut
		}
		// To the rival, under the first account's signature. Where nothing is
		// signed it is a hint, and the rival's provider is asked.
		if got, _ := w.repeat(d, s.provider, rival); signed == (got == http.StatusOK) {
			w.t.Errorf("%s: a delivery to another account: %d", s.provider, got)
		}
	}
	// The poller goes on asking: what was said so far is what must be read.
	said, err := w.ground().Ends(w.t.Context())
	must(w.t, err)
	eventually(w.t, patience, "the deliveries are read", func() (bool, string) {
		unread, err := w.ground().Unread(w.t.Context(), said)
		return err == nil && unread == "", fmt.Sprintf("%s, %v", unread, err)
	})
	known()
	for key, st := range table.States() {
		if key.Account != rival {
			continue
		}
		if slices.ContainsFunc(st.Evidence, func(e events.Evidence) bool { return e.Kind == events.EvidenceWebhook }) {
			w.t.Errorf("%s has evidence by a delivery of another account: %+v", key, st.Evidence)
		}
		// Kado's order route is public: whoever knows an id may ask, and is
		// answered whose order it is not.
		if st.Terminal && (key.Provider != "kado" || st.DecidedSource != "poll") {
			w.t.Errorf("%s became %v by deliveries of another account", key, st.Status)
		}
	}
}

// strangersAreKeptOut: a route with a list of networks takes nobody else, whom
// a header names or not.
func (w peered) strangersAreKeptOut() {
	d, err := w.peers.Sign("kuna", peers.Fields{"id": "kuna-1"})
	must(w.t, err)
	for _, claim := range []string{"", "192.0.2.7", "192.0.2.7, 127.0.0.1"} {
		f := d
		f.Headers = map[string]string{"content-type": "application/json"}
		if claim != "" {
			f.Headers["X-Forwarded-For"] = claim
		}
		if got, _ := w.repeat(f, "kuna", rival); got != http.StatusForbidden {
			w.t.Errorf("a stranger who claims to be %q: %d, want 403", claim, got)
		}
	}
}

// repeat posts a delivery to a route of ingest.
func (w peered) repeat(d peers.Delivery, name events.Provider, account events.Account) (status int, id events.EventID) {
	query := ""
	if strings.HasPrefix(d.Path, "?") {
		query = d.Path
	}
	header := http.Header{}
	for k, v := range d.Headers {
		header.Set(k, v)
	}
	ask := func() (int, events.EventID) {
		req, err := http.NewRequestWithContext(w.t.Context(), d.Method, w.hook(name, account)+query, bytes.NewReader([]byte(d.Body)))
		if err != nil {
			return 0, ""
		}
		req.Header = header.Clone()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, ""
		}
		defer func() { _ = resp.Body.Close() }()
		var r integration.Receipt
		_ = json.NewDecoder(resp.Body).Decode(&r)
		return resp.StatusCode, r.EventID
	}
	for until := time.Now().Add(patience); ; { // a provider repeats it where Kafka is slow
		if status, id = ask(); status != http.StatusServiceUnavailable || time.Now().After(until) {
			return status, id
		}
	}
}

// everyBitFlip: a delivery of which one bit was changed on the way is refused,
// or it is the same event: the scheme does not cover how a thing is spelled.
func (w peered) everyBitFlip() {
	for _, name := range []events.Provider{"kado", "koinal", "zumo"} {
		s := w.subjects()[map[events.Provider]int{"kado": 0, "koinal": 3, "zumo": 7}[name]]
		d, err := w.peers.Sign(name, s.delivery())
		must(w.t, err)
		status, want := w.repeat(d, name, "peer")
		if status != http.StatusOK || want == "" {
			w.t.Fatalf("%s: an honest delivery: %d", name, status)
		}
		flips := flipsOf(d)
		var same, refused, next atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for n := next.Add(1) - 1; n < int64(len(flips)); n = next.Add(1) - 1 {
					switch status, id := w.repeat(flips[n], name, "peer"); {
					case status == http.StatusOK && id == want:
						same.Add(1)
					case status == http.StatusUnauthorized, status == http.StatusBadRequest, status == http.StatusUnsupportedMediaType:
						refused.Add(1)
					default:
						w.t.Errorf("%s: flip %d of %d: %d, event %s; want a refusal or event %s", name, n, len(flips), status, id, want)
					}
				}
			})
		}
		wg.Wait()
		w.t.Logf("%s: %d of %d flips refused, %d the same event", name, refused.Load(), len(flips), same.Load())
		if refused.Load() < int64(len(flips))*9/10 {
			w.t.Errorf("%s: only %d of %d flips were refused", name, refused.Load(), len(flips))
		}
	}
}

// flipsOf are all single-bit changes of the body and of the headers that are
// part of the scheme, but those that cannot be sent in a header.
func flipsOf(d peers.Delivery) []peers.Delivery {
	var out []peers.Delivery
	for bit := range 8 * len(d.Body) {
		b := []byte(d.Body)
		b[bit/8] ^= 1 << (bit % 8)
		f := d
		f.Body = string(b)
		out = append(out, f)
	}
	for name, value := range d.Headers {
		if name == "content-type" {
			continue
		}
		for bit := range 8 * len(value) {
			v := []byte(value)
			v[bit/8] ^= 1 << (bit % 8)
			if strings.ContainsFunc(string(v), unsendable) || strings.TrimSpace(string(v)) != string(v) {
				continue
			}
			f := d
			f.Headers = map[string]string{}
			for k, old := range d.Headers {
				f.Headers[k] = old
			}
			f.Headers[name] = string(v)
			out = append(out, f)
		}
	}
	return out
}

// unsendable are the characters that no client sends in a header.
func unsendable(r rune) bool { return r < ' ' || r == 0x7f }
