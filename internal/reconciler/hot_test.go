package reconciler_test

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

var hotEvents = flag.Int("hot", 30_000, "events of the one order in TestEngine_oneHotOrder")

// R14: an order about which no end of events comes, with ever new words, costs
// what its vocabulary allows: state, memory and the work for a batch stop growing,
// and the orders beside it are joined in the same batch. -hot 1000000 is a
// million.
func TestEngine_oneHotOrder(t *testing.T) {
	w := newWorld(t)
	const batch = 1000
	batches := *hotEvents / batch
	var size []int
	var held []uint64
	var cpu []time.Duration
	words := []string{"wait", "run", "fail", "done"}
	for i := range batches {
		w.now = minute(i)
		rs := make([]stream.Record, 0, batch)
		for n := range batch - 1 {
			at, word := minute(i)-events.Millis(batch-n), words[n%len(words)]
			if n%3 == 0 {
				word = fmt.Sprintf("odd-%d-%d", i, n)
			}
			if n%2 == 0 {
				rs = append(rs, w.hook("hot", word, at, events.TrustSigned))
			} else {
				rs = append(rs, w.check("hot", word, at, events.CauseSchedule))
			}
		}
		beside := fmt.Sprintf("o%d", i)
		rs = append(rs, w.hook(beside, "wait", minute(i), events.TrustSigned))
		for n := range rs { // as a log would have them
			rs[n].Offset, rs[n].TimestampMs, rs[n].AppendTime = int64(i*batch+n), int64(w.now), true
			rs[n].Partition = stream.PartitionOf(rs[n].Key, partitions)
		}
		began := cpuTime()
		b, err := w.eng.Step(t.Context(), rs, true)
		if err != nil {
			t.Fatal(err)
		}
		cpu = append(cpu, cpuTime()-began)
		joined := false
		for _, r := range b.Out {
			if r.Topic != topics.OrderState {
				continue
			}
			if string(r.Key) == key("hot").String() {
				size = append(size, len(r.Value))
			}
			joined = joined || string(r.Key) == key(beside).String()
		}
		if !joined {
			t.Fatalf("batch %d: the order beside the hot one was not joined", i)
		}
		if err := w.eng.Accept(); err != nil {
			t.Fatal(err)
		}
		if i == batches/10 || i == batches-1 {
			held = append(held, heap())
		}
	}
	tenth := batches / 10
	if first, last := size[tenth], size[len(size)-1]; last > first*5/4 {
		t.Errorf("the state has %d bytes after %d events, %d after all: it grows", first, tenth*batch, last)
	}
	if grown := int64(held[1]) - int64(held[0]); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes from a tenth of the events to all", grown)
	}
	if first, last := sumOf(cpu[tenth:2*tenth]), sumOf(cpu[batches-tenth:]); last > 3*first {
		t.Errorf("%d batches took %v of a processor, and the last as many %v: the work grows", tenth, first, last)
	}
	t.Logf("%d events: the state has %d bytes, a batch of %d took %v", *hotEvents, size[len(size)-1], batch, sumOf(cpu)/time.Duration(batches))
}

// heap is what is live.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func sumOf(ds []time.Duration) (sum time.Duration) {
	for _, d := range ds {
		sum += d
	}
	return sum
}
