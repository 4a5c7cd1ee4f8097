package inspect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/sim"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

const day = events.Millis(1_700_000_000_000)

// Marked is what a reader must not overlook: repetition, what came late or was
// dated ahead, and silence about an order that was open.
func TestTimeline_marks(t *testing.T) {
	ids := map[string]int{}
	for i, n := range schemas.Names() {
		ids[n] = i + 1
	}
	cd, err := codec.New(ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	topics, now := stream.DefaultTopics("ramp."), day
	log := sim.NewLog(1, func() int64 { return int64(now) }, topics.All()...)
	key := events.Key{Provider: "acme", Account: "shop", ID: "o1"}
	minute := func(m int) events.Millis { return day + events.Millis(m)*60_000 }
	write := func(at events.Millis, topic string, value []byte, err error) {
		t.Helper()
		now = at
		if err == nil {
			_, err = log.Append(stream.Record{Topic: topic, Key: []byte(key.String()), Value: value})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	hook := func(appended, observed int, word string, trust events.Trust) {
		t.Helper()
		w := events.Webhook{Key: key, EventID: events.EventID(word), ObservedAt: minute(observed), Trust: trust, StatusRaw: word, BodyDigest: "d"}
		v, err := cd.EncodeWebhook(w)
		write(minute(appended), topics.Webhook, v, err)
	}
	hook(1, 1, "new", events.TrustSigned)
	hook(2, 2, "new", events.TrustSigned) // again
	hook(100, 100, "wait", events.TrustSigned)
	hook(101, 90, "early", events.TrustHint)    // ten minutes late
	hook(102, 110, "ahead", events.TrustSigned) // eight minutes ahead
	hook(102, 95, "tie", events.TrustSigned)    // of the same millisecond, and behind it
	tr := events.Transition{ID: "t", Key: key, To: events.StatusCompleted, Rule: "terminal", Reason: "evidence", Terminal: true, DigestAfter: "d", TrueAt: minute(103), LearnedAt: minute(112)}
	v, err := cd.EncodeTransition(tr)
	write(minute(112), topics.Transition, v, err)
	hook(900, 900, "after", events.TrustSigned) // a settled order may be silent
	write(minute(901), topics.Webhook, []byte("{}"), nil)

	all, err := inspect.Reader{Log: log, Codec: cd, Topics: topics, Partitions: 1}.Timeline(t.Context(), key, 5*time.Second, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%s dup=%v hint=%v late=%d ahead=%d gap=%d fault=%v", strings.Trim(strings.Fields(e.What + " -")[0], `"`),
			e.Duplicate, e.Hint, e.Late/60_000, e.Ahead/60_000, e.Gap/60_000, e.Fault != ""))
	}
	want := []string{
		"new dup=false hint=false late=0 ahead=0 gap=0 fault=false", "new dup=true hint=false late=0 ahead=0 gap=0 fault=false",
		"early dup=false hint=true late=10 ahead=0 gap=88 fault=false", "tie dup=false hint=false late=15 ahead=0 gap=0 fault=false", "wait dup=false hint=false late=0 ahead=0 gap=0 fault=false",
		"ahead dup=false hint=false late=0 ahead=8 gap=0 fault=false", "UNKNOWN dup=false hint=false late=0 ahead=0 gap=0 fault=false",
		"after dup=false hint=false late=0 ahead=0 gap=0 fault=false", "- dup=false hint=false late=0 ahead=0 gap=0 fault=true",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}
