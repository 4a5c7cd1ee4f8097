package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/redrive"
	"rampstream/internal/run"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

// lateRegistry has the schemas of a foreign producer once it is told to.
type lateRegistry struct{ foreign bool }

func (r *lateRegistry) SchemaByID(_ context.Context, id int) (string, error) {
	names := schemas.Names()
	if id >= 500 && id < 500+len(names) && r.foreign {
		return schemas.Text(names[id-500]), nil
	}
	if id >= 100 && id < 100+len(names) {
		return schemas.Text(names[id-100]), nil
	}
	return "", fmt.Errorf("schema %d: %w", id, codec.ErrUnknownSchema)
}

func codecFrom(t *testing.T, first int, r codec.Resolver) *codec.Codec {
	t.Helper()
	ids := map[string]int{}
	for i, name := range schemas.Names() {
		ids[name] = first + i
	}
	cd, err := codec.New(ids, r)
	if err != nil {
		t.Fatal(err)
	}
	return cd
}

// redriveWorld is an auditWorld in which one record was set aside because its
// schema was not registered, and another because of its partition.
func redriveWorld(t *testing.T) (*auditWorld, *lateRegistry) {
	t.Helper()
	w, reg := newAuditWorld(t, 200), &lateRegistry{}
	w.codec = codecFrom(t, 100, reg)
	key := auditKey(0)
	foreign := codecFrom(t, 500, nil)
	v, err := foreign.EncodeWebhook(events.Webhook{Key: key, EventID: "late", ObservedAt: w.now, Trust: events.TrustSigned, StatusRaw: "late-word", BodyDigest: "d"})
	w.append(auditTopics.Webhook, key, v, err)
	v, err = w.codec.EncodeWebhook(events.Webhook{Key: key, EventID: "moved", ObservedAt: w.now, Trust: events.TrustSigned, StatusRaw: "moved-word", BodyDigest: "d"})
	if err != nil {
		t.Fatal(err)
	}
	r := stream.Record{Topic: auditTopics.Webhook, Key: []byte(key.String()), Value: v}
	r.Partition = (stream.PartitionOf(r.Key, auditPartitions) + 1) % auditPartitions
	if _, err := w.log.Append(r); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.joinOneByOne()
	return w, reg
}

// restart is a new reconciler with the world's codec.
func (w *auditWorld) restart() {
	w.t.Helper()
	w.eng = reconciler.NewEngine(reconciler.Config{Topics: auditTopics, Partitions: auditPartitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
	for p := range int32(auditPartitions) {
		if _, err := w.eng.Restore(w.t.Context(), p, w.log, nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

// joinOneByOne sets aside what has an unknown schema.
func (w *auditWorld) joinOneByOne() {
	w.t.Helper()
	for _, topic := range auditTopics.Inputs() {
		for p := range int32(auditPartitions) {
			var rs []stream.Record
			_ = w.log.Read(w.t.Context(), topic, p, w.next[topic][p], 1<<60, true, func(r stream.Record) error { rs = append(rs, r); return nil })
			for _, r := range rs {
				b, err := w.eng.Step(w.t.Context(), []stream.Record{r}, true)
				if w.eng.SetAsideUnknown(err) {
					b, err = w.eng.Step(w.t.Context(), []stream.Record{r}, true)
				}
				if err == nil {
					_, err = w.log.Append(b.Out...)
				}
				if err != nil {
					w.t.Fatal(err)
				}
				w.eng.Accept()
				w.next[topic][p] = r.Offset + 1
			}
		}
	}
}

type logPublisher struct{ w *auditWorld }

func (p logPublisher) Publish(_ context.Context, rs ...stream.Record) ([]stream.Record, error) {
	return p.w.log.Append(rs...)
}

// redrive runs the command's work over the world's log.
func (w *auditWorld) redrive(output string, execute bool) (out, errOut string) {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	c := &cli{out: &stdout, errw: &stderr, output: output}
	d := redrive.Redriver{Log: w.log, Codec: w.codec, Rules: w.rules, Topics: auditTopics, Partitions: auditPartitions, Now: time.Now}
	sel, err := d.Select(w.t.Context(), redrive.Filter{KeyPrefix: auditKey(0).String(), Topics: []string{auditTopics.Webhook}})
	if err != nil {
		w.t.Fatal(err)
	}
	steps, err := d.Plan(w.t.Context(), sel.Letters)
	if err != nil {
		w.t.Fatal(err)
	}
	if execute {
		err = c.write(w.t.Context(), sel, steps, logPublisher{w}, rate.NewLimiter(rate.Inf, 1))
	} else {
		err = c.forecast(sel, steps)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return stdout.String(), stderr.String()
}

// Audit and redrive agree: what is set aside and cannot be read is no
// difference; once it can be read it is one, until it was redriven and joined.
func TestAudit_agreesWithRedrive(t *testing.T) {
	w, reg := redriveWorld(t)
	if out, err := w.audit(w.log, w.rules); err != nil {
		t.Errorf("audit while the schema is not there = %v\n%s", err, out)
	}
	reg.foreign = true
	out, err := w.audit(w.log, w.rules)
	if !errors.Is(err, run.ErrDifferences) || !strings.Contains(out, " 1 different") || !strings.Contains(out, auditKey(0).String()) {
		t.Errorf("audit of what could be read = %v, want one difference\n%s", err, out)
	}
	if out, errOut := w.redrive("text", true); !strings.Contains(errOut, "2 written") {
		t.Errorf("redrive: %s%s", out, errOut)
	}
	w.joinOneByOne()
	if out, err := w.audit(w.log, w.rules); err != nil || !strings.Contains(out, "15 equal") {
		t.Errorf("audit after the redrive = %v\n%s", err, out)
	}
}

func TestRedrive_prints(t *testing.T) {
	w, reg := redriveWorld(t)
	reg.foreign = true
	records := len(w.log.All(auditTopics.Webhook))
	out, errOut := w.redrive("text", false)
	for _, want := range []string{"(UNKNOWN_SCHEMA): joins", "(WRONG_PARTITION): joins, partition "} {
		if !strings.Contains(out, want) {
			t.Errorf("forecast without %q:\n%s", want, out)
		}
	}
	if !strings.Contains(errOut, "2 dead letters: 2 joins; 0 redriven before") || !strings.Contains(errOut, "--execute writes 2") {
		t.Errorf("forecast says %q", errOut)
	}
	if got := len(w.log.All(auditTopics.Webhook)); got != records {
		t.Errorf("a forecast wrote %d records", got-records)
	}
	out, _ = w.redrive("json", true)
	var lines []redriveLine
	for _, text := range strings.Split(strings.TrimSpace(out), "\n") {
		var l redriveLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 2 || slices.ContainsFunc(lines, func(l redriveLine) bool {
		return l.Written == "" || l.Outcome != "joins" || l.Key != auditKey(0).String()
	}) {
		t.Errorf("redrive -o json printed %+v", lines)
	}
	if out, errOut := w.redrive("text", true); out != "" || !strings.Contains(errOut, "2 redriven before") || !strings.Contains(errOut, "0 written") {
		t.Errorf("the second redrive: %s%s", out, errOut)
	}
}

func TestRedriveFlags_check(t *testing.T) {
	now := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		change func(*redriveFlags)
		fault  string // "" for none
	}{
		{"dry run of all", func(*redriveFlags) {}, ""},
		{"execute a filter", func(f *redriveFlags) { f.execute, f.filter.Classes = true, []string{"undecodable"} }, ""},
		{"execute all", func(f *redriveFlags) { f.execute, f.all = true, true }, ""},
		{"execute one", func(f *redriveFlags) { f.execute, f.at = true, "1-2" }, ""},
		{"execute nothing", func(f *redriveFlags) { f.execute = true }, "--execute"},
		{"one and a filter", func(f *redriveFlags) { f.at, f.since = "1-2", "1h" }, "--at"},
		{"all and a filter", func(f *redriveFlags) { f.all, f.filter.KeyPrefix = true, "kado/" }, "--all"},
		{"no rate", func(f *redriveFlags) { f.rate = 0 }, "--rate"},
		{"no limit", func(f *redriveFlags) { f.filter.Limit = 0 }, "--limit"},
		{"a week", func(f *redriveFlags) { f.since, f.until = "7d", "1d" }, ""},
		{"no time", func(f *redriveFlags) { f.since = "yesterday" }, "--since"},
		{"no end", func(f *redriveFlags) { f.until = "-1h" }, "--until"},
	} {
		f := redriveFlags{rate: 1, filter: redrive.Filter{Limit: 1}}
		tc.change(&f)
		err := f.check(now)
		if (err == nil) != (tc.fault == "") || err != nil && !strings.HasPrefix(err.Error(), tc.fault) {
			t.Errorf("%s: check = %v, want a fault of %q", tc.name, err, tc.fault)
		}
	}
	f := redriveFlags{rate: 1, since: "24h", until: "2026-01-31T09:00:00Z", filter: redrive.Filter{Limit: 1, Classes: []string{"wrong_record"}}}
	if err := f.check(now); err != nil || !f.filter.Since.Equal(now.Add(-24*time.Hour)) || !f.filter.Until.Equal(now.Add(-time.Hour)) || f.filter.Classes[0] != "WRONG_RECORD" {
		t.Errorf("check = %v, filter %+v", err, f.filter)
	}
}

func TestRedriveFlags_names(t *testing.T) {
	for text, want := range map[string]string{"1-20": "ramp.dead-letter.v1-1-20", "ramp.dead-letter.v1-3-4": "ramp.dead-letter.v1-3-4", "x": "", "ramp.intent.v1-1-2": "", "1": ""} {
		f := redriveFlags{at: text, topics: []string{"intent"}}
		err := f.names(auditTopics)
		if (err != nil) != (want == "") || want != "" && (f.filter.At.String() != want || f.filter.Topics[0] != auditTopics.Intent) {
			t.Errorf("--at %s: %v, %v; want %q", text, f.filter.At, err, want)
		}
	}
	f := redriveFlags{topics: []string{"nonsense"}}
	if err := f.names(auditTopics); run.Code(err) != run.BadConfig {
		t.Errorf("--topic nonsense: %v, want code 2", err)
	}
}
