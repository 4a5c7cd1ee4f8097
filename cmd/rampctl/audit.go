package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/inspect"
	"rampstream/internal/oracle"
	"rampstream/internal/order"
	"rampstream/internal/reconciler"
	"rampstream/internal/run"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

func (c *cli) audit() *cobra.Command {
	return &cobra.Command{
		Use: "audit", Short: "Derive every state again from the input topics and compare",
		Long: `Read the input topics up to the reconciler's position, derive every state with
a second, independent implementation of the rules, and compare the bytes with
the state topics. Nothing is written. Exit code 3 if a state differs, with the
key and the first field that does.

A record that the reconciler set aside and that can be read by now is an input
like any other: its state differs until "rampctl redrive" has brought it back.

Where retention has removed inputs, a state may know more than what is left:
then what is left must add nothing to it. Such states are counted apart.
Partitions that the reconciler is writing are read again; what still moves is
counted apart too. Where no reconciler has been nothing is compared, and a line
on standard error says so; where none has been anywhere, exit code 3. A state
"viewed by other rules" has another rules_version than this configuration gives,
or its account is not configured: what it shows is not compared.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			rules, err := app.Rules(r.cfg, known())
			if err != nil {
				return run.Config(err)
			}
			return c.runAudit(cmd.Context(), r, rules)
		},
	}
}

// auditor compares the partitions of one installation.
type auditor struct {
	c     *cli
	r     reading
	rules order.Rules
	local *codec.Codec           // encodes for comparison: ids are made up
	aside map[string]asideRecord // by coordinates of the input record
	// letters is how far the dead letters were read for aside.
	letters inspect.Cursor
	visited int // partitions with a position
	sum     auditSummary
	told    time.Time // when progress was last told
}

// tellEvery is how often a long partition tells how far it is.
const tellEvery = 5 * time.Second

// progress says how far a partition is, now and then.
func (a *auditor) progress(n int32, topic string, done, end int64) {
	now := time.Now()
	if a.told.IsZero() {
		a.told = now
	}
	if now.Sub(a.told) < tellEvery {
		return
	}
	a.told = now
	fmt.Fprintf(a.c.errw, "partition %d of %d: %s at offset %d of %d, %d records so far\n", n+1, a.r.Partitions, topic, done, end, a.sum.Records)
}

type auditSummary struct {
	Partitions int    `json:"partitions"`
	Records    int64  `json:"records"`
	States     int64  `json:"states"`
	Equal      int64  `json:"equal"`
	Reencoded  int64  `json:"equal_in_another_schema"`
	Truncated  int64  `json:"consistent_inputs_truncated"`
	OtherRules int64  `json:"viewed_by_other_rules"`
	Moving     int64  `json:"moving"`
	NoPosition int    `json:"partitions_without_position"`
	DeadLetter int64  `json:"set_aside"`
	Readable   int64  `json:"set_aside_readable_now"`
	Different  int64  `json:"different"`
	Result     string `json:"result"`
}

func (c *cli) runAudit(ctx context.Context, r reading, rules order.Rules) error {
	ids := map[string]int{}
	for i, n := range schemas.Names() {
		ids[n] = i + 1
	}
	local, err := codec.New(ids, nil)
	if err != nil {
		return err
	}
	a := &auditor{c: c, r: r, rules: rules, local: local, aside: map[string]asideRecord{}, letters: inspect.Cursor{Topic: r.Topics.DeadLetter}}
	for n := range r.Partitions {
		if err := a.partition(ctx, n); err != nil {
			return fmt.Errorf("audit partition %d: %w", n, err)
		}
		a.sum.Partitions++
		fmt.Fprintf(c.errw, "%d of %d partitions read: %d records, %d states, %d differ so far\n", n+1, r.Partitions, a.sum.Records, a.sum.States, a.sum.Different)
	}
	a.sum.Result = "equal"
	switch {
	case a.sum.Different > 0:
		a.sum.Result = "different"
	case a.nothingCompared():
		a.sum.Result = "not_compared"
	}
	if err := a.report(); err != nil {
		return err
	}
	if a.sum.Different > 0 {
		return fmt.Errorf("%d of %d states differ from what the inputs say: %w", a.sum.Different, a.sum.States, run.ErrDifferences)
	}
	if a.nothingCompared() {
		return fmt.Errorf("there are input records and no position in any partition: no reconciler was ever here, or positions and states are gone (docs/exit-5.md): %w", run.ErrDifferences)
	}
	return nil
}

// nothingCompared reports whether there are inputs and nothing that was made of them.
func (a *auditor) nothingCompared() bool { return a.sum.NoPosition > 0 && a.visited == 0 }

// report prints the sums; what a person should do about them is talk.
func (a *auditor) report() error {
	s := a.sum
	if s.NoPosition > 0 {
		fmt.Fprintf(a.c.errw, "%d partitions have input records and no position: no reconciler has committed there, so nothing of them was compared\n", s.NoPosition)
	}
	if s.Readable > 0 {
		fmt.Fprintf(a.c.errw, "%d records that were set aside can be read by now: see rampctl redrive\n", s.Readable)
	}
	if a.c.json() {
		return a.c.line(s)
	}
	_, err := fmt.Fprintf(a.c.out, "%s: %d states of %d records in %d partitions; %d equal, %d equal in another schema, %d consistent with truncated inputs, %d viewed by other rules, %d moving, %d different; %d records set aside\n",
		s.Result, s.States, s.Records, s.Partitions, s.Equal, s.Reencoded, s.Truncated, s.OtherRules, s.Moving, s.Different, s.DeadLetter)
	return err
}

// asideRecord is an input record that the reconciler set aside.
type asideRecord struct {
	letter string // coordinates of its dead letter
	// final is true for what it would have made the reconciler write: it can be
	// read, and is in no state.
	final bool
}

// setAside reads which input records the reconciler set aside: all those below a
// position that was read before.
func (a *auditor) setAside(ctx context.Context) error {
	return a.r.Scan(ctx, &a.letters, func(rec stream.Record) error {
		l, err := stream.ParseDeadLetter(rec)
		if err != nil || l.Program != "reconciler" {
			return nil
		}
		final := l.Class == reconciler.ClassTooLarge || l.Class == reconciler.ClassUnwritable || l.Class == reconciler.ClassPanic
		a.aside[l.Source.At().String()] = asideRecord{l.At.String(), final}
		return nil
	})
}

// subject is one key of a partition: what is left of its inputs, and its state.
type subject struct {
	history *oracle.History
	value   []byte // of the state record; nil for none
	moving  bool
}

// snapshot is one partition at one position.
type snapshot struct {
	next      map[string]int64
	subjects  map[string]*subject
	truncated bool // inputs below the position are gone
	unvisited bool // there are inputs and no position
	moved     map[string]int64
	// redriven are the dead letters that a record of the inputs was made of.
	redriven map[string]bool
	// readable are records that were set aside and can be read by now.
	readable []readable
	// records were read, of which aside were set aside and fresh can be read by now.
	records, aside, fresh int64
}

// readable is what to do with a record that was set aside, unless a copy of it
// was redriven.
type readable struct {
	letter string
	join   func()
}

// attempts is how often a partition is read while the reconciler writes to it.
const attempts = 3

func (a *auditor) partition(ctx context.Context, n int32) error {
	var s *snapshot
	for i := range attempts {
		var err error
		if s, err = a.read(ctx, n); err != nil {
			return err
		}
		if len(s.moved) == 0 || i == attempts-1 {
			break
		}
	}
	if len(s.moved) > 0 { // what the reconciler joined meanwhile is not compared
		if err := a.markMoving(ctx, n, s); err != nil {
			return err
		}
	}
	if s.unvisited {
		a.sum.NoPosition++
	} else if len(s.next) > 0 {
		a.visited++
	}
	a.sum.Records, a.sum.DeadLetter, a.sum.Readable = a.sum.Records+s.records, a.sum.DeadLetter+s.aside, a.sum.Readable+s.fresh
	for _, name := range slices.Sorted(maps.Keys(s.subjects)) {
		if err := a.compare(ctx, name, s.subjects[name], s.truncated); err != nil {
			return err
		}
	}
	return nil
}

// read takes the position, the states, and the position again: when it has not
// moved, the states between are those of the position.
func (a *auditor) read(ctx context.Context, n int32) (*snapshot, error) {
	s := &snapshot{subjects: map[string]*subject{}, redriven: map[string]bool{}}
	var err error
	if s.next, err = a.position(ctx, n); err != nil {
		return nil, err
	}
	if err := a.setAside(ctx); err != nil {
		return nil, err
	}
	t := a.r.Topics
	for _, topic := range []string{t.OrderState, t.CustomerState} {
		err := a.each(ctx, topic, n, -1, func(rec stream.Record) error {
			a.subject(s, rec.Key).value = slices.Clone(rec.Value)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	after, err := a.position(ctx, n)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(s.next, after) {
		s.moved = after
	}
	ends, err := a.r.Log.Ends(ctx, n, t.Inputs()...)
	if err != nil {
		return nil, err
	}
	for _, topic := range t.Inputs() {
		s.truncated = s.truncated || ends[topic].Start > 0
		s.unvisited = s.unvisited || len(s.next) == 0 && ends[topic].End > ends[topic].Start
	}
	for _, topic := range t.Inputs() {
		if err := a.each(ctx, topic, n, s.next[topic], func(rec stream.Record) error { return a.input(ctx, s, rec) }); err != nil {
			return nil, err
		}
	}
	a.judgeReadable(s)
	return s, nil
}

// position is the next offset of each input, none without a position.
func (a *auditor) position(ctx context.Context, n int32) (map[string]int64, error) {
	next := map[string]int64{}
	err := a.each(ctx, a.r.Topics.ReconcilerPosition, n, -1, func(rec stream.Record) error {
		if rec.Value == nil || string(rec.Key) != strconv.Itoa(int(n)) {
			return nil
		}
		pos, err := a.r.Codec.DecodePosition(ctx, rec.Value)
		if err != nil {
			return fmt.Errorf("position: %w: %w", err, stream.ErrLoss)
		}
		for _, in := range pos.Next {
			next[in.Topic] = in.Offset
		}
		return nil
	})
	return next, err
}

// each reads a partition from its start to offset to, or its end for -1.
func (a *auditor) each(ctx context.Context, topic string, n int32, to int64, fn func(stream.Record) error) error {
	ends, err := a.r.Log.Ends(ctx, n, topic)
	if err != nil {
		return err
	}
	rng := ends[topic]
	if to < 0 || to > rng.End {
		to = rng.End
	}
	if rng.Start >= to {
		return nil
	}
	return a.r.Log.Read(ctx, topic, n, rng.Start, to, true, func(rec stream.Record) error {
		a.progress(n, topic, rec.Offset, to)
		return fn(rec)
	})
}

func (a *auditor) subject(s *snapshot, key []byte) *subject {
	sub := s.subjects[string(key)]
	if sub == nil {
		sub = &subject{}
		s.subjects[string(key)] = sub
	}
	return sub
}
