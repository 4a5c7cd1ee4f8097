package oracle_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/oracle"
	"rampstream/internal/order"
	"rampstream/schemas"
)

var (
	histories = flag.Int("histories", 0, "random histories to compare (default 100,000; fewer with -short or -race)")
	records   = flag.Int("records", 0, "records of each random history, exactly (default mostly few, at most 200)")
	seed      = flag.Uint64("seed", 1, "seed of the first random history")
)

// Everything dies young here: collect seldom.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// newCodec writes with made-up ids: only bodies are compared.
func newCodec(t testing.TB) *codec.Codec {
	t.Helper()
	ids := map[string]int{}
	for i, n := range schemas.Names() {
		ids[n] = i + 1
	}
	c, err := codec.New(ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// vocabulary has every status, two words of one status, and legal regressions.
var vocabulary = events.Vocabulary{
	Provider: "acme", PollOrders: true, PollCustomers: true, Webhooks: true,
	Orders: map[string]events.Word{
		"new": {Status: events.StatusCreated}, "wait": {Status: events.StatusPending}, "run": {Status: events.StatusProcessing},
		"run2": {Status: events.StatusProcessing}, "hold": {Status: events.StatusOnHold}, "done": {Status: events.StatusCompleted},
		"done2": {Status: events.StatusCompleted}, "fail": {Status: events.StatusFailed}, "off": {Status: events.StatusCancelled},
		"gone": {Status: events.StatusExpired}, "back": {Status: events.StatusRefunded}, "call": {Status: events.StatusUnknown},
	},
	Customers: map[string]events.Word{
		"new": {Status: events.StatusCreated}, "run": {Status: events.StatusProcessing}, "hold": {Status: events.StatusOnHold},
		"done": {Status: events.StatusCompleted}, "off": {Status: events.StatusCancelled},
	},
	Regressions: [][2]string{{"hold", "run"}, {"run", "hold"}, {"done", "hold"}},
}

// unsigned is the table of a provider whose amounts are the payer's and that
// sends no signed webhook.
func unsigned() events.Vocabulary {
	v := vocabulary
	v.AmountUnsigned, v.Webhooks = true, false
	return v
}

var lanes = map[events.Lane]events.Vocabulary{"acme/north": vocabulary, "acme/south": unsigned()}

func newRules(t testing.TB) order.Rules {
	t.Helper()
	r, err := order.NewRules(order.DefaultSettings(), lanes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func oracleRules(r order.Rules, lane events.Lane) oracle.Rules {
	s := r.Settings()
	return oracle.Rules{Settings: oracle.Settings{Margin: s.Margin, Confirm: s.Confirm, MissingWebhook: s.MissingWebhook, Stuck: s.Stuck},
		Vocabulary: lanes[lane], Version: r.LaneVersion(lane)}
}

// Random histories of four subjects in two accounts, whose clocks are ahead and
// behind: the lattice, fed in any order with repetitions and in pieces, gives
// the bytes of the oracle, which sees everything at once.
//
//	go test ./internal/oracle -run agreesWithTheOracle -histories 1000000
//	go test ./internal/oracle -run agreesWithTheOracle -histories 20000 -records 200
func TestOrder_agreesWithTheOracle(t *testing.T) {
	r, cd := newRules(t), newCodec(t)
	count := *histories
	if count == 0 {
		count = 100_000
		if testing.Short() {
			count /= 10
		}
		if raceDetector {
			count /= 50
		}
	}
	began := time.Now()
	met := coverage{}
	var next, told atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			mine := coverage{}
			for n := next.Add(1); n <= int64(count) && !t.Failed(); n = next.Add(1) {
				w := newWorld(*seed+uint64(n), 200)
				told.Add(int64(len(w.log)))
				for _, key := range w.keys {
					if st, ok := compare(t, r, cd, w, key); ok {
						mine.add(st)
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for k, n := range mine {
				met[k] += n
			}
		})
	}
	wg.Wait()
	t.Logf("%d histories, %d records, %d states in %v", count, told.Load(), met["states"], time.Since(began).Round(time.Millisecond))
	if *records == 0 { // with histories of one length some things are rare
		met.check(t)
	}
}

// coverage counts what random histories met: a comparison of what never
// happens proves nothing.
type coverage map[string]int

func (c coverage) add(st events.State) {
	c["states"]++
	c[st.DecidedBy]++
	for _, typ := range st.Open {
		c[typ]++
	}
	if st.StaleSince != 0 {
		c["stale"]++
	}
	for _, e := range st.Evidence {
		c[e.Kind.String()+" row"]++
	}
}

func (c coverage) check(t *testing.T) {
	want := []string{"stale"}
	for _, typ := range events.DiscrepancyTypes() {
		want = append(want, string(typ))
	}
	for k := events.EvidenceWebhook; k <= events.EvidenceFuture; k++ {
		want = append(want, k.String()+" row")
	}
	want = append(want, order.RuleForgotten, order.RuleRefunded, order.RuleTerminal, order.RuleTerminalContradicted,
		order.RuleTerminalsDisputed, order.RuleTerminalsResolved, order.RuleOperatorDecision, order.RuleAmountMismatch,
		order.RuleAmountUnverified, order.RuleLatestPoll, order.RuleWebhookAfterPoll, order.RuleWebhook, order.RuleIntent,
		order.RuleNoKnownStatus, order.RuleCustomerLatest)
	for _, k := range want {
		if c[k] < 10 && c["states"] > 10_000 {
			t.Errorf("%s was met %d times in %d states: the histories do not test it", k, c[k], c["states"])
		}
	}
}

// compare holds one subject's state against the oracle's; false when it has none.
func compare(t *testing.T, r order.Rules, cd *codec.Codec, w *world, key events.Key) (events.State, bool) {
	h := oracle.NewHistory(key, r.Settings().Margin)
	var rows [][]events.Evidence
	for _, rec := range w.log {
		if rec.key == key {
			rec.tell(h)
			if e := rec.evidence(r); len(e) > 0 {
				rows = append(rows, e)
			}
		}
	}
	want, ok := h.State(oracleRules(r, key.Lane()))
	if !ok {
		if len(rows) > 0 {
			t.Errorf("seed %d: %s has %d rows of evidence and no state", w.seed, key, len(rows))
		}
		return want, false
	}
	got := r.View(key, w.join(rows))
	a, err := cd.EncodeState(want)
	if err != nil {
		t.Errorf("seed %d: %s: encode the oracle's state: %v", w.seed, key, err)
		return want, true
	}
	b, err := cd.EncodeState(got)
	if err != nil {
		t.Errorf("seed %d: %s: encode: %v", w.seed, key, err)
		return want, true
	}
	if !bytes.Equal(a, b) {
		t.Errorf("seed %d: %s differs from the oracle (-oracle +order):\n%s\n%s", w.seed, key, cmp.Diff(want, got), w.tell(key))
	}
	return want, true
}

// join folds pieces of evidence in a random tree, some of them twice.
func (w *world) join(rows [][]events.Evidence) []events.Evidence {
	all := append([][]events.Evidence(nil), rows...)
	for range w.rng.IntN(4) {
		all = append(all, rows[w.rng.IntN(len(rows))])
	}
	w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if w.rng.IntN(2) == 0 { // one by one
		var out []events.Evidence
		for _, r := range all {
			out = order.Join(out, r)
		}
		return out
	}
	for len(all) > 1 { // partial replays joined with each other
		half := make([][]events.Evidence, 0, len(all)/2+1)
		for i := 0; i < len(all); i += 2 {
			if i+1 == len(all) {
				half = append(half, all[i])
				break
			}
			half = append(half, order.Join(all[i], all[i+1]))
		}
		all = half
	}
	return order.Join(all[0], nil)
}

func (w *world) tell(key events.Key) string {
	var b bytes.Buffer
	for _, rec := range w.log {
		if rec.key == key {
			fmt.Fprintf(&b, "%+v\n", rec)
		}
	}
	return b.String()
}

func BenchmarkJoinViewEncode(b *testing.B) {
	r, cd := newRules(b), newCodec(b)
	key := events.Key{Provider: "acme", Account: "north", ID: "o1"}
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), now: day}
	state := func(words ...string) (rows []events.Evidence) {
		for i, word := range words {
			rec := w.record(key, word[:1], word[1:])
			rec.at.Offset = int64(i)
			rows = order.Join(rows, rec.evidence(r))
		}
		return rows
	}
	for _, bc := range []struct {
		name string
		rows []events.Evidence
	}{
		{"new", nil},
		{"usual", state("i", "hnew", "hrun", "pnew", "prun", "hdone")},
		{"large", state("i", "i", "hnew", "hrun", "hhold", "hdone", "hdone", "pnew", "prun", "phold", "prun2", "pdone", "p!timeout", "p!not_found", "d")},
	} {
		rec := w.record(key, "p", "done")
		rec.at.Offset = 99
		next := rec.evidence(r)
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cd.EncodeState(r.View(key, order.Join(bc.rows, next))); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "states/s")
		})
	}
}
