package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

// Subject is one topic's value schema in the registry.
type Subject struct {
	Topic  string
	Schema string // name in package schemas
	Name   string // TopicNameStrategy: topic + "-value"
}

// Subjects lists the subject of every topic that carries Avro.
func Subjects(t stream.Topics) []Subject {
	var out []Subject
	for _, s := range []struct{ topic, schema string }{
		{t.Webhook, "Webhook"}, {t.Intent, "Intent"}, {t.StatusCheck, "StatusCheck"},
		{t.OrderState, "OrderState"}, {t.CustomerState, "CustomerState"}, {t.Transition, "Transition"},
		{t.Discrepancy, "Discrepancy"}, {t.CheckSchedule, "CheckTask"}, {t.LaneState, "LaneState"},
		{t.ReconcilerPosition, "ReconcilerPosition"},
	} {
		out = append(out, Subject{s.topic, s.schema, s.topic + "-value"})
	}
	return out
}

// OpenRegistry makes the registry client of a configuration.
func OpenRegistry(cfg config.Config) (*kafka.Registry, error) {
	return kafka.OpenRegistry(cfg.Registry.URL, cfg.Registry.Properties)
}

// OpenCodec looks up the id of every schema by content. A schema that is not
// registered is stream.ErrRefused, with the command that registers it; all that
// are missing are named at once. A registry that gives another schema for an id
// than the one it has just named is stream.ErrLoss: what we write with that id
// could not be read.
func OpenCodec(ctx context.Context, cfg config.Config, reg *kafka.Registry) (*codec.Codec, error) {
	ids := map[string]int{}
	var missing []string
	for _, s := range Subjects(cfg.Topics.Names()) {
		id, err := reg.Lookup(ctx, s.Name, schemas.Text(s.Schema))
		if errors.Is(err, kafka.ErrNotRegistered) {
			missing = append(missing, s.Name)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := meant(ctx, reg, s, id); err != nil {
			return nil, err
		}
		ids[s.Schema] = id
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%d schemas are %w; rampctl schemas register registers them: %s: %w", len(missing), kafka.ErrNotRegistered, strings.Join(missing, ", "), stream.ErrRefused)
	}
	return codec.New(ids, resolver{reg})
}

// meant asks the registry back what an id means.
func meant(ctx context.Context, reg *kafka.Registry, s Subject, id int) error {
	text, err := reg.SchemaByID(ctx, id)
	switch {
	case errors.Is(err, kafka.ErrNoSchema):
		text = ""
	case err != nil:
		return fmt.Errorf("subject %s: %w", s.Name, err)
	}
	if !codec.SameRecord(s.Schema, text) {
		return fmt.Errorf("the registry contradicts itself: schema %s of subject %s has id %d, and id %d means something else: %w", s.Schema, s.Name, id, id, stream.ErrLoss)
	}
	return nil
}

// OpenReader is a codec that only reads, whoever wrote.
func OpenReader(reg *kafka.Registry) (*codec.Codec, error) { return codec.New(nil, resolver{reg}) }

// resolver tells the codec apart what the registry does not have and what it
// cannot say.
type resolver struct{ reg *kafka.Registry }

// SchemaByID implements codec.Resolver.
func (r resolver) SchemaByID(ctx context.Context, id int) (string, error) {
	text, err := r.reg.SchemaByID(ctx, id)
	if errors.Is(err, kafka.ErrNoSchema) {
		return "", fmt.Errorf("%w: %w", codec.ErrUnknownSchema, err)
	}
	return text, err
}

// RegisterSchemas registers every schema with its compatibility level.
func RegisterSchemas(ctx context.Context, cfg config.Config, reg *kafka.Registry) (ids map[string]int, err error) {
	ids = map[string]int{}
	for _, s := range Subjects(cfg.Topics.Names()) {
		id, err := reg.Register(ctx, s.Name, schemas.Text(s.Schema), schemas.Compatibility(s.Schema))
		if err != nil {
			return ids, err
		}
		ids[s.Name] = id
	}
	return ids, nil
}
