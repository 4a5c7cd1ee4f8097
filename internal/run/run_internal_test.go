package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"rampstream/internal/stream"
)

// A second signal aborts; the first one only cancels, with ErrSignal as cause.
func TestWatch_secondSignalAborts(t *testing.T) {
	signals := make(chan os.Signal, 2)
	aborted := make(chan int, 1)
	ctx, stop := watch(context.Background(), signals, func(code int) { aborted <- code })
	signals <- syscall.SIGTERM
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, ErrSignal) {
		t.Fatalf("cause after one signal = %v; want ErrSignal", cause)
	}
	select {
	case code := <-aborted:
		t.Fatalf("one signal aborted with %d", code)
	default:
	}
	signals <- syscall.SIGTERM
	if code := <-aborted; code != Aborted {
		t.Fatalf("second signal aborted with %d; want %d", code, Aborted)
	}
	stop()
}

func TestWatch_stopWithoutSignal(t *testing.T) {
	ctx, stop := watch(context.Background(), make(chan os.Signal), func(int) { t.Error("aborted without a signal") })
	stop()
	if cause := context.Cause(ctx); errors.Is(cause, ErrSignal) {
		t.Errorf("cause after stop = %v; want no signal", cause)
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	if code := report(&out, "ingest", ErrSignal); code != OK || out.Len() != 0 {
		t.Errorf("report(ErrSignal) = %d, %q; want 0 and silence", code, out.String())
	}
	if code := report(&out, "ingest", Config(errors.New("ingest.listen: required"))); code != BadConfig || out.String() != "ingest: ingest.listen: required\n" {
		t.Errorf("report(config fault) = %d, %q", code, out.String())
	}
}

// A look-up that the signal cut short is the stop that was asked for; a graver
// class is not, and neither is a failure without a signal.
func TestInterrupted(t *testing.T) {
	stopped, cancel := context.WithCancelCause(context.Background())
	cancel(ErrSignal)
	for _, tc := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"cut short", stopped, fmt.Errorf("look up: %w", context.Canceled), OK},
		{"out of reach at the stop", stopped, stream.ErrTransient, OK},
		{"loss at the stop", stopped, fmt.Errorf("%w: %w", context.Canceled, stream.ErrLoss), Loss},
		{"refused at the stop", stopped, stream.ErrRefused, Refused},
		{"another failure at the stop", stopped, errors.New("boom"), Failed},
		{"no signal", context.Background(), stream.ErrTransient, Failed},
		{"nothing", stopped, nil, OK},
	} {
		if got := Code(interrupted(tc.ctx, tc.err)); got != tc.want {
			t.Errorf("%s: code %d, want %d", tc.name, got, tc.want)
		}
	}
}
