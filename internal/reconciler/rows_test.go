package reconciler_test

import (
	"slices"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// A row of evidence that another program wrote, in other bytes than ours would
// be, is encoded anew with the first change of its state: equal evidence has
// equal bytes.
func TestEngine_foreignRowsAreNotCopied(t *testing.T) {
	for _, tc := range []struct {
		name string
		next func(w *world) stream.Record
	}{
		{"another row", func(w *world) stream.Record { return w.check("o1", "run", minute(9), events.CauseSchedule) }},
		{"the same row", func(w *world) stream.Record { return w.hook("o1", "wait", minute(0), events.TrustSigned) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.now = minute(20)
			w.append(w.hook("o1", "wait", minute(1), events.TrustSigned))
			w.drain()
			// The last two bytes are a null of the only row, and the end of the rows.
			name := key("o1").String()
			value := w.table(topics.OrderState)[name]
			foreign := append(slices.Clone(value[:len(value)-2]), 0x80, 0, 0)
			w.append(stream.Record{Topic: topics.OrderState, Partition: stream.PartitionOf([]byte(name), partitions), Key: []byte(name), Value: foreign})
			w.believing()
			w.append(tc.next(w))
			w.drain() // holds the bytes to those of an encoding
			w.append(w.check("o1", "done", minute(11), events.CauseSchedule))
			w.drain()
			if got := len(w.state("o1").Evidence); got < 2 {
				t.Fatalf("%d rows: nothing was joined", got)
			}
		})
	}
}
