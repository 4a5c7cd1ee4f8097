package kafka

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// pins hold the partition count of every topic as it was when the client
// opened. The key of a record decides its partition for ever, so a count that
// changes is refused, never followed. pins are the client's partitioner and may
// be used concurrently.
type pins struct {
	mu      sync.Mutex
	n       map[string]int32
	changed error
}

func newPins() *pins { return &pins{n: map[string]int32{}} }

// check pins topic at n, or compares n with what was pinned before.
func (p *pins) check(topic string, n int32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.n[topic]
	if !ok {
		p.n[topic] = n
		return nil
	}
	if was != n && p.changed == nil {
		p.changed = fmt.Errorf("topic %s: partition count changed from %d to %d; keys would move, so make a new topic with %d partitions: %w",
			topic, was, n, was, stream.ErrRefused)
	}
	if was != n {
		return p.changed
	}
	return nil
}

// refused is the first change that was seen, nil while there is none.
func (p *pins) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

func (p *pins) count(topic string) (int32, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.n[topic]
	return n, ok
}

// ForTopic makes pins a kgo.Partitioner.
func (p *pins) ForTopic(topic string) kgo.TopicPartitioner { return &topicPins{pins: p, topic: topic} }

// topicPins are for one record at a time, as the client promises.
type topicPins struct {
	pins  *pins
	topic string
	n     int // the pinned count, once a record had it; it never changes
}

// RequiresConsistency makes the client hand over the whole partition count, not
// only the partitions that can be written to now.
func (*topicPins) RequiresConsistency(*kgo.Record) bool { return true }

// Partition returns -1, which fails the record, where the topic changed.
func (t *topicPins) Partition(r *kgo.Record, n int) int {
	if n != t.n {
		if t.pins.check(t.topic, int32(n)) != nil {
			return -1
		}
		t.n = n
	}
	if r.Partition < 0 {
		return int(stream.PartitionOf(r.Key, int32(n)))
	}
	return int(r.Partition)
}

// pinTopics asks for the topics' metadata and pins their counts. A missing
// topic is ErrRefused with the command that creates it.
func pinTopics(ctx context.Context, cl *kgo.Client, p *pins, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	md, err := metadata(ctx, kadm.NewClient(cl), topics)
	if err != nil {
		return err
	}
	for _, name := range topics {
		t, ok := md.Topics[name]
		if !ok {
			t.Err = kerr.UnknownTopicOrPartition
		}
		if t.Err != nil {
			return topicError(name, t.Err)
		}
		if err := p.check(name, int32(len(t.Partitions))); err != nil {
			return err
		}
	}
	return nil
}

func topicError(name string, err error) error {
	if err == kerr.UnknownTopicOrPartition { //nolint:errorlint // kerr values are never wrapped here
		return fmt.Errorf("topic %s does not exist (rampctl topics apply creates it): %w", name, Classify(err))
	}
	return wrap("topic "+name, err)
}

// coPartitioned checks that the pinned counts of topics are equal.
func coPartitioned(p *pins, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	for _, name := range topics[1:] {
		first, _ := p.count(topics[0])
		if n, _ := p.count(name); n != first {
			return fmt.Errorf("topics %s (%d partitions) and %s (%d) must have equal partition counts; make a new topic with the right count: %w",
				topics[0], first, name, n, stream.ErrRefused)
		}
	}
	return nil
}
