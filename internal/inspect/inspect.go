// Package inspect reads rampstream's topics for people: the latest states, the
// open discrepancies, the raw log. It joins no group, writes nothing and calls
// no provider.
package inspect

import (
	"context"
	"fmt"
	"sync"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// Reader follows topics from a log.
type Reader struct {
	Log        stream.Log
	Codec      *codec.Codec
	Topics     stream.Topics
	Partitions int32
}

// A Cursor remembers how far each partition of one topic was read.
type Cursor struct {
	Topic string
	next  map[int32]int64
}

// Scan calls fn for every committed record of the cursor's topic that it has
// not seen, up to the end as it is now, and moves the cursor. Partitions are
// read in parallel; fn is called by one goroutine at a time, in offset order
// within a partition.
func (r Reader) Scan(ctx context.Context, c *Cursor, fn func(stream.Record) error) error {
	if c.next == nil {
		c.next = map[int32]int64{}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var first error
	for n := range r.Partitions {
		wg.Go(func() {
			err := r.scan(ctx, c, n, &mu, fn)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return first
}

func (r Reader) scan(ctx context.Context, c *Cursor, n int32, mu *sync.Mutex, fn func(stream.Record) error) error {
	ends, err := r.Log.Ends(ctx, n, c.Topic)
	if err != nil {
		return err
	}
	mu.Lock()
	from, known := c.next[n]
	mu.Unlock()
	rng := ends[c.Topic]
	if !known || from < rng.Start {
		from = rng.Start
	}
	if from >= rng.End {
		return nil
	}
	err = r.Log.Read(ctx, c.Topic, n, from, rng.End, true, func(rec stream.Record) error {
		mu.Lock()
		defer mu.Unlock()
		return fn(rec)
	})
	if err == nil {
		mu.Lock()
		c.next[n] = rng.End
		mu.Unlock()
	}
	return err
}

// FromEnd moves a cursor to the present end of every partition.
func (r Reader) FromEnd(ctx context.Context, topic string) (*Cursor, error) {
	c := &Cursor{Topic: topic, next: map[int32]int64{}}
	for n := range r.Partitions {
		ends, err := r.Log.Ends(ctx, n, topic)
		if err != nil {
			return nil, err
		}
		c.next[n] = ends[topic].End
	}
	return c, nil
}

// Table is the latest live state of every order and customer, kept by Refresh.
type Table struct {
	reader            Reader
	orders, customers Cursor
	states            map[events.Key]events.State
}

// NewTable makes an empty table.
func NewTable(r Reader) *Table {
	return &Table{reader: r, orders: Cursor{Topic: r.Topics.OrderState}, customers: Cursor{Topic: r.Topics.CustomerState},
		states: map[events.Key]events.State{}}
}

// Refresh reads what is new and reports how many records that was.
func (t *Table) Refresh(ctx context.Context) (n int, err error) {
	for _, c := range []*Cursor{&t.orders, &t.customers} {
		err := t.reader.Scan(ctx, c, func(rec stream.Record) error {
			n++
			key, err := events.ParseKey(string(rec.Key))
			if err != nil {
				return fmt.Errorf("%s-%d offset %d: %w", rec.Topic, rec.Partition, rec.Offset, err)
			}
			if rec.Value == nil {
				delete(t.states, key)
				return nil
			}
			st, err := t.reader.decode(ctx, key, rec.Value)
			if err != nil {
				return fmt.Errorf("%s-%d offset %d: %w", rec.Topic, rec.Partition, rec.Offset, err)
			}
			t.states[key] = st
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (r Reader) decode(ctx context.Context, key events.Key, value []byte) (events.State, error) {
	if key.Kind == events.Customer {
		return r.Codec.DecodeCustomerState(ctx, value)
	}
	return r.Codec.DecodeOrderState(ctx, value)
}

// States is the table itself; it must not be changed.
func (t *Table) States() map[events.Key]events.State { return t.states }

// State reads the latest state of one key: only its partition is read. ok is
// false when there is none.
func (r Reader) State(ctx context.Context, key events.Key) (st events.State, ok bool, err error) {
	topic := r.Topics.OrderState
	if key.Kind == events.Customer {
		topic = r.Topics.CustomerState
	}
	var value []byte
	n := stream.PartitionOf([]byte(key.String()), r.Partitions)
	ends, err := r.Log.Ends(ctx, n, topic)
	if err != nil {
		return events.State{}, false, err
	}
	err = r.Log.Read(ctx, topic, n, ends[topic].Start, ends[topic].End, true, func(rec stream.Record) error {
		if string(rec.Key) == key.String() {
			value = append([]byte(nil), rec.Value...)
		}
		return nil
	})
	if err != nil || len(value) == 0 {
		return events.State{}, false, err
	}
	st, err = r.decode(ctx, key, value)
	return st, err == nil, err
}

// Discrepancies reads the latest of every live discrepancy.
func (r Reader) Discrepancies(ctx context.Context) ([]events.Discrepancy, error) {
	latest := map[string][]byte{}
	err := r.Scan(ctx, &Cursor{Topic: r.Topics.Discrepancy}, func(rec stream.Record) error {
		if rec.Value == nil {
			delete(latest, string(rec.Key))
			return nil
		}
		latest[string(rec.Key)] = append([]byte(nil), rec.Value...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]events.Discrepancy, 0, len(latest))
	for _, v := range latest {
		d, err := r.Codec.DecodeDiscrepancy(ctx, v)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
