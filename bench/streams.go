package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/inspect"
	"rampstream/internal/kafka"
	"rampstream/internal/stream"
	"rampstream/schemas"
)

// streamsDir is the peer on Kafka Streams, relative to the module.
const streamsDir = "bench/streams"

// streamsVariant is one way to run it.
type streamsVariant struct {
	name     string
	settings []string
}

// streamsVariants are the defaults of exactly_once_v2, and what one would turn
// for throughput: longer transactions, a cache that holds all keys, bigger
// batches, a thread for each core.
func streamsVariants() []streamsVariant {
	return []streamsVariant{
		{"defaults (commit 100 ms, 1 thread)", nil},
		{"tuned (commit 1 s, 2 threads, cache 256 MiB)", []string{
			"commit.interval.ms=1000", "num.stream.threads=2", "statestore.cache.max.bytes=268435456",
			"producer.linger.ms=50", "producer.batch.size=131072", "producer.compression.type=lz4",
		}},
	}
}

// buildStreams compiles the peer. errNoJava says that it cannot run here.
func buildStreams(ctx context.Context) error {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: %s is not there", errNoJava, tool)
		}
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-Dstyle.color=never", "-f", filepath.Join(streamsDir, "pom.xml"), "package")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w: %s", streamsDir, err, out)
	}
	return nil
}

var errNoJava = errors.New("Kafka Streams is left out")

// measureStreams runs each variant over the filled topics and compares what it
// comes to with ours.
func (b *bed) measureStreams(ctx context.Context, o options, ours map[string]final) error {
	for i, v := range streamsVariants() {
		id := fmt.Sprintf("%sstreams-%d", b.cfg.Topics.Prefix, i)
		if err := b.runStreams(ctx, o, v, id); err != nil {
			return fmt.Errorf("kafka streams: %w", err)
		}
		theirs, err := b.finals(ctx, id+"-order-state-changelog")
		if err != nil {
			return fmt.Errorf("kafka streams: %w", err)
		}
		if err := agree(ours, theirs); err != nil {
			return fmt.Errorf("kafka streams: %w", err)
		}
	}
	return nil
}

func (b *bed) runStreams(ctx context.Context, o options, v streamsVariant, id string) error {
	args, err := b.streamsArgs(ctx, o, id)
	if err != nil {
		return err
	}
	done, end, err := b.committed(id)
	if err != nil {
		return err
	}
	defer end()
	p := &process{cmd: exec.CommandContext(ctx, "java", append(args, v.settings...)...)}
	p.cmd.Stderr, p.cmd.Stdout = &p.log, &p.log
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = p.cmd.Process.Kill() }()
	f, err := p.watch(ctx, began, int64(o.events), done)
	if err != nil {
		return err
	}
	u, err := p.stop()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 143) { // java's answer to SIGTERM
		return err
	}
	row(f.into(reconcilerRow{Bench: "peer: kafka streams, eos v2, rocksdb, " + v.name, Platform: b.name, Partitions: o.partitions,
		Events: o.events, Orders: o.orders, PeakRSSMiB: u.RSS >> 20}))
	return nil
}

// streamsArgs is the command line of the peer, with the registry's ids.
func (b *bed) streamsArgs(ctx context.Context, o options, id string) ([]string, error) {
	reg, err := app.OpenRegistry(b.cfg)
	if err != nil {
		return nil, err
	}
	t := b.cfg.Topics.Names()
	transitions := b.cfg.Topics.Prefix + "streams-transition.v1"
	if err := b.topic(ctx, transitions, o); err != nil {
		return nil, err
	}
	args := append(strings.Fields(o.java), "-cp", filepath.Join(streamsDir, "target", "classes")+":"+filepath.Join(streamsDir, "target", "lib", "*"),
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "rampstream.bench.Main",
		"webhook="+t.Webhook, "check="+t.StatusCheck, "transition="+transitions)
	for name, s := range map[string][2]string{
		"webhook.id": {t.Webhook, "Webhook"}, "check.id": {t.StatusCheck, "StatusCheck"},
		"state.id": {t.OrderState, "OrderState"}, "transition.id": {t.Transition, "Transition"},
	} {
		n, err := reg.Lookup(ctx, s[0]+"-value", schemas.Text(s[1]))
		if err != nil {
			return nil, err
		}
		args = append(args, name+"="+strconv.Itoa(n))
	}
	dir, err := os.MkdirTemp(b.dir, "streams")
	if err != nil {
		return nil, err
	}
	return append(args,
		"application.id="+id, "bootstrap.servers="+strings.Join(b.cfg.Kafka.Brokers, ","), "state.dir="+dir,
		"processing.guarantee=exactly_once_v2", "replication.factor="+strconv.Itoa(o.replicas), "consumer.auto.offset.reset=earliest",
	), nil
}

// topic creates the transitions of the peer as ours is.
func (b *bed) topic(ctx context.Context, name string, o options) error {
	t := b.cfg.Topics.Names()
	t.Transition = name
	var specs []kafka.TopicSpec
	for _, s := range kafka.Specs(t, b.cfg.Topics.Partitions, int16(o.replicas)) {
		if s.Name == name {
			specs = append(specs, s)
		}
	}
	changes, err := kafka.PlanTopics(ctx, b.kafka(), specs)
	if err != nil {
		return err
	}
	return kafka.ApplyTopics(ctx, b.kafka(), changes)
}

// final is what one of the programs came to about an order.
type final struct {
	status   events.Status
	terminal bool
	since    events.Millis
	rows     int
	// sum is the sum of the rows' sightings, first and last.
	sum events.Millis
}

// finals reads the latest state of each key of a topic, with our codec.
func (b *bed) finals(ctx context.Context, topic string) (map[string]final, error) {
	reg, err := app.OpenRegistry(b.cfg)
	if err != nil {
		return nil, err
	}
	cd, err := app.OpenReader(reg)
	if err != nil {
		return nil, err
	}
	log, err := kafka.OpenLog(b.kafka())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	r := inspect.Reader{Log: log, Codec: cd, Topics: b.cfg.Topics.Names(), Partitions: b.cfg.Topics.Partitions}
	latest := map[string][]byte{}
	err = r.Scan(ctx, &inspect.Cursor{Topic: topic}, func(rec stream.Record) error {
		latest[string(rec.Key)] = append([]byte(nil), rec.Value...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make(map[string]final, len(latest))
	for key, value := range latest {
		if out[key], err = finalOf(ctx, cd, value); err != nil {
			return nil, fmt.Errorf("state of %s in %s: %w", key, topic, err)
		}
	}
	return out, nil
}

func finalOf(ctx context.Context, cd *codec.Codec, value []byte) (final, error) {
	st, err := cd.DecodeOrderState(ctx, value)
	if err != nil {
		return final{}, err
	}
	f := final{status: st.Status, terminal: st.Terminal, since: st.Since, rows: len(st.Evidence)}
	for _, e := range st.Evidence {
		f.sum += e.First.At + e.Last.At
	}
	return f, nil
}

// agree fails if the two came to different things about any order.
func agree(ours, theirs map[string]final) error {
	if len(ours) != len(theirs) {
		return fmt.Errorf("it has %d states, we have %d", len(theirs), len(ours))
	}
	for key, want := range ours {
		if got := theirs[key]; got != want {
			return fmt.Errorf("%s: it has %+v, we have %+v", key, got, want)
		}
	}
	fmt.Fprintf(os.Stderr, "bench: both came to the same %d states\n", len(ours))
	return nil
}
