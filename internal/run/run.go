// Package run is what every main of rampstream shares: the exit codes and the
// meaning of signals. It promises that a program exits in one place, with a
// code that says what a supervisor may do: restart, wait, or call a person.
// It starts nothing and knows no program.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"rampstream/internal/stream"
)

// The exit codes of every program.
const (
	OK          = 0   // done, a signal too
	Failed      = 1   // a restart may help
	BadConfig   = 2   // configuration or usage is wrong; a restart does not help
	Differences = 3   // a comparison found differences
	Refused     = 4   // the platform refuses: topic, partitions, ACL, schema
	Loss        = 5   // loss or corruption detected: a person is needed
	Aborted     = 130 // a second signal cut the shutdown short
)

var (
	// ErrSignal is the cause of a context that a signal cancelled. A program
	// that stops for it has done what it was asked: code 0.
	ErrSignal = errors.New("stopped by signal")
	// ErrConfig marks an error as a fault of configuration or usage; see Config.
	ErrConfig = errors.New("configuration")
	// ErrDifferences: a comparison ended and found differences.
	ErrDifferences = errors.New("differences found")
)

type configError struct{ err error }

func (e configError) Error() string        { return e.err.Error() }
func (e configError) Unwrap() error        { return e.err }
func (e configError) Is(target error) bool { return target == ErrConfig }

// Config marks err as a fault of configuration, code 2, and keeps its text.
// Config(nil) is nil.
func Config(err error) error {
	if err == nil {
		return nil
	}
	return configError{err}
}

// Code is the exit code of a program that ended with err. The graver class
// wins where an error wraps several: loss before refusal before configuration.
// An error with a method ExitCode() int names its own (config.Error: 2).
func Code(err error) int {
	var own interface{ ExitCode() int }
	switch {
	case err == nil:
		return OK
	case errors.Is(err, stream.ErrLoss):
		return Loss
	case errors.Is(err, stream.ErrRefused):
		return Refused
	case errors.Is(err, ErrConfig):
		return BadConfig
	case errors.Is(err, ErrDifferences):
		return Differences
	case errors.Is(err, ErrSignal):
		return OK
	case errors.As(err, &own):
		return own.ExitCode()
	default:
		return Failed
	}
}

// Main runs a program and exits the process with Code of its error; it does
// not return. The context is cancelled with cause ErrSignal by the first
// SIGINT or SIGTERM. A second one exits with 130 at once: the operator has
// seen the drain and does not want to wait for it. The error goes to standard
// error as "name: error".
func Main(name string, program func(ctx context.Context) error) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, stop := watch(context.Background(), signals, os.Exit)
	err := interrupted(ctx, program(ctx))
	stop()
	os.Exit(report(os.Stderr, name, err))
}

// Abandon ends the process at once with Code of err, for a fault that nobody can
// return: whoever would have to is stuck behind it. It does not return.
func Abandon(name string, err error) { os.Exit(report(os.Stderr, name, err)) }

// interrupted makes a failure that the signal caused, a look-up or connection
// that was cut short, the stop that was asked for. A graver class stays.
func interrupted(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), ErrSignal) && Code(err) == Failed &&
		(errors.Is(err, context.Canceled) || errors.Is(err, stream.ErrTransient)) {
		return ErrSignal
	}
	return err
}

// watch cancels its context on the first signal and calls abort on the second.
func watch(parent context.Context, signals <-chan os.Signal, abort func(int)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-signals:
			case <-done:
				return
			}
			if n > 0 {
				abort(Aborted)
				return
			}
			cancel(ErrSignal)
		}
	}()
	return ctx, func() {
		close(done)
		<-ended
		cancel(context.Canceled)
	}
}

// report says what went wrong, unless the program did what it was asked.
func report(w io.Writer, name string, err error) int {
	code := Code(err)
	if code != OK {
		_, _ = fmt.Fprintf(w, "%s: %v\n", name, err)
	}
	return code
}
