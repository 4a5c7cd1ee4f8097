package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/run"
)

// asProgram makes the test binary be the program: signals and exit codes are a
// process's own.
const asProgram = "RAMPSTREAM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process starts the program and waits until it listens.
func process(t *testing.T, s system) (*exec.Cmd, string) {
	t.Helper()
	out := &output{}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-config", s.path)
	cmd.Env, cmd.Stderr = append(os.Environ(), asProgram+"=1"), out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(time.Minute)
	for {
		if m := listening.FindStringSubmatch(out.String()); m != nil {
			return cmd, m[1]
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			_ = cmd.Process.Kill()
			t.Fatalf("does not listen:\n%s", out)
		}
	}
}

func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	var exit *exec.ExitError
	switch err := cmd.Wait(); {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		t.Fatal(err)
		return -1
	}
}

func TestSignals(t *testing.T) {
	s := newSystem(t, true, true)
	t.Run("one drains and is 0", func(t *testing.T) {
		cmd, addr := process(t, s)
		const delivery = `{"id":"w-1","resource":"order","type":"order_pending","data":{"id":"6408fd3e24c501549aaac9fd"},"message":"m"}`
		if status, body, _ := send(t, "POST", "http://"+addr+"/v1/webhooks/kado/acme", delivery, kadoHeaders(delivery)); status != 200 {
			t.Fatalf("= %d %s", status, body)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, cmd); code != run.OK {
			t.Errorf("exit code %d; want 0", code)
		}
	})
	t.Run("a second one aborts the drain", func(t *testing.T) {
		cmd, addr := process(t, s)
		// A delivery that Kafka does not acknowledge is in flight for the whole deadline.
		const delivery = `{"id":"w-2","resource":"order","type":"order_pending","data":{"id":"6408fd3e24c501549aaac9fe"},"message":"m"}`
		arrived, hold := make(chan struct{}), make(chan struct{})
		defer close(hold)
		arrive := sync.OnceFunc(func() { close(arrived) })
		s.Kafka().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			s.Kafka().KeepControl()
			arrive()
			s.Kafka().SleepControl(func() { <-hold })
			return nil, nil, false
		})
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/v1/webhooks/kado/acme", strings.NewReader(delivery))
			if err != nil {
				t.Error(err)
				return
			}
			for k, v := range kadoHeaders(delivery) {
				req.Header.Set(k, v)
			}
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil { // the end of the process ends it
				_ = resp.Body.Close()
			}
		})
		<-arrived
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for refused := false; !refused; { // the drain has begun when nobody listens
			d, err := net.Dial("tcp", addr)
			if refused = err != nil; !refused {
				_ = d.Close()
			}
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, cmd); code != run.Aborted {
			t.Errorf("exit code %d; want %d", code, run.Aborted)
		}
	})
}
