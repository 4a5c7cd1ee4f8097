package integration_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"rampstream/internal/run"
)

// retentionPassed: while no reconciler runs, the brokers remove what it has not
// read. It ends with code 5 and names what is gone of one partition; rampctl
// doctor tells of every partition how much is gone, and rampctl positions skip
// lets it go on behind that.
func retentionPassed(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()
	must(t, w.place(t.Context(), 12, 0, 500*time.Millisecond))
	w.agree()
	poller.stop() // or there is always something more to read
	w.drained()
	reconciler.stop()
	if code, out := w.rampctl("doctor", "--gaps"); code != run.OK || !strings.Contains(out, "0 gaps") {
		t.Errorf("rampctl doctor: exit code %d before, want 0\n%s", code, out)
	}
	topic := w.topics().Intent
	read := w.ends(topic)[topic]
	for i := range 8 * partitions {
		w.intend(string(rune('a'+i%26)) + "-unread-" + string(rune('a'+i/26)))
	}
	ingest.stop()
	var remove kadm.Offsets
	gone := map[int32]int64{}
	for n, end := range w.ends(topic)[topic] {
		if read[n] > 0 && end-1 > read[n] { // the last one stays; a partition of which nothing was read has no position
			remove.Add(kadm.Offset{Topic: topic, Partition: int32(n), At: end - 1, LeaderEpoch: -1})
			gone[int32(n)] = end - 1 - read[n]
		}
	}
	if len(gone) < 2 {
		t.Fatalf("%d partitions have something to lose: the run proves nothing", len(gone))
	}
	eventually(t, patience, "the records are removed", func() (bool, string) { // a follower may be slow to say so
		removed, err := w.adm.DeleteRecords(t.Context(), remove)
		if err == nil {
			err = removed.Error()
		}
		return err == nil, fmt.Sprint(err)
	})

	again := w.start("reconciler", "a")
	if code := again.wait(); code != run.Loss || !strings.Contains(again.log.String(), "were removed unread") || !strings.Contains(again.log.String(), topic) {
		t.Errorf("exit code %d beside a gap, want %d and the name of %s\n%s", code, run.Loss, topic, tail(again.log.String()))
	}
	code, out := w.rampctl("doctor", "--gaps", "-o", "json")
	if code != run.Differences {
		t.Errorf("rampctl doctor: exit code %d, want %d\n%s", code, run.Differences, out)
	}
	for line := range strings.Lines(out) {
		var g struct {
			Topic     string
			Partition int32
			Records   int64
			Written   string `json:"position_written_at"`
			Next      string `json:"next_record_at"`
		}
		if json.Unmarshal([]byte(line), &g) != nil {
			continue // what it says to people
		}
		if g.Topic != topic || g.Records != gone[g.Partition] || g.Written == "" || g.Next == "" {
			t.Errorf("a gap of %+v, want %d records of %s between two times", g, gone[g.Partition], topic)
		}
		delete(gone, g.Partition)
	}
	if len(gone) > 0 {
		t.Errorf("rampctl doctor says nothing of %v\n%s", gone, out)
	}

	w.removeFrom(w.cfg.Reconciler.Group, "a")
	if code, out := w.rampctl("positions", "skip"); code != run.BadConfig || !strings.Contains(out, "--operator: required") {
		t.Errorf("rampctl positions skip by nobody: exit code %d, want %d\n%s", code, run.BadConfig, out)
	}
	if code, out := w.rampctl("positions", "skip", "--operator", "op-7", "--reason", "retention was cut"); code != run.OK || !strings.Contains(out, "skipped "+topic) {
		t.Fatalf("rampctl positions skip: exit code %d\n%s", code, out)
	}
	again = w.start("reconciler", "a")
	again.restored()
	if code, out := w.rampctl("positions", "skip", "--operator", "op-7", "--reason", "again"); code != run.Refused || !strings.Contains(out, "stop the reconcilers first") {
		t.Errorf("rampctl positions skip beside a reconciler: exit code %d, want %d\n%s", code, run.Refused, out)
	}
	ingest, poller = w.start("ingest", "a"), w.start("poller", "a")
	ingest.ready()
	poller.ready()
	must(t, w.place(t.Context(), 6, 0, 300*time.Millisecond))
	w.agree()
	if code, out := w.rampctl("audit"); code != run.OK || !strings.Contains(out, " 0 different") {
		t.Errorf("audit behind a gap: exit code %d\n%s", code, out)
	}
}
