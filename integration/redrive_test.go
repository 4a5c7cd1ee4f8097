package integration_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"rampstream/integration"
	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// redriven: a producer with another partitioner filled the dead-letter topic.
// The operator sees what a redrive would do, is killed in the middle of it, and
// runs it again: every intent comes back once, into the partition of its key,
// with its bytes, and the states and the audit agree.
func redriven(t *testing.T, p platform) {
	w := newWorld(t, p, options{})
	reconciler := w.start("reconciler", "a")
	reconciler.ready()
	const n = 24
	keys := w.misplaceMany(n)
	dead := w.topics().DeadLetter
	eventually(t, patience, "all are set aside", func() (bool, string) {
		got := len(w.redriveLines())
		return got == n+1, fmt.Sprintf("%d of %d", got, n+1)
	})

	outcomes := map[string]int{}
	for _, l := range w.redriveLines() {
		outcomes[l.Outcome]++
		if l.Outcome == "joins" && (!l.Rekeyed || l.To != "CREATED") {
			t.Errorf("forecast %+v, want a re-keyed intent that makes a state CREATED", l)
		}
	}
	if outcomes["joins"] != n || outcomes["fails"] != 1 {
		t.Errorf("forecast %v, want %d that join and 1 that fails", outcomes, n)
	}
	if got := w.count(w.topics().Intent); got != n+1 {
		t.Errorf("a dry run wrote: %d intents, want %d", got, n+1)
	}

	if printed := w.killRedrive(n / 8); printed >= n {
		t.Fatalf("%d of %d were redriven before the kill: it proves nothing", printed, n)
	}
	if code, out := w.rampctl("redrive", "--all", "--execute", "--rate", "1000"); code != 0 {
		t.Fatalf("redrive: exit code %d\n%s", code, out)
	}
	if code, out := w.rampctl("redrive", "--all", "--execute"); code != 0 || !strings.Contains(out, "0 written") || !strings.Contains(out, fmt.Sprintf("%d redriven before", n)) {
		t.Errorf("the next redrive: exit code %d, want 0 written, %d redriven before\n%s", code, n, out)
	}
	w.drained()
	if code, out := w.rampctl("audit"); code != 0 {
		t.Errorf("audit: exit code %d\n%s", code, out)
	}

	r := w.finish(nil, nil, reconciler)
	w.broughtBack(slices.Concat(r.Committed[w.topics().Intent]...), slices.Concat(r.Committed[dead]...), keys)
	table := w.table()
	if _, err := table.Refresh(t.Context()); err != nil || len(table.States()) != n {
		t.Errorf("%d states, %v; want %d", len(table.States()), err, n)
	}
}

// broughtBack: of each key there are two intents, the misplaced one and a copy
// with the same bytes that names it.
func (w *world) broughtBack(intents, dead []stream.Record, keys []string) {
	w.t.Helper()
	of := map[string][]stream.Record{}
	for _, r := range intents {
		of[string(r.Key)] = append(of[string(r.Key)], r)
	}
	letters := map[string]stream.Letter{}
	for _, d := range dead {
		l, err := stream.ParseDeadLetter(d)
		must(w.t, err)
		letters[l.At.String()] = l
	}
	for _, key := range keys {
		rs := of[key]
		if len(rs) != 2 {
			w.t.Errorf("%d intents of %s, want 2: each redriven once", len(rs), key)
			continue
		}
		src, back := rs[0], rs[1]
		if _, copied := src.Origin(); copied {
			src, back = back, src
		}
		name, _ := back.Header(stream.HeaderRedriveOf)
		l := letters[string(name)]
		if l.Source.At() != src.At() || !bytes.Equal(back.Value, src.Value) || back.Partition != stream.PartitionOf(back.Key, partitions) {
			w.t.Errorf("%s of %s was redriven as %s, partition %d", src.At(), key, name, back.Partition)
		}
		if v, _ := back.Header("x-origin"); string(v) != "test" {
			w.t.Errorf("%s lost its headers: %q", key, back.Headers)
		}
		if src.AppendTime && src.TimestampMs != back.AppendedAt(true) {
			w.t.Errorf("%s was appended at %d, its copy says %d", key, src.TimestampMs, back.AppendedAt(true))
		}
	}
}

type redriveLine struct {
	Outcome string `json:"outcome"`
	Rekeyed bool   `json:"rekeyed"`
	To      string `json:"to_status"`
}

// redriveLines is the forecast.
func (w *world) redriveLines() []redriveLine {
	w.t.Helper()
	code, out := w.rampctl("redrive", "-o", "json")
	if code != 0 {
		w.t.Fatalf("redrive: exit code %d\n%s", code, out)
	}
	var lines []redriveLine
	for _, text := range strings.Split(out, "\n") {
		if !strings.HasPrefix(text, "{") {
			continue // talk
		}
		var l redriveLine
		must(w.t, json.Unmarshal([]byte(text), &l))
		lines = append(lines, l)
	}
	return lines
}

// killRedrive kills a redrive -9 when it has printed so many written ones, and
// returns how many it had printed. It is slow, because the kill may be slow too.
func (w *world) killRedrive(after int) (printed int) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), filepath.Join(bin, "rampctl"), "-c", w.file, "redrive", "--class", "WRONG_PARTITION", "--execute", "--rate", "1")
	cmd.Env = integration.Environment("it")
	out, err := cmd.StdoutPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "written as") {
			if printed++; printed == after {
				must(w.t, cmd.Process.Kill())
			}
		}
	}
	if err := cmd.Wait(); err == nil || printed < after {
		w.t.Fatalf("the redrive was not killed: %v after %d", err, printed)
	}
	return printed
}

// misplaceMany writes n intents to partitions that are not their keys', and one
// that nobody can read; it returns the keys of the n.
func (w *world) misplaceMany(n int) (keys []string) {
	w.t.Helper()
	cd, _ := w.reading()
	headers := []kafka.Header{{Key: "x-origin", Value: []byte("test")}}
	var ms []kafka.Message
	for i := range n {
		k := events.Key{Provider: "koinal", Account: demo.Account, ID: fmt.Sprint("misplaced-", i)}
		value, err := cd.EncodeIntent(events.Intent{Key: k, EventID: events.EventID(fmt.Sprint("misplaced-", i)), ObservedAt: events.At(time.Now()), Source: "test"})
		must(w.t, err)
		keys = append(keys, k.String())
		ms = append(ms, kafka.Message{Key: []byte(k.String()), Value: value, Headers: headers})
	}
	ms = append(ms, kafka.Message{Key: []byte("koinal/" + demo.Account + "/garbage"), Value: []byte("{}"), Headers: headers})
	wrong := kafka.BalancerFunc(func(m kafka.Message, all ...int) int {
		return all[(int(stream.PartitionOf(m.Key, int32(len(all))))+1)%len(all)]
	})
	w.write(wrong, ms...)
	return keys
}
