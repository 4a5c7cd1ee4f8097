package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/stream"
	"rampstream/internal/table"
)

const (
	checkpointEvery = 5 * time.Minute
	// sliceBytes is how much is copied while the loop waits: some hundreds of
	// states, less than a millisecond.
	sliceBytes = 256 << 10
	// restFactor is how long the writer rests for each time it worked: it takes a
	// quarter of a processor at most.
	restFactor = 3
	// stopWait bounds the checkpoints of a clean stop, within the 30 s that a
	// supervisor usually gives.
	stopWait = 20 * time.Second
	// refreshPart is the part of the time for which tombstones are kept after which
	// a checkpoint is written again though nothing changed.
	refreshPart = 4
)

// errMoved says that the partition is no longer what the checkpoint began with.
var errMoved = errors.New("the partition was taken away")

// errEmptied says that a state topic does not hold any more what was read from it.
var errEmptied = errors.New("a state topic was made anew, records were deleted from it, or it lost its tail")

// keepCheckpoints writes checkpoints in a goroutine of its own until the returned
// function is called.
func (l *Loop) keepCheckpoints(ctx context.Context) (stop func()) {
	if l.Engine.cfg.Checkpoints == nil {
		return func() {}
	}
	every := l.CheckpointEvery
	if every == 0 {
		every = checkpointEvery
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.Checkpoint(ctx, restFactor)
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// lastCheckpoints writes them at a clean stop, without rests. The session goes on
// in the background meanwhile.
func (l *Loop) lastCheckpoints(ctx context.Context) {
	if l.Engine.cfg.Checkpoints == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	l.Checkpoint(ctx, 0)
}

// Checkpoint writes a checkpoint of every partition that changed since its last
// one, one after another. For each time it worked it rests rest times as long. A
// failure is logged: the next restore reads the topic.
func (l *Loop) Checkpoint(ctx context.Context, rest int) {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	numbers := make([]int32, 0, len(l.Engine.parts))
	for n, p := range l.Engine.parts {
		if !p.revoked {
			numbers = append(numbers, n)
		}
	}
	l.mu.Unlock()
	slices.Sort(numbers)
	for _, n := range numbers {
		began := l.now()
		size, states, err := l.save(ctx, n, rest)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errMoved), err == nil && size == 0:
		case err != nil:
			l.Engine.cfg.Observer.CheckpointWritten(0)
			l.Log.Warn(eventUnsaved, "partition", n, "error", err)
		default:
			l.Engine.cfg.Observer.CheckpointWritten(size)
			l.Log.Info(eventSaved, "partition", n, "states", states, "bytes", size, "took", l.now().Sub(began).Round(time.Millisecond))
		}
	}
}

// save writes the checkpoint of one partition; size 0 means that there was
// nothing to write.
func (l *Loop) save(ctx context.Context, n int32, rest int) (size int64, states int, err error) {
	l.mu.Lock()
	log, cfg := l.log, &l.Engine.cfg
	l.mu.Unlock()
	wrote := cfg.acknowledged(n)
	h, kept, err := l.headOf(ctx, log, n)
	if err != nil {
		return 0, 0, err
	}
	// The ends were read before: whatever of it was in a transaction then has been
	// accepted or aborted by the time that the lock is ours.
	l.mu.Lock()
	p := l.Engine.parts[n]
	if p == nil || p.revoked {
		l.mu.Unlock()
		return 0, 0, errMoved
	}
	if !p.held.still(held{h.Topics, h.Start, h.From}, wrote) {
		l.mu.Unlock()
		return 0, 0, errEmptied
	}
	now := saved{p.digest, p.states.Len(), time.UnixMilli(h.WrittenAt), maps.Clone(p.next)}
	if last := p.saved; !last.at.IsZero() && last.digest == now.digest && last.states == now.states && now.at.Sub(last.at) < kept/refreshPart {
		l.mu.Unlock()
		return 0, 0, nil
	}
	h.States, h.Digest = int64(now.states), now.digest.String()
	stubs := stubEntries(&l.Engine.cfg, p)
	l.mu.Unlock()

	text, err := json.Marshal(h)
	if err != nil {
		return 0, 0, err
	}
	w, err := cfg.Checkpoints.Create(checkpointName(n), text)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range stubs {
		if err == nil {
			err = w.Add([]byte(s[0]), []byte(s[1]))
		}
	}
	if err == nil {
		err = l.copyEntries(ctx, n, p, rest, w.Add)
	}
	if err == nil && len(stubs) > 0 {
		err = l.stillOurs(ctx, log, p, now)
	}
	if err != nil {
		return 0, 0, errors.Join(err, w.Abort())
	}
	if size, err = w.Commit(); err == nil {
		l.mu.Lock()
		p.saved = now
		l.mu.Unlock()
	}
	return size, now.states, err
}

// stillOurs is errMoved where another member may have written the partition before
// the tail of a checkpoint begins. It may have moved the marks of stubs then, of
// which no count or digest tells. A batch of ours that was committed since proves
// that nobody has; else the position does.
func (l *Loop) stillOurs(ctx context.Context, log stream.Log, p *partition, was saved) error {
	ours := func(pos *events.Position) (bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case l.Engine.parts[p.number] != p || p.revoked:
			return false, errMoved
		case p.digest != was.digest || !maps.Equal(p.next, was.next):
			return true, nil
		}
		return pos != nil && sameAs(p, *pos), nil
	}
	if yes, err := ours(nil); yes || err != nil {
		return err
	}
	topic := l.Engine.cfg.Topics.ReconcilerPosition
	ends, err := log.Ends(ctx, p.number, topic)
	if err != nil {
		return fmt.Errorf("ends: %w", err)
	}
	pos, _, _, err := l.Engine.restorer(p.number, log).readPosition(ctx, ends[topic])
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	if yes, err := ours(&pos); yes || err != nil {
		return err
	}
	return errMoved
}

// headOf describes a checkpoint that begins now, and how long tombstones are kept.
func (l *Loop) headOf(ctx context.Context, log stream.Log, n int32) (h head, kept time.Duration, err error) {
	d, ok := log.(stream.Describer)
	if !ok {
		return head{}, 0, errors.New("the log cannot tell its topics apart")
	}
	cfg := &l.Engine.cfg
	topics := []string{cfg.Topics.OrderState, cfg.Topics.CustomerState}
	h = head{Format: checkpointFormat, Partition: n, Rules: cfg.Rules.Version(), WrittenAt: l.now().UnixMilli(), Topics: map[string]string{}, From: map[string]int64{}, Start: map[string]int64{}}
	about, err := d.Describe(ctx, topics...)
	if err != nil {
		return head{}, 0, err
	}
	ends, err := log.Ends(ctx, n, topics...)
	if err != nil {
		return head{}, 0, fmt.Errorf("ends: %w", err)
	}
	for i, t := range topics {
		h.Cluster, h.Topics[t], h.From[t], h.Start[t] = about[t].Cluster, about[t].ID, ends[t].End, ends[t].Start
		if k := about[t].TombstonesKept; i == 0 || k < kept {
			kept = k
		}
	}
	return h, kept, nil
}

// stubEntries are the marks of forgotten subjects as entries.
func stubEntries(cfg *Config, p *partition) (out [][2]string) {
	for name, m := range p.stubs {
		text := ""
		if m != nil {
			text = marksText(cfg.Topics.Inputs(), p.number, m)
		}
		out = append(out, [2]string{stubPrefix + name, text})
	}
	return out
}

// copyEntries gives every entry of p to add, in slices: the loop goes on between
// them.
func (l *Loop) copyEntries(ctx context.Context, n int32, p *partition, rest int, add func(key, value []byte) error) error {
	var room []byte
	var ends []int
	pos, more := table.Pos(""), true
	for more {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := l.now()
		room, ends = room[:0], ends[:0]
		l.mu.Lock()
		err := errMoved
		if l.Engine.parts[n] == p && !p.revoked {
			pos, more, err = p.states.Walk(pos, sliceBytes, func(key, value []byte) error {
				room = append(append(room, key...), value...)
				ends = append(ends, len(room)-len(value), len(room))
				return nil
			})
		}
		l.mu.Unlock()
		if err != nil {
			return err
		}
		from := 0
		for i := 0; i < len(ends); i += 2 {
			if err := add(room[from:ends[i]], room[ends[i]:ends[i+1]]); err != nil {
				return err
			}
			from = ends[i+1]
		}
		if err := pause(ctx, time.Duration(rest)*l.now().Sub(began)); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
