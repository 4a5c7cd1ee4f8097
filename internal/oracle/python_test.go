package oracle_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/order"
)

// A third derivation, written in Python from the documents alone, agrees on
// random histories. KAFKA_PYTHON names an interpreter with the modules of
// integration/python/requirements.txt.
func TestPython_agreesOnRandomHistories(t *testing.T) {
	interpreter := os.Getenv("KAFKA_PYTHON")
	if interpreter == "" {
		t.Skip("KAFKA_PYTHON is not set")
	}
	count := min(*histories, 100_000)
	if count == 0 {
		count = 3_000
	}
	out := runPython(t, interpreter, func(w io.Writer) { tellPython(t, w, count, nil) }, 0)
	var sum struct {
		States, Different int
		Rules, Open       map[string]int
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &sum); err != nil || sum.States < count/2 || sum.Different != 0 {
		t.Fatalf("%d histories: %+v, %v", count, sum, err)
	}
	if len(sum.Rules) < 15 || len(sum.Open) < len(events.DiscrepancyTypes()) {
		t.Errorf("met %d rules and %d open types, want all: %v %v", len(sum.Rules), len(sum.Open), sum.Rules, sum.Open)
	}
	t.Logf("%s", lines[len(lines)-1])
}

// It bites: a state that is falsified in any one column is found.
func TestPython_findsFalsifiedStates(t *testing.T) {
	interpreter := os.Getenv("KAFKA_PYTHON")
	if interpreter == "" {
		t.Skip("KAFKA_PYTHON is not set")
	}
	for name, falsify := range map[string]func(*events.State){
		"status":   func(st *events.State) { st.Status = (st.Status + 1) % 5 },
		"terminal": func(st *events.State) { st.Terminal = !st.Terminal },
		"since":    func(st *events.State) { st.Since++ },
		"rule":     func(st *events.State) { st.DecidedBy += "x" },
		"open":     func(st *events.State) { st.Open = []string{"AMOUNT_MISMATCH", "STUCK", "UNKNOWN_STATUS"} },
		"facts":    func(st *events.State) { st.Facts.CustomerID, st.Facts.TxHash = "somebody", "somebody" },
	} {
		t.Run(name, func(t *testing.T) {
			runPython(t, interpreter, func(w io.Writer) { tellPython(t, w, 5, falsify) }, 3)
		})
	}
}

// runPython gives stdin to the fold and wants its exit code.
func runPython(t *testing.T, interpreter string, stdin func(io.Writer), code int) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), interpreter, filepath.Join("..", "..", "integration", "python", "fold_histories.py"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := bufio.NewWriter(in)
	stdin(b)
	_ = b.Flush()
	_ = in.Close()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d\n%.2000s", got, code, out.String())
	}
	return out.Bytes()
}

// tellPython writes the rules and count random histories with their states.
func tellPython(t *testing.T, w io.Writer, count int, falsify func(*events.State)) {
	r, cd := newRules(t), newCodec(t)
	enc := json.NewEncoder(w)
	s := r.Settings()
	ranks, terminal := map[string]int{}, []string{}
	for _, st := range events.Statuses() {
		ranks[st.String()] = st.Rank()
		if st.Terminal() {
			terminal = append(terminal, st.String())
		}
	}
	tables := map[string]any{}
	for lane, v := range lanes {
		words := func(all map[string]events.Word) map[string]string {
			out := map[string]string{}
			for word, m := range all {
				out[word] = m.Status.String()
			}
			return out
		}
		tables[string(lane)] = map[string]any{"orders": words(v.Orders), "customers": words(v.Customers), "legal": v.Regressions,
			"payer_amount": v.AmountUnsigned, "webhooks": v.Webhooks}
	}
	must(t, enc.Encode(map[string]any{"ranks": ranks, "terminal": terminal, "tables": tables, "settings": map[string]int64{
		"margin": s.Margin.Milliseconds(), "confirm": s.Confirm.Milliseconds(), "missing": s.MissingWebhook.Milliseconds(), "stuck": s.Stuck.Milliseconds()}}))
	for n := range count {
		world := newWorld(*seed+uint64(n), 200)
		for _, key := range world.keys {
			var said []map[string]any
			var rows []events.Evidence
			for _, rec := range world.log {
				if rec.key == key {
					said = append(said, rec.tellPython(t, cd))
					rows = order.Join(rows, rec.evidence(r))
				}
			}
			if len(rows) == 0 {
				continue
			}
			st := r.View(key, rows)
			if falsify != nil {
				falsify(&st)
			}
			value, err := cd.EncodeState(st)
			must(t, err)
			must(t, enc.Encode(map[string]any{"key": key.String(), "seed": world.seed, "said": said, "state": shown(t, cd, value)}))
		}
	}
}

func (rec record) tellPython(t *testing.T, cd *codec.Codec) map[string]any {
	var value []byte
	var err error
	kind := "intent"
	switch {
	case rec.webhook != nil:
		kind = "webhook"
		x := *rec.webhook
		x.BodyDigest = "d"
		value, err = cd.EncodeWebhook(x)
	case rec.check != nil:
		kind = "status-check"
		x := *rec.check
		x.Attempt = 1
		value, err = cd.EncodeStatusCheck(x)
	default:
		value, err = cd.EncodeIntent(*rec.intent)
	}
	must(t, err)
	out := map[string]any{"kind": kind, "where": []any{rec.at.Topic, rec.at.Partition, rec.at.Offset}, "record": shown(t, cd, value), "appended": nil}
	if rec.at.AppendedAt != 0 {
		out["appended"] = int64(rec.at.AppendedAt)
	}
	return out
}

func shown(t *testing.T, cd *codec.Codec, value []byte) json.RawMessage {
	t.Helper()
	_, line, err := cd.DecodeAny(t.Context(), value)
	must(t, err)
	return line
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
