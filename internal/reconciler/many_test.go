package reconciler_test

import (
	"flag"
	"testing"
	"time"

	"rampstream/internal/events"
)

var manyOrders = flag.Int("orders", 30_000, "orders in TestEngine_manyOrders")

// R14: the orders of a partition cost what their states are, outside of the
// collector's heap, and the work for a batch does not grow with how many there
// are. -orders 10000000 is ten million, in 7 GB.
func TestEngine_manyOrders(t *testing.T) {
	w := newWorld(t)
	w.now = minute(1000)
	const batch = 1000
	batches := *manyOrders / batch
	var heaps []uint64
	var cpu []time.Duration
	for i := range batches {
		hooks, checks := w.lives(i*batch, batch, 0), w.lives(i*batch, batch, 1)
		began := cpuTime()
		w.take(hooks)
		w.take(checks)
		cpu = append(cpu, cpuTime()-began)
		if i == batches/10 || i == batches-1 {
			heaps = append(heaps, heap())
		}
	}
	if n := w.eng.States(); n != *manyOrders {
		t.Errorf("%d states of %d orders", n, *manyOrders)
	}
	live, held := w.eng.Memory()
	each := live / int64(*manyOrders)
	// An eighth is dead at most, and each partition has a chunk that is not full
	// and one more that was emptied into it.
	if each > 800 || held > live*5/4+partitions*(2*4<<20) {
		t.Errorf("%d bytes an order, %d bytes held for %d", each, held, live)
	}
	// The index is in the heap, without a pointer: 8 bytes a slot.
	grown := int64(heaps[1]) - int64(heaps[0])
	if grown > 1<<20+32*int64(*manyOrders) {
		t.Errorf("the heap grew by %d bytes from a tenth of the orders to all", grown)
	}
	tenth := batches / 10
	first, last := sumOf(cpu[tenth:2*tenth]), sumOf(cpu[batches-tenth:])
	if last > 3*first {
		t.Errorf("%d batches took %v of a processor, and the last as many %v: the work grows", tenth, first, last)
	}
	b, err := w.eng.Step(t.Context(), w.lives(0, batch, 4), true) // of the oldest
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, r := range b.Out {
		if r.Topic != topics.OrderState {
			continue
		}
		st, err := w.codec.DecodeState(t.Context(), r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if st.Status == events.StatusCompleted && len(st.Evidence) > 2 {
			done++
		}
	}
	if done != batch {
		t.Errorf("%d of the %d oldest orders are done by all that was said about them", done, batch)
	}
	t.Logf("%d orders: %d bytes each, %d MiB held, a heap of %d MiB that grew by %d KiB; a batch of %d took %v at first and %v at last",
		*manyOrders, each, held>>20, heaps[1]>>20, grown>>10, batch, first/time.Duration(tenth), last/time.Duration(tenth))
}
