package reconciler_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
)

// identified is a log whose topics have ids.
type identified struct {
	stream.Log
	ids map[string]string
}

func (i identified) Identify(context.Context, ...string) (map[string]string, error) {
	return i.ids, nil
}

// K24: an input that was deleted and made anew is loss, however long it has grown
// since; a log that cannot tell, and a position from before there were ids, are
// believed.
func TestEngine_inputMadeAnew(t *testing.T) {
	ids := map[string]string{topics.Webhook: "w1", topics.Intent: "i1", topics.StatusCheck: "s1"}
	w := newWorld(t)
	w.now = minute(9)
	w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
	w.drain() // positions without ids
	restore := func(ids map[string]string) (*reconciler.Engine, error) {
		e := newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true})
		var first error
		for n := range int32(partitions) {
			var log stream.Log = w.log
			if ids != nil {
				log = identified{w.log, ids}
			}
			if _, err := e.Restore(t.Context(), n, log, map[string]int64{}); err != nil && first == nil {
				first = err
			}
		}
		return e, first
	}
	var err error
	if w.eng, err = restore(ids); err != nil {
		t.Fatalf("positions without ids: %v; want them believed", err)
	}
	for _, id := range []string{"o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8"} {
		w.append(w.hook(id, "done", minute(2), events.TrustSigned))
	}
	w.drain()
	for _, topic := range []string{topics.Webhook, topics.Intent, topics.StatusCheck} {
		other := maps.Clone(ids)
		other[topic] = "another"
		if _, err := restore(other); !errors.Is(err, stream.ErrLoss) || !strings.Contains(err.Error(), topic) {
			t.Errorf("%s made anew: %v; want ErrLoss that names it", topic, err)
		}
	}
	if _, err := restore(ids); err != nil {
		t.Errorf("the same topics: %v", err)
	}
	if _, err := restore(nil); err != nil {
		t.Errorf("a log without ids: %v", err)
	}
}
