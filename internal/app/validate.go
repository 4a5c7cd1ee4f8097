package app

import (
	"errors"
	"slices"
	"strings"

	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/providers"
)

// Validate is the configuration's own Validate and what the clients of Kafka and
// of the registry find in their properties, files included: one *config.Error
// with every fault, or nil.
func Validate(cfg config.Config, program string, ps []providers.Provider) error {
	all := &config.Error{}
	if err := cfg.Validate(program, ps, providers.Policy{}); err != nil && !errors.As(err, &all) {
		return err
	}
	faults := all.Faults
	for _, f := range kafka.CheckProperties(cfg.Kafka.Properties) {
		faults = append(faults, "kafka."+f)
	}
	if !slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, "registry.url") }) {
		if err := kafka.CheckRegistry(cfg.Registry.URL, cfg.Registry.Properties); err != nil {
			faults = append(faults, "registry: "+err.Error())
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &config.Error{Faults: faults, Note: all.Note}
}
