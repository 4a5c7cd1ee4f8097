package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/kafka"
	"rampstream/internal/order"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

var allProviders = []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider}

// life is what is typically said about one subject of a provider by the time it
// is settled: an intent, the webhooks that prove something, and the polls.
type life struct {
	provider events.Provider
	kind     events.SubjectKind
	id       string // the verb takes hexadecimal digits
	intent   bool
	hooks    []string
	polls    []string
	facts    func(f *filler) events.Facts // stated from the first word on
	last     func(f *filler, x *events.Facts)
}

var lives = []life{
	{"kado", events.Order, "%.24s", true, []string{"order_pending", "order_processing", "order_completed"},
		[]string{"success+pending", "success+settled"}, func(f *filler) events.Facts {
			return events.Facts{FiatAmount: f.amount(2), FiatCurrency: "USD", CryptoAmount: f.amount(5), CryptoAsset: "BTC", CryptoNetwork: "bitcoin",
				Side: "buy", CustomerID: f.uuid(), ProviderCreatedAt: f.now}
		}, func(f *filler, x *events.Facts) { x.TxHash = "0x" + f.hex(64) }},
	{"kanga", events.Order, "ORDER%.10s", true, nil, []string{"ACTIVE", "FINALIZING", "FINALIZED"}, func(f *filler) events.Facts {
		return events.Facts{CryptoAmount: f.amount(4), CryptoAsset: "ETH"}
	}, nil},
	{"koinal", events.Order, "", true, []string{"COMPLETED"}, []string{"COMPLETED"}, func(f *filler) events.Facts {
		return events.Facts{FiatAmount: f.amount(2), FiatCurrency: "EUR", CryptoAmount: f.amount(5), CryptoAsset: "ETH", Side: "buy"}
	}, func(f *filler, x *events.Facts) { x.TxHash = "0x" + f.hex(64) }},
	{"kuna", events.Order, "%.32s", true, nil, []string{"Created", "Processing", "Completed"}, func(f *filler) events.Facts {
		return events.Facts{FiatAmount: f.amount(2), FiatCurrency: "UAH", CryptoAmount: f.amount(5), CryptoAsset: "USDT", CryptoNetwork: "TRC20", Side: "buy",
			ExternalID: f.uuid(), ProviderCreatedAt: f.now}
	}, func(f *filler, x *events.Facts) { x.TxHash = f.hex(64) }},
	{"zumo", events.Customer, "%.32s", false, []string{"appUser.wallet.accounts.updated"}, []string{"created", "provisioned"}, func(f *filler) events.Facts {
		return events.Facts{ProviderCreatedAt: f.now, WalletID: f.uuid()}
	}, func(f *filler, x *events.Facts) {
		x.WalletAccounts = fmt.Sprintf(`[{"id":"%s","network":"MAINNET","coin":"ETHEREUM","symbol":"ETH","address":"0x%s"}]`, f.uuid(), f.hex(40))
	}},
}

// filler makes what no two orders share.
type filler struct {
	rng *rand.Rand
	now events.Millis
}

func (f *filler) hex(n int) string {
	b := make([]byte, 0, 64)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, f.rng.Uint64())
	}
	return hex.EncodeToString(b)[:n]
}

func (f *filler) uuid() string {
	h := f.hex(32)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (f *filler) amount(digits int) events.Amount {
	return events.Amount(fmt.Sprintf("%d.%0*d", 1+f.rng.IntN(900), digits, 1+f.rng.IntN(9)))
}

// state is the n-th subject, as the rules see it after its life.
func (l life) state(f *filler, r order.Rules, t stream.Topics, n int) events.State {
	key := events.Key{Provider: l.provider, Account: "demo", Kind: l.kind, ID: fmt.Sprint(10_000_000 + n)}
	if l.id != "" {
		key.ID = fmt.Sprintf(l.id, fmt.Sprintf("%08x", uint32(n)*2654435761)+f.hex(24))
	}
	facts, final := l.facts(f), events.Facts{}
	if final = facts; l.last != nil {
		l.last(f, &final)
	}
	at, where := f.now, order.Where{Partition: int32(n % 12)}
	next := func(topic string) events.EventID {
		at = at.Add(20 * time.Second)
		where.Topic, where.Offset = topic, int64(f.rng.IntN(50_000_000))
		return events.EventID(f.hex(32))
	}
	var rows []events.Evidence
	if l.intent {
		i := events.Intent{Key: key, EventID: next(t.Intent), ObservedAt: at, Source: "shop", Facts: events.Facts{FiatAmount: facts.FiatAmount,
			FiatCurrency: facts.FiatCurrency, MerchantRef: "shop-" + f.hex(12)}}
		if facts.FiatAmount == "" {
			i.Facts.CryptoAmount, i.Facts.CryptoAsset = facts.CryptoAmount, facts.CryptoAsset
		}
		rows = order.Join(rows, r.FromIntent(i, where))
	}
	for i, word := range l.hooks {
		w := events.Webhook{Key: key, EventID: next(t.Webhook), ObservedAt: at, Trust: events.TrustSigned, EventType: word,
			StatusRaw: word, BodyDigest: f.hex(64), Scheme: "hmac/current", Facts: facts}
		if i == len(l.hooks)-1 {
			w.Facts = final
		}
		rows = order.Join(rows, r.FromWebhook(w, where))
	}
	for i, word := range l.polls {
		asked := 1
		c := events.StatusCheck{Key: key, Outcome: events.OutcomeOK, StatusRaw: word, HTTPStatus: 200, Attempt: 1, Facts: facts}
		if i == len(l.polls)-1 {
			c.Facts, asked = final, 2 // once more later, with the same answer
		}
		for range asked {
			c.EventID = next(t.StatusCheck)
			c.ObservedAt, c.AnsweredAt = at, at+40
			rows = order.Join(rows, r.FromCheck(c, where))
		}
	}
	return r.View(key, rows)
}

// made is what fillStates wrote.
type made struct {
	States       int64   `json:"states"`
	ValueBytes   float64 `json:"mean_value_bytes"`
	KeyBytes     float64 `json:"mean_key_bytes"`
	digest       []reconciler.Digest
	perPartition []int64
}

// fillStates writes the states of n subjects, a fifth of each provider, and the
// positions that describe them, as the reconciler would have left them.
func (b *bed) fillStates(ctx context.Context, o options, cd *codec.Codec, n int) (made, error) {
	t := b.cfg.Topics.Names()
	rules, err := app.Rules(b.cfg, allProviders)
	if err != nil {
		return made{}, err
	}
	p, err := kafka.OpenProducer(ctx, b.kafka(), kafka.ProducerOptions{
		Topics: []string{t.OrderState, t.CustomerState, t.ReconcilerPosition}, Linger: 10 * time.Millisecond, MaxBufferedRecords: 50_000, MaxBufferedBytes: 256 << 20,
	})
	if err != nil {
		return made{}, err
	}
	defer func() { _ = p.Close(ctx) }()
	const workers = 2
	parts := make([]made, workers)
	g, gctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			parts[w], err = writeStates(gctx, o, cd, rules, p, t, w*n/workers, (w+1)*n/workers)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return made{}, fmt.Errorf("write states: %w", err)
	}
	all := parts[0]
	for _, m := range parts[1:] {
		all.States, all.ValueBytes, all.KeyBytes = all.States+m.States, all.ValueBytes+m.ValueBytes, all.KeyBytes+m.KeyBytes
		for i := range m.digest {
			all.digest[i].Join(m.digest[i])
			all.perPartition[i] += m.perPartition[i]
		}
	}
	all.ValueBytes /= float64(all.States)
	all.KeyBytes /= float64(all.States)
	return all, writePositions(ctx, cd, rules, p, t, all)
}

func writeStates(ctx context.Context, o options, cd *codec.Codec, rules order.Rules, p *kafka.Producer, t stream.Topics, from, to int) (made, error) {
	m := made{digest: make([]reconciler.Digest, o.partitions), perPartition: make([]int64, o.partitions)}
	f := &filler{rng: rand.New(rand.NewPCG(7, uint64(from))), now: events.At(time.Now().Add(-time.Hour))}
	const chunk = 2000
	for at := from; at < to; at += chunk {
		rs := make([]stream.Record, 0, chunk)
		for n := at; n < min(at+chunk, to); n++ {
			st := lives[n%len(lives)].state(f, rules, t, n)
			value, err := cd.EncodeState(st)
			if err != nil {
				return m, err
			}
			key := st.Key.String()
			part := stream.PartitionOf([]byte(key), int32(o.partitions))
			m.digest[part].Add(key, value)
			m.perPartition[part]++
			m.States++
			m.ValueBytes += float64(len(value))
			m.KeyBytes += float64(len(key))
			topic := t.OrderState
			if st.Key.Kind == events.Customer {
				topic = t.CustomerState
			}
			rs = append(rs, stream.Record{Topic: topic, Partition: part, Key: []byte(key), Value: value, Headers: stateHeaders(f)})
		}
		if _, err := p.Publish(ctx, rs...); err != nil {
			return m, err
		}
	}
	return m, nil
}

// stateHeaders are as many and as long as those of the reconciler.
func stateHeaders(f *filler) []stream.Header {
	return []stream.Header{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(f.hex(32))},
		{Key: "ce_source", Value: []byte("/rampstream/reconciler")}, {Key: "ce_type", Value: []byte("rampstream.v1.OrderState")},
		{Key: "content-type", Value: []byte("application/avro")}, {Key: reconciler.HeaderChain, Value: []byte(f.hex(32))},
	}
}

func writePositions(ctx context.Context, cd *codec.Codec, rules order.Rules, p *kafka.Producer, t stream.Topics, m made) error {
	for n := range m.digest {
		pos := events.Position{Partition: int32(n), States: m.perPartition[n], Digest: m.digest[n].String(), RulesVersion: rules.Version(),
			RulesGeneration: rules.Generation().Operator, RulesCode: rules.Generation().Code}
		for _, topic := range t.Inputs() {
			pos.Next = append(pos.Next, events.InputOffset{Topic: topic})
		}
		value, err := cd.EncodePosition(pos)
		if err != nil {
			return err
		}
		if _, err := p.Publish(ctx, stream.Record{Topic: t.ReconcilerPosition, Partition: int32(n), Key: []byte(fmt.Sprint(n)), Value: value}); err != nil {
			return err
		}
	}
	return nil
}
