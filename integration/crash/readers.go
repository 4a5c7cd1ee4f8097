package main

import (
	"context"

	"rampstream/integration"
)

// others lets the other clients read what kgo has read.
func (r *rig) others(ctx context.Context, res *result) ([]string, error) {
	var lines []string
	readers := integration.OtherReaders(".")
	if len(readers) == 0 {
		return []string{"no other client is installed"}, nil
	}
	for _, reader := range readers {
		found, line, err := reader.Agree(ctx, r.ground.Config.Kafka.Brokers, res.run.History)
		if err != nil {
			return nil, err
		}
		res.found = append(res.found, found...)
		lines = append(lines, line)
	}
	return lines, nil
}
