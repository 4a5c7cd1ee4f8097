package reconciler

import (
	"context"
	"errors"
	"slices"
	"time"

	"rampstream/internal/stream"
)

const (
	// settleEvery is how often the log is asked what a poll cannot tell, and
	// settleWait how long it may take to answer.
	settleEvery = 5 * time.Second
	settleWait  = 2 * time.Second
)

// CaughtUp lists the partitions whose inputs were joined up to where they ended
// at the restore.
func (e *Engine) CaughtUp() (out []int32) {
	for n, p := range e.parts {
		if !p.revoked && len(p.open()) == 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// open lists the inputs that are behind their goal.
func (p *partition) open() (topics []string) {
	for topic, goal := range p.goal {
		if p.next[topic] < goal {
			topics = append(topics, topic)
		}
	}
	return topics
}

// gap is a stretch of an input that was not polled yet.
type gap struct {
	partition int32
	topic     string
	from, to  int64
}

func (e *Engine) gaps() (out []gap) {
	for n, p := range e.parts {
		if p.revoked {
			continue
		}
		for _, topic := range p.open() {
			out = append(out, gap{n, topic, p.next[topic], p.goal[topic]})
		}
	}
	return out
}

// settle asks the log about what is behind and stands still. The last offsets of
// an input may be markers of transactions, or what an aborted one left: they are
// never polled, and waiting for them would be for ever. What moves on is not
// looked at: to look is to fetch some megabytes, while the loop waits.
func (l *Loop) settle(ctx context.Context, idle bool) {
	l.mu.Lock()
	log, gaps := l.log, l.Engine.gaps()
	due := l.now().Sub(l.settled) >= settleEvery
	l.mu.Unlock()
	if log == nil || len(gaps) == 0 || !idle && !due {
		return
	}
	stood := l.stood
	l.stood = map[gap]bool{}
	for _, g := range gaps {
		l.stood[g] = true
	}
	if !idle {
		gaps = slices.DeleteFunc(gaps, func(g gap) bool { return !stood[g] })
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	var closed []gap
	for _, g := range gaps {
		if nothingIn(ctx, log, g) {
			closed = append(closed, g)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = l.now()
	for _, g := range closed {
		// The partition may have been restored anew meanwhile, with another goal.
		if p := l.Engine.parts[g.partition]; p != nil && p.goal[g.topic] == g.to && p.next[g.topic] >= g.from {
			delete(p.goal, g.topic)
		}
	}
	l.progress().caught(l.Engine.CaughtUp())
}

// nothingIn reports whether no record that a poll would give stands in the gap.
func nothingIn(ctx context.Context, log stream.Log, g gap) bool {
	found := errors.New("a record")
	return log.Read(ctx, g.topic, g.partition, g.from, g.to, true, func(stream.Record) error { return found }) == nil
}
