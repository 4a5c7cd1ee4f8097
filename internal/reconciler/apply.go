package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
func (j *joiner) apply(ctx context.Context, b *share, r *stream.Record) error {
	p := j.parts[r.Partition]
	if p == nil || p.revoked {
		return fmt.Errorf("record of %s-%d: partition is not owned", r.Topic, r.Partition)
	}
	j.mem.records++
	o := j.overlayOf(b, p)
	if i := j.input(r.Topic); i >= 0 {
		if r.Offset >= o.next[i] { // else it was read before
			o.next[i] = r.Offset + 1
			o.read[i]++
		}
	}
	obs := &j.mem.obs
	*obs = observation{rows: obs.rows[:0]}
	class, err := j.tryRead(ctx, obs, r)
	switch {
	case err == nil:
		if class, err = j.tryJoin(ctx, b, p, obs, r); err == nil {
			return nil
		}
		if class == "" {
			return err
		}
	case errors.Is(err, codec.ErrUnknownSchema):
		return &unknownSchema{where(r), err}
	case errors.Is(err, codec.ErrSchemaUnavailable), errors.Is(err, context.Canceled):
		return err
	}
	j.deadLetter(b, r, class, err)
	return j.renewBehind(ctx, b, p, r)
}

// renewBehind has written again, at least once, what a batch may have told of a
// subject before the record was set aside: nothing that is read later does.
func (j *joiner) renewBehind(ctx context.Context, b *share, p *partition, r *stream.Record) error {
	if _, ok := j.poison[where(r)]; !ok || j.cfg.VerifyDigest {
		return nil
	}
	key, err := events.ParseKey(string(r.Key))
	if err != nil || stream.PartitionOf(r.Key, j.cfg.Partitions) != r.Partition || !j.cfg.Rules.Knows(&key) {
		return nil // nothing was told of it
	}
	t, err := j.touch(ctx, b, p, key, r.Key)
	if err != nil {
		return err
	}
	if t.cause.topic == "" {
		t.cause = where(r)
	}
	t.renewAll()
	return nil
}

// input is the place of a topic among stream.Topics.Inputs, -1 for another one.
func (j *joiner) input(topic string) int {
	switch t := &j.cfg.Topics; topic {
	case t.Webhook:
		return 0
	case t.Intent:
		return 1
	case t.StatusCheck:
		return 2
	}
	return -1
}

func where(r *stream.Record) coordinate { return coordinate{r.Topic, r.Partition, r.Offset} }

// unknownSchema is a record whose schema the registry does not have.
type unknownSchema struct {
	at  coordinate
	err error
}

func (u *unknownSchema) Error() string {
	return fmt.Sprintf("%s-%d offset %d: %v", u.at.topic, u.at.partition, u.at.offset, u.err)
}
func (u *unknownSchema) Unwrap() error { return u.err }

// tryRead is read; a panic in it sets the record aside.
func (j *joiner) tryRead(ctx context.Context, obs *observation, r *stream.Record) (class string, err error) {
	defer func() {
		if v := recover(); v != nil {
			class, err = ClassPanic, panicked("reading")
			j.fault("%s-%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
		}
	}()
	return j.read(ctx, obs, r)
}

// read decodes a record and checks that it stands where it should.
func (j *joiner) read(ctx context.Context, obs *observation, r *stream.Record) (class string, err error) {
	if len(j.poison) > 0 {
		if v, ok := j.poison[where(r)]; ok {
			return v.class, errors.New(cmp.Or(v.message, "an output of this record was refused"))
		}
	}
	err = j.decode(ctx, obs, r)
	switch {
	case err == nil:
	case errors.Is(err, codec.ErrUnknownSchema), errors.Is(err, codec.ErrSchemaUnavailable):
		return "", err
	case errors.Is(err, codec.ErrWrongRecord):
		return ClassWrongRecord, err
	default:
		return ClassUndecodable, err
	}
	if !events.Named(obs.key, r.Key) {
		return ClassWrongRecord, errors.New("record key and value name different subjects")
	}
	if want := stream.PartitionOf(r.Key, j.cfg.Partitions); want != r.Partition {
		return ClassWrongPartition, fmt.Errorf("the key belongs to partition %d (murmur2), the record is in %d", want, r.Partition)
	}
	return "", nil
}

func (j *joiner) decode(ctx context.Context, obs *observation, r *stream.Record) error {
	m, rules := &j.mem, &j.cfg.Rules
	at := order.Where{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, AppendedAt: events.Millis(r.AppendedAt(j.cfg.BelieveOrigin))}
	switch j.input(r.Topic) {
	case 0:
		w := &m.webhook
		*w = events.Webhook{}
		if err := j.cfg.Codec.ReadWebhook(ctx, &m.passing, r.Value, w); err != nil {
			return err
		}
		obs.key, obs.source, obs.id, obs.rows = w.Key, "webhook", w.EventID, rules.AppendWebhook(obs.rows, w, &at)
		if w.Trust != events.TrustSigned {
			obs.hint = w.ObservedAt
		}
		return nil
	case 1:
		i := &m.intent
		*i = events.Intent{}
		if err := j.cfg.Codec.ReadIntent(ctx, &m.passing, r.Value, i); err != nil {
			return err
		}
		obs.key, obs.source, obs.id, obs.rows = i.Key, "intent", i.EventID, rules.AppendIntent(obs.rows, i, &at)
		return nil
	case 2:
		c := &m.check
		*c = events.StatusCheck{}
		if err := j.cfg.Codec.ReadStatusCheck(ctx, &m.passing, r.Value, c); err != nil {
			return err
		}
		obs.key, obs.source, obs.id, obs.rows = c.Key, "poll", c.EventID, rules.AppendCheck(obs.rows, c, &at)
		obs.asked = c.ObservedAt
		return nil
	}
	return fmt.Errorf("topic %s is not an input: %w", r.Topic, codec.ErrWrongRecord)
}

// tryJoin joins an observation; a panic in the join sets the record aside
// instead of taking the partition down for ever. By then the overlay may have
// some of it, so that the batch is begun again without the record.
func (j *joiner) tryJoin(ctx context.Context, b *share, p *partition, obs *observation, r *stream.Record) (class string, err error) {
	defer func() {
		if v := recover(); v != nil {
			class, err = "", &spoilt{cause: where(r), class: ClassPanic, err: panicked("the join")}
		}
	}()
	t, err := j.touch(ctx, b, p, obs.key, r.Key)
	if err != nil {
		return "", err
	}
	if t.done {
		return "", fmt.Errorf("%s: a record of the batch is about it, and its outputs are written", t.name)
	}
	t.at = r.TimestampMs
	if t.cause.topic == "" {
		t.cause = where(r)
	}
	admitted := j.hints(b, p, t, obs)
	verdict := "known"
	switch {
	case !admitted:
		verdict = "hint_ignored"
	case len(obs.rows) == 0 && obs.hint != 0:
		verdict = "hint"
	case len(obs.rows) > 0:
		have := t.state.Evidence
		room := t.spare[:0]
		if n := len(have) + len(obs.rows); cap(room) < n {
			room = j.mem.rows.room(n)
		}
		if rows, c := order.Absorb(room, have, obs.rows); c.Any {
			return "", j.change(b, t, j.mem.rows.keep(rows, len(rows)+1), c, obs, r)
		}
	}
	t.heard = true
	j.mem.counts.joined.add(joinedAs{obs.source, verdict})
	return "", nil
}

// hints keeps what is asked of the poller about a subject in step with hints
// and answers. It reports false for a hint that is ignored, because too many
// of subjects that nobody has heard of wait already.
func (j *joiner) hints(b *share, p *partition, t *touched, obs *observation) (admitted bool) {
	// Webhooks and checks come from two topics: a hint may be read after the
	// answer to a question that was asked later. The poller knows that it has
	// answered such a hint and would wait for us, as we would for it.
	// A hint that nobody can be asked about would wait for ever.
	if obs.hint != 0 && obs.hint > t.lastAsked() && j.cfg.Rules.Pollable(&t.key) {
		if !j.admitHint(b, p, t) {
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
	last, rows := t.asked, t.state.Evidence
	for i := range rows {
		if rows[i].Kind == events.EvidencePoll {
			last = max(last, rows[i].Last.At)
		}
	}
	return last
}

// change takes new evidence, and views it and writes a transition if what is
// announced moved. Else it is viewed once, at the end of the batch, unless
// subjects mostly come once in it: then the evidence need not be read again.
func (j *joiner) change(b *share, t *touched, rows []events.Evidence, c order.Change, obs *observation, r *stream.Record) error {
	rules := &j.cfg.Rules
	configured := rules.Knows(&t.key)
	verdict := "changed"
	if !configured {
		verdict = "unconfigured"
	}
	j.mem.counts.joined.add(joinedAs{obs.source, verdict})
	// Forgetting needs no table, and must not wait for one.
	if !configured && rows[0].Kind != events.EvidenceForget {
		t.cause = where(r)
		t.keep(rows, c)
		return nil
	}
	in := &j.mem.reading
	if t.had && !t.changed && !t.schedule {
		t.wasTask, t.hadTask = rules.ReadSchedule(in, &t.state)
	}
	rules.Read(in, t.key, rows)
	shows := in.Announced()
	if shows.Status == events.StatusUnknown && shows.Rule == order.RuleNoKnownStatus {
		j.mem.counts.unknown.add(events.Provider(strings.Clone(string(t.key.Provider)))) // the key's memory is the subject's
	}
	before := t.shown
	t.take(rows, c)
	t.cause, t.shown, t.viewed, t.unviewed = where(r), shows, false, false
	moved := shows.Status != before.Status || shows.Terminal != before.Terminal
	if moved || !configured || j.mem.ended || !j.mem.byKey && 4*j.mem.subjects > 3*j.mem.records {
		j.view(t, configured)
	}
	if t.had && t.version != rules.VersionFor(&t.key) || !configured || j.again(r) {
		t.renewAll()
	}
	return j.transition(b, t, &before, "evidence", obs.id, r)
}

// take makes rows, which differ by c, the subject's evidence, and what it was the
// room for the next, but for that of the state in memory.
func (t *touched) take(rows []events.Evidence, c order.Change) {
	if t.changed {
		t.spare = t.state.Evidence
	}
	switch {
	case len(t.known) == 0, !c.Any:
	case !c.One:
		t.known = nil
	case c.New:
		t.known = slices.Insert(t.known, c.At, "")
	default:
		t.known[c.At] = ""
	}
	t.state.Evidence, t.encoded, t.changed = rows, framed{}, true
}

// view makes the state show its evidence, which was just read.
func (j *joiner) view(t *touched, configured bool) {
	in := &j.mem.reading
	t.after = in.Assess(&t.state)
	if !configured {
		t.state.RulesVersion = versionUnconfigured
	}
	t.task, t.hasTask = in.Schedule(&t.state)
	t.viewed = true
}

// versionUnconfigured stands for the rules in a state whose account is not in
// this configuration.
const versionUnconfigured = "unconfigured"

// keep takes evidence into a state without viewing it: without the account's
// table every word is unknown, and a settled order would be announced as
// UNKNOWN because a line is missing in a file. What is shown stays as it was;
// when the account is configured again the state is viewed.
func (t *touched) keep(rows []events.Evidence, c order.Change) {
	if !t.changed && !t.had {
		t.state = events.State{Key: t.key, DecidedBy: order.RuleNoKnownStatus}
	}
	t.take(rows, c)
	st := &t.state
	st.RulesVersion = versionUnconfigured
	for i := range rows {
		first, last := rows[i].First.At, max(rows[i].First.At, rows[i].Last.At)
		if st.FirstSeenAt == 0 || first < st.FirstSeenAt {
			st.FirstSeenAt = first
		}
		st.LastSeenAt = max(st.LastSeenAt, last)
	}
	if st.Since == 0 {
		st.Since = st.FirstSeenAt
	}
	t.shown, t.viewed, t.unviewed = order.Announced(st), true, true
}

// again reports whether a batch with the record may have failed half written.
func (j *joiner) again(r *stream.Record) bool {
	return !j.cfg.VerifyDigest && j.parts[r.Partition].half.has(j.input(r.Topic), r.Offset)
}

// renewAll has everything that other rules derived written again: their
// discrepancies are not known any more, beyond the open ones' types, and
// neither is their schedule. So it is with what a batch wrote beside its states
// before it failed, where there are no transactions.
func (t *touched) renewAll() {
	t.schedule = true
	if t.renew != nil {
		return
	}
	t.renew = make([]events.Discrepancy, 0, len(events.DiscrepancyTypes()))
	for _, typ := range events.DiscrepancyTypes() {
		t.renew = append(t.renew, events.Discrepancy{Key: t.key, Type: typ})
	}
}

// transition writes a link of the subject's chain when what is announced
// changed since before: the status, or whether it is terminal. r is the record
// that changed it, nil where none did.
func (j *joiner) transition(b *share, t *touched, before *order.Announcement, reason string, id events.EventID, r *stream.Record) error {
	if t.shown.Status == before.Status && t.shown.Terminal == before.Terminal {
		return nil
	}
	state, err := j.encode(b, t)
	if err != nil {
		return t.spoilt(ClassUnwritable, fmt.Errorf("encode state %s: %w", t.name, err))
	}
	var after string
	after, j.mem.hash = events.DigestBytes(j.mem.hash, digestState, codec.Body(state.value()))
	st := &t.state
	tr := events.Transition{
		ID: events.EventID(events.Digest("transition", t.name, t.chain, after)), Key: t.key,
		From: before.Status, To: st.Status, FromRaw: before.StatusRaw, ToRaw: st.StatusRaw,
		Rule: st.DecidedBy, Reason: reason, Terminal: st.Terminal,
		DigestBefore: t.chain, DigestAfter: after, CauseEventID: id,
		TrueAt: st.Since, LearnedAt: events.Millis(t.at),
		Retroactive: before.LastSeen != 0 && st.Since < before.LastSeen,
	}
	if r != nil {
		at := events.Sighting{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
		tr.Cause = at.Coordinates()
	}
	record, err := j.cfg.Codec.AppendTransition(b.values.room(usualValue), &tr)
	if err != nil {
		return t.spoilt(ClassUnwritable, fmt.Errorf("encode transition of %s: %w", t.name, err))
	}
	record = b.values.keep(record)
	b.emit(stream.Record{
		Topic: j.cfg.Topics.Transition, Partition: t.partition, Key: b.values.text(t.name), Value: record,
		Headers: b.cloudEvent(b.values.text(string(tr.ID)), typeTransition),
	}, t.cause)
	t.chain = after
	j.mem.counts.moved.add(move{st.Status, reason})
	return nil
}

var digestState = []byte("state")

// mostKey is more than the key of any subject has.
const mostKey = 1 << 10

// deadLetter sets a record aside. One that is too large to be written again is
// kept without its value and headers, and without a key that is none (a producer
// that took key and value for each other): where it stands says all that is left.
func (j *joiner) deadLetter(b *share, rec *stream.Record, class string, err error) {
	r, at := *rec, where(rec)
	if j.poison[at].class == ClassTooLarge {
		r.Value, r.Headers = nil, nil
		if len(r.Key) > mostKey {
			r.Key = nil
		}
	}
	// The message names the rule that was broken, never what the record says.
	b.emit(stream.DeadLetter(j.cfg.Topics.DeadLetter, r, "reconciler", "join", class, err.Error()), at)
	j.mem.counts.dead.add(class)
	j.mem.counts.joined.add(joinedAs{r.Topic, "dead_letter"})
}
