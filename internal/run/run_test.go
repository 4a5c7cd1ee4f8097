package run_test

import (
	"errors"
	"fmt"
	"testing"

	"rampstream/internal/run"
	"rampstream/internal/stream"
)

type ownCode struct{}

func (ownCode) Error() string { return "x" }
func (ownCode) ExitCode() int { return 2 }

func TestCode(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want int
	}{
		{"nil", nil, 0},
		{"signal", fmt.Errorf("drain: %w", run.ErrSignal), 0},
		{"other", errors.New("x"), 1},
		{"transient", stream.ErrTransient, 1},
		{"fenced", stream.ErrFenced, 1},
		{"config", fmt.Errorf("load: %w", run.Config(errors.New("x"))), 2},
		{"own code", fmt.Errorf("load: %w", ownCode{}), 2},
		{"differences", fmt.Errorf("diff: %w", run.ErrDifferences), 3},
		{"refused", fmt.Errorf("open: %w", stream.ErrRefused), 4},
		{"loss", fmt.Errorf("restore: %w", stream.ErrLoss), 5},
		{"loss beside a signal", errors.Join(run.ErrSignal, stream.ErrLoss), 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := run.Code(tc.err); got != tc.want {
				t.Errorf("Code(%v) = %d; want %d", tc.err, got, tc.want)
			}
		})
	}
	if run.Config(nil) != nil {
		t.Error("Config(nil) is an error")
	}
}
