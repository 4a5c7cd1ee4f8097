package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// Classes of a dead letter of the reconciler.
const (
	ClassWrongPartition = "WRONG_PARTITION" // the key's murmur2 partition is another one
	ClassUndecodable    = "UNDECODABLE"
	ClassWrongRecord    = "WRONG_RECORD" // another record type, or a key that the value contradicts
	ClassPanic          = "PANIC"
	ClassTooLarge       = "TOO_LARGE"  // an output of it exceeds what a topic allows
	ClassUnwritable     = "UNWRITABLE" // an output of it would break the contract
	// ClassUnknownSchema: the registry does not have the schema of the value.
	ClassUnknownSchema = "UNKNOWN_SCHEMA"
)

// observation is one decoded input record.
type observation struct {
	key    events.Key
	source string
	rows   []events.Evidence
	// hint is when a HINT was received; 0 for other records.
	hint events.Millis
	// asked is when a status check started; 0 for other records.
	asked events.Millis
	id    events.EventID
}

// apply joins one input record. A record that cannot be applied becomes a dead
// letter; an error means that the batch cannot go on.
func (e *Engine) apply(ctx context.Context, b *Batch, r stream.Record) error {
	p := e.parts[r.Partition]
	if p == nil || p.revoked {
		return fmt.Errorf("record of %s-%d: partition is not owned", r.Topic, r.Partition)
	}
	o := e.overlayOf(b, p)
	done := p.next[r.Topic]
	if n, ok := o.next[r.Topic]; ok {
		done = n
	}
	o.next[r.Topic] = max(done, r.Offset+1)

	obs, class, err := e.tryRead(ctx, r)
	switch {
	case errors.Is(err, codec.ErrUnknownSchema):
		return &unknownSchema{where(r), err}
	case errors.Is(err, codec.ErrSchemaUnavailable), errors.Is(err, context.Canceled):
		return err
	case err == nil:
		if class, err = e.tryJoin(ctx, b, p, obs, r); err == nil {
			return nil
		}
		if class == "" {
			return err
		}
	}
	e.deadLetter(b, r, class, err)
	return nil
}

func where(r stream.Record) coordinate { return coordinate{r.Topic, r.Partition, r.Offset} }

// unknownSchema is a record whose schema the registry does not have.
type unknownSchema struct {
	at  coordinate
	err error
}

func (u *unknownSchema) Error() string {
	return fmt.Sprintf("%s-%d offset %d: %v", u.at.topic, u.at.partition, u.at.offset, u.err)
}
func (u *unknownSchema) Unwrap() error { return u.err }

// SetAsideUnknown makes the record behind err, which has a schema that the
// registry does not have, a dead letter of the next step. It reports false when
// err is something else.
func (e *Engine) SetAsideUnknown(err error) bool {
	var u *unknownSchema
	if !errors.As(err, &u) {
		return false
	}
	e.poison[u.at] = ClassUnknownSchema
	return true
}

// tryRead is read; a panic in it sets the record aside.
func (e *Engine) tryRead(ctx context.Context, r stream.Record) (obs observation, class string, err error) {
	defer func() {
		if v := recover(); v != nil {
			obs, class, err = observation{}, ClassPanic, errors.New("reading panicked")
		}
	}()
	return e.read(ctx, r)
}

// read decodes a record and checks that it stands where it should.
func (e *Engine) read(ctx context.Context, r stream.Record) (obs observation, class string, err error) {
	if class, ok := e.poison[where(r)]; ok {
		return observation{}, class, errors.New("an output of this record was refused")
	}
	obs, err = e.decode(ctx, r)
	switch {
	case errors.Is(err, codec.ErrUnknownSchema), errors.Is(err, codec.ErrSchemaUnavailable):
		return observation{}, "", err
	case errors.Is(err, codec.ErrWrongRecord):
		return observation{}, ClassWrongRecord, err
	case err != nil:
		return observation{}, ClassUndecodable, err
	case obs.key.String() != string(r.Key):
		return observation{}, ClassWrongRecord, errors.New("record key and value name different subjects")
	}
	if want := stream.PartitionOf(r.Key, e.cfg.Partitions); want != r.Partition {
		return observation{}, ClassWrongPartition, fmt.Errorf("the key belongs to partition %d (murmur2), the record is in %d", want, r.Partition)
	}
	return obs, "", nil
}

func (e *Engine) decode(ctx context.Context, r stream.Record) (observation, error) {
	at := order.Where{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, AppendedAt: events.Millis(r.AppendedAt(e.cfg.BelieveOrigin))}
	switch r.Topic {
	case e.cfg.Topics.Webhook:
		w, err := e.cfg.Codec.DecodeWebhook(ctx, r.Value)
		if err != nil {
			return observation{}, err
		}
		obs := observation{key: w.Key, source: "webhook", rows: e.cfg.Rules.FromWebhook(w, at), id: w.EventID}
		if w.Trust != events.TrustSigned {
			obs.hint = w.ObservedAt
		}
		return obs, nil
	case e.cfg.Topics.StatusCheck:
		c, err := e.cfg.Codec.DecodeStatusCheck(ctx, r.Value)
		if err != nil {
			return observation{}, err
		}
		return observation{key: c.Key, source: "poll", rows: e.cfg.Rules.FromCheck(c, at), asked: c.ObservedAt, id: c.EventID}, nil
	case e.cfg.Topics.Intent:
		i, err := e.cfg.Codec.DecodeIntent(ctx, r.Value)
		if err != nil {
			return observation{}, err
		}
		return observation{key: i.Key, source: "intent", rows: e.cfg.Rules.FromIntent(i, at), id: i.EventID}, nil
	}
	return observation{}, fmt.Errorf("topic %s is not an input: %w", r.Topic, codec.ErrWrongRecord)
}

// tryJoin joins an observation; a panic in the join sets the record aside
// instead of taking the partition down for ever. What the overlay holds of the
// subject is only replaced at the end, so a panic leaves it whole.
func (e *Engine) tryJoin(ctx context.Context, b *Batch, p *partition, obs observation, r stream.Record) (class string, err error) {
	defer func() {
		if v := recover(); v != nil {
			class, err = ClassPanic, errors.New("the join panicked")
		}
	}()
	t, err := e.touch(ctx, b, p, obs.key)
	if err != nil {
		return "", err
	}
	t.at = r.TimestampMs
	if t.cause.topic == "" {
		t.cause = where(r)
	}
	admitted := e.hints(b, p, t, obs)
	verdict := "known"
	switch {
	case !admitted:
		verdict = "hint_ignored"
	case len(obs.rows) == 0 && obs.hint != 0:
		verdict = "hint"
	case len(obs.rows) > 0:
		rows := order.Join(t.state.Evidence, obs.rows)
		if !slices.Equal(rows, t.state.Evidence) {
			verdict = "changed"
			return "", e.change(b, t, rows, obs, r)
		}
	}
	e.cfg.Observer.Joined(obs.source, verdict)
	return "", nil
}

// hints keeps what is asked of the poller about a subject in step with hints
// and answers. It reports false for a hint that is ignored, because too many
// of subjects that nobody has heard of wait already.
func (e *Engine) hints(b *Batch, p *partition, t *touched, obs observation) (admitted bool) {
	// Webhooks and checks come from two topics: a hint may be read after the
	// answer to a question that was asked later. The poller knows that it has
	// answered such a hint and would wait for us, as we would for it.
	// A hint that nobody can be asked about would wait for ever.
	if obs.hint > t.lastAsked() && e.pollable(t.key) {
		if !e.admitHint(b, p, t) {
			return false
		}
		t.hint = max(t.hint, obs.hint)
		t.schedule = true
	}
	if obs.asked != 0 {
		// Every answer ends its task, so the poller must hear what is next even
		// if that did not change. A question asked before the hint came does
		// not answer it.
		t.schedule = true
		t.asked = max(t.asked, obs.asked)
		if obs.asked >= t.hint {
			t.hint = 0
		}
	}
	return true
}

// lastAsked is when the latest question about a subject was asked whose answer
// is known: an answer that is no evidence only for as long as its batch.
func (t *touched) lastAsked() events.Millis {
	last := t.asked
	for _, e := range t.state.Evidence {
		if e.Kind == events.EvidencePoll {
			last = max(last, e.Last.At)
		}
	}
	return last
}

// change views new evidence and writes a transition if the status moved.
func (e *Engine) change(b *Batch, t *touched, rows []events.Evidence, obs observation, r stream.Record) error {
	t.cause = where(r)
	e.cfg.Observer.Joined(obs.source, "changed")
	configured := e.cfg.Rules.Configured(t.key.Lane())
	// Forgetting needs no table, and must not wait for one.
	if !configured && rows[0].Kind != events.EvidenceForget {
		t.keep(rows)
		return nil
	}
	st, after := e.cfg.Rules.Assess(t.key, rows)
	if !configured {
		st.RulesVersion = versionUnconfigured
		t.renewAll()
	}
	if st.Status == events.StatusUnknown && st.DecidedBy == order.RuleNoKnownStatus {
		e.cfg.Observer.UnknownStatus(t.key.Provider)
	}
	if t.had && t.state.RulesVersion != st.RulesVersion {
		t.renewAll()
	}
	before := t.state
	t.state, t.after, t.encoded, t.changed, t.unviewed = st, after, nil, true, false
	at := events.Sighting{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	return e.transition(b, t, before, "evidence", at.Coordinates(), obs.id)
}

// versionUnconfigured stands for the rules in a state whose account is not in
// this configuration.
const versionUnconfigured = "unconfigured"

// keep takes evidence into a state without viewing it: without the account's
// table every word is unknown, and a settled order would be announced as
// UNKNOWN because a line is missing in a file. What is shown stays as it was;
// when the account is configured again the state is viewed.
func (t *touched) keep(rows []events.Evidence) {
	if !t.had && !t.changed {
		t.state = events.State{Key: t.key, DecidedBy: order.RuleNoKnownStatus}
	}
	t.state.Evidence, t.state.RulesVersion = rows, versionUnconfigured
	for i := range rows {
		first, last := rows[i].First.At, max(rows[i].First.At, rows[i].Last.At)
		if t.state.FirstSeenAt == 0 || first < t.state.FirstSeenAt {
			t.state.FirstSeenAt = first
		}
		t.state.LastSeenAt = max(t.state.LastSeenAt, last)
	}
	if t.state.Since == 0 {
		t.state.Since = t.state.FirstSeenAt
	}
	t.encoded, t.changed, t.unviewed = nil, true, true
}

// renewAll has everything that other rules derived written again: their
// discrepancies are not known any more, beyond the open ones' types, and
// neither is their schedule.
func (t *touched) renewAll() {
	t.renew = make([]events.Discrepancy, 0, len(events.DiscrepancyTypes()))
	for _, typ := range events.DiscrepancyTypes() {
		t.renew = append(t.renew, events.Discrepancy{Key: t.key, Type: typ})
	}
	t.schedule = true
}

// transition writes a link of the subject's chain when what is announced
// changed since before: the status, or whether it is terminal.
func (e *Engine) transition(b *Batch, t *touched, before events.State, reason, cause string, id events.EventID) error {
	st := t.state
	if st.Status == before.Status && st.Terminal == before.Terminal {
		return nil
	}
	value, err := t.encode(e.cfg.Codec)
	if err != nil {
		return &unwritable{t.cause, fmt.Errorf("encode state %s: %w", t.key, err)}
	}
	after := events.Digest("state", string(codec.Body(value)))
	tr := events.Transition{
		ID: events.EventID(events.Digest("transition", t.key.String(), t.chain, after)), Key: t.key,
		From: before.Status, To: st.Status, FromRaw: before.StatusRaw, ToRaw: st.StatusRaw,
		Rule: st.DecidedBy, Reason: reason, Terminal: st.Terminal,
		DigestBefore: t.chain, DigestAfter: after, Cause: cause, CauseEventID: id,
		TrueAt: st.Since, LearnedAt: events.Millis(t.at),
		Retroactive: before.LastSeenAt != 0 && st.Since < before.LastSeenAt,
	}
	record, err := e.cfg.Codec.EncodeTransition(tr)
	if err != nil {
		return &unwritable{t.cause, fmt.Errorf("encode transition of %s: %w", t.key, err)}
	}
	b.emit(stream.Record{
		Topic: e.cfg.Topics.Transition, Partition: t.partition, Key: []byte(t.key.String()), Value: record,
		Headers: cloudEvent(string(tr.ID), "rampstream.v1.Transition"),
	}, t.cause)
	t.chain = after
	e.cfg.Observer.Transition(st.Status, reason)
	return nil
}

// deadLetter sets a record aside. One that is too large to be written again is
// kept without its value and headers: where it stands says all that is left.
func (e *Engine) deadLetter(b *Batch, r stream.Record, class string, err error) {
	if e.poison[where(r)] == ClassTooLarge {
		r.Value, r.Headers = nil, nil
	}
	// The message names the rule that was broken, never what the record says.
	b.emit(stream.DeadLetter(e.cfg.Topics.DeadLetter, r, "reconciler", "join", class, err.Error()), where(r))
	e.cfg.Observer.DeadLetter(class)
	e.cfg.Observer.Joined(r.Topic, "dead_letter")
}
