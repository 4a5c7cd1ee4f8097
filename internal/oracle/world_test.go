package oracle_test

import (
	"fmt"
	"math/rand/v2"

	"rampstream/internal/events"
	"rampstream/internal/oracle"
	"rampstream/internal/order"
)

const day = events.Millis(1_700_000_000_000)

// record is one input record, as the reconciler would decode it.
type record struct {
	key     events.Key
	at      order.Where
	webhook *events.Webhook
	check   *events.StatusCheck
	intent  *events.Intent
}

func (rec record) evidence(r order.Rules) []events.Evidence {
	switch {
	case rec.webhook != nil:
		return r.FromWebhook(*rec.webhook, rec.at)
	case rec.check != nil:
		return r.FromCheck(*rec.check, rec.at)
	}
	return r.FromIntent(*rec.intent, rec.at)
}

func (rec record) tell(h *oracle.History) {
	at := oracle.Where{Topic: rec.at.Topic, Partition: rec.at.Partition, Offset: rec.at.Offset, AppendedAt: rec.at.AppendedAt}
	switch {
	case rec.webhook != nil:
		h.Webhook(*rec.webhook, at)
	case rec.check != nil:
		h.Check(*rec.check, at)
	default:
		h.Intent(*rec.intent, at)
	}
}

// String shows what was said.
func (rec record) String() string {
	switch {
	case rec.webhook != nil:
		return fmt.Sprintf("%+v %+v", rec.at, *rec.webhook)
	case rec.check != nil:
		return fmt.Sprintf("%+v %+v", rec.at, *rec.check)
	}
	return fmt.Sprintf("%+v %+v", rec.at, *rec.intent)
}

// world is one random history.
type world struct {
	seed uint64
	rng  *rand.Rand
	now  events.Millis
	skew map[string]events.Millis // of the clock behind each source and account
	ct   bool                     // topics have the producer's timestamps
	wild string                   // the source that says ever new words; "" for none
	keys []events.Key
	log  []record
}

// newWorld plays up to limit records, mostly few: short histories meet more
// corners a second.
func newWorld(seed uint64, limit int) *world {
	w := &world{seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), now: day, skew: map[string]events.Millis{}}
	for _, account := range []events.Account{"north", "south"} {
		w.keys = append(w.keys, events.Key{Provider: "acme", Account: account, ID: "o1"},
			events.Key{Provider: "acme", Account: account, Kind: events.Customer, ID: "c1"})
		for _, source := range []string{"h", "p", "i", "d"} {
			if w.rng.IntN(3) == 0 {
				w.skew[source+string(account)] = events.Millis(w.rng.IntN(1_200_000) - 600_000)
			}
		}
	}
	w.ct = w.rng.IntN(8) == 0
	if w.rng.IntN(500) == 0 {
		w.wild = []string{"h", "p", "d"}[w.rng.IntN(3)]
	}
	n := 1 + w.rng.IntN(12)
	switch w.rng.IntN(100) {
	case 0:
		n = 1 + w.rng.IntN(limit)
	case 1, 2, 3:
		n = 1 + w.rng.IntN(40)
	}
	if w.wild != "" {
		n = limit
	}
	if *records > 0 {
		n = *records
	}
	vocabulary := words
	if w.rng.IntN(3) == 0 { // few words: they come again
		vocabulary = []string{words[w.rng.IntN(len(words))], words[w.rng.IntN(len(words))], words[w.rng.IntN(5)]}
	}
	main := w.keys[w.rng.IntN(len(w.keys))]
	step := []events.Millis{2_000, 60_000, 300_000, 3_600_000, 100_000_000}[w.rng.IntN(5)]
	for i := range n {
		w.now += events.Millis(w.rng.Int64N(int64(step)))
		key := main
		if w.rng.IntN(6) == 0 {
			key = w.keys[w.rng.IntN(len(w.keys))]
		}
		source := []string{"h", "h", "h", "p", "p", "p", "p", "i", "d"}[w.rng.IntN(9)]
		word := vocabulary[w.rng.IntN(len(vocabulary))]
		if w.wild != "" && w.rng.IntN(10) > 0 {
			source, word = w.wild, fmt.Sprintf("wild%d", w.rng.IntN(300))
		}
		rec := w.record(key, source, word)
		rec.at.Offset = int64(i)
		w.log = append(w.log, rec)
		if w.rng.IntN(10) == 0 { // the same record again, later in the log
			rec.at.Offset, rec.at.AppendedAt = int64(i)+10_000, rec.at.AppendedAt+events.Millis(w.rng.IntN(60_000))
			if w.ct {
				rec.at.AppendedAt = 0
			}
			w.log = append(w.log, rec)
		}
	}
	return w
}

var words = []string{"new", "wait", "run", "run2", "hold", "done", "done2", "fail", "off", "gone", "back", "call", "odd", "", "!odd",
	"a word that is longer than sixty-four bytes, so that its hash stands for it"}

// record says a word from a source: h, p, i or d. A poll's word that begins
// with "!" is a failure.
func (w *world) record(key events.Key, source, word string) record {
	topic := map[string]string{"h": "webhook", "p": "status-check", "i": "intent", "d": "intent"}[source]
	rec := record{key: key, at: order.Where{Topic: topic, Partition: 3, AppendedAt: w.now}}
	if w.ct {
		rec.at.AppendedAt = 0
	}
	at := w.now + w.skew[source+string(key.Account)]
	if source == "p" {
		at -= events.Millis(w.rng.IntN(5_000))
	}
	id := events.EventID(events.Digest(source, word, fmt.Sprint(at)))
	switch source {
	case "h":
		rec.webhook = &events.Webhook{Key: key, EventID: id, ObservedAt: at, Trust: events.TrustSigned, StatusRaw: word, Status: w.told(key, word), Facts: w.facts(key)}
		if w.rng.IntN(8) == 0 {
			rec.webhook.Trust = events.TrustHint
		}
	case "p":
		rec.check = &events.StatusCheck{Key: key, EventID: id, ObservedAt: at, Outcome: events.OutcomeOK, StatusRaw: word, Status: w.told(key, word), Facts: w.facts(key)}
		if w.rng.IntN(5) == 0 {
			outcomes := []events.Outcome{events.OutcomeTimeout, events.OutcomeNotFound, events.OutcomeGaveUp, events.OutcomeMismatch}
			rec.check.Outcome, rec.check.StatusRaw = outcomes[w.rng.IntN(4)], ""
			rec.check.Cause = events.Cause(w.rng.IntN(4))
		}
	case "i":
		rec.intent = &events.Intent{Key: key, EventID: id, ObservedAt: at, Revision: int64(w.rng.IntN(3) / 2), Facts: w.expected()}
	case "d":
		rec.intent = &events.Intent{Key: key, EventID: id, ObservedAt: at, Kind: events.Decide, Operator: "op", Reason: "seen"}
		if w.wild == "d" {
			rec.intent.Operator = word
		}
		rec.intent.Status = []events.Status{events.StatusCompleted, events.StatusFailed, events.StatusExpired, events.StatusRefunded}[w.rng.IntN(4)]
		seldom := 12
		if *records > 0 { // a long history would mostly be forgotten
			seldom = 12 * *records
		}
		if w.wild == "" && w.rng.IntN(seldom) == 0 {
			rec.intent.Kind, rec.intent.Status = events.Forget, events.StatusUnknown
		}
	}
	return rec
}

// told is what whoever recorded the word took it for: what our table says,
// mostly; its table may be older or newer. Of ever new words it had some.
func (w *world) told(key events.Key, word string) events.Status {
	if w.rng.IntN(10) == 0 {
		return events.Status(w.rng.IntN(3)) // UNKNOWN, CREATED, PENDING
	}
	m, _ := lanes[key.Lane()].Meaning(key.Kind, word)
	return m.Status
}

var amounts = []events.Amount{"", "", "", "1", "1.0", "1.000000000000000000000000000001", "2", "0", "-1", "0.0000001"}

func (w *world) facts(key events.Key) events.Facts {
	if w.rng.IntN(3) == 0 {
		return events.Facts{}
	}
	pick := func(all ...string) string { return all[w.rng.IntN(len(all))] }
	if key.Kind == events.Customer {
		return events.Facts{CustomerID: pick("", "x"), WalletStatus: pick("", "Active", "Blocked"), KYCLevel: pick("", "L1"), WalletID: pick("", "w1", "w2")}
	}
	return events.Facts{
		FiatAmount: amounts[w.rng.IntN(len(amounts))], FiatCurrency: pick("", "EUR", "EUR", "USD"),
		CryptoAmount: amounts[w.rng.IntN(len(amounts))], CryptoAsset: pick("", "BTC", "BTC", "ETH"), CryptoNetwork: pick("", "", "bitcoin", "lightning"), Side: pick("", "", "buy", "sell"),
		TxHash: pick("", "", "", "ab", "ab", "cd"), StatusInData: pick("", "", "", "run", "done", "fail", "odd"),
		FundsTaken: pick("", "", "true"), ProviderCreatedAt: events.Millis(w.rng.IntN(2)) * day,
	}
}

func (w *world) expected() events.Facts {
	f := events.Facts{MerchantRef: []string{"", "m1"}[w.rng.IntN(2)]}
	if w.rng.IntN(2) == 0 {
		f.FiatAmount, f.FiatCurrency = amounts[w.rng.IntN(len(amounts))], []string{"", "EUR"}[w.rng.IntN(2)]
	}
	if w.rng.IntN(2) == 0 {
		f.CryptoAmount, f.CryptoAsset = amounts[w.rng.IntN(len(amounts))], []string{"", "BTC"}[w.rng.IntN(2)]
	}
	if w.rng.IntN(4) == 0 {
		f.CryptoReceiveMin = amounts[w.rng.IntN(len(amounts))]
	}
	if w.rng.IntN(6) == 0 {
		f.CryptoNetwork, f.Side = []string{"", "BITCOIN", "bitcoin"}[w.rng.IntN(3)], []string{"", "buy", "sell"}[w.rng.IntN(3)]
	}
	return f
}
