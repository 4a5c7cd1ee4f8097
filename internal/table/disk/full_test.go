//go:build unix

package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"rampstream/internal/run"
	"rampstream/internal/table/disk"
)

// asFull is the folder of a child process whose disk takes no more.
const asFull = "RAMP_TEST_FULL_DISK"

// A disk that takes no more (here the kernel refuses to let a file grow) ends
// the process with the code that asks for a restart, and says what happened: no
// table goes on with a part of what it was given. A panic would end it with 2,
// which says that the configuration is wrong.
func TestStore_fullDisk(t *testing.T) {
	if path := os.Getenv(asFull); path != "" {
		fillUp(t, path)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStore_fullDisk$")
	path := t.TempDir()
	cmd.Env = append(os.Environ(), asFull+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != run.Failed {
		t.Fatalf("a full disk: %v, want exit code %d\n%s", err, run.Failed, tail(out))
	}
	if !bytes.Contains(out, []byte(syscall.EFBIG.Error())) || !bytes.HasPrefix(out, []byte("test: disk: ")) || bytes.Contains(out, []byte("goroutine ")) {
		t.Errorf("a full disk: want one line that says so\n%s", tail(out))
	}
	// The next process begins with nothing.
	s := open(t, path)
	defer s.Close()
	tb, err := s.OpenTable(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := tb.Get(nil, []byte("0")); found || err != nil {
		t.Errorf("Get after a full disk = %v, %v; want nothing", found, err)
	}
}

func tail(b []byte) string { return strings.ToValidUTF8(string(b[:min(len(b), 2000)]), "?") }

// fillUp writes far more than a file may hold. It must not come to its end.
func fillUp(t *testing.T, path string) {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := disk.Open(path, 1<<20, func(err error) { run.Abandon("test", err) })
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	tb, err := s.OpenTable(0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if err := tb.Put(fmt.Append(nil, i), bytes.Repeat([]byte("v"), 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("a gigabyte was written to a disk without room")
}
