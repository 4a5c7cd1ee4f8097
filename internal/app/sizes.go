package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// The largest records of ingest, in bytes. A webhook keeps listed facts, each of
// them bounded; an intent has at most the 16 KiB of its body, and a dead letter
// its headers and, where raw bodies are kept, one of those.
const (
	webhookRecord    = 32 << 10
	intentRecord     = 32 << 10
	deadLetterRecord = 16 << 10
)

// most is what topics are made to take. A raw body beyond it is told by its digest.
const most = 1 << 20

// largest says how large a record of each of ingest's topics can become.
func largest(c config.Config) map[string]int {
	t := c.Topics.Names()
	letter := deadLetterRecord
	if c.DeadLetter.RawBodies {
		letter = min(letter+int(c.Ingest.MaxBody), most)
	}
	return map[string]int{t.Webhook: webhookRecord, t.Intent: intentRecord, t.DeadLetter: letter}
}

// sizes refuses to start on topics that take less than the largest record: the
// broker would refuse single deliveries, weeks later, and a repeat would not
// help. The limits need a right that ingest can do without (DESCRIBE_CONFIGS);
// without it the start goes on and says so.
func (p Program) sizes(ctx context.Context, client string, least map[string]int) error {
	cfg := p.kafka(client)
	cfg.Registerer = nil // a short-lived client: its metrics would collide
	topics := slices.Sorted(maps.Keys(least))
	configs, err := kafka.TopicConfigs(ctx, cfg, topics...)
	if errors.Is(err, stream.ErrRefused) {
		p.Log.Warn("limits of topics not readable", "error", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	var faults []error
	for _, topic := range topics {
		have, err := strconv.Atoi(configs[topic]["max.message.bytes"])
		if err == nil && have < least[topic] {
			faults = append(faults, fmt.Errorf("%s takes records of %d bytes (max.message.bytes), ingest writes up to %d: raise it with rampctl topics apply: %w",
				topic, have, least[topic], stream.ErrRefused))
		}
	}
	return errors.Join(faults...)
}
