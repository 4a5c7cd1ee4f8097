package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
)

// Known are the providers of the programs.
func Known() []providers.Provider {
	return []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider}
}

// Ground is what the programs of a run stand on: a configuration, simulated
// providers, and the topics of one prefix.
type Ground struct {
	Config config.Config
	Sim    *demo.Sim
	Admin  *kadm.Client
}

// Open opens what a test reads topics with. Close the log.
func (g Ground) Open(ctx context.Context) (*codec.Codec, *kafka.Log, error) {
	reg, err := app.OpenRegistry(g.Config)
	if err != nil {
		return nil, nil, err
	}
	cd, err := app.OpenCodec(ctx, g.Config, reg)
	if err != nil {
		return nil, nil, err
	}
	log, err := kafka.OpenLog(kafka.Config{Brokers: g.Config.Kafka.Brokers, ClientID: "integration"})
	return cd, log, err
}

// Disagreements names every subject whose state is not what its provider
// finally says. The providers may still be at work.
func (g Ground) Disagreements(ctx context.Context, t *inspect.Table) ([]string, error) {
	if _, err := t.Refresh(ctx); err != nil {
		return nil, err
	}
	var wrong []string
	for _, tr := range g.Sim.World.Truth() {
		if st, ok := t.States()[tr.Key]; !ok || st.Status != demo.Expected(tr) {
			wrong = append(wrong, fmt.Sprintf("%s is %s by %s, want %s (%s)", tr.Key, st.Status, st.DecidedBy, demo.Expected(tr), tr.Raw))
		}
	}
	return wrong, nil
}

// Behind names an input that the reconciler's group has not committed to its
// end, "" when there is none.
func (g Ground) Behind(ctx context.Context) (string, error) {
	high, err := g.Ends(ctx)
	if err != nil {
		return "", err
	}
	return g.outside(ctx, high, func(at, end int64) bool { return at == end })
}

// Ends are where the reconciler's inputs end, by topic and partition.
func (g Ground) Ends(ctx context.Context) (map[string][]int64, error) {
	return ends(ctx, g.Admin.ListEndOffsets, g.Config.Topics.Names().Inputs(), g.Config.Topics.Partitions)
}

// Unread names an input that the reconciler's group has not committed up to
// where it ended once, "" when there is none. Others may be writing to it.
func (g Ground) Unread(ctx context.Context, ended map[string][]int64) (string, error) {
	return g.outside(ctx, ended, func(at, end int64) bool { return at >= end })
}

// Waiting counts the records of the inputs that the reconciler's group has not
// committed.
func (g Ground) Waiting(ctx context.Context) (records int, err error) {
	ended, err := g.Ends(ctx)
	if err != nil {
		return 0, err
	}
	done, err := g.Admin.FetchOffsets(ctx, g.Config.Reconciler.Group)
	if err != nil {
		return 0, err
	}
	for topic, ns := range ended {
		for n, end := range ns {
			at, _ := done.Lookup(topic, int32(n))
			records += int(end - max(at.At, 0))
		}
	}
	return records, nil
}

// outside names an input of which what is committed is not right for its end.
func (g Ground) outside(ctx context.Context, ended map[string][]int64, right func(at, end int64) bool) (string, error) {
	done, err := g.Admin.FetchOffsets(ctx, g.Config.Reconciler.Group)
	if err != nil {
		return "", err
	}
	for topic, ns := range ended {
		for n, end := range ns {
			at, ok := done.Lookup(topic, int32(n))
			if end > 0 && (!ok || !right(at.At, end)) {
				return fmt.Sprintf("%s-%d: %d of %d", topic, n, at.At, end), nil
			}
		}
	}
	return "", nil
}

// Record reads what the programs have left behind; output is what they wrote.
func (g Ground) Record(ctx context.Context, output string) (Run, error) {
	history, err := Read(ctx, g.Config.Kafka.Brokers, g.Config.Topics.Names(), g.Config.Topics.Partitions)
	if err != nil {
		return Run{}, err
	}
	rules, err := app.Rules(g.Config, Known())
	if err != nil {
		return Run{}, err
	}
	cd, log, err := g.Open(ctx)
	if err != nil {
		return Run{}, err
	}
	log.Close()
	receipts, err := g.Receipts()
	if err != nil {
		return Run{}, err
	}
	run := Run{
		History: history, Rules: rules, Codec: cd, Settings: g.Config, Schema: g.Schema, Receipts: receipts, Expected: map[events.Key]events.Status{},
		Secret: append(append(g.Sim.World.Canaries(), g.Sim.World.Secrets()...), g.Sim.Token), Output: output,
	}
	for _, tr := range g.Sim.World.Truth() {
		if tr.Settled {
			run.Expected[tr.Key] = demo.Expected(tr)
		}
	}
	return run, nil
}

// Receipts are all that ingest promised: to the providers and to the merchant.
// An answer 200 without a receipt is an error.
func (g Ground) Receipts() ([]Receipt, error) {
	var out []Receipt
	for _, lane := range g.Sim.World.Lanes() {
		p, a := lane.Split()
		for _, d := range g.Sim.World.Deliveries(p, a) {
			if d.Status != http.StatusOK {
				continue
			}
			var r Receipt
			if err := json.Unmarshal(d.Answer, &r); err != nil || r.EventID == "" {
				return nil, fmt.Errorf("delivery of %s was answered 200 with %q: no receipt", d.Key, d.Answer)
			}
			out = append(out, r)
		}
	}
	for _, r := range g.Sim.Acknowledged() {
		out = append(out, Receipt{EventID: r.EventID, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset})
	}
	return out, nil
}

// Requests are the providers' own records of what they were asked.
func (g Ground) Requests() map[events.Lane][]Request {
	out := map[events.Lane][]Request{}
	for _, lane := range g.Sim.World.Lanes() {
		for _, c := range g.Sim.World.Calls(lane.Split()) {
			out[lane] = append(out[lane], Request{Start: c.Start, End: c.End, RetryAfter: c.RetryAfter})
		}
	}
	return out
}

// Schema asks the registry in the plain words of its API.
func (g Ground) Schema(ctx context.Context, id int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", g.Config.Registry.URL, id), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("schema %d: HTTP %d, %w", id, resp.StatusCode, err)
	}
	var out struct{ Schema string }
	return out.Schema, json.Unmarshal(text, &out)
}

// Summary is one line for people: how many records of each topic, without the
// prefix, and how many of them were aborted.
func (h History) Summary(prefix string) string {
	var counts []string
	for _, t := range h.Topics.All() {
		aborted := 0
		for n := range h.All[t] {
			aborted += len(h.All[t][n]) - len(h.Committed[t][n])
		}
		text := fmt.Sprintf("%s %d", strings.TrimPrefix(t, prefix), h.Count(t))
		if aborted > 0 {
			text += fmt.Sprintf(" (%d aborted)", aborted)
		}
		counts = append(counts, text)
	}
	return strings.Join(counts, ", ")
}
