package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rampstream/internal/checkpoint"
	"rampstream/internal/config"
	"rampstream/internal/providers/simulator"
)

// checkpoints: the reconciler is killed while it writes its checkpoints and while
// it reads them. A restart reads what there is and the tail, and has then what a
// restart from the topics has; what is torn, old or another's is ignored and
// counted.
func checkpoints(t *testing.T, p platform) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	w := newWorld(t, p, options{faults: simulator.DefaultFaults(), change: func(c *config.Config) {
		c.Reconciler.CheckpointDir, c.Reconciler.CheckpointInterval = dir, time.Second
	}})
	k := &kept{w, dir, w.variant("seldom.yaml", func(c *config.Config) { c.Reconciler.CheckpointInterval = 24 * time.Hour })}
	ingest, poller := w.start("ingest", "a"), w.start("poller", "a")
	ingest.ready()
	poller.ready()
	stopLoad := w.load()
	k.killWriting()

	// The last of them wrote checkpoints, and more comes after.
	r := w.startOn("reconciler", "a", k.seldom)
	r.ready()
	stopLoad()
	w.agree()
	ingest.stop()
	poller.stop()
	w.drained()
	r.kill()

	k.killReading()
	k.rewritten("checkpoint")
	ours := k.entries()
	must(t, k.empty())
	k.rewritten("topic")
	topics := k.entries()
	k.same(ours, topics)

	k.spoiled(map[string]func(*spoil){
		"damaged":   func(s *spoil) { s.cut = true },
		"old":       func(s *spoil) { s.head["written_at"] = 1 },
		"partition": func(s *spoil) { s.head["partition"] = 99 },
		"topic":     func(s *spoil) { s.head["topics"] = map[string]string{} },
	})
	k.spoiled(map[string]func(*spoil){
		"cluster": func(s *spoil) { s.head["cluster"] = "another" },
		"rules":   func(s *spoil) { s.head["rules"] = "others" },
		"range": func(s *spoil) {
			s.head["from"] = map[string]int64{w.topics().OrderState: 1 << 40, w.topics().CustomerState: 1 << 40}
		},
		"digest": func(s *spoil) { s.drop = true },
	})

	ingest, poller, r = w.startAll()
	must(t, w.place(t.Context(), 6, 1, 500*time.Millisecond))
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, r)
}

// kept is a world whose reconciler keeps checkpoints.
type kept struct {
	*world
	dir    string
	seldom string // a configuration in which they are written at a clean stop only
}

// Where a kill can land that comes while a checkpoint is written.
const (
	torn   = "torn"   // beside its place, not all of it is there
	whole  = "whole"  // all of it, still beside its place
	placed = "placed" // in its place; beside it is nothing
)

// killWriting kills reconcilers while they write, until each landing was seen:
// what is in the folder afterwards proves it. The last one leaves a whole
// checkpoint beside its place.
func (k *kept) killWriting() {
	k.t.Helper()
	first := k.start("reconciler", "a")
	eventually(k.t, patience, "every partition has a checkpoint", func() (bool, string) {
		n := len(k.stat(""))
		return n == partitions, fmt.Sprintf("%d of %d", n, partitions)
	})
	first.kill()
	const most = 12
	seen := map[string]int{}
	for _, want := range []string{placed, torn, whole} {
		for n := 0; seen[want] == 0 && n < most; n++ {
			r := k.start("reconciler", "a")
			r.ready()
			k.until(r, want)
			r.kill()
			seen[k.landed()]++
		}
	}
	k.t.Logf("killed while writing: %v", seen)
	if seen[placed] == 0 || seen[torn] == 0 {
		k.t.Errorf("%d kills each landed %v: they prove nothing", most, seen)
	}
	if seen[whole] == 0 { // where a sync takes no time a kill comes too late
		k.t.Log("the whole one beside its place is made by hand")
		text, err := os.ReadFile(k.file(0))
		must(k.t, err)
		must(k.t, os.WriteFile(k.file(0)+".tmp", text, 0o600))
	}
}

func (k *kept) file(n int) string { return filepath.Join(k.dir, fmt.Sprintf("partition-%d.ckpt", n)) }

// until waits for the moment at which a kill should land where it is wanted. It
// looks without a rest: the moments are short.
func (k *kept) until(r *process, want string) {
	k.t.Helper()
	before := k.stat("")
	var size int64
	var since time.Time
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) || !k.wrote(before); {
		if time.Now().After(deadline.Add(patience)) {
			k.t.Fatalf("no checkpoint is being written\n%s", tail(r.log.String()))
		}
		unready := k.stat(".tmp")
		switch {
		case want == placed:
			if k.wrote(before) {
				return
			}
		case len(unready) == 0:
			size = 0
		case want == torn:
			return
		default: // it grows no more, so its last bytes are being synced
			for _, now := range unready {
				if now.Size() != size {
					size, since = now.Size(), time.Now()
				}
			}
			if time.Since(since) > 200*time.Microsecond {
				return
			}
		}
	}
	k.t.Logf("the moment for %s was never seen", want)
}

// wrote reports whether a checkpoint is newer than before.
func (k *kept) wrote(before map[int]os.FileInfo) bool {
	for n, now := range k.stat("") {
		if old := before[n]; old == nil || now.ModTime() != old.ModTime() {
			return true
		}
	}
	return false
}

// stat is what the folder holds of each partition, by the end of the name.
func (k *kept) stat(suffix string) map[int]os.FileInfo {
	out := map[int]os.FileInfo{}
	for n := range partitions {
		if info, err := os.Stat(k.file(n) + suffix); err == nil {
			out[n] = info
		}
	}
	return out
}

// landed is where the kill landed. Whatever is in its place must be whole.
func (k *kept) landed() string {
	k.t.Helper()
	for n := range k.stat("") {
		if _, _, err := readCheckpoint(k.file(n)); err != nil {
			k.t.Errorf("%s after a kill: %v", k.file(n), err)
		}
	}
	for n := range k.stat(".tmp") {
		_, _, err := readCheckpoint(k.file(n) + ".tmp")
		if err == nil {
			return whole
		}
		if !errors.Is(err, checkpoint.ErrDamaged) {
			k.t.Errorf("%s.tmp after a kill: %v", k.file(n), err)
		}
		return torn
	}
	return placed
}

// killReading kills reconcilers that have opened a checkpoint and will never see
// the end of it: a pipe stands in its place.
func (k *kept) killReading() {
	k.t.Helper()
	for _, part := range []int{0, 2} { // of the file, in quarters
		text, err := os.ReadFile(k.file(0))
		must(k.t, err)
		must(k.t, os.Remove(k.file(0)))
		must(k.t, syscall.Mkfifo(k.file(0), 0o600))
		r := k.startOn("reconciler", "a", k.seldom)
		var pipe *os.File
		eventually(k.t, patience, "the checkpoint is being read", func() (bool, string) {
			var err error // until somebody has it open for reading
			pipe, err = os.OpenFile(k.file(0), os.O_WRONLY|syscall.O_NONBLOCK, 0)
			return err == nil, fmt.Sprint(err)
		})
		_, err = pipe.Write(text[:len(text)*part/4])
		must(k.t, err)
		if strings.Contains(r.log.String(), `"msg":"assignment restored"`) {
			k.t.Errorf("%s restored what it cannot have read\n%s", r, tail(r.log.String()))
		}
		r.kill()
		must(k.t, pipe.Close())
		must(k.t, os.Remove(k.file(0)))
		must(k.t, os.WriteFile(k.file(0), text, 0o600))
	}
}

// restores starts a reconciler that must take every partition from one source.
func (k *kept) restores(source string) *process {
	k.t.Helper()
	r := k.startOn("reconciler", "a", k.seldom)
	r.restored()
	if n := strings.Count(r.log.String(), fmt.Sprintf("%q:%q", "source", source)); n != partitions {
		k.t.Errorf("%d of %d partitions were restored from the %s\n%s", n, partitions, source, tail(r.log.String()))
	}
	want := fmt.Sprintf("ramp_reconciler_restores_total{source=%q} %d\n", source, partitions)
	if metrics := r.metrics(); !strings.Contains(metrics, want) {
		k.t.Errorf("the metrics have no %s", want)
	}
	if left := k.stat(".tmp"); len(left) > 0 {
		k.t.Errorf("a start left %d unfinished checkpoints behind", len(left))
	}
	return r
}

// rewritten starts a reconciler that takes every partition from one source, and stops
// it, so that the checkpoints are of what it had. A rebalance may have taken the
// partitions away just then: what is not surely ours is not written.
func (k *kept) rewritten(source string) {
	k.t.Helper()
	const tries = 5
	for range tries {
		r := k.restores(source)
		r.stop()
		if strings.Contains(r.log.String(), `"msg":"checkpoint written"`) {
			return
		}
		k.t.Logf("%s wrote no checkpoint at its stop\n%s", r, tail(r.log.String()))
	}
	k.t.Fatalf("%d reconcilers wrote no checkpoint at their stop", tries)
}

// readCheckpoint gives head and entries of a file.
func readCheckpoint(name string) (head []byte, entries map[string]string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	r, err := checkpoint.NewReader(f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	entries = map[string]string{}
	for {
		b, err := r.Next(nil)
		if err == io.EOF {
			return r.Head(), entries, r.Close()
		}
		if err == nil {
			err = b.Each(func(key, value []byte) error { entries[string(key)] = string(value); return nil })
		}
		if err != nil {
			return nil, nil, errors.Join(err, r.Close())
		}
	}
}

// entries are those of every checkpoint: what was in the memory of the process
// that wrote them when it was stopped.
func (k *kept) entries() (out []map[string]string) {
	k.t.Helper()
	for n := range partitions {
		_, entries, err := readCheckpoint(k.file(n))
		must(k.t, err)
		out = append(out, entries)
	}
	return out
}

// same compares what was restored from checkpoints and their tails with what was
// restored from the topics.
func (k *kept) same(ours, topics []map[string]string) {
	k.t.Helper()
	states := 0
	for n := range partitions {
		if len(ours[n]) != len(topics[n]) {
			k.t.Errorf("partition %d: %d entries from the checkpoint and the tail, %d from the topics", n, len(ours[n]), len(topics[n]))
		}
		for key, entry := range topics[n] {
			if got, want := essence(ours[n][key]), essence(entry); got != want {
				k.t.Errorf("%s is %x from the checkpoint and the tail, %x from the topics", key, got, want)
			}
		}
		states += len(topics[n])
	}
	if states < partitions {
		k.t.Errorf("%d states: the comparison proves nothing", states)
	}
	k.t.Logf("%d states are the same from checkpoints and from the topics", states)
}

// essence is what an entry says (internal/reconciler/entry.go): whether it waits
// to be viewed, the digest of its value, and the link of its transitions. What is
// left out are hints, which a restore from the topics does not have: that there
// is no discrepancy, and how the value is packed.
func essence(entry string) string {
	const outdated, digest, text, sum, link = 2, 4, 8, 16, 16
	if len(entry) < 1+sum+link {
		return entry
	}
	size := 1 + sum
	switch {
	case entry[0]&digest != 0:
		size += link
	case entry[0]&text != 0:
		size += 1 + int(entry[size])
	}
	return string(entry[0]&(outdated|digest|text)) + entry[1:size]
}

func (k *kept) empty() error {
	var errs []error
	for n := range partitions {
		errs = append(errs, os.Remove(k.file(n)))
	}
	return errors.Join(errs...)
}

// spoil is how a checkpoint is changed.
type spoil struct {
	head      map[string]any
	cut, drop bool // the second half of the file; one entry
}

// spoiled has a reconciler start on a checkpoint of every partition that is of no
// use, each for another reason. It is killed then, so that it writes none.
func (k *kept) spoiled(how map[string]func(*spoil)) {
	k.t.Helper()
	if len(k.stat("")) != partitions { // the last round was ignored
		k.restores("topic").stop()
	}
	for n, reason := range slices.Sorted(maps.Keys(how)) {
		k.spoil(n, how[reason])
	}
	r := k.restores("topic")
	metrics := r.metrics()
	for reason := range how {
		if !strings.Contains(r.log.String(), fmt.Sprintf("%q:%q", "reason", reason)) {
			k.t.Errorf("the log does not say that a checkpoint was ignored because of %q\n%s", reason, tail(r.log.String()))
		}
		if want := fmt.Sprintf("ramp_reconciler_checkpoints_ignored_total{reason=%q} 1\n", reason); !strings.Contains(metrics, want) {
			k.t.Errorf("the metrics have no %s", want)
		}
	}
	r.kill()
	if left := k.stat(""); len(left) > 0 {
		k.t.Errorf("%d checkpoints of no use are still there", len(left))
	}
}

func (k *kept) spoil(n int, change func(*spoil)) {
	k.t.Helper()
	head, entries, err := readCheckpoint(k.file(n))
	must(k.t, err)
	var s spoil
	must(k.t, json.Unmarshal(head, &s.head))
	change(&s)
	head, err = json.Marshal(s.head)
	must(k.t, err)
	dir, err := checkpoint.OpenDir(k.dir)
	must(k.t, err)
	out, err := dir.Create(strings.TrimSuffix(filepath.Base(k.file(n)), ".ckpt"), head)
	must(k.t, err)
	for i, key := range slices.Sorted(maps.Keys(entries)) {
		if i > 0 || !s.drop {
			must(k.t, out.Add([]byte(key), []byte(entries[key])))
		}
	}
	size, err := out.Commit()
	must(k.t, err)
	must(k.t, dir.Close())
	if s.cut {
		must(k.t, os.Truncate(k.file(n), size/2))
	}
}
