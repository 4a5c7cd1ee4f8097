package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one of the programs, run and harmed by a test. Its methods may be
// called concurrently.
type Process struct {
	Name, Instance string
	Admin          string // base URL of its admin listener
	Log            *Output
	cmd            *exec.Cmd
	done           chan struct{}
	code           int // -1 when a signal ended it; valid after done
}

// StartProcess runs the program at path with the configuration in file. admin
// is the address of its admin listener; more are further arguments. The
// environment is ours without settings of rampstream, with the instance id.
func StartProcess(path, instance, file, admin string, more ...string) (*Process, error) {
	return StartProcessIn(nil, path, instance, file, admin, more...)
}

// StartProcessIn is StartProcess with more of an environment.
func StartProcessIn(env []string, path, instance, file, admin string, more ...string) (*Process, error) {
	name := path[strings.LastIndexByte(path, os.PathSeparator)+1:]
	p := &Process{Name: name, Instance: instance, Admin: "http://" + admin, Log: &Output{}, done: make(chan struct{})}
	p.cmd = exec.Command(path, append([]string{"-config", file, "-admin-listen", admin}, more...)...)
	p.cmd.Env, p.cmd.Stderr, p.cmd.Stdout = append(Environment(instance), env...), p.Log, p.Log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	return p, nil
}

// Environment is ours without settings of rampstream, with an instance id.
func Environment(instance string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "RAMP_") {
			env = append(env, v)
		}
	}
	return append(env, "RAMP_POLLER_INSTANCE_ID="+instance, "RAMP_RECONCILER_INSTANCE_ID="+instance)
}

// String names the process for people.
func (p *Process) String() string { return fmt.Sprintf("%s %s (pid %d)", p.Name, p.Instance, p.PID()) }

// PID is the number of the process, gone or not.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Code is the exit code after Done, -1 when a signal ended it.
func (p *Process) Code() int { return p.code }

// Wait waits for the end of a process that was told to end.
func (p *Process) Wait(ctx context.Context) (code int, err error) {
	select {
	case <-p.done:
		return p.code, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%s does not end: %w", p, ctx.Err())
	}
}

// Signal sends a signal; to a process that has ended it is an error.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill is kill -9. It returns nil only with the proof: the process was ended by
// that signal and is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", p, err)
	}
	<-p.done
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("%s was not killed: %v", p, p.cmd.ProcessState)
	}
	if err := syscall.Kill(p.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s is still there: %w", p, err)
	}
	return nil
}

// End kills without a question, for cleaning up.
func (p *Process) End() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Pause stops the process with SIGSTOP and returns nil when the system shows it
// as stopped.
func (p *Process) Pause() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause %s: %w", p, err)
	}
	return p.paused(true, statesWithin)
}

// Resume lets a paused process go on. It is an error if it was not paused any
// more.
func (p *Process) Resume() error {
	if err := p.paused(true, 0); err != nil {
		return err
	}
	if err := p.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("resume %s: %w", p, err)
	}
	return p.paused(false, statesWithin)
}

// statesWithin is how long a signal may take to be obeyed: a busy machine must
// run the process once for it.
const statesWithin = time.Minute

// paused waits until the system agrees. It looks at least once.
func (p *Process) paused(want bool, within time.Duration) error {
	for deadline := time.Now().Add(within); ; {
		out, err := exec.CommandContext(context.Background(), "ps", "-o", "stat=", "-p", strconv.Itoa(p.PID())).Output()
		if err != nil {
			return fmt.Errorf("%s: ps: %w", p, err)
		}
		state := strings.TrimSpace(string(out))
		if strings.HasPrefix(state, "T") == want {
			return nil
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%s: paused %t wanted, its state is %s", p, want, state)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Readiness is the status of /readyz and what it says; 0 while nothing answers.
func (p *Process) Readiness(ctx context.Context) (int, string) {
	return get(ctx, p.Admin+"/readyz")
}

// Metrics is the text of /metrics, "" while nothing answers.
func (p *Process) Metrics(ctx context.Context) string {
	code, text := get(ctx, p.Admin+"/metrics")
	if code != http.StatusOK {
		return ""
	}
	return text
}

func get(ctx context.Context, url string) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// Output is what a program writes, readable while it runs.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is all of it so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
