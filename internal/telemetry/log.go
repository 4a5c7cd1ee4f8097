package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"
)

// NewLogger writes records at or above level ("debug", "info", "warn",
// "error") to w as "json" or "text", each with the program's name. Times are
// UTC with milliseconds, so that the logs of several hosts sort together.
func NewLogger(w io.Writer, program, level, format string) (*slog.Logger, error) {
	var lv slog.Level
	switch level {
	case "debug", "info", "warn", "error":
		if err := lv.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %q: %w", level, err)
		}
	default:
		return nil, fmt.Errorf("log level: must be debug, info, warn or error (got %s)", Safe(level))
	}
	opts := &slog.HandlerOptions{Level: lv, ReplaceAttr: plain}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)).With("program", program), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)).With("program", program), nil
	}
	return nil, fmt.Errorf("log format: must be json or text (got %s)", Safe(format))
}

// plain writes times and durations as people read them: left to itself JSON has
// a duration as a bare number of nanoseconds.
func plain(groups []string, a slog.Attr) slog.Attr {
	switch {
	case a.Key == slog.TimeKey && len(groups) == 0 && a.Value.Kind() == slog.KindTime:
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	case a.Value.Kind() == slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// maxSafe is how many bytes of foreign text Safe keeps: enough to recognise
// it, too little to flood a log.
const maxSafe = 200

// Safe makes foreign text fit for a log or an error: quoted, printable ASCII
// only, at most 200 bytes of it. It hides nothing; secrets must not get here.
func Safe(s string) string {
	if len(s) <= maxSafe {
		return strconv.QuoteToASCII(s)
	}
	cut := maxSafe
	for cut > maxSafe-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(s[:cut]) + "..."
}

// ErrorLog is an http.Server's ErrorLog: its messages quote what clients sent
// (CVE-2026-42507), so they pass through Safe, at level warn.
func ErrorLog(log *slog.Logger) io.Writer { return errorLog{log} }

type errorLog struct{ log *slog.Logger }

func (e errorLog) Write(p []byte) (int, error) {
	e.log.Warn("http server complained", "message", Safe(strings.TrimSuffix(string(p), "\n")))
	return len(p), nil
}
