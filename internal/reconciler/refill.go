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

// pieceRecords is how many records go through the stages of a restore at once.
const pieceRecords = 256

// piece is a run of records of a state topic, and the entries made of them.
type piece struct {
	records []stream.Record
	entries []byte // one after another
	ends    []int  // where each ends
	made    chan struct{}
}

// fill reads the state topics into the table. Three stages run at once: records
// are read, entries are made of them by as many workers as there are
// processors, and entries are put in the order of the log.
func (r *restorer) fill(ctx context.Context, p *partition, ends map[string]stream.Range) error {
	for _, topic := range []string{r.cfg.Topics.OrderState, r.cfg.Topics.CustomerState} {
		if err := r.fillFrom(ctx, p, topic, ends[topic]); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
	}
	return nil
}

func (r *restorer) fillFrom(ctx context.Context, p *partition, topic string, at stream.Range) error {
	workers := runtime.GOMAXPROCS(0)
	free := make(chan *piece, 2*workers)
	for range cap(free) {
		free <- &piece{records: make([]stream.Record, 0, pieceRecords)}
	}
	work, order := make(chan *piece), make(chan *piece, cap(free))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(order)
		defer close(work)
		return r.readPieces(ctx, topic, at, free, work, order)
	})
	for range workers {
		g.Go(func() error {
			j := judge{cfg: &r.cfg}
			for pc := range work {
				pc.make(ctx, &j)
				close(pc.made)
			}
			return nil
		})
	}
	g.Go(func() error { return r.putPieces(p, at.Start, order, free) })
	return g.Wait()
}

// putPieces puts pieces in order, and says how far it is.
func (r *restorer) putPieces(p *partition, from int64, order <-chan *piece, free chan<- *piece) error {
	for pc := range order {
		<-pc.made
		if err := pc.put(p, r.cfg.Topics.Inputs()); err != nil {
			return err
		}
		next := pc.records[len(pc.records)-1].Offset + 1
		if r.progress != nil {
			r.progress.advance(r.n, len(pc.records), next-from)
		}
		from = next
		free <- pc
	}
	return nil
}

// readPieces hands out what it reads in pieces: to the workers, and in order.
func (r *restorer) readPieces(ctx context.Context, topic string, at stream.Range, free <-chan *piece, work, order chan<- *piece) error {
	var pc *piece
	send := func() error {
		select {
		case work <- pc:
			order <- pc // has room for every piece there is
			pc = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := r.log.Read(ctx, topic, r.n, at.Start, at.End, true, func(rec stream.Record) error {
		if pc == nil {
			select {
			case pc = <-free:
				pc.records, pc.entries, pc.ends, pc.made = pc.records[:0], pc.entries[:0], pc.ends[:0], make(chan struct{})
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if pc.records = append(pc.records, rec); len(pc.records) < pieceRecords {
			return nil
		}
		return send()
	})
	if err == nil && pc != nil {
		err = send()
	}
	return err
}

// make turns the records into entries.
func (pc *piece) make(ctx context.Context, j *judge) {
	for _, rec := range pc.records {
		if rec.Value != nil {
			pc.entries = j.appendEntry(ctx, pc.entries, rec)
		}
		pc.ends = append(pc.ends, len(pc.entries))
	}
}

// put keeps the latest entry of each key.
func (pc *piece) put(p *partition, inputs []string) error {
	from := 0
	for i, rec := range pc.records {
		var err error
		p.takeStub(inputs, &pc.records[i])
		if entry := pc.entries[from:pc.ends[i]]; len(entry) == 0 {
			err = p.states.Delete(rec.Key)
		} else {
			err = p.states.Put(rec.Key, entry)
		}
		if err != nil {
			return err
		}
		from = pc.ends[i]
	}
	return nil
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
