package poller_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/poller"
)

var update = flag.Bool("update", false, "write the tables of docs/poller.md anew")

const document = "../../docs/poller.md"

// The schedule table of docs/poller.md is what internal/order does with the
// default settings.
func TestDocument_schedule(t *testing.T) {
	have, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- schedule: written by a test -->\n", "<!-- end -->\n"
	before, rest, ok1 := bytes.Cut(have, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		t.Fatalf("%s has no lines %q and %q", document, begin, end)
	}
	want := slices.Concat(before, []byte(begin), []byte(scheduleTables(t)), []byte(end), after)
	if *update {
		if err := os.WriteFile(document, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is stale: go test ./internal/poller -run Document -update; want:\n%s", document, scheduleTables(t))
	}
}

// planner asks the rules about made-up histories.
type planner struct {
	t     *testing.T
	rules order.Rules
}

const planned = events.Millis(1_700_000_000_000)

// said is one thing in a history: what was said, and when after the beginning.
type said struct {
	word string // "!class" for a failure
	at   time.Duration
}

// task is what the rules plan for an order of that history.
func (p planner) task(id string, history ...said) (events.CheckTask, bool) {
	k := events.Key{Provider: "acme", Account: "shop", ID: id}
	var rows []events.Evidence
	for i, s := range history {
		outcome := events.OutcomeOK
		if strings.HasPrefix(s.word, "!") {
			outcome = events.Outcome(s.word[1:])
		}
		at := planned.Add(s.at)
		var row []events.Evidence
		if i == 0 {
			row = p.rules.FromWebhook(events.Webhook{Key: k, EventID: "w", ObservedAt: at, Trust: events.TrustSigned, StatusRaw: s.word}, order.Where{})
		} else {
			row = p.rules.FromCheck(events.StatusCheck{Key: k, EventID: events.EventID(fmt.Sprint(i)), ObservedAt: at, Outcome: outcome, StatusRaw: s.word}, order.Where{})
		}
		rows = order.Join(rows, row)
	}
	return p.rules.Schedule(p.rules.View(k, rows))
}

// next is how long after the last thing said the next check is due: the range
// over many orders, since each has its own jitter.
func (p planner) next(history ...said) string {
	last := planned.Add(history[len(history)-1].at)
	var least, most time.Duration
	for i := range 3000 {
		task, ok := p.task(fmt.Sprint(i), history...)
		switch {
		case !ok:
			return "never"
		case task.GiveUp:
			return "gives up: a last `gave_up`, no call"
		}
		d := task.DueAt.Sub(last)
		if i == 0 {
			least, most = d, d
		}
		least, most = min(least, d), max(most, d)
	}
	least, most = least.Truncate(time.Second), (most + time.Second - 1).Truncate(time.Second)
	if least == most {
		return span(most)
	}
	return span(least) + " to " + span(most)
}

func scheduleTables(t *testing.T) string {
	v := events.Vocabulary{Provider: "acme", PollOrders: true, Webhooks: true, Orders: map[string]events.Word{}}
	for _, st := range events.Statuses() {
		v.Orders[st.String()] = events.Word{Status: st}
	}
	rules, err := order.NewRules(order.DefaultSettings(), map[events.Lane]events.Vocabulary{"acme/shop": v})
	if err != nil {
		t.Fatal(err)
	}
	p := planner{t, rules}
	var b strings.Builder
	b.WriteString("| open order (CREATED, PENDING, PROCESSING, ON_HOLD, DISPUTED, UNKNOWN) | next check after |\n|---|---|\n")
	fmt.Fprintf(&b, "| never asked about | %s, from when it was first seen |\n", p.next(said{"PENDING", 0}))
	const day = 24 * time.Hour
	for _, age := range []time.Duration{time.Minute, 4 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, day, 7 * day, 30 * day} {
		fmt.Fprintf(&b, "| asked when it had stood still for %s | %s |\n", span(age), p.next(said{"PENDING", 0}, said{"PENDING", age}))
	}
	b.WriteString("\n| calls about it fail since | next try after the last one |\n|---|---|\n")
	for _, f := range []time.Duration{30 * time.Second, time.Minute, 10 * time.Minute, time.Hour, day} {
		fmt.Fprintf(&b, "| %s | %s |\n", span(f), p.next(said{"PENDING", 0}, said{"PENDING", time.Minute}, said{"!timeout", 2 * time.Minute}, said{"!timeout", 2*time.Minute + f}))
	}
	b.WriteString("\n| settled order | asked again, from when it settled |\n|---|---|\n")
	for _, st := range events.Statuses() {
		if st.Terminal() {
			fmt.Fprintf(&b, "| %s | %s |\n", st, p.confirmations(st.String()))
		}
	}
	return b.String()
}

// confirmations follows a settled order to the end of its schedule.
func (p planner) confirmations(word string) string {
	history := []said{{word, 0}}
	var out []string
	for {
		task, ok := p.task("o", history...)
		if !ok {
			return strings.Join(out, ", ") + ", then no more"
		}
		d := task.DueAt.Sub(planned)
		out = append(out, span(d))
		history = append(history, said{word, d + time.Second})
	}
}

// span prints a duration in the units that people use for it.
func span(d time.Duration) string {
	var s string
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.d; n > 0 {
			s += fmt.Sprintf(" %d %s", n, u.name)
			d -= n * u.d
		}
	}
	return strings.TrimSpace(s)
}

// Every metric and every field of /lanes is in the document, and nothing there
// is invented.
func TestDocument_names(t *testing.T) {
	have, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	reg := prometheus.NewRegistry()
	if _, err := poller.NewMetrics(reg); err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 100)
	newRig(t).p.Gauges().Describe(descs)
	reg.Describe(descs)
	close(descs)
	metric := regexp.MustCompile(`ramp_poller_[a-z_]+`)
	for _, n := range []string{"ramp_poller_acknowledged_loss_total", "ramp_poller_topic_differences"} { // registered by internal/app
		names[n] = true
	}
	for d := range descs {
		names[metric.FindString(d.String())] = true
	}
	for _, m := range metric.FindAllString(string(have), -1) {
		if !names[m] {
			t.Errorf("%s names %s, which does not exist", document, m)
		}
	}
	s := reflect.TypeFor[poller.LaneSnapshot]()
	for i := range s.NumField() {
		names[s.Field(i).Tag.Get("json")] = true
	}
	for n := range names {
		if !strings.Contains(string(have), "`"+n+"`") {
			t.Errorf("%s does not name `%s`", document, n)
		}
	}
}
