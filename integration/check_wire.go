package integration

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/linkedin/goavro/v2"
	"github.com/segmentio/kafka-go"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// wire: no transaction is open, and every value of every Avro topic, aborted
// ones included, is read by goavro with the registry's schema and written again
// to the same bytes.
func (c *checker) wire() error {
	for t, ns := range c.High {
		for n, high := range ns {
			if c.Stable[t][n] != high {
				c.fail(Hanging, "%s-%d is stable to %d of %d", t, n, c.Stable[t][n], high)
			}
		}
	}
	for _, t := range c.Topics.All() {
		if t == c.Topics.DeadLetter {
			continue
		}
		for _, r := range slices.Concat(c.All[t]...) {
			if r.Value == nil || c.setAside(r) {
				continue
			}
			if err := c.readable(r.Value); err != nil {
				c.fail(Unreadable, "%s: %v", at(r), err)
			}
		}
	}
	return c.ctx.Err()
}

// setAside reports whether the reconciler wrote a dead letter for an input: then
// it need not be readable.
func (c *checker) setAside(r stream.Record) bool {
	if !slices.Contains(c.Topics.Inputs(), r.Topic) {
		return false
	}
	found := false
	c.Each(c.Topics.DeadLetter, func(d stream.Record) {
		w, ok := origin(d)
		found = found || ok && w == at(r)
	})
	return found
}

func (c *checker) readable(value []byte) error {
	id, ok := codec.SchemaID(value)
	if !ok {
		return fmt.Errorf("no schema id in front")
	}
	avro := c.avro[id]
	if avro == nil {
		text, err := c.Schema(c.ctx, id)
		if err != nil {
			return err
		}
		if avro, err = goavro.NewCodec(text); err != nil {
			return fmt.Errorf("schema %d: %w", id, err)
		}
		c.avro[id] = avro
	}
	body := codec.Body(value)
	native, rest, err := avro.NativeFromBinary(body)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes too many", len(rest))
	}
	again, err := avro.BinaryFromNative(nil, native)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, body) {
		return fmt.Errorf("written again it differs")
	}
	return nil
}

// murmur2 is another implementation than the programs'.
var murmur2 = kafka.Murmur2Balancer{Consistent: true}

// partitionOf is where Java's client puts a key.
func (c *checker) partitionOf(key string) int32 {
	all := make([]int, c.Partitions)
	for i := range all {
		all[i] = i
	}
	return int32(murmur2.Balance(kafka.Message{Key: []byte(key)}, all...))
}

// placement: the record key is the one that the value states, and the partition
// is that of the key, or of the lane in check-schedule.
func (c *checker) placement() {
	for w, in := range c.inputs {
		if in.bad == "" && c.partitionOf(in.key.String()) != w.partition {
			c.fail(Misplaced, "%s: key %s belongs to partition %d", w, in.key, c.partitionOf(in.key.String()))
		}
	}
	c.placed(c.Topics.Transition, func(v []byte) (string, error) {
		t, err := c.Codec.DecodeTransition(c.ctx, v)
		return t.Key.String(), err
	})
	c.placed(c.Topics.OrderState, func(v []byte) (string, error) {
		s, err := c.Codec.DecodeOrderState(c.ctx, v)
		return s.Key.String(), err
	})
	c.placed(c.Topics.CustomerState, func(v []byte) (string, error) {
		s, err := c.Codec.DecodeCustomerState(c.ctx, v)
		return s.Key.String(), err
	})
	c.placed(c.Topics.Discrepancy, func(v []byte) (string, error) {
		d, err := c.Codec.DecodeDiscrepancy(c.ctx, v)
		return d.RecordKey(), err
	})
	c.placed(c.Topics.LaneState, func(v []byte) (string, error) {
		l, err := c.Codec.DecodeLaneState(c.ctx, v)
		return string(l.Lane), err
	})
	c.placed(c.Topics.CheckSchedule, func(v []byte) (string, error) {
		t, err := c.Codec.DecodeCheckTask(c.ctx, v)
		return t.Key.String(), err
	})
	c.placed(c.Topics.ReconcilerPosition, func(v []byte) (string, error) {
		p, err := c.Codec.DecodePosition(c.ctx, v)
		return strconv.Itoa(int(p.Partition)), err
	})
}

func (c *checker) placed(topic string, keyOf func([]byte) (string, error)) {
	c.Each(topic, func(r stream.Record) {
		key := string(r.Key)
		if r.Value != nil {
			switch stated, err := keyOf(r.Value); {
			case err != nil:
				c.fail(Unreadable, "%s: %v", at(r), err)
			case stated != key:
				c.fail(Misplaced, "%s: the record key is %s, the value states %s", at(r), key, stated)
			}
		}
		if want := c.home(topic, key); want != r.Partition {
			c.fail(Misplaced, "%s: key %s belongs to partition %d", at(r), key, want)
		}
	})
}

// home is the partition of a record key in a topic.
func (c *checker) home(topic, key string) int32 {
	switch topic {
	case c.Topics.CheckSchedule:
		k, err := events.ParseKey(key)
		if err != nil {
			return -1
		}
		return c.partitionOf(string(k.Lane()))
	case c.Topics.ReconcilerPosition:
		n, err := strconv.Atoi(key)
		if err != nil {
			return -1
		}
		return int32(n)
	}
	return c.partitionOf(key)
}

// silence: no secret string stands in any record, aborted ones included, or in
// what the programs wrote.
func (c *checker) silence() {
	for _, s := range c.Secret {
		if strings.Contains(c.Output, s) {
			c.fail(Leaked, "a program wrote %q", s)
		}
	}
	for _, parts := range c.All {
		for _, r := range slices.Concat(parts...) {
			text := slices.Concat(r.Key, []byte{0}, r.Value)
			for _, h := range r.Headers {
				text = slices.Concat(text, []byte{0}, h.Value)
			}
			for _, s := range c.Secret {
				if bytes.Contains(text, []byte(s)) {
					c.fail(Leaked, "%s holds %q", at(r), s)
				}
			}
		}
	}
}
