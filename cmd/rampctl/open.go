package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/config"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
)

// known are the providers of this build.
func known() []providers.Provider {
	return []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider}
}

// load reads the configuration and checks what a program needs of it.
func (c *cli) load(program string) (config.Config, error) {
	cfg, err := config.Load(c.path(), c.env, nil)
	if err != nil {
		return config.Config{}, err
	}
	return cfg, app.Validate(cfg, program, known())
}

// path is the configuration file.
func (c *cli) path() string {
	if _, err := os.Stat(c.file); err != nil && !c.named {
		return "" // the default file is optional: everything may come from RAMP_...
	}
	return c.file
}

// kafkaConfig is the client configuration of rampctl.
func kafkaConfig(cfg config.Config) kafka.Config {
	return kafka.Config{Brokers: cfg.Kafka.Brokers, Properties: cfg.Kafka.Properties, ClientID: "rampctl"}
}

// closeWait bounds the wait for what is on its way when a command ends before it is
// acknowledged: no broker may answer any more.
const closeWait = 5 * time.Second

// closeProducer flushes and closes, also after an interrupt.
func closeProducer(p *kafka.Producer) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	return p.Close(ctx)
}

// reading is an open view on the topics.
type reading struct {
	inspect.Reader
	cfg config.Config
	log *kafka.Log
}

func (r reading) Close() { r.log.Close() }

// open connects for reading: the configured names, any writer schema.
func (c *cli) open(ctx context.Context) (reading, error) {
	cfg, err := c.load("rampctl")
	if err != nil {
		return reading{}, err
	}
	return openReading(ctx, cfg)
}

// openReading refuses another partition count than the topics have: it would
// read some of their partitions and take them for all.
func openReading(ctx context.Context, cfg config.Config) (reading, error) {
	if err := kafka.CheckVisiblePartitions(ctx, kafkaConfig(cfg), cfg.Topics.Names().All(), cfg.Topics.Partitions); err != nil {
		return reading{}, err
	}
	reg, err := app.OpenRegistry(cfg)
	if err != nil {
		return reading{}, err
	}
	cd, err := app.OpenReader(reg)
	if err != nil {
		return reading{}, err
	}
	log, err := kafka.OpenLog(kafkaConfig(cfg))
	if err != nil {
		return reading{}, err
	}
	return reading{cfg: cfg, log: log, Reader: inspect.Reader{Log: log, Codec: cd, Topics: cfg.Topics.Names(), Partitions: cfg.Topics.Partitions}}, nil
}

// line prints one JSON line.
func (c *cli) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("json: %w", err)
	}
	_, err = fmt.Fprintf(c.out, "%s\n", b)
	return err
}
