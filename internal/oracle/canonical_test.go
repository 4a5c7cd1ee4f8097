package oracle_test

import (
	"bytes"
	"flag"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/oracle"
	"rampstream/internal/order"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
)

var full = flag.Bool("full", false, "append every subset to every order of the canonical histories, and encode each")

// told is one record of a canonical history: hook, poll, expect, decide or
// forget, at a minute. A poll's word that begins with "!" is a failure.
type told struct {
	source string
	word   string
	minute int
	facts  events.Facts
	rev    int64
}

// canonical histories are lives as the providers' documents tell them, in the
// words that they use, with what goes wrong in practice.
var canonical = []struct {
	name     string
	provider providers.Provider
	account  providers.Account
	kind     events.SubjectKind
	said     []told
	want     events.Status
	rule     string
}{
	{"kado: completed", kado.Provider, providers.Account{}, events.Order, []told{
		{"expect", "", 0, usd("100", "99.1"), 0}, {"hook", "order_pending", 1, usd("100.00", ""), 0}, {"poll", "pending+uninitiated", 2, usd("100.00", ""), 0},
		{"hook", "order_processing", 3, usd("100.00", ""), 0}, {"poll", "success+pending", 4, usd("100.00", ""), 0},
		{"hook", "order_completed", 6, tx("99.10"), 0}, {"poll", "success+settled", 7, tx("99.10"), 0}, {"poll", "success+settled", 22, tx("99.10"), 0},
	}, events.StatusCompleted, order.RuleTerminal},
	{"kado: failed after the payment, a late webhook", kado.Provider, providers.Account{}, events.Order, []told{
		{"expect", "", 0, usd("100", ""), 0}, {"hook", "order_pending", 1, events.Facts{}, 0}, {"poll", "success+unknown", 2, events.Facts{}, 0},
		{"poll", "success+failed", 5, events.Facts{FundsTaken: "true"}, 0}, {"hook", "order_failed", 6, events.Facts{FundsTaken: "true", StatusInData: "success+failed"}, 0},
		{"hook", "order_processing", 7, events.Facts{}, 0}, {"poll", "!timeout", 20, events.Facts{}, 0}, {"poll", "success+failed", 21, events.Facts{FundsTaken: "true"}, 0},
	}, events.StatusFailed, order.RuleTerminal},
	{"kado: completed by webhook, denied for long, decided", kado.Provider, providers.Account{}, events.Order, []told{
		{"hook", "order_processing", 1, events.Facts{}, 0}, {"hook", "order_completed", 2, tx("5"), 0}, {"hook", "order_completed", 3, tx("5.0"), 0},
		{"poll", "success+pending", 4, events.Facts{}, 0}, {"poll", "success+pending", 40, events.Facts{}, 0}, {"poll", "success+null+NEW_WORD", 50, events.Facts{}, 0},
		{"decide", "COMPLETED", 60, events.Facts{}, 0}, {"poll", "success+pending", 80, events.Facts{}, 0},
	}, events.StatusCompleted, order.RuleOperatorDecision},
	{"kado: verification taken back", kado.Provider, providers.Account{API: providers.API{PublicKey: "k"}}, events.Customer, []told{
		{"expect", "", 0, events.Facts{CustomerRef: "c"}, 0}, {"hook", "L0", 1, events.Facts{KYCLevel: "L0"}, 0}, {"poll", "L0", 2, events.Facts{KYCLevel: "L0"}, 0},
		{"hook", "L1", 3, events.Facts{KYCLevel: "L1"}, 0}, {"poll", "L1", 4, events.Facts{KYCLevel: "L1", DocsUploaded: "true"}, 0},
		{"hook", "L2", 5, events.Facts{KYCLevel: "L2"}, 0}, {"poll", "L2", 6, events.Facts{KYCLevel: "L2"}, 0}, {"hook", "L0", 9, events.Facts{KYCLevel: "L0", DocsUploaded: "false"}, 0},
	}, events.StatusCreated, order.RuleCustomerLatest},
	{"kanga: another amount, corrected by a revision", kanga.Provider, providers.Account{API: providers.API{PublicKey: "k"}}, events.Order, []told{
		{"expect", "", 0, pln("100.00"), 0}, {"poll", "NEW", 1, pln("100.00"), 0}, {"poll", "!rate_limited", 2, events.Facts{}, 0}, {"poll", "ACTIVE", 3, pln("90"), 0},
		{"poll", "FINALIZING", 4, pln("90"), 0}, {"poll", "FINALIZED", 5, pln("90"), 0}, {"expect", "", 30, pln("90.00"), 1}, {"poll", "FINALIZED", 31, pln("90"), 0},
	}, events.StatusCompleted, order.RuleTerminal},
	{"kanga: cancelling finalizes, nobody expected it", kanga.Provider, providers.Account{API: providers.API{PublicKey: "k"}}, events.Order, []told{
		{"poll", "!not_found", 0, events.Facts{}, 0}, {"poll", "NEW", 1, pln("10"), 0}, {"poll", "PROCESSING", 2, pln("10"), 0}, {"poll", "CANCELLING", 3, pln("10"), 0},
		{"poll", "CANCELED", 4, pln("10"), 0}, {"poll", "CANCELED", 8, pln("10"), 0}, {"poll", "FINALIZED", 20, pln("10"), 0}, {"poll", "FINALIZED", 90, pln("10"), 0},
	}, events.StatusCompleted, order.RuleAmountUnverified},
	{"koinal: a callback without status, replayed after the refund", koinal.Provider, providers.Account{API: providers.API{BaseURL: "https://api.example.com"}}, events.Order, []told{
		{"expect", "", 0, usd("50", ""), 0}, {"hook", "CALLBACK", 1, usd("50", ""), 0}, {"poll", "pending", 2, usd("50", ""), 0}, {"hook", "Completed", 3, usd("50", ""), 0},
		{"poll", "COMPLETED", 4, usd("50", ""), 0}, {"poll", "!malformed", 19, events.Facts{}, 0}, {"poll", "REFUNDED", 60, usd("50", ""), 0}, {"hook", "Completed", 70, usd("50", ""), 0},
	}, events.StatusRefunded, order.RuleRefunded},
	{"kuna: on hold and released, twice", kuna.Provider, providers.Account{API: providers.API{BaseURL: "https://core.example.com"}}, events.Order, []told{
		{"expect", "", 0, events.Facts{CryptoReceiveMin: "0.0099", CryptoAsset: "BTC", ExternalID: "e"}, 0}, {"poll", "Created", 1, btc("0.01"), 0},
		{"poll", "Processing", 2, btc("0.01"), 0}, {"poll", "OnHold", 3, btc("0.01"), 0}, {"poll", "Processing", 9, btc("0.01"), 0}, {"poll", "OnHold", 12, btc("0.01"), 0},
		{"poll", "!unauthorized", 13, events.Facts{}, 0}, {"poll", "Completed", 90, btc("0.00995"), 0},
	}, events.StatusCompleted, order.RuleTerminal},
	{"kuna: wallet blocked after acceptance", kuna.Provider, providers.Account{API: providers.API{BaseURL: "https://core.example.com"}}, events.Customer, []told{
		{"expect", "", 0, events.Facts{CustomerRef: "c"}, 0}, {"poll", "PENDING+Active", 1, wallet("Active", "PENDING"), 0}, {"poll", "ACCEPTED+Active", 2, wallet("Active", "ACCEPTED"), 0},
		{"poll", "Suspicious", 3, wallet("Suspicious", "ACCEPTED"), 0}, {"poll", "ACCEPTED+Active", 4, wallet("Active", "ACCEPTED"), 0},
		{"poll", "!provider_error", 5, events.Facts{}, 0}, {"poll", "Blocked", 6, wallet("Blocked", "ACCEPTED"), 0}, {"expect", "", 8, events.Facts{CustomerRef: "d"}, 1},
	}, events.StatusOnHold, order.RuleCustomerLatest},
	{"zumo: a wallet is provisioned", zumo.Provider, providers.Account{API: providers.API{AppID: "app"}}, events.Customer, []told{
		{"expect", "", 0, events.Facts{CustomerRef: "c"}, 0}, {"poll", "created", 1, events.Facts{WalletID: "w"}, 0}, {"poll", "!tls", 2, events.Facts{}, 0},
		{"poll", "provisioned", 3, accounts("a"), 0}, {"poll", "provisioned", 4, accounts("a", "b"), 0}, {"poll", "created", 5, events.Facts{WalletID: "w"}, 0},
		{"poll", "provisioned", 6, accounts("b"), 0}, {"hook", "provisioned", 7, accounts("b"), 0},
	}, events.StatusCompleted, order.RuleCustomerLatest},
	{"zumo: forgotten", zumo.Provider, providers.Account{API: providers.API{AppID: "app"}}, events.Customer, []told{
		{"expect", "", 0, events.Facts{CustomerRef: "c"}, 0}, {"poll", "created", 1, events.Facts{WalletID: "w"}, 0}, {"forget", "", 2, events.Facts{}, 0},
		{"poll", "provisioned", 3, accounts("a"), 0}, {"forget", "", 4, events.Facts{}, 0},
	}, events.StatusUnknown, order.RuleForgotten},
}

func usd(fiat, crypto events.Amount) events.Facts {
	f := events.Facts{FiatAmount: fiat, FiatCurrency: "USD", CryptoAsset: "USDC"}
	f.CryptoAmount = crypto
	return f
}

func tx(crypto events.Amount) events.Facts {
	return events.Facts{CryptoAmount: crypto, CryptoAsset: "USDC", TxHash: "0xab"}
}

func pln(a events.Amount) events.Facts { return events.Facts{FiatAmount: a, FiatCurrency: "PLN"} }
func btc(a events.Amount) events.Facts { return events.Facts{CryptoAmount: a, CryptoAsset: "BTC"} }

func wallet(status, verification string) events.Facts {
	return events.Facts{WalletStatus: status, VerificationStatus: verification, WalletID: "w"}
}

func accounts(ids ...string) events.Facts {
	var all []events.WalletAccount
	for _, id := range ids {
		all = append(all, events.WalletAccount{ID: id, Network: "main", Coin: "BTC", Address: "addr-" + id})
	}
	return events.Facts{WalletID: "w", WalletAccounts: events.JoinWalletAccounts(all)}
}

// life is a canonical history made ready: the evidence of each record, of each
// subset of them (by bit mask), and the bytes that every order must give.
type life struct {
	t       *testing.T
	codec   *codec.Codec
	rules   order.Rules
	key     events.Key
	pieces  [][]events.Evidence
	subsets [][]events.Evidence
	rows    []events.Evidence
	want    []byte
	rng     *rand.Rand

	orders, repeated, splits int64
}

// Every order of every canonical history gives the bytes of the oracle: all
// 8! of them, with subsets delivered again, and over every split into partial
// replays that are joined later.
//
//	go test ./internal/oracle -run Canonical -full
func TestCanonical_everyOrderAndSplit(t *testing.T) {
	began := time.Now()
	var orders, repeated, splits atomic.Int64
	cd := newCodec(t)
	t.Cleanup(func() {
		t.Logf("%d orders, %d of them with a subset again, %d splits of %d histories in %v", orders.Load(), repeated.Load(), splits.Load(),
			len(canonical), time.Since(began).Round(time.Millisecond))
	})
	for _, c := range canonical {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if len(c.said) > 8 {
				t.Fatalf("%d records: every order of them takes too long", len(c.said))
			}
			key := events.Key{Provider: c.provider.Name, Account: "a", Kind: c.kind, ID: "1"}
			v := c.provider.Vocabulary(c.account)
			rules, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{key.Lane(): v})
			if err != nil {
				t.Fatal(err)
			}
			l := &life{t: t, codec: cd, rules: rules, key: key}
			h := oracle.NewHistory(key, rules.Settings().Margin)
			for i, s := range c.said {
				rec := s.record(key, int64(i))
				rec.tell(h)
				l.pieces = append(l.pieces, rec.evidence(rules))
			}
			s := rules.Settings()
			st, _ := h.State(oracle.Rules{Settings: oracle.Settings{Margin: s.Margin, Confirm: s.Confirm, MissingWebhook: s.MissingWebhook, Stuck: s.Stuck},
				Vocabulary: v, Version: rules.LaneVersion(key.Lane())})
			if st.Status != c.want || st.DecidedBy != c.rule {
				t.Errorf("the oracle says %v by %s, want %v by %s (open %v)", st.Status, st.DecidedBy, c.want, c.rule, st.Open)
			}
			if l.want, err = cd.EncodeState(st); err != nil {
				t.Fatal(err)
			}
			l.rows = st.Evidence
			l.fold()
			l.rng = rand.New(rand.NewPCG(*seed, uint64(len(c.name))))
			l.permute(nil, 0)
			l.split(0, nil)
			orders.Add(l.orders)
			repeated.Add(l.repeated)
			splits.Add(l.splits)
		})
	}
}

func (s told) record(key events.Key, offset int64) record {
	at := day + events.Millis(s.minute)*60_000
	id := events.EventID(events.Digest(s.source, s.word, at.Time().String()))
	rec := record{key: key, at: order.Where{Topic: s.source, Partition: 1, Offset: offset, AppendedAt: at}}
	st, _ := events.ParseStatus(s.word)
	switch s.source {
	case "hook":
		rec.webhook = &events.Webhook{Key: key, EventID: id, ObservedAt: at, Trust: events.TrustSigned, StatusRaw: s.word, Facts: s.facts}
	case "poll":
		rec.check = &events.StatusCheck{Key: key, EventID: id, ObservedAt: at, Outcome: events.OutcomeOK, StatusRaw: s.word, Facts: s.facts}
		if s.word[0] == '!' {
			rec.check.Outcome, rec.check.StatusRaw = events.Outcome(s.word[1:]), ""
		}
	case "expect":
		rec.intent = &events.Intent{Key: key, EventID: id, ObservedAt: at, Revision: s.rev, Facts: s.facts}
	case "decide":
		rec.intent = &events.Intent{Key: key, EventID: id, ObservedAt: at, Kind: events.Decide, Status: st, Operator: "op", Reason: "seen"}
	case "forget":
		rec.intent = &events.Intent{Key: key, EventID: id, ObservedAt: at, Kind: events.Forget, Operator: "op"}
	}
	return rec
}

// fold joins every subset, by bit mask.
func (l *life) fold() {
	l.subsets = make([][]events.Evidence, 1<<len(l.pieces))
	for mask := 1; mask < len(l.subsets); mask++ {
		for i := range l.pieces {
			if mask&(1<<i) != 0 {
				l.subsets[mask] = order.Join(l.subsets[mask&^(1<<i)], l.pieces[i])
				break
			}
		}
	}
}

// permute joins the records that are not in used, in every order. What is
// common to several orders is joined once. Where tests must be short, the first
// two records of an order are drawn.
func (l *life) permute(rows []events.Evidence, used int) {
	if used == len(l.subsets)-1 {
		l.orders++
		l.same(rows, *full || l.orders%32 == 0, "an order of the records")
		if *full || l.orders%4 == 0 {
			l.again(rows)
		}
		return
	}
	drawn := -1
	if (testing.Short() || raceDetector) && bits.OnesCount(uint(used)) < 2 {
		for drawn < 0 || used&(1<<drawn) != 0 {
			drawn = l.rng.IntN(len(l.pieces))
		}
	}
	for i := range l.pieces {
		if used&(1<<i) == 0 && !l.t.Failed() && (drawn < 0 || drawn == i) {
			l.permute(order.Join(rows, l.pieces[i]), used|1<<i)
		}
	}
}

// again delivers a random subset one by one after the whole, or every subset.
func (l *life) again(rows []events.Evidence) {
	if *full {
		for mask := range l.subsets {
			l.repeated++
			l.same(order.Join(rows, l.subsets[mask]), false, "an order with a subset again")
		}
		return
	}
	for i := range l.pieces {
		if l.rng.IntN(4) == 0 {
			rows = order.Join(rows, l.pieces[i])
		}
	}
	l.repeated++
	l.same(rows, false, "an order with a subset again")
}

// split puts each record into one of the parts so far or a new one: every way
// to split the history. The parts are joined in the order of their masks.
func (l *life) split(i int, parts []int) {
	if i == len(l.pieces) {
		l.splits++
		var rows []events.Evidence
		for _, mask := range slices.Sorted(slices.Values(parts)) {
			rows = order.Join(l.subsets[mask], rows)
		}
		l.same(rows, true, "a split")
		return
	}
	for p := range parts {
		next := slices.Clone(parts)
		next[p] |= 1 << i
		l.split(i+1, next)
	}
	l.split(i+1, append(slices.Clone(parts), 1<<i))
}

// same holds rows against the oracle's, and their encoded state against its
// bytes where encode asks for it: the state is a pure function of the rows.
func (l *life) same(rows []events.Evidence, encode bool, what string) {
	if l.t.Failed() {
		return
	}
	if !slices.Equal(rows, l.rows) {
		l.t.Fatalf("%s gives other evidence:\n%+v\nwant\n%+v", what, rows, l.rows)
	}
	if !encode {
		return
	}
	b, err := l.codec.EncodeState(l.rules.View(l.key, rows))
	if err != nil || !bytes.Equal(b, l.want) {
		l.t.Fatalf("%s gives other bytes (%v)", what, err)
	}
}
