package codec_test

import (
	"context"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"rampstream/internal/codec"
	"rampstream/internal/events"
)

// record is one kind of record: how to draw a value of it, and its pair of
// methods.
type record struct {
	name   string
	draw   func(*rapid.T) any
	encode func(*codec.Codec, any) ([]byte, error)
	decode func(context.Context, *codec.Codec, []byte) (any, error)
}

// records are all that the codec knows. OrderState and CustomerState share a
// pair.
func records() []record {
	return []record{
		of("Webhook", drawWebhook, (*codec.Codec).EncodeWebhook, (*codec.Codec).DecodeWebhook),
		of("Intent", drawIntent, (*codec.Codec).EncodeIntent, (*codec.Codec).DecodeIntent),
		of("StatusCheck", drawStatusCheck, (*codec.Codec).EncodeStatusCheck, (*codec.Codec).DecodeStatusCheck),
		of("OrderState", func(t *rapid.T) events.State { return drawState(t, events.Order) }, (*codec.Codec).EncodeState, (*codec.Codec).DecodeState),
		of("CustomerState", func(t *rapid.T) events.State { return drawState(t, events.Customer) }, (*codec.Codec).EncodeState, (*codec.Codec).DecodeState),
		of("Transition", drawTransition, (*codec.Codec).EncodeTransition, (*codec.Codec).DecodeTransition),
		of("Discrepancy", drawDiscrepancy, (*codec.Codec).EncodeDiscrepancy, (*codec.Codec).DecodeDiscrepancy),
		of("CheckTask", drawCheckTask, (*codec.Codec).EncodeCheckTask, (*codec.Codec).DecodeCheckTask),
		of("LaneState", drawLaneState, (*codec.Codec).EncodeLaneState, (*codec.Codec).DecodeLaneState),
		of("ReconcilerPosition", drawPosition, (*codec.Codec).EncodePosition, (*codec.Codec).DecodePosition),
	}
}

func of[T any](name string, draw func(*rapid.T) T, enc func(*codec.Codec, T) ([]byte, error), dec func(*codec.Codec, context.Context, []byte) (T, error)) record {
	return record{
		name:   name,
		draw:   func(t *rapid.T) any { return draw(t) },
		encode: func(c *codec.Codec, v any) ([]byte, error) { return enc(c, v.(T)) },
		decode: func(ctx context.Context, c *codec.Codec, b []byte) (any, error) { return dec(c, ctx, b) },
	}
}

var (
	part   = rapid.StringMatching(`[A-Za-z0-9._:-]{1,12}`)
	text   = rapid.OneOf(rapid.Just(""), rapid.StringN(0, 12, -1))
	digest = rapid.StringMatching(`([0-9a-f]{32})?`)
	amount = rapid.Custom(func(t *rapid.T) events.Amount {
		a, err := events.ParseAmount(rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,20})?`).Draw(t, "amount"))
		if err != nil || rapid.Bool().Draw(t, "absent") {
			return ""
		}
		return a
	})
	yesNo  = rapid.SampledFrom([]string{"", "true", "false"})
	clock  = rapid.Custom(func(t *rapid.T) events.Millis { return events.Millis(rapid.Int64Range(1, 7e12).Draw(t, "at")) })
	maybe  = rapid.OneOf(rapid.Just(events.Millis(0)), clock)
	status = rapid.SampledFrom(events.Statuses())
)

func drawKey(t *rapid.T, kinds ...events.SubjectKind) events.Key {
	return events.Key{
		Provider: events.Provider(part.Draw(t, "provider")), Account: events.Account(part.Draw(t, "account")),
		Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), ID: part.Draw(t, "id"),
	}
}

func drawAnyKey(t *rapid.T) events.Key { return drawKey(t, events.Order, events.Customer) }

func drawEventID(t *rapid.T) events.EventID {
	return events.EventID(rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "event id"))
}

// drawStated draws what an intent can state.
func drawStated(t *rapid.T) events.Facts {
	return events.Facts{
		FiatAmount: amount.Draw(t, "fiat"), FiatCurrency: text.Draw(t, "currency"),
		CryptoAmount: amount.Draw(t, "crypto"), CryptoAsset: text.Draw(t, "asset"), CryptoNetwork: text.Draw(t, "network"),
		CryptoReceiveMin: amount.Draw(t, "least"), Side: text.Draw(t, "side"), CustomerID: text.Draw(t, "customer"),
		MerchantRef: text.Draw(t, "merchant ref"), CustomerRef: text.Draw(t, "customer ref"), ExternalID: text.Draw(t, "external"),
	}
}

func drawFacts(t *rapid.T) events.Facts {
	f := drawStated(t)
	f.TxHash, f.StatusInData, f.FundsTaken = text.Draw(t, "hash"), text.Draw(t, "in data"), yesNo.Draw(t, "funds")
	f.ProviderCreatedAt, f.KYCLevel, f.DocsUploaded = maybe.Draw(t, "created"), text.Draw(t, "kyc"), yesNo.Draw(t, "docs")
	f.VerificationStatus, f.WalletStatus, f.WalletID = text.Draw(t, "verification"), text.Draw(t, "wallet status"), text.Draw(t, "wallet")
	f.WalletAccounts = events.JoinWalletAccounts(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) events.WalletAccount {
		return events.WalletAccount{ID: text.Draw(t, "id"), Network: text.Draw(t, "network"), Coin: text.Draw(t, "coin"),
			Symbol: text.Draw(t, "symbol"), Address: text.Draw(t, "address")}
	}), 0, 3).Draw(t, "accounts"))
	return f
}

// drawSaid draws what a provider can say.
func drawSaid(t *rapid.T) events.Facts {
	f := drawFacts(t)
	f.CryptoReceiveMin, f.MerchantRef, f.CustomerRef = "", "", ""
	return f
}

// columns keeps the facts that a state of a kind has columns for.
func columns(kind events.SubjectKind, f events.Facts) events.Facts {
	if kind == events.Order {
		f.KYCLevel, f.DocsUploaded, f.VerificationStatus, f.WalletStatus, f.WalletAccounts = "", "", "", "", ""
		return f
	}
	return events.Facts{
		CustomerID: f.CustomerID, CustomerRef: f.CustomerRef, ExternalID: f.ExternalID, StatusInData: f.StatusInData,
		ProviderCreatedAt: f.ProviderCreatedAt, KYCLevel: f.KYCLevel, DocsUploaded: f.DocsUploaded,
		VerificationStatus: f.VerificationStatus, WalletStatus: f.WalletStatus, WalletID: f.WalletID, WalletAccounts: f.WalletAccounts,
	}
}

func drawWebhook(t *rapid.T) events.Webhook {
	return events.Webhook{
		Key: drawAnyKey(t), EventID: drawEventID(t), ObservedAt: clock.Draw(t, "observed"),
		Trust:      rapid.SampledFrom([]events.Trust{events.TrustHint, events.TrustSigned}).Draw(t, "trust"),
		HintReason: text.Draw(t, "hint"), EventType: text.Draw(t, "type"), StatusRaw: text.Draw(t, "raw"), Status: status.Draw(t, "status"),
		DeliveryID: text.Draw(t, "delivery"), BodyDigest: digest.Draw(t, "body"), Scheme: text.Draw(t, "scheme"), Facts: drawSaid(t),
	}
}

func drawIntent(t *rapid.T) events.Intent {
	i := events.Intent{
		Key: drawAnyKey(t), EventID: drawEventID(t), ObservedAt: clock.Draw(t, "observed"),
		Kind:     rapid.SampledFrom([]events.IntentKind{events.Expect, events.Forget, events.Decide}).Draw(t, "kind"),
		Revision: rapid.Int64Min(0).Draw(t, "revision"), Facts: drawStated(t),
		Operator: text.Draw(t, "operator"), Reason: text.Draw(t, "reason"), Source: text.Draw(t, "source"),
	}
	if i.Kind == events.Decide {
		i.Status = status.Filter(events.Status.Terminal).Draw(t, "decision")
	}
	return i
}

func drawStatusCheck(t *rapid.T) events.StatusCheck {
	c := events.StatusCheck{
		Key: drawAnyKey(t), EventID: drawEventID(t), ObservedAt: clock.Draw(t, "observed"), AnsweredAt: maybe.Draw(t, "answered"),
		Cause: rapid.SampledFrom([]events.Cause{events.CauseSchedule, events.CauseHint, events.CauseSweep, events.CauseConfirm}).Draw(t, "cause"), Outcome: rapid.SampledFrom(events.Outcomes()).Draw(t, "outcome"),
		Status: status.Draw(t, "status"), HTTPStatus: rapid.Int32Range(0, 599).Draw(t, "http"),
		Attempt: rapid.Int32Min(0).Draw(t, "attempt"), RetryAfter: maybe.Draw(t, "retry"), Facts: drawSaid(t),
	}
	if c.Outcome == events.OutcomeOK {
		c.StatusRaw = text.Draw(t, "raw")
	}
	return c
}

func drawSighting(t *rapid.T) events.Sighting {
	return events.Sighting{At: clock.Draw(t, "at"), EventID: drawEventID(t), Topic: part.Draw(t, "topic"),
		Partition: rapid.Int32Range(0, 11).Draw(t, "partition"), Offset: rapid.Int64Min(0).Draw(t, "offset")}
}

func drawEvidence(t *rapid.T) events.Evidence {
	e := events.Evidence{
		Kind: rapid.SampledFrom(evidenceKinds()).Draw(t, "kind"), Word: text.Draw(t, "word"), Listed: rapid.Bool().Draw(t, "listed"), Digest: digest.Draw(t, "digest"),
		First: drawSighting(t), Revision: rapid.Int64().Draw(t, "revision"), Operator: text.Draw(t, "operator"),
		Reason: text.Draw(t, "reason"), Facts: drawFacts(t),
	}
	if e.Kind == events.EvidencePoll {
		e.Last = drawSighting(t)
	}
	return e
}

// evidenceKinds are all that have a word, so that a kind added to events is
// tested here without further work.
func evidenceKinds() []events.EvidenceKind {
	var out []events.EvidenceKind
	for k := events.EvidenceKind(0); k.String() != ""; k++ {
		out = append(out, k)
	}
	return out
}

func drawState(t *rapid.T, kind events.SubjectKind) events.State {
	s := events.State{
		Key: drawKey(t, kind), Status: status.Draw(t, "status"), StatusRaw: text.Draw(t, "raw"),
		DecidedBy: text.Draw(t, "rule"), DecidedSource: text.Draw(t, "source"), Terminal: rapid.Bool().Draw(t, "terminal"),
		Since: maybe.Draw(t, "since"), FirstSeenAt: clock.Draw(t, "first"), LastSeenAt: clock.Draw(t, "last"), StaleSince: maybe.Draw(t, "stale"),
		Facts: columns(kind, drawFacts(t)), Expected: drawStated(t), RulesVersion: digest.Draw(t, "rules"),
		Evidence: rapid.SliceOfNDistinct(rapid.Custom(drawEvidence), 0, 5, func(e events.Evidence) string {
			return fmt.Sprint(e.Kind, "\x00", e.Word, "\x00", e.Listed, "\x00", e.Digest)
		}).Draw(t, "evidence"),
	}
	if kind == events.Customer {
		s.Expected = events.Facts{CustomerID: s.Expected.CustomerID, CustomerRef: s.Expected.CustomerRef, ExternalID: s.Expected.ExternalID}
	}
	for _, d := range rapid.SliceOfDistinct(rapid.SampledFrom(events.DiscrepancyTypes()), rapid.ID[events.DiscrepancyType]).Draw(t, "open") {
		s.Open = append(s.Open, string(d))
	}
	slices.Sort(s.Open)
	slices.SortFunc(s.Evidence, events.Evidence.Compare)
	if len(s.Evidence) == 0 {
		s.Evidence = nil
	}
	return s
}

func drawTransition(t *rapid.T) events.Transition {
	return events.Transition{
		ID: drawEventID(t), Key: drawAnyKey(t), From: status.Draw(t, "from"), To: status.Draw(t, "to"),
		FromRaw: text.Draw(t, "from raw"), ToRaw: text.Draw(t, "to raw"), Rule: text.Draw(t, "rule"),
		Reason: rapid.SampledFrom([]string{"evidence", "rule_change"}).Draw(t, "reason"), Terminal: rapid.Bool().Draw(t, "terminal"),
		DigestBefore: digest.Draw(t, "before"), DigestAfter: digest.Draw(t, "after"), Cause: text.Draw(t, "cause"),
		CauseEventID: events.EventID(digest.Draw(t, "cause id")), TrueAt: clock.Draw(t, "true"), LearnedAt: clock.Draw(t, "learned"),
		Retroactive: rapid.Bool().Draw(t, "retroactive"),
	}
}

func drawDiscrepancy(t *rapid.T) events.Discrepancy {
	d := events.Discrepancy{
		Key: drawAnyKey(t), Type: rapid.SampledFrom(events.DiscrepancyTypes()).Draw(t, "type"),
		Severity: rapid.SampledFrom([]string{"info", "warning", "critical"}).Draw(t, "severity"),
		OpenedAt: clock.Draw(t, "opened"), ResolvedAt: maybe.Draw(t, "resolved"), Expected: text.Draw(t, "expected"), Seen: text.Draw(t, "seen"),
		AtStake: amount.Draw(t, "stake"), AtStakeCurrency: text.Draw(t, "currency"),
		Evidence: rapid.SliceOfN(text, 1, 4).Draw(t, "evidence"),
	}
	slices.Sort(d.Evidence)
	return d
}

func drawCheckTask(t *rapid.T) events.CheckTask {
	return events.CheckTask{
		Key: drawAnyKey(t), DueAt: clock.Draw(t, "due"), Cause: events.CauseHint, HintAt: maybe.Draw(t, "hint"), Known: rapid.Bool().Draw(t, "known"),
		Status: status.Draw(t, "status"), Since: maybe.Draw(t, "since"), GiveUp: rapid.Bool().Draw(t, "give up"),
		ExpectedAmount: amount.Draw(t, "expected"), ExpectedCurrency: text.Draw(t, "currency"),
	}
}

func drawLaneState(t *rapid.T) events.LaneState {
	k := drawAnyKey(t)
	return events.LaneState{Lane: k.Lane(), NonceReserved: rapid.Int64Min(0).Draw(t, "nonce"), RetryAfter: maybe.Draw(t, "retry"),
		Budget: amount.Draw(t, "budget"), UpdatedAt: clock.Draw(t, "updated")}
}

func drawPosition(t *rapid.T) events.Position {
	p := events.Position{Partition: rapid.Int32Min(0).Draw(t, "partition"), States: rapid.Int64Min(0).Draw(t, "states"),
		Digest: digest.Draw(t, "digest"), RulesVersion: digest.Draw(t, "rules"),
		RulesGeneration: rapid.Int64Min(0).Draw(t, "generation"), RulesCode: rapid.Int64Min(0).Draw(t, "code")}
	if ids := rapid.SliceOfNDistinct(part, 0, 3, rapid.ID[string]).Draw(t, "superseded"); len(ids) > 0 {
		p.Superseded = slices.Sorted(slices.Values(ids))
	}
	for _, topic := range rapid.SliceOfNDistinct(part, 1, 4, rapid.ID[string]).Draw(t, "topics") {
		p.Next = append(p.Next, events.InputOffset{Topic: topic, Offset: rapid.Int64Min(0).Draw(t, "offset")})
	}
	slices.SortFunc(p.Next, func(a, b events.InputOffset) int { return slices.Compare([]byte(a.Topic), []byte(b.Topic)) })
	return p
}
