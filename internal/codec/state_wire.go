package codec

import "rampstream/internal/events"

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

func (w *stateWire) value(f *faults) events.State {
	x := events.State{
		Key: w.key(f), Status: statusOf(f, "status", w.Status), StatusRaw: val(w.StatusRaw),
		DecidedBy: w.DecidedBy, DecidedSource: val(w.DecidedSource), Terminal: w.Terminal,
		Since: val(w.SinceAt), FirstSeenAt: w.FirstSeenAt, LastSeenAt: w.LastSeenAt, StaleSince: val(w.StaleSinceAt),
		Facts: w.factsWire.facts(), Expected: w.expectedWire.facts(), RulesVersion: w.RulesVersion,
	}
	x.Facts.WalletAccounts = wallets(w.WalletAccounts)
	if len(w.Open) > 0 {
		x.Open = w.Open
	}
	if len(w.Evidence) > 0 {
		x.Evidence = make([]events.Evidence, len(w.Evidence))
		for i := range w.Evidence {
			x.Evidence[i] = w.Evidence[i].value(f)
		}
	}
	return x
}

// evidenceWire is one row of evidence.
type evidenceWire struct {
	Kind             string         `avro:"kind"`
	Word             string         `avro:"word"`
	Listed           *bool          `avro:"listed"`
	Digest           *string        `avro:"digest"`
	FirstAt          events.Millis  `avro:"first_at"`
	FirstEventID     string         `avro:"first_event_id"`
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

func (w *evidenceWire) value(f *faults) events.Evidence {
	x := events.Evidence{
		Kind: evidenceKindOf(f, w.Kind), Word: w.Word, Listed: val(w.Listed), Digest: val(w.Digest),
		First:    sighting(f, w.FirstAt, w.FirstEventID, w.FirstCoordinates),
		Last:     sighting(f, val(w.LastAt), val(w.LastEventID), val(w.LastCoordinates)),
		Revision: val(w.Revision), Operator: val(w.Operator), Reason: val(w.Reason), Facts: w.facts(),
	}
	x.Facts.WalletAccounts = val(w.WalletAccounts)
	return x
}

// sighting is what the columns of one say. Coordinates are taken by the inverse
// of what shows them; the second half of the condition refuses other spellings
// of the same numbers ("t-01-2").
func sighting(f *faults, at events.Millis, id, coordinates string) events.Sighting {
	s := events.Sighting{At: at, EventID: events.EventID(id)}
	if coordinates == "" {
		return s
	}
	var ok bool
	s.Topic, s.Partition, s.Offset, ok = events.ParseCoordinates(coordinates)
	f.require(ok && s.Coordinates() == coordinates, "coordinates", "not topic-partition-offset")
	return s
}
