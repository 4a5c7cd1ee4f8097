package reconciler

import (
	"context"
	"fmt"
	"slices"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// sideOutputs writes what follows from a subject's evidence beside its state:
// its discrepancies and what the poller has to ask.
func (j *joiner) sideOutputs(b *share, t *touched) error {
	if t.unviewed {
		return nil
	}
	if t.changed {
		if !t.viewed {
			j.cfg.Rules.Read(&j.mem.reading, t.key, t.state.Evidence)
			j.view(t, true)
		}
	} else if t.renew != nil && t.had { // as it is in memory
		j.cfg.Rules.Read(&j.mem.reading, t.key, t.rows)
		t.after = j.mem.reading.Assess(&j.mem.was)
	}
	if t.changed || t.renew != nil {
		if err := j.discrepancies(b, t); err != nil {
			return err
		}
	}
	return j.schedule(b, t)
}

// discrepancies writes those that changed, and tombstones for those that the
// new evidence proves never to have been.
func (j *joiner) discrepancies(b *share, t *touched) error {
	before := t.renew
	if before == nil && t.had && !t.old.clean {
		j.cfg.Rules.Read(&j.mem.reading, t.key, t.rows)
		before = j.mem.reading.Assess(&j.mem.was)
	}
	for i := range t.after {
		d := &t.after[i]
		at := slices.IndexFunc(before, func(o events.Discrepancy) bool { return o.Type == d.Type })
		if at >= 0 && equalDiscrepancy(before[at], *d) {
			continue
		}
		value, err := j.cfg.Codec.EncodeDiscrepancy(*d)
		if err != nil {
			return fmt.Errorf("encode discrepancy %s: %w", d.RecordKey(), err)
		}
		b.emit(stream.Record{
			Topic: j.cfg.Topics.Discrepancy, Partition: stream.Auto, Key: []byte(d.RecordKey()), Value: value,
			Headers: b.summed(hashRecord(d.RecordKey(), value), typeDiscrepancy),
		}, t.cause)
	}
	for i := range before {
		d := &before[i]
		if !slices.ContainsFunc(t.after, func(n events.Discrepancy) bool { return n.Type == d.Type }) {
			b.emit(stream.Record{Topic: j.cfg.Topics.Discrepancy, Partition: stream.Auto, Key: []byte(d.RecordKey())}, t.cause)
		}
	}
	return nil
}

func equalDiscrepancy(a, b events.Discrepancy) bool {
	ev := slices.Equal(a.Evidence, b.Evidence)
	a.Evidence, b.Evidence = nil, nil
	return ev && a.Key == b.Key && a.Type == b.Type && a.Severity == b.Severity && a.OpenedAt == b.OpenedAt &&
		a.ResolvedAt == b.ResolvedAt && a.Expected == b.Expected && a.Seen == b.Seen && a.AtStake == b.AtStake &&
		a.AtStakeCurrency == b.AtStakeCurrency
}

// schedule writes the poller's task for a subject when it changed, when a
// question was answered, or when a hint asks to look sooner.
func (j *joiner) schedule(b *share, t *touched) error {
	if !t.changed && !t.schedule && t.hint == 0 {
		return nil
	}
	known := t.had || t.changed
	st := &t.state
	task, ok := t.task, t.hasTask
	if known && !t.changed {
		task, ok = j.cfg.Rules.ReadSchedule(&j.mem.reading, st)
	}
	// A hint must not have the provider asked about what was forgotten.
	if t.hint != 0 && j.cfg.Rules.Pollable(&t.key) && st.DecidedBy != order.RuleForgotten {
		if !ok {
			task = events.CheckTask{Key: t.key, Known: known, Status: st.Status, Since: st.Since,
				ExpectedAmount: st.Expected.CryptoAmount, ExpectedCurrency: st.Expected.CryptoAsset}
		}
		if !ok || t.hint < task.DueAt {
			task.Cause, task.HintAt, task.DueAt, task.GiveUp, ok = events.CauseHint, t.hint, t.hint, false, true
		}
	}
	if !t.schedule {
		was, had := t.wasTask, t.hadTask
		if t.had && !t.changed { // else it is the task, but for a hint
			was, had = j.cfg.Rules.ReadSchedule(&j.mem.reading, st)
		}
		if ok == had && task == was {
			return nil
		}
	}
	return j.taskOutput(b, t, &task, ok)
}

// taskOutput writes a task, or its tombstone if there is nothing to ask.
func (j *joiner) taskOutput(b *share, t *touched, task *events.CheckTask, ok bool) error {
	j.buf = append(append(append(j.buf[:0], t.key.Provider...), '/'), t.key.Account...) // the lane
	r := stream.Record{Topic: j.cfg.Topics.CheckSchedule, Partition: stream.PartitionOf(j.buf, j.cfg.Partitions)}
	if ok {
		room := frame(b.values.room(usualValue), t.name)
		record, err := j.cfg.Codec.AppendCheckTask(room, task)
		if err != nil {
			return fmt.Errorf("encode check task of %s: %w", t.name, err)
		}
		f := framed{b.values.keep(record), len(room)}
		r.Key, r.Value, r.Headers = f.key(), f.value(), b.summed(f.sum(), typeCheckTask)
	} else {
		r.Key = b.values.text(t.name)
	}
	b.emit(r, t.cause)
	return nil
}

// viewOutdated views some restored states by the current rules: a new table or
// setting changes what old evidence says, and that change is announced too.
func (j *joiner) viewOutdated(ctx context.Context, b *share) error {
	left := max(j.cfg.RuleChangeBatch/j.cfg.Joiners, 1)
	numbers := make([]int32, 0, len(j.parts))
	for n, p := range j.parts {
		if j.mine(n) && p.outdated > 0 && !p.revoked {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if left <= 0 {
			return nil
		}
		viewed, err := j.viewSome(ctx, b, j.parts[n], left)
		if err != nil {
			return err
		}
		left -= viewed
	}
	return nil
}

// viewSome views about max outdated states of p again.
func (j *joiner) viewSome(ctx context.Context, b *share, p *partition, max int) (viewed int, err error) {
	// Where few states of many are outdated, a step ends after looking through
	// this many bytes.
	const piece, most = 64 << 10, 32 << 20
	o := j.overlayOf(b, p)
	for looked := 0; viewed < max && looked < most && !o.viewedAll; looked += piece {
		var names []string
		next, more, err := p.states.Walk(o.viewedTo, piece, func(key, raw []byte) error {
			flags, _, err := headOf(raw)
			if flags&flagOutdated != 0 {
				names = append(names, string(key))
			}
			return err
		})
		if err != nil {
			return viewed, fmt.Errorf("partition %d: %w", p.number, err)
		}
		for _, name := range names {
			if err := j.viewAgain(ctx, b, p, name); err != nil {
				return viewed, err
			}
		}
		viewed += len(names)
		o.viewedTo, o.viewedAll = next, !more
	}
	return viewed, nil
}

// viewAgain views a state by the current rules. One for which they panic stays as
// it is: no record is behind it that could be set aside, and the others of its
// partition must not wait for it.
func (j *joiner) viewAgain(ctx context.Context, b *share, p *partition, name string) (err error) {
	if j.stuck[name] {
		return nil
	}
	key, err := events.ParseKey(name)
	if err != nil {
		return fmt.Errorf("key in memory: %w", err)
	}
	defer func() {
		if v := recover(); v != nil {
			err = &spoilt{name: name, err: panicked("viewing")}
		}
	}()
	t, err := j.touch(ctx, b, p, key, []byte(name))
	if err != nil || t.changed || t.version == j.cfg.Rules.VersionFor(&key) {
		return err // already viewed by the current rules
	}
	t.ruled = true
	j.cfg.Rules.Read(&j.mem.reading, key, t.rows)
	before := t.shown
	t.take(t.rows, order.Change{})
	t.shown = j.mem.reading.Announced()
	j.view(t, true)
	t.at = int64(t.state.LastSeenAt)
	t.renewAll()
	return j.transition(b, t, &before, "rule_change", "", nil)
}
