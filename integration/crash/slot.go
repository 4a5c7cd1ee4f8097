package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"rampstream/integration"
)

// How many of each program run.
const (
	ingests     = 2
	pollers     = 2
	reconcilers = 2
)

// slot is a place where one instance of a program runs, as a supervisor sees
// it: an end by itself with code 1 is followed by a new start, any other is a
// failure of the run.
type slot struct {
	r              *rig
	name, instance string
	admin          string
	more           []string

	mu       sync.Mutex
	p        *integration.Process
	expected bool // the process was told to end
}

func (r *rig) startAll(ctx context.Context, addresses []string) error {
	add := func(name string, n int) error {
		for i := range n {
			var more []string
			if name == "ingest" {
				more = []string{"-listen", addresses[i]}
			}
			if _, err := r.addSlot(name, string(rune('a'+i)), more...); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range []struct {
		name string
		n    int
	}{{"reconciler", reconcilers}, {"ingest", ingests}, {"poller", pollers}} {
		if err := add(p.name, p.n); err != nil {
			return err
		}
	}
	for _, s := range r.slots {
		if err := s.start(); err != nil {
			return err
		}
	}
	return r.allReady(ctx, patience)
}

// patience is how long anything may take that must come: a machine may be busy
// with other things for many seconds, and a group may wait until a session has
// timed out. It is reached only by a failure.
const patience = 2 * time.Minute

func (r *rig) addSlot(name, instance string, more ...string) (*slot, error) {
	admin, err := r.freeAddr()
	if err != nil {
		return nil, err
	}
	s := &slot{r: r, name: name, instance: instance, admin: admin, more: more}
	r.slots = append(r.slots, s)
	return s, nil
}

// of lists the slots of a program.
func (r *rig) of(name string) (out []*slot) {
	for _, s := range r.slots {
		if s.name == name {
			out = append(out, s)
		}
	}
	return out
}

// start runs the program of an empty slot.
func (s *slot) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := integration.StartProcess(filepath.Join(s.r.dir, "bin", s.name), s.instance, s.r.file, s.admin, s.more...)
	if err != nil {
		return err
	}
	s.p, s.expected = p, false
	s.r.rec.write("start", map[string]any{"process": p.String()})
	s.r.noted.Add(1)
	go s.supervise(p)
	return nil
}

func (s *slot) supervise(p *integration.Process) {
	<-p.Done()
	s.mu.Lock()
	expected := s.expected || s.p != p
	s.mu.Unlock()
	s.note(p, expected)
	switch {
	case expected:
	case p.Code() != 1:
		s.r.fail(fmt.Errorf("%s ended by itself with code %d:\n%s", p, p.Code(), tail(p.Log.String(), 4000)))
	default:
		<-time.After(300 * time.Millisecond)
		if err := s.start(); err != nil {
			s.r.fail(err)
		}
	}
}

// note keeps what a process wrote, and that it ended by itself if nobody expected
// it.
func (s *slot) note(p *integration.Process, expected bool) {
	defer s.r.noted.Done()
	if !expected {
		s.r.rec.write("exit", map[string]any{"process": p.String(), "code": p.Code()})
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.output.WriteString(p.Log.String())
	if !expected {
		s.r.exits[p.Code()]++
		s.r.ended = append(s.r.ended, fmt.Sprintf("%s ended by itself with code %d: %s", p, p.Code(), lastLine(p.Log.String())))
	}
}

// running waits until a process of the slot runs, as one does that ended by
// itself and is being started again, and returns it with the slot locked.
func (s *slot) running(ctx context.Context) (*integration.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		s.mu.Lock()
		select {
		case <-s.p.Done():
			s.mu.Unlock()
		default:
			return s.p, nil
		}
		if err := s.r.failed(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s %s does not run: %w", s.name, s.instance, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// expect says that the process of the slot is about to end, and returns it.
func (s *slot) expect(ctx context.Context) (*integration.Process, error) {
	p, err := s.running(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.expected = true
	return p, nil
}

// pause is SIGSTOP with its proof, and returns the process that was stopped.
func (s *slot) pause(ctx context.Context) (*integration.Process, error) {
	p, err := s.running(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if err := p.Pause(); err != nil {
		return nil, err
	}
	return p, nil
}

func (s *slot) process() *integration.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p
}

// kill is kill -9 with its proof.
func (s *slot) kill(ctx context.Context) (string, error) {
	p, err := s.expect(ctx)
	if err != nil {
		return "", err
	}
	if err := p.Kill(); err != nil {
		return "", err
	}
	return p.String() + " ended by SIGKILL and is gone", nil
}

// stop is SIGTERM, which must end with code 0.
func (s *slot) stop(ctx context.Context) (string, error) {
	p, err := s.expect(ctx)
	if err != nil {
		return "", err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return "", fmt.Errorf("stop %s: %w", p, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	code, err := p.Wait(ctx)
	if err != nil {
		return "", err
	}
	if code != 0 {
		return "", fmt.Errorf("%s: exit code %d after SIGTERM, want 0:\n%s", p, code, tail(p.Log.String(), 4000))
	}
	return p.String() + " ended after SIGTERM with code 0", nil
}

// end is for cleaning up.
func (s *slot) end() {
	s.mu.Lock()
	p := s.p
	s.expected = true
	s.mu.Unlock()
	if p != nil {
		p.End()
	}
}

// allReady waits until every program says that it is.
func (r *rig) allReady(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, s := range r.slots {
		for {
			code, said := s.process().Readiness(ctx)
			if code == http.StatusOK {
				break
			}
			if err := r.failed(); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not ready within %v: %d %s\n%s", s.process(), within, code, said, tail(s.process().Log.String(), 4000))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// lastLine is what a program said at its end.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return tail(text[strings.LastIndexByte(text, '\n')+1:], 600)
}

// tail is the end of a text, for a report.
func tail(s string, most int) string {
	if len(s) > most {
		return fmt.Sprintf("... %d bytes ...\n%s", len(s)-most, s[len(s)-most:])
	}
	return s
}
