package integration

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// input is one record of an input topic, decoded.
type input struct {
	key    events.Key
	id     events.EventID
	signed bool // not a hint
	rows   []events.Evidence
	bad    string // why it must be set aside; "" when it must be joined
}

// readInputs decodes the inputs and says of each whether it can be joined.
func (c *checker) readInputs() {
	c.inputs = map[coordinate]input{}
	for _, t := range c.Topics.Inputs() {
		c.Each(t, func(r stream.Record) {
			in := c.decodeInput(r)
			switch {
			case in.bad != "":
			case in.key.String() != string(r.Key):
				in.bad = "WRONG_RECORD"
			case c.partitionOf(string(r.Key)) != r.Partition:
				in.bad = "WRONG_PARTITION"
			}
			c.inputs[at(r)] = in
		})
	}
}

func (c *checker) decodeInput(r stream.Record) input {
	w := order.Where{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	if r.AppendTime {
		w.AppendedAt = events.Millis(r.TimestampMs)
	}
	switch r.Topic {
	case c.Topics.Webhook:
		if v, err := c.Codec.DecodeWebhook(c.ctx, r.Value); err == nil {
			return input{key: v.Key, id: v.EventID, signed: v.Trust == events.TrustSigned, rows: c.Rules.FromWebhook(v, w)}
		}
	case c.Topics.Intent:
		if v, err := c.Codec.DecodeIntent(c.ctx, r.Value); err == nil {
			return input{key: v.Key, id: v.EventID, signed: true, rows: c.Rules.FromIntent(v, w)}
		}
	case c.Topics.StatusCheck:
		if v, err := c.Codec.DecodeStatusCheck(c.ctx, r.Value); err == nil {
			return input{key: v.Key, id: v.EventID, signed: true, rows: c.Rules.FromCheck(v, w)}
		}
	}
	return input{bad: "UNDECODABLE"}
}

// positions: the last position of each partition counts and digests the states
// of that partition, and lies within the inputs.
func (c *checker) positions() {
	for _, t := range c.Topics.Inputs() {
		c.next[t] = make([]int64, c.Partitions)
	}
	last := c.Latest(c.Topics.ReconcilerPosition)
	for n := range c.Partitions {
		states, digest := c.digest(n)
		r, ok := last[strconv.Itoa(int(n))]
		if !ok {
			if states > 0 {
				c.fail(WrongPosition, "partition %d has %d states and no position", n, states)
			}
			continue
		}
		pos, err := c.Codec.DecodePosition(c.ctx, r.Value)
		if err != nil {
			c.fail(Unreadable, "%s: %v", at(r), err)
			continue
		}
		if pos.States != states || pos.Digest != digest {
			c.fail(WrongPosition, "partition %d has %d states with digest %s; the position says %d, %s", n, states, digest, pos.States, pos.Digest)
		}
		for _, in := range pos.Next {
			if c.next[in.Topic] == nil || in.Offset > c.High[in.Topic][n] {
				c.fail(WrongPosition, "partition %d: %s at %d, which is not within the log", n, in.Topic, in.Offset)
				continue
			}
			c.next[in.Topic][n] = in.Offset
		}
	}
}

// digest counts the live states of a partition and sums XXH3-128 over the key's
// length, key and value, modulo 2^128.
func (c *checker) digest(n int32) (states int64, digest string) {
	sum := new(big.Int)
	for _, t := range []string{c.Topics.OrderState, c.Topics.CustomerState} {
		live := map[string][]byte{}
		for _, r := range c.Committed[t][n] {
			live[string(r.Key)] = r.Value
		}
		for key, value := range live {
			if value == nil {
				continue
			}
			text := binary.BigEndian.AppendUint64(nil, uint64(len(key)))
			hash := xxh3.Hash128(slices.Concat(text, []byte(key), value)).Bytes()
			sum.Add(sum, new(big.Int).SetBytes(hash[:]))
			states++
		}
	}
	sum.Mod(sum, new(big.Int).Lsh(big.NewInt(1), 128))
	return states, hex.EncodeToString(sum.FillBytes(make([]byte, 16)))
}

// deadLetters: of the inputs that the reconciler has passed exactly those that
// cannot be joined were set aside, once each, with their bytes.
func (c *checker) deadLetters() {
	aside := map[coordinate]int{}
	c.Each(c.Topics.DeadLetter, func(d stream.Record) {
		w, ok := origin(d)
		if !ok {
			return // of ingest: an HTTP body has no coordinates
		}
		aside[w]++
		i := slices.IndexFunc(c.partition(w), func(r stream.Record) bool { return r.Offset == w.offset })
		if i < 0 {
			c.fail(Unaccounted, "dead letter %s names %s: no such record", at(d), w)
			return
		}
		src := c.partition(w)[i]
		if !bytes.Equal(src.Key, d.Key) || !bytes.Equal(src.Value, d.Value) || !sameHeaders(src, d) {
			c.fail(Unaccounted, "dead letter %s does not keep the bytes of %s", at(d), w)
		}
		if class, _ := d.Header(stream.HeaderErrClass); string(class) != c.inputs[w].bad {
			c.fail(Unaccounted, "dead letter %s of %s is %s, want %s", at(d), w, class, c.inputs[w].bad)
		}
	})
	for w, in := range c.inputs {
		want := 0
		if in.bad != "" && w.offset < c.next[w.topic][w.partition] {
			want = 1
		}
		if aside[w] != want && (!c.AtLeastOnce || want == 0 || aside[w] == 0) {
			c.fail(Unaccounted, "%s (%s) was set aside %d times, want %d", w, in.bad, aside[w], want)
		}
	}
}

func (c *checker) partition(w coordinate) []stream.Record {
	if parts := c.Committed[w.topic]; w.partition >= 0 && int(w.partition) < len(parts) {
		return parts[w.partition]
	}
	return nil
}

func sameHeaders(src, dead stream.Record) bool {
	if len(dead.Headers) < len(src.Headers) {
		return false
	}
	return slices.EqualFunc(src.Headers, dead.Headers[:len(src.Headers)], func(a, b stream.Header) bool {
		return a.Key == b.Key && bytes.Equal(a.Value, b.Value)
	})
}

// origin is where a dead letter of the reconciler came from.
func origin(d stream.Record) (coordinate, bool) {
	topic, _ := d.Header(stream.HeaderErrTopic)
	partition, _ := d.Header(stream.HeaderErrPartition)
	offset, _ := d.Header(stream.HeaderErrOffset)
	p, err1 := strconv.ParseInt(string(partition), 10, 32)
	o, err2 := strconv.ParseInt(string(offset), 10, 64)
	return coordinate{string(topic), int32(p), o}, err1 == nil && err2 == nil && p >= 0 && o >= 0
}
