package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"rampstream/internal/flock"
	"rampstream/internal/table"
	"rampstream/internal/table/disk"
	"rampstream/internal/table/tabletest"
)

func open(t testing.TB, path string) *disk.Store {
	t.Helper()
	s, err := disk.Open(path, 1<<20, func(err error) { panic(err) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	var partition atomic.Int32
	tabletest.Run(t, func(t testing.TB) table.Table {
		tb, err := s.OpenTable(partition.Add(1) % 8) // the neighbours of a partition are there too
		if err != nil {
			t.Fatal(err)
		}
		return tb
	})
}

// Tables of one store know nothing of each other.
func TestStore_partitionsAreApart(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	var tables []table.Table
	for n := range int32(3) {
		tb, err := s.OpenTable(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := tb.Put([]byte("key"), fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, tb)
	}
	if err := tables[1].Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 2} {
		if got, ok, err := tables[n].Get(nil, []byte("key")); err != nil || !ok || string(got) != fmt.Sprint(n) {
			t.Errorf("table %d = %q, %v, %v after its neighbour was closed", n, got, ok, err)
		}
	}
	again, err := s.OpenTable(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := again.Get(nil, []byte("key")); ok || err != nil || again.Len() != 0 {
		t.Errorf("a table that is opened again has %d keys of the one before", again.Len())
	}
}

// What a process left is no one's truth: the next one begins with nothing. Other
// files of the folder are left alone.
func TestOpen_discards(t *testing.T) {
	path := t.TempDir()
	foreign := filepath.Join(path, "foreign")
	if err := os.WriteFile(foreign, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	tb, err := s.OpenTable(0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 80 {
		if err := tb.Put(fmt.Append(nil, i), bytes.Repeat([]byte("v"), 1<<20)); err != nil { // more than the memtables
			t.Fatal(err)
		}
	}
	if _, err := disk.Open(path, 1<<20, nil); !errors.Is(err, flock.ErrHeld) {
		t.Errorf("a second store of one folder = %v, want ErrHeld", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if tb, err = s.OpenTable(0); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := tb.Get(nil, []byte("7")); ok || err != nil {
		t.Errorf("the store has what an earlier one left: %v, %v", ok, err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file of the operator's: %v", err)
	}
}
