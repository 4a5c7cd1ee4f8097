// Command merchant is how a shop that runs its own Kafka clients takes part: it
// publishes its intents itself, then follows what the providers' webhooks say.
// It shares no code with rampstream: the topics' contract is all it knows.
//
//	merchant -brokers localhost:9092 -registry http://localhost:8081 -intents orders.json
//
// stdout has one JSON line a webhook, stderr everything else.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := runMain(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "merchant:", err)
		os.Exit(1)
	}
}

type settings struct {
	brokers  []string
	registry string
	prefix   string
	intents  string
	group    string
	count    int
}

func parse(args []string, stderr io.Writer) (s settings, err error) {
	f := flag.NewFlagSet("merchant", flag.ContinueOnError)
	f.SetOutput(stderr)
	brokers := f.String("brokers", "localhost:9092", "host:port of Kafka brokers, separated by commas")
	f.StringVar(&s.registry, "registry", "http://localhost:8081", "URL of the schema registry")
	f.StringVar(&s.prefix, "prefix", "ramp.", "prefix of the topics' names")
	f.StringVar(&s.intents, "intents", "", "`file` with a JSON array of orders to announce; none if empty")
	f.StringVar(&s.group, "group", "shop", "consumer group that remembers how far the webhooks were read")
	f.IntVar(&s.count, "count", 0, "end after so many webhooks; 0 follows until a signal, -1 reads none")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.brokers = strings.Split(*brokers, ",")
	return s, nil
}

func runMain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	reg := newRegistry(s.registry)
	if s.intents != "" {
		n, err := announce(ctx, s, reg)
		if err != nil {
			return fmt.Errorf("announce: %w", err)
		}
		fmt.Fprintf(stderr, "%d intents acknowledged\n", n)
	}
	if s.count < 0 {
		return nil
	}
	if err := follow(ctx, s, reg, stdout); err != nil && ctx.Err() == nil {
		return fmt.Errorf("follow: %w", err)
	}
	return nil
}

// announce publishes the intents of a file and waits until all are acknowledged.
func announce(ctx context.Context, s settings, reg *registry) (int, error) {
	text, err := os.ReadFile(s.intents)
	if err != nil {
		return 0, err
	}
	var orders []order
	if err := json.Unmarshal(text, &orders); err != nil {
		return 0, fmt.Errorf("%s: %w", s.intents, err)
	}
	topic := s.prefix + "intent.v1"
	schema, err := reg.latest(ctx, topic+"-value")
	if err != nil {
		return 0, err
	}
	w := &kafka.Writer{
		Addr: kafka.TCP(s.brokers...), Topic: topic,
		// Java's partitioner. kafka-go's default, or librdkafka's, puts a key into
		// another partition, where rampstream sets the record aside.
		Balancer:     kafka.Murmur2Balancer{Consistent: true},
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: 10 * time.Millisecond,
	}
	now := time.Now()
	messages := make([]kafka.Message, 0, len(orders))
	for _, o := range orders {
		value, err := schema.encode(o.intent(now))
		if err != nil {
			return 0, fmt.Errorf("order %s: %w", o.key(), err)
		}
		messages = append(messages, kafka.Message{Key: []byte(o.key()), Value: value})
	}
	return len(messages), errors.Join(w.WriteMessages(ctx, messages...), w.Close())
}

// follow prints webhooks as they come. The group remembers a position only after
// the line is written, so that a crash repeats lines and loses none.
func follow(ctx context.Context, s settings, reg *registry, out io.Writer) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: s.brokers, GroupID: s.group, Topic: s.prefix + "webhook.v1", StartOffset: kafka.FirstOffset,
		MaxWait: 500 * time.Millisecond, IsolationLevel: kafka.ReadCommitted,
	})
	defer func() { _ = r.Close() }()
	for n := 0; s.count == 0 || n < s.count; n++ {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return err
		}
		schema, err := reg.of(ctx, m.Value)
		if err != nil {
			return fmt.Errorf("%s-%d offset %d: %w", m.Topic, m.Partition, m.Offset, err)
		}
		line, err := schema.line(m.Value)
		if err != nil {
			return fmt.Errorf("%s-%d offset %d: %w", m.Topic, m.Partition, m.Offset, err)
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
		if err := r.CommitMessages(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
