package integration_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"testing"
)

// series is one sample of ingest's counter of answers.
var series = regexp.MustCompile(`(?m)^ramp_ingest_responses_total\{code="(\d+)",provider="([^"]*)",reason="([^"]*)"\} (\S+)$`)

// accounted compares what ingest counted with what its senders were answered, by
// provider and code, and fails for an answer that went wrong without a reason.
// Call it while nobody sends.
func (w *world) accounted(ingest *process) {
	w.t.Helper()
	heard, unheard := w.answers()
	if heard["kado 200"] == 0 || heard["kado 401"] == 0 || len(heard) < 5 {
		w.t.Errorf("the senders were answered %v: that proves nothing", heard)
	}
	eventually(w.t, patience, "ingest has counted every answer", func() (bool, string) {
		counted, nameless, err := countedAnswers(ingest.Metrics(w.t.Context()))
		if err != nil {
			return false, err.Error()
		}
		if nameless != "" {
			w.t.Errorf("%s were answered without a reason", nameless)
		}
		// The merchant asks again after a 503 and takes no note of it.
		delete(counted, fmt.Sprintf("intents %d", http.StatusServiceUnavailable))
		// What nobody waited for is in ingest's counters alone, if it came there at all.
		more := 0
		for _, n := range counted {
			more += n
		}
		for key, n := range heard {
			more -= n
			if counted[key] < n {
				return false, fmt.Sprintf("%s: ingest counted %d, senders %d", key, counted[key], n)
			}
		}
		return more <= unheard, fmt.Sprintf("ingest counted %v, senders %v, and %d gave up", counted, heard, unheard)
	})
	w.t.Logf("ingest and its senders agree about %v, and %d that nobody waited for", heard, unheard)
}

// answers are those that the providers and the merchant were given, by provider
// and code; unheard counts the requests whose sender gave up before.
func (w *world) answers() (heard map[string]int, unheard int) {
	heard, unheard = map[string]int{}, w.sim.Unanswered()
	for _, lane := range w.sim.World.Lanes() {
		p, a := lane.Split()
		for _, d := range w.sim.World.Deliveries(p, a) {
			if d.Status == 0 {
				unheard++
				continue
			}
			heard[fmt.Sprintf("%s %d", p, d.Status)]++
		}
	}
	heard[fmt.Sprintf("intents %d", http.StatusOK)] = len(w.sim.Acknowledged())
	return heard, unheard
}

// countedAnswers sums ingest's counter over the reasons; nameless names answers
// other than 200 that have none.
func countedAnswers(metrics string) (counted map[string]int, nameless string, err error) {
	counted = map[string]int{}
	for _, m := range series.FindAllStringSubmatch(metrics, -1) {
		n, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			return nil, "", err
		}
		key := m[2] + " " + m[1]
		counted[key] += int(n)
		if m[1] != "200" && m[3] == "" && n > 0 {
			nameless = key
		}
	}
	if len(counted) == 0 {
		return nil, "", fmt.Errorf("no series of answers in %d bytes of metrics", len(metrics))
	}
	return counted, nameless, nil
}

// A counter that is one off, or an answer without a reason, is noticed.
func TestCountedAnswers(t *testing.T) {
	const text = `# HELP ramp_ingest_responses_total Answers.
ramp_ingest_responses_total{code="200",provider="kado",reason="accepted"} 3
ramp_ingest_responses_total{code="200",provider="kado",reason="replay"} 2
ramp_ingest_responses_total{code="401",provider="kado",reason=""} 1
ramp_ingest_responses_total{code="404",provider="",reason="route"} 4
`
	counted, nameless, err := countedAnswers(text)
	if want := map[string]int{"kado 200": 5, "kado 401": 1, " 404": 4}; !maps.Equal(counted, want) || nameless != "kado 401" || err != nil {
		t.Errorf("countedAnswers = %v, %q, %v; want %v and kado 401 without a reason", counted, nameless, err, want)
	}
	if _, _, err := countedAnswers(""); err == nil {
		t.Error("no metrics are no error")
	}
}
