package slab_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"rampstream/internal/table"
	"rampstream/internal/table/slab"
	"rampstream/internal/table/tabletest"
)

func TestContract(t *testing.T) {
	tabletest.Run(t, func(testing.TB) table.Table { return slab.New() })
}

// However often orders change, the table holds little more than what is alive.
func TestTable_deadSpaceIsBounded(t *testing.T) {
	const keys, size, chunk = 20_000, 600, 4 << 20
	rng := rand.New(rand.NewPCG(5, 6))
	tb := slab.New()
	defer tb.Close()
	value := bytes.Repeat([]byte{1}, size)
	for i := range 15 * keys {
		k := binary.BigEndian.AppendUint32(nil, uint32(rng.IntN(keys)))
		if err := tb.Put(k, value[:size-rng.IntN(200)]); err != nil {
			t.Fatal(err)
		}
		if live, held := tb.Size(); i%1000 == 0 && held > live*5/4+3*chunk {
			t.Fatalf("after %d puts %d bytes are held for %d", i, held, live)
		}
	}
}

// Chunk numbers are reused: one that stays the oldest is emptied in time.
func TestTable_chunkNumbersWrap(t *testing.T) {
	tb := slab.New()
	tb.SetWindow(8)
	defer tb.Close()
	cold := bytes.Repeat([]byte("cold"), 1000)
	for i := range 200 {
		if err := tb.Put([]byte{byte(i)}, cold); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100_000 {
		if err := tb.Put([]byte("hot"), make([]byte, 1000+i%2000)); err != nil {
			t.Fatal(err)
		}
	}
	if n := tb.Window(); n > 12 {
		t.Errorf("chunk numbers span %d, want about 8", n)
	}
	for i := range 200 {
		if got, _, _ := tb.Get(nil, []byte{byte(i)}); !bytes.Equal(got, cold) {
			t.Fatalf("a value that never changed is %d bytes after its chunk was emptied", len(got))
		}
	}
}

// One hot order: a million changes leave no trace in memory.
func TestTable_oneHotKey(t *testing.T) {
	tb := slab.New()
	defer tb.Close()
	value := make([]byte, 3000)
	for i := range 100_000 {
		if err := tb.Put([]byte("hot"), value[:1000+i%2000]); err != nil {
			t.Fatal(err)
		}
	}
	if _, held := tb.Size(); held > 16<<20 {
		t.Errorf("one key holds %d bytes", held)
	}
}

// The collector has nothing to look at: 200,000 records are fewer than 2,000
// objects of its heap.
func TestTable_isNotInTheHeap(t *testing.T) {
	objects := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapObjects
	}
	before := objects()
	tb := slab.New()
	for i := range 200_000 {
		k := binary.BigEndian.AppendUint64(nil, uint64(i))
		if err := tb.Put(k, bytes.Repeat(k, 40)); err != nil {
			t.Fatal(err)
		}
	}
	if after := objects(); after > before+2000 {
		t.Errorf("200,000 records are %d objects", after-before)
	}
	if err := tb.Close(); err != nil {
		t.Fatal(err)
	}
	if live, held := tb.Size(); live != 0 || held != 0 || tb.Len() != 0 {
		t.Errorf("after Close %d keys and %d of %d bytes are left", tb.Len(), live, held)
	}
}
