package reconciler

import (
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// progress follows an assignment from its first restore until every partition
// has caught up with where its inputs ended then. Restores run at once and
// report here; probes and scrapes must not wait for any of them.
type progress struct {
	now func() time.Time
	log *slog.Logger

	mu    sync.Mutex
	known bool // there is an assignment
	parts map[int32]*standing
	began time.Time
	// records and states are those that were restored since began.
	records, states int64
	logged          time.Time

	ready        atomic.Bool
	restoredEver atomic.Int64 // records that were restored ever
	seconds      atomic.Int64 // of the last restore that ended, in nanoseconds
}

// standing is how far one partition is.
type standing struct {
	span, read       int64 // offsets of the state topics
	started          bool
	restored, caught bool
}

// Progress is how far the restore of the assignment is.
type Progress struct {
	Partitions  int           // not yet restored
	Behind      int           // restored, but not yet where the inputs ended then
	RecordsLeft int64         // offsets to be read, estimated where a partition waits for its turn
	Rate        float64       // records a second
	ETA         time.Duration // 0 when nothing is left
}

// logEvery is how often a restore that goes on says so.
const logEvery = 5 * time.Second

// assigned begins an assignment.
func (p *progress) assigned(partitions []int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.parts = true, map[int32]*standing{}
	p.began, p.logged = p.now(), p.now()
	p.records, p.states = 0, 0
	for _, n := range partitions {
		p.parts[n] = &standing{}
	}
	p.judge()
}

// of gives the standing of a partition, which a session that is no Assignee's
// never announced.
func (p *progress) of(n int32) *standing {
	s := p.parts[n]
	if s == nil {
		if p.parts == nil {
			p.parts, p.began, p.logged = map[int32]*standing{}, p.now(), p.now()
		}
		s = &standing{}
		p.parts[n], p.known = s, true
	}
	return s
}

// ignored says why a checkpoint is not used.
func (p *progress) ignored(n int32, i *ignored) {
	if p != nil && i.reason != ignoredAbsent {
		p.log.Warn(eventIgnored, "partition", n, "reason", i.reason, "error", i.err)
	}
}

// begin says how many offsets are to be read. A nil progress hears nothing.
func (p *progress) begin(n int32, span int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	*p.of(n) = standing{started: true, span: span}
	p.judge()
}

// advance says that records were restored, which moved the place of reading by
// so many offsets.
func (p *progress) advance(n int32, records int, offsets int64) {
	if p == nil {
		return
	}
	p.restoredEver.Add(int64(records))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records += int64(records)
	p.of(n).read += offsets
	if now := p.now(); now.Sub(p.logged) >= logEvery {
		p.logged = now
		s := p.snapshot()
		p.log.Info(eventRestoring, "partitions_left", s.Partitions, "records", p.records, "records_left", s.RecordsLeft,
			"records_per_second", int64(s.Rate), "eta", s.ETA.Round(time.Second))
	}
}

// restored ends the restore of a partition.
func (p *progress) restored(n int32, states int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(n).restored = true
	p.states += states
	if s := p.snapshot(); s.Partitions == 0 {
		took := p.now().Sub(p.began)
		p.seconds.Store(int64(took))
		p.log.Info(eventAssigned, "partitions", len(p.parts), "states", p.states, "records", p.records, "took", took.Round(time.Millisecond))
	}
	p.judge()
}

// caught says which partitions are where their inputs ended at the restore.
func (p *progress) caught(partitions []int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range partitions {
		if s := p.parts[n]; s != nil && s.restored {
			s.caught = true
		}
	}
	p.judge()
}

// revoked forgets partitions; the next assignment says what comes instead.
func (p *progress) revoked(partitions []int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.parts, func(n int32, _ *standing) bool {
		for _, r := range partitions {
			if r == n {
				return true
			}
		}
		return false
	})
	p.known = len(p.parts) > 0
	p.judge()
}

// lost forgets the assignment: the session is gone.
func (p *progress) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.parts = false, nil
	p.judge()
}

// judge publishes whether the program is ready; p.mu is held. A member that
// stands by without a partition is.
func (p *progress) judge() {
	ready := p.known
	for _, s := range p.parts {
		ready = ready && s.restored && s.caught
	}
	if p.ready.Swap(ready) != ready && ready {
		p.log.Info(eventReady, "partitions", len(p.parts))
	}
}

// Snapshot reports how far the restore is.
func (p *progress) Snapshot() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot()
}

func (p *progress) snapshot() (out Progress) {
	var started, waiting, span, read int64
	for _, s := range p.parts {
		switch {
		case !s.restored:
			out.Partitions++
		case !s.caught:
			out.Behind++
		}
		if s.started {
			started, span, read = started+1, span+s.span, read+min(s.read, s.span)
		}
		if !s.started && !s.restored {
			waiting++
		}
		if s.started && !s.restored {
			out.RecordsLeft += max(s.span-s.read, 0)
		}
	}
	if out.Partitions == 0 {
		return out
	}
	if started > 0 {
		out.RecordsLeft += waiting * span / started
	}
	if elapsed := p.now().Sub(p.began).Seconds(); elapsed > 0 {
		out.Rate = float64(p.records) / elapsed
		if read > 0 {
			out.ETA = time.Duration(float64(out.RecordsLeft) / float64(read) * elapsed * float64(time.Second))
		}
	}
	return out
}
