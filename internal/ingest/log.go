package ingest

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"rampstream/internal/events"
)

// Log events.
const (
	msgStarted         = "ingest started"
	msgStopping        = "ingest stopping"
	msgStopped         = "ingest stopped"
	msgUnauthenticated = "route unauthenticated"
	msgRefused         = "delivery refused"
	msgDeadLetter      = "delivery set aside"
	msgUnencodable     = "event not encodable"
	msgNotDurable      = "record not acknowledged"
	msgPanic           = "request panicked"
	msgUnlisted        = "field unlisted"
	msgProtocol        = "connection refused by the http server"
)

// maxLogged bounds foreign text in a log line.
const maxLogged = 200

// clip quotes foreign text: no control character reaches a terminal.
func clip(s string) string {
	if len(s) > maxLogged {
		s = s[:maxLogged]
	}
	return strconv.QuoteToASCII(s)
}

// limited logs at most ten lines at once and one a second after, and says how
// many it kept back: what strangers send must not fill a disk.
type limited struct {
	log     *slog.Logger
	now     func() time.Time
	limit   *rate.Limiter
	dropped atomic.Int64
}

func newLimited(l *slog.Logger, now func() time.Time) *limited {
	return &limited{log: l, now: now, limit: rate.NewLimiter(1, 10)}
}

func (l *limited) warn(msg string, attrs ...slog.Attr)  { l.at(slog.LevelWarn, msg, attrs) }
func (l *limited) debug(msg string, attrs ...slog.Attr) { l.at(slog.LevelDebug, msg, attrs) }

func (l *limited) at(level slog.Level, msg string, attrs []slog.Attr) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	if !l.limit.AllowN(l.now(), 1) {
		l.dropped.Add(1)
		return
	}
	if n := l.dropped.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("suppressed", n))
	}
	l.log.LogAttrs(ctx, level, msg, attrs...)
}

// logResponse says why a request was refused: labels only, nothing of the
// request. A wrong path is everyday noise; a wrong signature may be a secret
// that was rotated on one side only.
func (s *Server) logResponse(r Response) {
	if r.Status < 400 || r.Status >= 500 {
		return
	}
	attrs := []slog.Attr{
		slog.String("provider", string(r.Provider)), slog.Int("code", r.Status), slog.String("reason", string(r.Reason)),
	}
	if r.Account != "" {
		attrs = append(attrs, slog.String("lane", string(events.LaneOf(r.Provider, r.Account))))
	}
	if r.Status == http.StatusUnauthorized {
		s.noise.warn(msgRefused, attrs...)
		return
	}
	s.noise.debug(msgRefused, attrs...)
}

// errorLog is net/http's own log: quoted, clipped and rate-limited, because
// its lines can hold bytes of a peer.
func (s *Server) errorLog() *log.Logger {
	return log.New(logWriter{newLimited(s.log, s.now)}, "", 0)
}

type logWriter struct{ l *limited }

func (w logWriter) Write(p []byte) (int, error) {
	w.l.debug(msgProtocol, slog.String("error", clip(string(bytes.TrimSpace(p)))))
	return len(p), nil
}
