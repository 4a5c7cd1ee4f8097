package reconciler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// A job is what goes through the stages of a restore.
type job interface {
	// prepare may run beside others; put runs in order and says how many entries
	// it put.
	prepare(ctx context.Context, j *judge)
	put(p *partition, cfg *Config) (entries int, err error)
}

// stages runs the three stages of a restore at once: read hands out jobs, as
// many workers as there are processors prepare them, and they are put in the
// order in which they were handed out. done hears of every job that was put,
// which is then given to read again. next and send fail when another stage did.
func stages[J job](ctx context.Context, p *partition, cfg *Config, fresh func() J,
	read func(ctx context.Context, next func() (J, error), send func(J) error) error, done func(J, int)) error {
	type ticket struct {
		job  J
		made chan struct{}
	}
	workers := runtime.GOMAXPROCS(0)
	free := make(chan J, 2*workers)
	for range cap(free) {
		free <- fresh()
	}
	work, order := make(chan ticket), make(chan ticket, cap(free))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(order)
		defer close(work)
		next := func() (j J, err error) {
			select {
			case j = <-free:
				return j, nil
			case <-ctx.Done():
				return j, ctx.Err()
			}
		}
		return read(ctx, next, func(j J) error {
			t := ticket{j, make(chan struct{})}
			select {
			case work <- t:
				order <- t // has room for every job there is
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for range workers {
		g.Go(func() error {
			j := judge{cfg: cfg}
			for t := range work {
				t.job.prepare(ctx, &j)
				close(t.made)
			}
			return nil
		})
	}
	g.Go(func() error {
		for t := range order {
			<-t.made
			n, err := t.job.put(p, cfg)
			if err != nil {
				return err
			}
			done(t.job, n)
			free <- t.job
		}
		return nil
	})
	return g.Wait()
}

// fill reads the state topics into the table.
func (r *restorer) fill(ctx context.Context, p *partition, ends map[string]stream.Range) error {
	for _, topic := range r.stateTopics() {
		if err := r.fillFrom(ctx, p, topic, ends[topic]); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
	}
	return nil
}

func (r *restorer) stateTopics() []string {
	return []string{r.cfg.Topics.OrderState, r.cfg.Topics.CustomerState}
}

func (r *restorer) fillFrom(ctx context.Context, p *partition, topic string, at stream.Range) error {
	from := at.Start
	done := func(pc *piece, n int) {
		next := pc.run.Records[len(pc.run.Records)-1].Offset + 1
		r.progress.advance(r.n, n, next-from)
		from = next
	}
	read := func(ctx context.Context, next func() (*piece, error), send func(*piece) error) error {
		var pc *piece // one at a time is filled
		room := func() (_ *stream.Run, err error) {
			if pc, err = next(); err != nil {
				return nil, err
			}
			return &pc.run, nil
		}
		return stream.ReadRuns(ctx, r.log, topic, r.n, at.Start, at.End, true, room, func(*stream.Run) error { return send(pc) })
	}
	return stages(ctx, p, &r.cfg, func() *piece { return &piece{} }, read, done)
}

// piece is a run of records of a state topic, and the entries made of them.
// Nothing of the run is kept: its memory is used for the next one.
type piece struct {
	run     stream.Run
	entries []byte // one after another
	ends    []int  // where each ends
}

// prepare turns the records into entries.
func (pc *piece) prepare(ctx context.Context, j *judge) {
	pc.entries, pc.ends = pc.entries[:0], pc.ends[:0]
	for _, rec := range pc.run.Records {
		if rec.Value != nil {
			pc.entries = j.appendEntry(ctx, pc.entries, rec)
		}
		pc.ends = append(pc.ends, len(pc.entries))
	}
}

// put keeps the latest entry of each key.
func (pc *piece) put(p *partition, cfg *Config) (int, error) {
	inputs, from := cfg.Topics.Inputs(), 0
	for i := range pc.run.Records {
		var err error
		rec := &pc.run.Records[i]
		p.takeStub(inputs, rec)
		if entry := pc.entries[from:pc.ends[i]]; len(entry) == 0 {
			err = p.states.Delete(rec.Key)
		} else {
			err = p.states.Put(rec.Key, entry)
		}
		if err != nil {
			return 0, err
		}
		from = pc.ends[i]
	}
	return len(pc.run.Records), nil
}

// judge says of states whether they can be used, and whether other rules viewed
// them. It is for one goroutine.
type judge struct {
	cfg   *Config
	lanes map[string]laneRules
	pack  []byte
}

type laneRules struct {
	configured bool
	version    string
}

// appendEntry writes the entry of a state record. One that cannot be used is
// marked as doubtful: it fails the restore only if it is the latest of its key.
func (j *judge) appendEntry(ctx context.Context, b []byte, rec stream.Record) []byte {
	chain, _ := rec.Header(HeaderChain)
	en := entry{value: rec.Value, sum: hashRecord(rec.Key, rec.Value), chain: string(chain)}
	var err error
	en.outdated, err = j.judge(ctx, rec.Key, rec.Value)
	at := len(b)
	b, j.pack = appendEntry(b, j.pack, en)
	if err != nil {
		b[at] |= flagDoubt
	}
	return b
}

// judge checks a record value that is or was the state of key. Where the digest
// is verified, the bytes are what a program of ours wrote in a transaction, and
// its head is enough; touching an undecodable one is loss even then.
func (j *judge) judge(ctx context.Context, key, value []byte) (outdated bool, err error) {
	h, err := j.cfg.Codec.PeekState(ctx, value)
	if err == nil && !j.cfg.VerifyDigest {
		_, err = j.cfg.Codec.DecodeState(ctx, value)
	}
	switch {
	case err != nil:
		return false, fmt.Errorf("state %s: %w", key, ownRecord(err))
	case string(h.Key) != string(key):
		return false, fmt.Errorf("state %s: the value names another subject: %w", key, stream.ErrLoss)
	case h.Newer:
		// A newer version of this program knows fields that this one would drop
		// when it writes the state back.
		// Nothing is lost: that version can go on.
		return false, fmt.Errorf("state %s was written by a newer version of this program, deploy that one: %w", key, stream.ErrRefused)
	}
	lane, err := j.lane(key)
	return lane.configured && lane.version != string(h.RulesVersion), err
}

// lane gives what the rules say of the lane of a key.
func (j *judge) lane(key []byte) (laneRules, error) {
	if name, ok := laneOf(key); ok {
		if l, ok := j.lanes[string(name)]; ok {
			return l, nil
		}
	}
	k, err := events.ParseKey(string(key))
	if err != nil {
		return laneRules{}, fmt.Errorf("state key: %w", ownRecord(err))
	}
	if j.lanes == nil {
		j.lanes = map[string]laneRules{}
	}
	l := laneRules{j.cfg.Rules.Configured(k.Lane()), j.cfg.Rules.LaneVersion(k.Lane())}
	j.lanes[string(k.Lane())] = l
	return l, nil
}

// laneOf is the part of a key before its second slash.
func laneOf(key []byte) ([]byte, bool) {
	slashes := 0
	for i, c := range key {
		if c == '/' {
			if slashes++; slashes == 2 {
				return key[:i], true
			}
		}
	}
	return nil, false
}

// count adds up what the table holds, and looks again at what other rules
// viewed and at what is doubtful.
func (r *restorer) count(ctx context.Context, p *partition) error {
	p.digest, p.outdated, p.foreign = sum{}, 0, nil
	c := counter{j: judge{cfg: &r.cfg}, p: p, seen: map[string]bool{}}
	_, _, err := p.states.Walk("", math.MaxInt, func(key, raw []byte) error {
		flags, s, err := headOf(raw)
		if err != nil {
			return err
		}
		p.digest = p.digest.add(s)
		if flags&(flagOutdated|flagDoubt) == 0 {
			return nil
		}
		return c.again(ctx, key, raw, flags)
	})
	// What was doubtful and is not is what the registry did not answer for.
	for _, key := range c.cured {
		err = errors.Join(err, p.markOutdated([]byte(key)))
	}
	return err
}

// counter looks again at single entries of a count.
type counter struct {
	j     judge
	p     *partition
	buf   []byte
	by    []byte
	seen  map[string]bool // lanes with rules that were noted
	cured []string
}

func (c *counter) again(ctx context.Context, key, raw []byte, flags byte) error {
	out, room, en, err := parseEntry(c.buf[:0], c.j.pack, raw)
	if err != nil {
		return err
	}
	c.buf, c.j.pack = out, room
	outdated, err := c.j.judge(ctx, key, en.value)
	if err != nil || !outdated {
		return err
	}
	h, err := c.j.cfg.Codec.PeekState(ctx, en.value)
	if err != nil {
		return err
	}
	lane, _ := laneOf(key)
	c.by = append(append(append(c.by[:0], lane...), ' '), h.RulesVersion...)
	if c.seen[string(c.by)] {
		c.p.outdated++
	} else {
		c.seen[string(c.by)] = true
		c.p.outdate(string(lane), string(h.RulesVersion))
	}
	if flags&flagOutdated == 0 {
		c.cured = append(c.cured, string(key))
	}
	return nil
}

func (p *partition) markOutdated(key []byte) error {
	raw, found, err := p.states.Get(nil, key)
	if err != nil || !found {
		return err
	}
	raw[0] |= flagOutdated
	return p.states.Put(key, raw)
}

// ownRecord marks an undecodable record of our own topics as loss, unless the
// registry just does not answer.
func ownRecord(err error) error {
	if errors.Is(err, codec.ErrSchemaUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", err, stream.ErrLoss)
}
