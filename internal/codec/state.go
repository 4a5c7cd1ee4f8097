package codec

import (
	"context"
	"fmt"
	"slices"

	"rampstream/internal/events"
)

// stateWire are the columns of OrderState and CustomerState together; each
// schema has its own subset of the fact and expected columns.
type stateWire struct {
	subjectWire
	Status        string         `avro:"status"`
	StatusRaw     *string        `avro:"status_raw"`
	DecidedBy     string         `avro:"decided_by"`
	DecidedSource *string        `avro:"decided_source"`
	Terminal      bool           `avro:"terminal"`
	SinceAt       *events.Millis `avro:"since_at"`
	FirstSeenAt   events.Millis  `avro:"first_seen_at"`
	LastSeenAt    events.Millis  `avro:"last_seen_at"`
	StaleSinceAt  *events.Millis `avro:"stale_since_at"`
	Open          []string       `avro:"open_discrepancies"`
	RulesVersion  string         `avro:"rules_version"`
	factsWire
	WalletAccounts []walletWire `avro:"wallet_accounts"`
	expectedWire
	Evidence []evidenceWire `avro:"evidence"`
}

func stateRecord(kind events.SubjectKind) string {
	if kind == events.Customer {
		return "CustomerState"
	}
	return "OrderState"
}

func (f *faults) state(x *events.State) {
	f.key(x.Key)
	f.status("status", x.Status)
	f.text("status_raw", x.StatusRaw)
	f.text("decided_by", x.DecidedBy)
	f.text("decided_source", x.DecidedSource)
	f.text("rules_version", x.RulesVersion)
	f.at("since_at", x.Since)
	f.at("first_seen_at", x.FirstSeenAt)
	f.at("last_seen_at", x.LastSeenAt)
	f.at("stale_since_at", x.StaleSince)
	f.facts(&x.Facts)
	f.facts(&x.Expected)
	for i, word := range x.Open {
		f.require(validDiscrepancy(events.DiscrepancyType(word)), "open_discrepancies", "not a type of discrepancy")
		f.require(i == 0 || x.Open[i-1] < word, "open_discrepancies", "not sorted, or one twice")
	}
	for i := range x.Evidence {
		f.evidence(&x.Evidence[i])
		f.require(i == 0 || x.Evidence[i-1].Compare(x.Evidence[i]) < 0, "evidence", "not sorted, or one row twice")
	}
}

// EncodeState is the record value of x: an OrderState or a CustomerState, by
// the kind of its key. Evidence and Open may be in any order and are written
// sorted. Shown facts that the record has no column for are not written: they
// stand in the evidence. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodeState(x events.State) ([]byte, error) {
	record := stateRecord(x.Key.Kind)
	x.Open = sortedCopy(x.Open)
	if !slices.IsSortedFunc(x.Evidence, events.Evidence.Compare) {
		x.Evidence = slices.SortedFunc(slices.Values(x.Evidence), events.Evidence.Compare)
	}
	var f faults
	if f.state(&x); f.err != nil {
		return nil, f.of(record, ErrInvalid)
	}
	w := stateWire{
		subjectWire: subjectOf(x.Key), Status: x.Status.String(), StatusRaw: opt(&x.StatusRaw),
		DecidedBy: x.DecidedBy, DecidedSource: opt(&x.DecidedSource), Terminal: x.Terminal,
		SinceAt: opt(&x.Since), FirstSeenAt: x.FirstSeenAt, LastSeenAt: x.LastSeenAt, StaleSinceAt: opt(&x.StaleSince),
		Open: x.Open, RulesVersion: x.RulesVersion,
		factsWire: factsOf(&x.Facts), expectedWire: expectedOf(&x.Expected),
		Evidence: make([]evidenceWire, len(x.Evidence)),
	}
	if x.Key.Kind == events.Customer {
		w.WalletAccounts = walletsOf(&x.Facts)
	}
	for i := range x.Evidence {
		w.Evidence[i] = evidenceOf(&x.Evidence[i])
	}
	return encode(c, record, &w)
}

// DecodeState reads a record value of either state topic. Errors: ErrCorrupt,
// ErrWrongRecord, ErrSchemaUnavailable.
func (c *Codec) DecodeState(ctx context.Context, value []byte) (events.State, error) {
	wr, err := c.writerOf(ctx, value)
	if err != nil {
		return events.State{}, fmt.Errorf("codec: decode state: %w", err)
	}
	if wr.name == stateRecord(events.Customer) {
		return c.DecodeCustomerState(ctx, value)
	}
	return c.DecodeOrderState(ctx, value)
}

// DecodeOrderState is DecodeState for the order-state topic: a customer's state
// is ErrWrongRecord.
func (c *Codec) DecodeOrderState(ctx context.Context, value []byte) (events.State, error) {
	return c.decodeState(ctx, events.Order, value)
}

// DecodeCustomerState is DecodeState for the customer-state topic: an order's
// state is ErrWrongRecord.
func (c *Codec) DecodeCustomerState(ctx context.Context, value []byte) (events.State, error) {
	return c.decodeState(ctx, events.Customer, value)
}

func (c *Codec) decodeState(ctx context.Context, kind events.SubjectKind, value []byte) (events.State, error) {
	record := stateRecord(kind)
	var w stateWire
	if err := decode(ctx, c, record, value, &w); err != nil {
		return events.State{}, err
	}
	var f faults
	x := events.State{
		Key: w.key(&f), Status: statusOf(&f, "status", w.Status), StatusRaw: val(w.StatusRaw),
		DecidedBy: w.DecidedBy, DecidedSource: val(w.DecidedSource), Terminal: w.Terminal,
		Since: val(w.SinceAt), FirstSeenAt: w.FirstSeenAt, LastSeenAt: w.LastSeenAt, StaleSince: val(w.StaleSinceAt),
		Facts: w.factsWire.facts(), Expected: w.expectedWire.facts(), RulesVersion: w.RulesVersion,
	}
	x.Facts.WalletAccounts = wallets(w.WalletAccounts)
	f.require(x.Key.Kind == kind, "subject", "does not belong in this record")
	if len(w.Open) > 0 {
		x.Open = w.Open
	}
	if len(w.Evidence) > 0 {
		x.Evidence = make([]events.Evidence, len(w.Evidence))
		for i := range w.Evidence {
			x.Evidence[i] = w.Evidence[i].evidence(&f)
		}
	}
	if f.state(&x); f.err != nil {
		return events.State{}, f.of(record, ErrCorrupt)
	}
	return x, nil
}

// evidenceWire is one row of evidence.
type evidenceWire struct {
	Kind             string         `avro:"kind"`
	Word             string         `avro:"word"`
	Digest           *string        `avro:"digest"`
	FirstAt          events.Millis  `avro:"first_at"`
	FirstEventID     events.EventID `avro:"first_event_id"`
	FirstCoordinates string         `avro:"first_coordinates"`
	LastAt           *events.Millis `avro:"last_at"`
	LastEventID      *string        `avro:"last_event_id"`
	LastCoordinates  *string        `avro:"last_coordinates"`
	Revision         *int64         `avro:"revision"`
	Operator         *string        `avro:"operator"`
	Reason           *string        `avro:"reason"`
	factsWire
	WalletAccounts *string `avro:"wallet_accounts_json"`
}

func evidenceOf(x *events.Evidence) evidenceWire {
	w := evidenceWire{
		Kind: x.Kind.String(), Word: x.Word, Digest: opt(&x.Digest),
		FirstAt: x.First.At, FirstEventID: x.First.EventID, FirstCoordinates: x.First.Coordinates(),
		Revision: opt(&x.Revision), Operator: opt(&x.Operator), Reason: opt(&x.Reason),
		factsWire: factsOf(&x.Facts), WalletAccounts: opt(&x.Facts.WalletAccounts),
	}
	if x.Last != (events.Sighting{}) {
		id, at := string(x.Last.EventID), x.Last.Coordinates()
		w.LastAt, w.LastEventID, w.LastCoordinates = opt(&x.Last.At), opt(&id), opt(&at)
	}
	return w
}

func (w *evidenceWire) evidence(f *faults) events.Evidence {
	kind, ok := events.ParseEvidenceKind(w.Kind)
	f.require(ok, "kind", "not a kind of evidence")
	x := events.Evidence{
		Kind: kind, Word: w.Word, Digest: val(w.Digest),
		First:    sighting(f, w.FirstAt, w.FirstEventID, w.FirstCoordinates),
		Last:     sighting(f, val(w.LastAt), events.EventID(val(w.LastEventID)), val(w.LastCoordinates)),
		Revision: val(w.Revision), Operator: val(w.Operator), Reason: val(w.Reason), Facts: w.facts(),
	}
	x.Facts.WalletAccounts = val(w.WalletAccounts)
	return x
}

func sighting(f *faults, at events.Millis, id events.EventID, coordinates string) events.Sighting {
	s := events.Sighting{At: at, EventID: id}
	if coordinates == "" {
		return s
	}
	var ok bool
	s.Topic, s.Partition, s.Offset, ok = events.ParseCoordinates(coordinates)
	// The second half refuses other spellings of the same numbers ("t-01-2").
	f.require(ok && s.Coordinates() == coordinates, "coordinates", "not topic-partition-offset")
	return s
}

func (f *faults) evidence(x *events.Evidence) {
	f.require(x.Kind.String() != "", "kind", "not a kind of evidence")
	f.sighting(&firstColumns, &x.First)
	f.sighting(&lastColumns, &x.Last)
	f.text("word", x.Word)
	f.text("digest", x.Digest)
	f.text("operator", x.Operator)
	f.text("reason", x.Reason)
	f.facts(&x.Facts)
}

// sightingColumns are the names of a sighting's columns.
type sightingColumns struct{ at, eventID, coordinates string }

var (
	firstColumns = sightingColumns{"first_at", "first_event_id", "first_coordinates"}
	lastColumns  = sightingColumns{"last_at", "last_event_id", "last_coordinates"}
)

func (f *faults) sighting(c *sightingColumns, x *events.Sighting) {
	f.at(c.at, x.At)
	f.text(c.eventID, string(x.EventID))
	f.text(c.coordinates, x.Topic)
	if x.Topic == "" {
		f.require(x.Partition == 0 && x.Offset == 0, c.coordinates, "without a topic")
	} else {
		f.require(x.Partition >= 0 && x.Offset >= 0, c.coordinates, "negative")
	}
}

func validDiscrepancy(t events.DiscrepancyType) bool { return slices.Contains(discrepancyTypes, t) }

var discrepancyTypes = events.DiscrepancyTypes()

// sortedCopy is in, sorted; in itself is not touched.
func sortedCopy(in []string) []string {
	if slices.IsSorted(in) {
		return in
	}
	return slices.Sorted(slices.Values(in))
}
