//go:build unix

package checkpoint_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"rampstream/internal/checkpoint"
)

// asFull is the folder of a child process whose disk takes no more.
const asFull = "RAMP_TEST_FULL_DISK"

// A disk that takes no more (here the kernel refuses to let a file grow), at
// whatever byte: the checkpoint that was there stays as it was, nothing is left
// beside it, and the next one is written when there is room.
func TestWriter_fullDisk(t *testing.T) {
	if path := os.Getenv(asFull); path != "" {
		writeWithoutRoom(t, path)
		return
	}
	// In a process of its own: the limit is one of the whole process.
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriter_fullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), asFull+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func writeWithoutRoom(t *testing.T, path string) {
	signal.Ignore(syscall.SIGXFSZ)
	d := openDir(t, path)
	want := write(t, d, "p0", "old", 400)
	old, err := os.Stat(filepath.Join(path, "p0.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	var had syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &had); err != nil {
		t.Fatal(err)
	}
	room := func(bytes uint64) {
		t.Helper()
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: had.Max}); err != nil {
			t.Fatal(err)
		}
	}
	size, tried := uint64(old.Size()), 0
	for limit := uint64(0); limit < size; limit += 1 + size/97 {
		room(limit)
		err := fill(d, "new", 400)
		room(had.Cur)
		if !errors.Is(err, syscall.EFBIG) {
			t.Fatalf("with room for %d of %d bytes: %v, want %v", limit, size, err, syscall.EFBIG)
		}
		if head, got, err := read(d.Open("p0")); err != nil || head != "old" || !maps.Equal(got, want) {
			t.Fatalf("with room for %d bytes: head %q, %d entries, %v; want the old ones", limit, head, len(got), err)
		}
		if left, _ := filepath.Glob(filepath.Join(path, "*.tmp")); len(left) != 0 {
			t.Fatalf("with room for %d bytes: %v is left behind", limit, left)
		}
		tried++
	}
	if err := fill(d, "new", 400); err != nil || tried < 90 {
		t.Fatalf("with room again: %v, after %d tries without", err, tried)
	}
	if head, _, err := read(d.Open("p0")); err != nil || head != "new" {
		t.Errorf("with room again: head %q, %v", head, err)
	}
}

// fill writes a checkpoint as large as that of write with as many entries.
func fill(d *checkpoint.Dir, head string, n int) error {
	w, err := d.Create("p0", []byte(head))
	if err != nil {
		return err
	}
	for i := range n {
		if err := w.Add(fmt.Append(nil, "key", i), make([]byte, 2000)); err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	_, err = w.Commit()
	return err
}
