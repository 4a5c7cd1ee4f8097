package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/oracle"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// markMoving marks the subjects of inputs that were joined between the two
// positions: their states may be of either.
func (a *auditor) markMoving(ctx context.Context, n int32, s *snapshot) error {
	for _, topic := range a.r.Topics.Inputs() {
		err := a.each(ctx, topic, n, s.moved[topic], func(rec stream.Record) error {
			if _, err := events.ParseKey(string(rec.Key)); err == nil && rec.Offset >= s.next[topic] {
				a.subject(s, rec.Key).moving = true
			} // else it was set aside, and no state is of it
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// input adds one input record to its subject, unless the reconciler has to set
// it aside: what cannot be decoded, names another subject than its key, or
// stands in the wrong partition.
func (a *auditor) input(ctx context.Context, s *snapshot, rec stream.Record) error {
	s.records++
	if letter, ok := rec.Header(stream.HeaderRedriveOf); ok {
		s.redriven[string(letter)] = true
	}
	aside, was := a.aside[rec.At().String()]
	key, tell, err := a.decode(ctx, rec)
	join := func() {
		sub := a.subject(s, []byte(key.String()))
		if sub.history == nil {
			sub.history = oracle.NewHistory(key, a.rules.Settings().Margin)
		}
		tell(sub.history)
	}
	switch {
	case was && aside.final, errors.Is(err, codec.ErrCorrupt), errors.Is(err, codec.ErrWrongRecord), was && errors.Is(err, codec.ErrUnknownSchema):
	case err != nil:
		return err
	case key.String() != string(rec.Key) || stream.PartitionOf(rec.Key, a.r.Partitions) != rec.Partition:
	case was:
		s.readable = append(s.readable, readable{aside.letter, join})
		return nil
	default:
		join()
		return nil
	}
	s.aside++
	return nil
}

// judgeReadable joins what was set aside, can be read by now, and was not
// redriven: no state knows it.
func (a *auditor) judgeReadable(s *snapshot) {
	for _, r := range s.readable {
		s.aside++
		if !s.redriven[r.letter] {
			s.fresh++
			r.join()
		}
	}
}

// decode reads an input record for the oracle.
func (a *auditor) decode(ctx context.Context, rec stream.Record) (key events.Key, tell func(*oracle.History), err error) {
	appended := events.Millis(rec.AppendedAt(a.r.cfg.Reconciler.BelieveOrigin))
	at := oracle.Where{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, AppendedAt: appended}
	switch rec.Topic {
	case a.r.Topics.Webhook:
		w, err := a.r.Codec.DecodeWebhook(ctx, rec.Value)
		return w.Key, func(h *oracle.History) { h.Webhook(w, at) }, err
	case a.r.Topics.StatusCheck:
		c, err := a.r.Codec.DecodeStatusCheck(ctx, rec.Value)
		return c.Key, func(h *oracle.History) { h.Check(c, at) }, err
	}
	i, err := a.r.Codec.DecodeIntent(ctx, rec.Value)
	return i.Key, func(h *oracle.History) { h.Intent(i, at) }, err
}

func (a *auditor) oracleRules(l events.Lane) oracle.Rules {
	s := a.rules.Settings()
	return oracle.Rules{
		Settings:   oracle.Settings{Margin: s.Margin, Confirm: s.Confirm, MissingWebhook: s.MissingWebhook, Stuck: s.Stuck},
		Vocabulary: a.rules.Vocabulary(l), Version: a.rules.LaneVersion(l),
	}
}

// compare counts one subject, and prints it if it differs.
func (a *auditor) compare(ctx context.Context, name string, sub *subject, truncated bool) error {
	key, err := events.ParseKey(name)
	if err != nil {
		return fmt.Errorf("state key: %w: %w", err, stream.ErrLoss)
	}
	var derived []byte // the body that the state should have; nil for none
	var want events.State
	if sub.history != nil {
		var ok bool
		if want, ok = sub.history.State(a.oracleRules(key.Lane())); ok {
			if derived, err = a.local.EncodeState(want); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	if derived == nil && len(sub.value) == 0 {
		return nil // only hints named it
	}
	a.sum.States++
	switch {
	case sub.moving:
		a.sum.Moving++
		return nil
	case derived != nil && bytes.Equal(codec.Body(derived), codec.Body(sub.value)):
		a.sum.Equal++
		return nil
	case len(sub.value) == 0:
		return a.differs(key, "(no state)", "", want.Status.String())
	}
	have, err := a.r.Codec.DecodeState(ctx, sub.value)
	if err != nil {
		return fmt.Errorf("state %s: %w: %w", key, err, stream.ErrLoss)
	}
	stands, err := a.local.EncodeState(have)
	if err != nil {
		return fmt.Errorf("state %s: %w: %w", key, err, stream.ErrLoss)
	}
	return a.unequal(key, sub, want, have, derived, stands, truncated)
}

// unequal judges a state whose bytes are not the derived ones.
func (a *auditor) unequal(key events.Key, sub *subject, want, have events.State, derived, stands []byte, truncated bool) error {
	var left []events.Evidence // what the oracle makes of the inputs that are left
	if sub.history != nil {
		left = sub.history.Evidence()
	}
	current := have.RulesVersion == a.rules.LaneVersion(key.Lane())
	switch {
	case bytes.Equal(derived, stands): // written with another version of the schema
		a.sum.Reencoded++
		return nil
	case derived != nil && !current && slices.Equal(want.Evidence, have.Evidence):
		a.sum.OtherRules++ // waits to be viewed again
		return nil
	case truncated && slices.Equal(order.Join(left, have.Evidence), have.Evidence):
		viewed, err := a.local.EncodeState(a.rules.View(key, have.Evidence))
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if !current || bytes.Equal(viewed, stands) {
			a.sum.Truncated++
			return nil
		}
		derived = viewed
	case derived == nil:
		return a.differs(key, "(no input)", have.Status.String(), "")
	}
	field, x, y, err := a.firstDifference(stands, derived)
	if err != nil {
		return err
	}
	return a.differs(key, field, x, y)
}

func (a *auditor) differs(key events.Key, field, state, derived string) error {
	a.sum.Different++
	if a.c.json() {
		return a.c.line(struct {
			Key     string `json:"key"`
			Field   string `json:"field"`
			State   string `json:"state"`
			Derived string `json:"derived"`
		}{key.String(), field, state, derived})
	}
	_, err := fmt.Fprintf(a.c.out, "%s: %s is %s in the state, %s by its inputs\n", key, field, dash(state), dash(derived))
	return err
}

// firstDifference names the first field, in the order of the schema, in which
// two states differ, and both values.
func (a *auditor) firstDifference(x, y []byte) (field, left, right string, err error) {
	xs, err := a.columns(x)
	if err != nil {
		return "", "", "", err
	}
	ys, err := a.columns(y)
	if err != nil {
		return "", "", "", err
	}
	for i, c := range xs {
		if i < len(ys) && !bytes.Equal(c.value, ys[i].value) {
			f, l, r := within(c.name, c.value, ys[i].value)
			return f, l, r, nil
		}
	}
	return "(bytes)", "", "", nil
}

type column struct {
	name  string
	value json.RawMessage
}

// columns are the fields of a state as JSON, in the order of the schema.
func (a *auditor) columns(value []byte) (out []column, err error) {
	_, line, err := a.local.DecodeAny(context.Background(), value)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if _, err := d.Token(); err != nil { // the opening brace
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		c := column{name: fmt.Sprint(name)}
		if err := d.Decode(&c.value); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// within follows a difference into arrays of rows.
func within(field string, x, y json.RawMessage) (path, left, right string) {
	var xs, ys []map[string]json.RawMessage
	if json.Unmarshal(x, &xs) != nil || json.Unmarshal(y, &ys) != nil {
		return field, string(x), string(y)
	}
	for i := range min(len(xs), len(ys)) {
		for _, name := range slices.Sorted(maps.Keys(xs[i])) {
			if !bytes.Equal(xs[i][name], ys[i][name]) {
				return field + "[" + strconv.Itoa(i) + "]." + name, string(xs[i][name]), string(ys[i][name])
			}
		}
	}
	return field, strconv.Itoa(len(xs)) + " rows", strconv.Itoa(len(ys)) + " rows"
}
