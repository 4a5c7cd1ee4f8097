package reconciler

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"rampstream/internal/events"
)

// spoilt is what cannot be made of a record or, where the rules changed, of a
// state, and which it is. The step begins again without it, so that whatever it
// had changed in the overlay is gone: a record is joined or set aside, never both.
type spoilt struct {
	cause coordinate // of the record; its topic is empty where there is none
	name  string     // of the state where there is no record
	class string     // of the record's dead letter
	err   error
}

func (s *spoilt) Error() string { return s.err.Error() }
func (s *spoilt) Unwrap() error { return s.err }

// spoilt lays a failure of the subject's outputs to what is behind them.
func (t *touched) spoilt(class string, err error) *spoilt {
	if t.ruled {
		return &spoilt{name: t.name, class: class, err: err}
	}
	return &spoilt{cause: t.cause, class: class, err: err}
}

// leaveOut has the next step do without. It reports false where that was so
// before, or where nobody is behind it: then the batch cannot go on.
func (j *joiner) leaveOut(s *spoilt) bool {
	switch {
	case s.cause.topic != "":
		if _, known := j.poison[s.cause]; known {
			return false
		}
		v := verdict{class: s.class}
		if s.class == ClassPanic {
			v.message = s.err.Error()
			j.fault("%s-%d offset %d: %w", s.cause.topic, s.cause.partition, s.cause.offset, s.err)
		}
		j.poison[s.cause] = v
		return true
	case s.name != "" && !j.stuck[s.name]:
		j.stuck[s.name] = true
		j.cfg.Observer.NotViewed()
		j.fault("state %s stays as other rules viewed it: %w", s.name, s.err)
		return true
	}
	return false
}

// maxFaults bounds those that nobody has asked for.
const maxFaults = 100

func (j *joiner) fault(format string, args ...any) {
	if len(j.faults) < maxFaults {
		j.faults = append(j.faults, fmt.Errorf(format, args...))
	}
}

// guarded turns a failure or a panic of a subject's outputs into one of what is
// behind them.
func guarded(t *touched, write func(*touched) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = t.spoilt(ClassPanic, panicked("writing"))
		}
	}()
	if err := write(t); err != nil {
		return t.spoilt(ClassUnwritable, err)
	}
	return nil
}

// panicked says in which function a panic was, and the digest of the functions
// that led there. What was panicked with is left out: it may quote a record. Call
// it in the deferred function that recovered.
func panicked(what string) error {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	var names []string
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); f.Function == "runtime.gopanic" {
			names = nil // what follows was under way
		}
		names = append(names, f.Function)
	}
	// The runtime's own come first: an index out of range is found there.
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "runtime.") })
	if len(names) == 0 {
		return errors.New(what + " panicked")
	}
	return fmt.Errorf("%s panicked in %s, stack %.16s", what, names[0], events.Digest(names...))
}
