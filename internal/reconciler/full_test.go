//go:build linux

package reconciler_test

import (
	"maps"
	"os"
	"testing"
)

// A disk that takes no checkpoint is counted, and nothing else: batches go on,
// and the next start takes the last good checkpoint and a longer tail.
func TestLoop_checkpointOnAFullDisk(t *testing.T) {
	k := newKeeper(t)
	k.live("wait", 0, 200, 1)
	k.loop.Checkpoint(t.Context(), 0)
	good := map[string]string{}
	for _, name := range files(k) {
		good[name] = content(t, name)
	}
	k.live("done", 0, 40, 2)
	// What is written there meets a device without room.
	for _, name := range files(k) {
		if err := os.Symlink("/dev/full", name+".tmp"); err != nil {
			t.Fatal(err)
		}
	}
	k.loop.Checkpoint(t.Context(), 0)
	if k.told.written != partitions || k.told.failed != partitions {
		t.Errorf("%d checkpoints are counted as written and %d as failed, want %d each", k.told.written, k.told.failed, partitions)
	}
	now := map[string]string{}
	for _, name := range files(k) {
		now[name] = content(t, name)
	}
	if !maps.Equal(now, good) {
		t.Errorf("a full disk changed the checkpoints of before")
	}
	k.live("wait", 500, 10, 3) // it goes on
	k.want()
	k.start()
	if k.told.sources["checkpoint"] != partitions || k.log.read != 50 {
		t.Errorf("restored from %v with %d records more, ignored %v; want the checkpoints of before and 50", k.told.sources, k.log.read, k.told.reasons)
	}
	k.want()
}

func content(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
