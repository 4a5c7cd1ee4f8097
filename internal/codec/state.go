package codec

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rampstream/internal/events"
)

func stateRecord(kind events.SubjectKind) string {
	if kind == events.Customer {
		return "CustomerState"
	}
	return "OrderState"
}

// Rows are the encodings of the rows of a state's evidence, in their order. One
// that is "" is not known, like all that are missing. They are parts of a value
// that AppendState or EncodeState made: what was written by somebody else may
// have other bytes for the same row, and must not be written again as it is.
type Rows []string

func (e Rows) at(i int) string {
	if i < len(e) {
		return e[i]
	}
	return ""
}

// state checks x, without the rows of evidence that passed has.
func (f *faults) state(x *events.State, passed Rows) {
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
	f.items("evidence", len(x.Evidence))
	for i := range x.Evidence {
		if passed.at(i) == "" {
			f.evidence(&x.Evidence[i])
		}
	}
	f.require(rowsSorted(x.Evidence), "evidence", "not sorted, or one row twice")
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

// rowsSorted reports whether each row comes before the next as Compare of
// events.Evidence has it. That method takes its rows by value, half a kilobyte
// each; a test holds the two equal.
func rowsSorted(rows []events.Evidence) bool {
	for i := 1; i < len(rows); i++ {
		a, b := &rows[i-1], &rows[i]
		c := int(a.Kind) - int(b.Kind)
		if c == 0 {
			c = strings.Compare(a.Word, b.Word)
		}
		if c == 0 && a.Listed != b.Listed {
			c = 1
			if b.Listed {
				c = -1
			}
		}
		if c == 0 {
			c = strings.Compare(a.Digest, b.Digest)
		}
		if c >= 0 {
			return false
		}
	}
	return true
}

// EncodeState is the record value of x, an OrderState or a CustomerState by the
// kind of its key. Evidence and Open may be in any order and are written
// sorted. Shown facts that the record has no column for are not written: they
// stand in the evidence. Errors: ErrInvalid, ErrNoID.
func (c *Codec) EncodeState(x events.State) ([]byte, error) {
	v := newBuffer()
	x.Open = sortedCopy(x.Open)
	if !rowsSorted(x.Evidence) {
		x.Evidence = slices.SortedFunc(slices.Values(x.Evidence), events.Evidence.Compare)
	}
	return v.end(c.AppendState(v.b, &x, nil))
}

// AppendState appends the record value of x, whose evidence and Open are sorted,
// to b. Rows of evidence whose encoding is in rows, which may be nil, are not
// encoded again. On error b is returned as it was. Errors: ErrInvalid, ErrNoID.
func (c *Codec) AppendState(b []byte, x *events.State, rows Rows) ([]byte, error) {
	record := stateRecord(x.Key.Kind)
	var f faults
	if f.state(x, rows); f.err != nil {
		return b, f.of(record, ErrInvalid)
	}
	v, err := c.frame(b, record)
	if err != nil {
		return b, err
	}
	return appendState(v, x, rows), nil
}

// DecodeState reads a record value of either state topic. Errors: ErrCorrupt,
// ErrWrongRecord, ErrSchemaUnavailable.
func (c *Codec) DecodeState(ctx context.Context, value []byte) (events.State, error) {
	w, err := c.writerOf(ctx, value)
	if err != nil {
		return events.State{}, fmt.Errorf("codec: decode state: %w", err)
	}
	if w.name == stateRecord(events.Customer) {
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

func (c *Codec) decodeState(ctx context.Context, kind events.SubjectKind, value []byte) (x events.State, err error) {
	r, err := c.readState(ctx, nil, kind, value, &x, nil)
	if err != nil {
		return events.State{}, err
	}
	if r.state(&x, nil); r.err != nil {
		return events.State{}, r.of(stateRecord(kind), ErrCorrupt)
	}
	return x, nil
}

// RereadState reads a value that Decode or Encode has already passed, of the
// kind, into x, with its texts in t and its evidence in the memory of
// x.Evidence, if there is enough. x must be zero otherwise. It checks the
// encoding alone. Unless rows is nil, it becomes the encodings of the rows, in
// its memory and in t, if value was written with exactly our schema, and empty
// otherwise. Errors are those of DecodeState; after one x and rows say nothing.
func (c *Codec) RereadState(ctx context.Context, t *Texts, kind events.SubjectKind, value []byte, x *events.State, rows *Rows) error {
	r, err := c.readState(ctx, t, kind, value, x, rows)
	if err == nil && r.err != nil {
		err = r.of(stateRecord(kind), ErrCorrupt)
	}
	return err
}

// readState reads a state and leaves its checks to the caller.
func (c *Codec) readState(ctx context.Context, t *Texts, kind events.SubjectKind, value []byte, x *events.State, rows *Rows) (r reader, err error) {
	record := stateRecord(kind)
	if rows != nil {
		*rows = (*rows)[:0]
	}
	w, err := c.writerFor(ctx, record, value)
	if err != nil {
		return r, err
	}
	if w.ours {
		r.open(t, value)
		r.readState(x, kind, rows)
		r.close()
	} else {
		var v stateWire
		if err := w.resolve(record, value, &v); err != nil {
			return r, err
		}
		*x = v.value(&r.faults)
	}
	r.require(x.Key.Kind == kind, "subject", "does not belong in this record")
	return r, nil
}

// sortedCopy is in, sorted; in itself is not touched.
func sortedCopy(in []string) []string {
	if slices.IsSorted(in) {
		return in
	}
	return slices.Sorted(slices.Values(in))
}
