package reconciler

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"rampstream/internal/stream"
)

// HeaderInputs is the header of a position that holds the topic ids of the
// inputs, in their order, joined by commas. An offset is a place in one topic
// and means nothing in another of the same name.
const HeaderInputs = "ramp_input_ids"

// identify gives the ids of the inputs as they are now, as in HeaderInputs. An
// input that is not the one that the position was in is stream.ErrLoss: what was
// not read of the old one is gone, and what the new one holds below the offset
// would never be read. A position without ids, or a log without, is believed.
func (r *restorer) identify(ctx context.Context, of string) (string, error) {
	log, ok := r.log.(stream.Identifier)
	if !ok {
		return of, nil
	}
	inputs := r.cfg.Topics.Inputs()
	now, err := idsOf(ctx, log, inputs)
	if err != nil {
		return "", err
	}
	was := strings.Split(of, ",")
	for i, topic := range inputs {
		if of != "" && i < len(was) && was[i] != now[i] {
			return "", fmt.Errorf("%s was deleted and made anew: the position is in the topic with id %s, this one has %s: %w", topic, was[i], now[i], stream.ErrLoss)
		}
	}
	return strings.Join(now, ","), nil
}

func idsOf(ctx context.Context, log stream.Identifier, topics []string) ([]string, error) {
	ids, err := log.Identify(ctx, topics...)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(topics))
	for i, topic := range topics {
		out[i] = ids[topic]
	}
	return out, nil
}

// held is which state topics hold what is in memory: memory, and a checkpoint of
// it, must not hide that they are gone from there.
type held struct {
	ids    map[string]string // by topic; nil where the log cannot tell
	starts map[string]int64
	ends   map[string]int64 // they reach as far at least
}

// holding gives the state topics as they are now.
func (r *restorer) holding(ctx context.Context, ends map[string]stream.Range) (held, error) {
	topics := r.stateTopics()
	h := held{starts: map[string]int64{}, ends: map[string]int64{}}
	for _, topic := range topics {
		h.starts[topic], h.ends[topic] = ends[topic].Start, ends[topic].End
	}
	log, ok := r.log.(stream.Identifier)
	if !ok {
		return h, nil
	}
	ids, err := idsOf(ctx, log, topics)
	if err != nil {
		return held{}, err
	}
	h.ids = map[string]string{}
	for i, topic := range topics {
		h.ids[topic] = ids[i]
	}
	return h, nil
}

// still reports whether the topics that held what h says are these, and all of
// it: compaction alone moves no start and no end. wrote is what acknowledged said
// before now was asked for.
func (h held) still(now held, wrote map[string]int64) bool {
	for topic, end := range now.ends {
		if end < max(h.ends[topic], wrote[topic]) {
			return false
		}
	}
	return (h.ids == nil || now.ids == nil || maps.Equal(h.ids, now.ids)) && maps.Equal(h.starts, now.starts)
}

// acknowledged is how far the state topics of a partition reached when this process
// wrote there last.
func (c *Config) acknowledged(n int32) map[string]int64 {
	out := map[string]int64{}
	if c.Acknowledged != nil {
		for _, topic := range []string{c.Topics.OrderState, c.Topics.CustomerState} {
			out[topic] = c.Acknowledged(topic, n)
		}
	}
	return out
}
