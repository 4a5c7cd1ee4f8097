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
func (e *Engine) sideOutputs(b *Batch, t *touched) error {
	if t.unviewed {
		return nil
	}
	if t.changed {
		if err := e.discrepancies(b, t); err != nil {
			return err
		}
	}
	return e.schedule(b, t)
}

// discrepancies writes those that changed, and tombstones for those that the
// new evidence proves never to have been.
func (e *Engine) discrepancies(b *Batch, t *touched) error {
	before := t.renew
	if before == nil && t.had && !t.old.clean {
		_, before = e.cfg.Rules.Assess(t.key, t.was.Evidence)
	}
	for _, d := range t.after {
		i := slices.IndexFunc(before, func(o events.Discrepancy) bool { return o.Type == d.Type })
		if i >= 0 && equalDiscrepancy(before[i], d) {
			continue
		}
		value, err := e.cfg.Codec.EncodeDiscrepancy(d)
		if err != nil {
			return fmt.Errorf("encode discrepancy %s: %w", d.RecordKey(), err)
		}
		b.emit(stream.Record{
			Topic: e.cfg.Topics.Discrepancy, Partition: stream.Auto, Key: []byte(d.RecordKey()), Value: value,
			Headers: cloudEvent(hashRecord(d.RecordKey(), value).String(), "rampstream.v1.Discrepancy"),
		}, t.cause)
	}
	for _, d := range before {
		if !slices.ContainsFunc(t.after, func(n events.Discrepancy) bool { return n.Type == d.Type }) {
			b.emit(stream.Record{Topic: e.cfg.Topics.Discrepancy, Partition: stream.Auto, Key: []byte(d.RecordKey())}, t.cause)
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
func (e *Engine) schedule(b *Batch, t *touched) error {
	known := t.had || t.changed
	var task events.CheckTask
	ok := false
	if known {
		task, ok = e.cfg.Rules.Schedule(t.state)
	}
	// A hint must not have the provider asked about what was forgotten.
	if t.hint != 0 && e.pollable(t.key) && t.state.DecidedBy != order.RuleForgotten {
		if !ok {
			task = events.CheckTask{Key: t.key, Known: known, Status: t.state.Status, Since: t.state.Since,
				ExpectedAmount: t.state.Expected.CryptoAmount, ExpectedCurrency: t.state.Expected.CryptoAsset}
		}
		if !ok || t.hint < task.DueAt {
			task.Cause, task.HintAt, task.DueAt, task.GiveUp, ok = events.CauseHint, t.hint, t.hint, false, true
		}
	}
	if !t.schedule {
		var was events.CheckTask
		had := false
		if t.had {
			was, had = e.cfg.Rules.Schedule(t.was)
		}
		if ok == had && task == was {
			return nil
		}
	}
	r := stream.Record{
		Topic: e.cfg.Topics.CheckSchedule, Key: []byte(t.key.String()),
		Partition: stream.PartitionOf([]byte(t.key.Lane()), e.cfg.Partitions),
	}
	if ok {
		value, err := e.cfg.Codec.EncodeCheckTask(task)
		if err != nil {
			return fmt.Errorf("encode check task of %s: %w", t.key, err)
		}
		r.Value = value
		r.Headers = cloudEvent(hashRecord(t.key.String(), value).String(), "rampstream.v1.CheckTask")
	}
	b.emit(r, t.cause)
	return nil
}

func (e *Engine) pollable(key events.Key) bool {
	v := e.cfg.Rules.Vocabulary(key.Lane())
	if key.Kind == events.Customer {
		return v.PollCustomers
	}
	return v.PollOrders
}

// viewOutdated views some restored states by the current rules: a new table or
// setting changes what old evidence says, and that change is announced too.
func (e *Engine) viewOutdated(ctx context.Context, b *Batch) error {
	left := e.cfg.RuleChangeBatch
	numbers := make([]int32, 0, len(e.parts))
	for n, p := range e.parts {
		if p.outdated > 0 && !p.revoked {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if left <= 0 {
			return nil
		}
		viewed, err := e.viewSome(ctx, b, e.parts[n], left)
		if err != nil {
			return err
		}
		left -= viewed
	}
	return nil
}

// viewSome views about max outdated states of p again.
func (e *Engine) viewSome(ctx context.Context, b *Batch, p *partition, max int) (viewed int, err error) {
	// Where few states of many are outdated, a step ends after looking through
	// this many bytes.
	const piece, most = 64 << 10, 32 << 20
	o := e.overlayOf(b, p)
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
			if err := e.viewAgain(ctx, b, p, name); err != nil {
				return viewed, err
			}
		}
		viewed += len(names)
		o.viewedTo, o.viewedAll = next, !more
	}
	return viewed, nil
}

func (e *Engine) viewAgain(ctx context.Context, b *Batch, p *partition, name string) error {
	key, err := events.ParseKey(name)
	if err != nil {
		return fmt.Errorf("key in memory: %w", err)
	}
	t, err := e.touch(ctx, b, p, key)
	if err != nil || t.changed || t.state.RulesVersion == e.cfg.Rules.LaneVersion(key.Lane()) {
		return err // already viewed by the current rules
	}
	st, after := e.cfg.Rules.Assess(key, t.state.Evidence)
	t.at = int64(st.LastSeenAt)
	t.renewAll()
	before := t.state
	t.state, t.after, t.encoded, t.changed = st, after, nil, true
	return e.transition(b, t, before, "rule_change", "", "")
}
