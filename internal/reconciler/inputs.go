package reconciler

import (
	"context"
	"fmt"
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
	ids, err := log.Identify(ctx, inputs...)
	if err != nil {
		return "", err
	}
	now := make([]string, len(inputs))
	for i, topic := range inputs {
		now[i] = ids[topic]
	}
	was := strings.Split(of, ",")
	for i, topic := range inputs {
		if of != "" && i < len(was) && was[i] != now[i] {
			return "", fmt.Errorf("%s was deleted and made anew: the position is in the topic with id %s, this one has %s: %w", topic, was[i], now[i], stream.ErrLoss)
		}
	}
	return strings.Join(now, ","), nil
}
