package reconciler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rampstream/internal/checkpoint"
	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
	"rampstream/internal/table"
	"rampstream/internal/table/disk"
)

// described is a log that says what its topics are, and counts what is read of
// the states.
type described struct {
	stream.Log
	about map[string]stream.About
	read  int
	then  func() // after a position was read; may be nil
}

func (d *described) Describe(context.Context, ...string) (map[string]stream.About, error) {
	return d.about, nil
}

func (d *described) Read(ctx context.Context, topic string, n int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	if topic == topics.ReconcilerPosition && d.then != nil {
		defer d.then()
	}
	return d.Log.Read(ctx, topic, n, from, to, committed, func(r stream.Record) error {
		if topic == topics.OrderState || topic == topics.CustomerState {
			d.read++
		}
		return fn(r)
	})
}

// told is an observer of restores.
type told struct {
	reconciler.Observer
	sources, reasons map[string]int
	written, failed  int
}

func (o *told) Restored(_ int32, _ int64, source string) { o.sources[source]++ }
func (o *told) CheckpointIgnored(reason string)          { o.reasons[reason]++ }
func (o *told) CheckpointWritten(bytes int64) {
	if bytes == 0 {
		o.failed++
		return
	}
	o.written++
}

// keeper is a world whose reconciler keeps checkpoints.
type keeper struct {
	*world
	log   *described
	path  string
	now   time.Time
	loop  *reconciler.Loop
	told  *told
	dir   *checkpoint.Dir
	open  func(int32) (table.Table, error) // nil keeps tables in memory
	wrote map[string]int64                 // "topic-partition": what this process was acknowledged, where a test says so
}

func newKeeper(t *testing.T) *keeper {
	w := newWorld(t)
	w.now = minute(9)
	about := stream.About{Cluster: "c1", ID: "id1", TombstonesKept: 24 * time.Hour}
	k := &keeper{world: w, path: t.TempDir(), now: time.Unix(1_700_000_000, 0),
		log: &described{Log: w.log, about: map[string]stream.About{topics.OrderState: about, topics.CustomerState: about}}}
	t.Cleanup(func() {
		if k.dir != nil {
			_ = k.dir.Close()
		}
	})
	k.start()
	return k
}

// started is a new process on the same folder that has restored nothing yet.
func (k *keeper) started() {
	k.t.Helper()
	if k.dir != nil {
		if err := k.dir.Close(); err != nil {
			k.t.Fatal(err)
		}
	}
	var err error
	if k.dir, err = checkpoint.OpenDir(k.path); err != nil {
		k.t.Fatal(err)
	}
	k.told = &told{Observer: &verdicts{}, sources: map[string]int{}, reasons: map[string]int{}}
	k.loop = &reconciler.Loop{Log: quiet, Now: func() time.Time { return k.now }, Engine: newEngine(reconciler.Config{
		Topics: topics, Partitions: partitions, Rules: k.rules, Codec: k.codec, VerifyDigest: true, Observer: k.told, Checkpoints: k.dir, OpenTable: k.open, Acknowledged: k.acknowledged})}
	k.eng = k.loop.Engine
}

// start is a new process on the same folder.
func (k *keeper) start() {
	k.t.Helper()
	k.started()
	k.log.read = 0
	var log stream.Log = k.log
	if k.log.about == nil {
		log = undescribed{k.log}
	}
	k.loop.Assigned([]int32{0, 1, 2, 3})
	for n := range int32(partitions) {
		next, err := k.loop.Restore(k.t.Context(), n, log, nil)
		if err != nil {
			k.t.Fatal(err)
		}
		for topic, offset := range next {
			if k.next[topic] == nil {
				k.next[topic] = map[int32]int64{}
			}
			k.next[topic][n] = offset
		}
	}
	k.eng = k.loop.Engine
}

// live writes a word about n orders, beginning at from, and joins it.
func (k *keeper) live(word string, from, n, min int) {
	for i := range n {
		k.append(k.hook(fmt.Sprintf("o%d", from+i), word, minute(min), events.TrustSigned))
	}
	k.drain()
}

// want holds the states in memory to what an engine restores from the topics.
func (k *keeper) want() {
	k.t.Helper()
	fresh := *k.world
	fresh.next = map[string]map[int32]int64{}
	fresh.restart()
	got, want := k.eng.Dump(), fresh.eng.Dump()
	if !maps.Equal(got, want) {
		k.t.Errorf("%d entries in memory are not the %d of the topics", len(got), len(want))
	}
}

// On disk everything is as in memory.
func TestLoop_statesOnDisk(t *testing.T) {
	s, err := disk.Open(t.TempDir(), 1<<20, func(err error) { panic(err) })
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(t)
	k.open = s.OpenTable
	k.start()
	k.live("wait", 0, 500, 1)
	k.live("done", 100, 300, 2)
	k.want()
	k.start() // from the topic
	k.want()
	k.loop.Checkpoint(t.Context(), 0)
	k.live("done", 0, 50, 3)
	k.start()
	if k.told.sources["checkpoint"] != partitions {
		t.Errorf("restored from %v, ignored %v; want checkpoints", k.told.sources, k.told.reasons)
	}
	k.want()
	if live, held := k.eng.Memory(); live == 0 || held != 0 {
		t.Errorf("%d bytes are live, %d of memory are held for them", live, held)
	}
	if err := errors.Join(k.eng.Reset(), s.Close()); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestLoop_checkpointAndTail(t *testing.T) {
	k := newKeeper(t)
	k.live("wait", 0, 800, 1)
	k.loop.Checkpoint(t.Context(), 0)
	k.live("done", 100, 30, 2) // changed, and new ones
	k.live("wait", 2000, 10, 2)
	k.start()
	if k.told.sources["checkpoint"] != partitions || len(k.told.reasons) != 0 {
		t.Errorf("restored from %v, ignored %v; want checkpoints alone", k.told.sources, k.told.reasons)
	}
	if k.log.read != 40 {
		t.Errorf("%d records of the states were read, want the 40 of the tail", k.log.read)
	}
	k.want()
	// What is restored goes on as if it had never stopped.
	k.live("done", 0, 200, 3)
	k.want()
	k.loop.Checkpoint(t.Context(), 0)
	k.start()
	if k.log.read != 0 {
		t.Errorf("%d records of the states were read after a checkpoint of everything", k.log.read)
	}
	k.want()
}

// A checkpoint is of no one moment: batches go on while it is written.
func TestLoop_checkpointWhileItChanges(t *testing.T) {
	k := newKeeper(t)
	k.live("wait", 0, 6000, 1)
	looks := 0
	k.loop.Now = func() time.Time {
		if looks++; looks%3 == 0 && looks < 200 { // between two slices
			k.live([]string{"run", "done"}[looks%2], looks*25, 40, 2+looks%5)
		}
		return k.now
	}
	k.loop.Checkpoint(t.Context(), 0)
	if looks < 20 {
		t.Fatalf("the writer looked at the clock %d times: nothing changed while it wrote", looks)
	}
	k.live("done", 0, 20, 9)
	k.start()
	if k.told.sources["checkpoint"] != partitions {
		t.Errorf("restored from %v, ignored %v; want checkpoints", k.told.sources, k.told.reasons)
	}
	k.want()
}

// R5: what is not exactly a checkpoint of these topics is ignored with a reason,
// and the topics are read in full.
func TestLoop_checkpointIgnored(t *testing.T) {
	change := func(k *keeper, edit func([]byte) []byte) {
		for _, name := range files(k) {
			b, err := os.ReadFile(name)
			if err != nil {
				k.t.Fatal(err)
			}
			if err := os.WriteFile(name, edit(b), 0o600); err != nil {
				k.t.Fatal(err)
			}
		}
	}
	about := func(k *keeper, edit func(*stream.About)) {
		a := k.log.about[topics.CustomerState]
		edit(&a)
		k.log.about = map[string]stream.About{topics.OrderState: k.log.about[topics.OrderState], topics.CustomerState: a}
	}
	for _, tc := range []struct {
		name, reason string
		edit         func(k *keeper)
	}{
		{"truncated", "damaged", func(k *keeper) { change(k, func(b []byte) []byte { return b[:len(b)-20] }) }},
		{"bit flipped", "damaged", func(k *keeper) { change(k, func(b []byte) []byte { b[len(b)/2] ^= 4; return b }) }},
		{"empty", "damaged", func(k *keeper) { change(k, func([]byte) []byte { return nil }) }},
		{"another format", "damaged", func(k *keeper) { change(k, func(b []byte) []byte { b[7]++; return b }) }},
		{"another version of the entries", "format", func(k *keeper) { k.rewrite(`"format":1`, `"format":2`) }},
		{"another partition", "partition", func(k *keeper) { k.rewrite(`"partition":`, `"partition":1`) }},
		{"other rules", "rules", func(k *keeper) { k.rewrite(`"rules":"`, `"rules":"x`) }},
		{"another cluster", "cluster", func(k *keeper) { about(k, func(a *stream.About) { a.Cluster = "c2" }) }},
		{"topic made anew", "topic", func(k *keeper) { about(k, func(a *stream.About) { a.ID = "id2" }) }},
		{"older than tombstones are kept", "old", func(k *keeper) { k.now = k.now.Add(24 * time.Hour) }},
		{"from the future", "old", func(k *keeper) { k.now = k.now.Add(-time.Hour) }},
		{"beyond the end of the log", "range", func(k *keeper) {
			k.rewrite(`"from":{"`+topics.CustomerState+`":0`, `"from":{"`+topics.CustomerState+`":9`)
		}},
		{"other states", "digest", func(k *keeper) { k.tamper() }},
		{"topics that nobody describes", "unknown_topic", func(k *keeper) { k.log.about = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newKeeper(t)
			k.live("wait", 0, 60, 1)
			k.loop.Checkpoint(t.Context(), 0)
			if n := len(files(k)); n != partitions {
				t.Fatalf("%d checkpoints", n)
			}
			k.live("done", 0, 10, 2)
			if err := k.dir.Close(); err != nil {
				t.Fatal(err)
			}
			k.dir = nil
			tc.edit(k)
			k.start()
			if k.told.reasons[tc.reason] != partitions || k.told.sources["topic"] != partitions {
				t.Errorf("restored from %v, ignored for %v; want the topic, for %q", k.told.sources, k.told.reasons, tc.reason)
			}
			k.want()
		})
	}
}

func files(k *keeper) []string {
	names, err := filepath.Glob(filepath.Join(k.path, "*.ckpt"))
	if err != nil {
		k.t.Fatal(err)
	}
	return names
}

// rewrite makes checkpoints anew with another head.
func (k *keeper) rewrite(old, now string) {
	k.each(func(d *checkpoint.Dir, name string, head []byte, blocks []checkpoint.Block) {
		edited := bytes.Replace(head, []byte(old), []byte(now), 1)
		if bytes.Equal(edited, head) {
			k.t.Fatalf("the head %s has no %s", head, old)
		}
		k.put(d, name, edited, blocks, nil)
	})
}

// tamper makes checkpoints anew, whole and checked, with some states less.
func (k *keeper) tamper() {
	k.each(func(d *checkpoint.Dir, name string, head []byte, blocks []checkpoint.Block) {
		k.put(d, name, head, blocks, func(key []byte) bool { return !bytes.HasPrefix(key, []byte("acme/shop/o5")) || len(key) < 13 })
	})
}

func (k *keeper) each(fn func(d *checkpoint.Dir, name string, head []byte, blocks []checkpoint.Block)) {
	d, err := checkpoint.OpenDir(k.path)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for n := range partitions {
		name := fmt.Sprintf("partition-%d", n)
		r, err := d.Open(name)
		if err != nil {
			k.t.Fatal(err)
		}
		var blocks []checkpoint.Block
		for b, err := r.Next(nil); err == nil; b, err = r.Next(nil) {
			blocks = append(blocks, b)
		}
		_ = r.Close()
		fn(d, name, r.Head(), blocks)
	}
}

func (k *keeper) put(d *checkpoint.Dir, name string, head []byte, blocks []checkpoint.Block, keep func(key []byte) bool) {
	w, err := d.Create(name, head)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, b := range blocks {
		err := b.Each(func(key, value []byte) error {
			if keep != nil && !keep(key) {
				return nil
			}
			return w.Add(key, value)
		})
		if err != nil {
			k.t.Fatal(err)
		}
	}
	if _, err := w.Commit(); err != nil {
		k.t.Fatal(err)
	}
}

// undescribed hides what a log can say of its topics.
type undescribed struct{ stream.Log }

// Forgotten subjects' marks are not in the values: a checkpoint keeps them.
func TestLoop_checkpointKeepsForgottenMarks(t *testing.T) {
	k := newKeeper(t)
	k.live("done", 0, 30, 1)
	k.append(k.forget("o1", minute(2)))
	k.drain()
	if n := k.eng.Forgotten(); n != 1 {
		t.Fatalf("%d forgotten subjects", n)
	}
	want := k.eng.Marks()
	k.loop.Checkpoint(t.Context(), 0)
	k.start()
	if k.told.sources["checkpoint"] != partitions {
		t.Fatalf("restored from %v, ignored %v", k.told.sources, k.told.reasons)
	}
	if got := k.eng.Marks(); !maps.Equal(got, want) {
		t.Errorf("marks = %v, want %v", got, want)
	}
	k.want()
}

// A second checkpoint of what did not change is not written, until the first
// nears the age at which it is of no use.
func TestLoop_checkpointOfNothingNew(t *testing.T) {
	k := newKeeper(t)
	k.live("wait", 0, 20, 1)
	k.loop.Checkpoint(t.Context(), 0)
	stamp := func() (out [partitions]time.Time) {
		for i, name := range files(k) {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			out[i] = info.ModTime()
		}
		return out
	}
	first := stamp()
	k.now = k.now.Add(time.Hour)
	k.loop.Checkpoint(t.Context(), 0)
	if stamp() != first {
		t.Error("written again though nothing changed")
	}
	k.now = k.now.Add(6 * time.Hour)
	k.loop.Checkpoint(t.Context(), 0)
	if stamp() == first {
		t.Error("not written again after a quarter of the time for which tombstones are kept")
	}
}

// A partition that is taken away while its checkpoint is written leaves none.
func TestLoop_checkpointOfARevokedPartition(t *testing.T) {
	k := newKeeper(t)
	k.live("wait", 0, 6000, 1)
	looks := 0
	k.loop.Now = func() time.Time {
		if looks++; looks == 5 {
			k.loop.Revoke([]int32{0, 1, 2, 3})
		}
		return k.now
	}
	k.loop.Checkpoint(t.Context(), 0)
	if left := files(k); len(left) != 0 {
		t.Errorf("checkpoints of partitions that are another's: %v", left)
	}
}

// doubtful is a session whose transaction commits and whose answer is lost.
type doubtful struct {
	script
	w *world
}

func (s *doubtful) Commit(_ context.Context, out []stream.Record) (bool, error) {
	s.w.append(out...)
	return false, stream.ErrFenced
}

// Memory of which nobody knows whether it is what was committed is kept nowhere,
// also by a checkpoint that is due just then: what its head says was read may be
// what memory has not. A count and a digest would tell, but not of marks.
func TestLoop_checkpointOfMemoryInDoubt(t *testing.T) {
	k := newKeeper(t)
	k.live("done", 0, 30, 1)
	k.append(k.forget("o1", minute(2)))
	k.drain()
	k.append(k.hook("o1", "done", minute(3), events.TrustSigned))
	s := &doubtful{w: k.world, script: script{polls: []polled{{k.poll(rand.New(rand.NewPCG(1, 1)), 9), nil}}}}
	if err := k.loop.Step(t.Context(), s); !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("Step = %v, want ErrFenced", err)
	}
	k.loop.Checkpoint(t.Context(), 0) // before the session is closed
	k.start()
	fresh := *k.world
	fresh.next = map[string]map[int32]int64{}
	fresh.restart()
	if got, want := k.eng.Marks(), fresh.eng.Marks(); !maps.Equal(got, want) {
		t.Errorf("restored from %v: marks %v, those of the topics are %v", k.told.sources, got, want)
	}
}

// A member that does not know yet that its partitions are another's writes no
// checkpoint of what it had: the other may have moved marks, which no digest has.
func TestLoop_checkpointOfAMemberThatWasReplaced(t *testing.T) {
	k := newKeeper(t)
	k.live("done", 0, 30, 1)
	k.append(k.forget("o1", minute(2)))
	k.drain()
	other := *k.world
	other.next = map[string]map[int32]int64{}
	other.restart()
	other.append(other.hook("o1", "done", minute(3), events.TrustSigned))
	other.drain()
	k.loop.Checkpoint(t.Context(), 0)
	k.start()
	if got, want := k.eng.Marks(), other.eng.Marks(); !maps.Equal(got, want) {
		t.Errorf("restored from %v: marks %v, those of the topics are %v", k.told.sources, got, want)
	}
}

// Batches go on while that is looked at: one that was committed meanwhile proves
// more than a position that is an older one by then.
func TestLoop_checkpointOfStubsWhileItChanges(t *testing.T) {
	k := newKeeper(t)
	for i := range 20 { // in every partition
		k.append(k.forget(fmt.Sprint("o", i), minute(2)))
	}
	k.drain()
	batches := 0
	k.log.then = func() {
		batches++
		k.live("run", 100*batches, 20, 3)
	}
	k.loop.Checkpoint(t.Context(), 0)
	if k.log.then = nil; batches == 0 || len(files(k)) != partitions {
		t.Fatalf("%d checkpoints beside %d batches, want %d", len(files(k)), batches, partitions)
	}
	k.start()
	if k.told.sources["checkpoint"] != partitions {
		t.Errorf("restored from %v, ignored %v; want checkpoints", k.told.sources, k.told.reasons)
	}
	k.want()
}
