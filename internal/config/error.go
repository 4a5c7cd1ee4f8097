package config

import (
	"fmt"
	"slices"
	"strings"

	"rampstream/internal/providers"
)

// Error lists every fault of a configuration, each "field: rule (got v)",
// without a secret in it. It is exit code 2.
type Error struct {
	Faults []string
	// Note, if any, says what may be behind all of them.
	Note string
}

// Error lists the faults, one a line after the first word.
func (e *Error) Error() string {
	text := fmt.Sprintf("configuration: %d faults:\n  %s", len(e.Faults), strings.Join(e.Faults, "\n  "))
	if len(e.Faults) == 1 {
		text = "configuration: " + e.Faults[0]
	}
	if e.Note != "" {
		text += "\n" + e.Note
	}
	return text
}

// ExitCode is 2: a restart does not help, an edit does.
func (e *Error) ExitCode() int { return 2 }

// fault is one fault and the path of its field.
type fault struct{ path, text string }

func (f fault) String() string {
	if f.path == "" {
		return f.text
	}
	return f.path + ": " + f.text
}

// faults collects; its zero value is ready.
type faults []fault

func (fs *faults) add(path, format string, args ...any) {
	*fs = append(*fs, fault{path, fmt.Sprintf(format, args...)})
}

// check adds the rule unless ok, with what stands there.
func (fs *faults) check(ok bool, path, rule string, got any) {
	if ok {
		return
	}
	switch g := got.(type) {
	case providers.Secret: // its length would say too much already
		fs.add(path, "%s", rule)
	case string:
		fs.add(path, "%s (got %s)", rule, quote(g))
	default:
		fs.add(path, "%s (got %v)", rule, g)
	}
}

// err is nil when nothing was added. Equal faults are reported once.
func (fs faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	var out []string
	for _, f := range fs {
		if s := f.String(); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return &Error{Faults: out}
}

// quote makes a value safe to print: escaped, at most 80 bytes.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return fmt.Sprintf("%+q", s)
}
