package checkpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"rampstream/internal/checkpoint"
	"rampstream/internal/flock"
)

func openDir(t testing.TB, path string) *checkpoint.Dir {
	t.Helper()
	d, err := checkpoint.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// write makes a checkpoint of some hundred kilobytes and returns what is in it.
func write(t testing.TB, d *checkpoint.Dir, name, head string, n int) map[string]string {
	t.Helper()
	rng, want := rand.New(rand.NewPCG(1, uint64(n))), map[string]string{}
	w, err := d.Create(name, []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		k, v := fmt.Sprint("key", i), string(bytes.Repeat([]byte{byte(i)}, rng.IntN(2000)))
		if err := w.Add([]byte(k), []byte(v)); err != nil {
			t.Fatal(err)
		}
		want[k] = v
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return want
}

// read gives the head and the entries.
func read(r *checkpoint.Reader, err error) (head string, got map[string]string, _ error) {
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = r.Close() }()
	got = map[string]string{}
	for {
		b, err := r.Next(nil)
		if errors.Is(err, io.EOF) {
			return string(r.Head()), got, nil
		}
		if err != nil {
			return "", nil, err
		}
		if err := b.Each(func(k, v []byte) error { got[string(k)] = string(v); return nil }); err != nil {
			return "", nil, err
		}
	}
}

func TestCheckpoint_roundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "folder")
	d := openDir(t, path)
	for _, n := range []int{0, 1, 900} {
		want := write(t, d, "p0", fmt.Sprint("head of ", n), n)
		head, got, err := read(d.Open("p0"))
		if err != nil || head != fmt.Sprint("head of ", n) || !maps.Equal(got, want) {
			t.Errorf("%d entries: head %q, %d entries, %v", n, head, len(got), err)
		}
	}
	info, err := os.Stat(filepath.Join(path, "p0.ckpt"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder = %v, %v; want 0700", info.Mode(), err)
	}
}

// An unfinished checkpoint leaves the older one alone, and is cleared away.
func TestCheckpoint_wholeOrNotThere(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	want := write(t, d, "p0", "old", 10)
	w, err := d.Create("p0", []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if err := w.Add([]byte("key"), make([]byte, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil { // the process dies here
		t.Fatal(err)
	}
	d = openDir(t, path)
	if head, got, err := read(d.Open("p0")); err != nil || head != "old" || !maps.Equal(got, want) {
		t.Errorf("after a crash: head %q, %d entries, %v; want the old ones", head, len(got), err)
	}
	if left, _ := filepath.Glob(filepath.Join(path, "*.tmp")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	w, err = d.Create("p1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open("p1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of an aborted checkpoint = %v, want not there", err)
	}
	if err := errors.Join(d.Remove("p0"), d.Remove("p0")); err != nil {
		t.Errorf("Remove twice = %v", err)
	}
}

func TestOpenDir_oneProcess(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	if _, err := checkpoint.OpenDir(path); !errors.Is(err, flock.ErrHeld) {
		t.Errorf("a second OpenDir = %v, want ErrHeld", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	openDir(t, path)
}

// R5: every single damage is noticed.
func TestReader_everyDamageIsNoticed(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	write(t, d, "p0", "head", 40)
	whole, err := os.ReadFile(filepath.Join(path, "p0.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		t.Helper()
		if _, _, err := read(checkpoint.NewReader(io.NopCloser(bytes.NewReader(b)))); !errors.Is(err, checkpoint.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for range 300 {
		cut := rng.IntN(len(whole))
		check(fmt.Sprint("cut at ", cut), whole[:cut])
		b := bytes.Clone(whole)
		bit := rng.IntN(8 * len(b))
		b[bit/8] ^= 1 << (bit % 8)
		check(fmt.Sprint("bit ", bit), b)
	}
	check("extended", append(bytes.Clone(whole), 0))
	check("written twice", append(bytes.Clone(whole), whole...))
	check("empty", nil)
}

// Blocks are numbered: two that change places, or one that is missing, is damage.
func TestReader_blocksInOrder(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	write(t, d, "p0", "", 900)
	b, err := os.ReadFile(filepath.Join(path, "p0.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := [][]byte{}
	for rest := b[8:]; len(rest) > 0; {
		n := 9 + int(rest[0])<<24 + int(rest[1])<<16 + int(rest[2])<<8 + int(rest[3])
		blocks, rest = append(blocks, rest[:n]), rest[n:]
	}
	if len(blocks) < 5 {
		t.Fatalf("%d blocks are too few for this test", len(blocks))
	}
	join := func(order ...int) []byte {
		out := bytes.Clone(b[:8])
		for _, i := range order {
			out = append(out, blocks[i]...)
		}
		return out
	}
	all := make([]int, len(blocks))
	for i := range all {
		all[i] = i
	}
	if !bytes.Equal(join(all...), b) {
		t.Fatal("the blocks are not the file")
	}
	swapped, missing := append([]int{}, all...), append([]int{0}, all[2:]...)
	swapped[1], swapped[2] = 2, 1
	for what, order := range map[string][]int{"swapped": swapped, "missing": missing, "no head": all[1:]} {
		if _, _, err := read(checkpoint.NewReader(io.NopCloser(bytes.NewReader(join(order...))))); !errors.Is(err, checkpoint.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
}

// Whatever the bytes are: entries or ErrDamaged, without a panic and without the
// memory that they claim.
func FuzzReader(f *testing.F) {
	path := f.TempDir()
	d := openDir(f, path)
	for _, n := range []int{0, 3} {
		write(f, d, "p0", "head", n)
		b, err := os.ReadFile(filepath.Join(path, "p0.ckpt"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, got, err := read(checkpoint.NewReader(io.NopCloser(bytes.NewReader(b))))
		if err != nil && (!errors.Is(err, checkpoint.ErrDamaged) || got != nil) {
			t.Fatalf("%d entries beside %v, want ErrDamaged alone", len(got), err)
		}
	})
}
