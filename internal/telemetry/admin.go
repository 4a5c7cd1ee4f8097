package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin is the private listener of a program. It has no profiler and changes
// nothing; still it is for the platform's own network, not for the public.
//
//	GET /metrics  Prometheus
//	GET /livez    200 while the process serves: restart it when this fails
//	GET /readyz   200 while every check passes, else 503 and the failing names
type Admin struct {
	// Checks is what /readyz asks; add to it at any time.
	Checks *Checks

	ln     net.Listener
	server *http.Server
	mux    *http.ServeMux
}

// OpenAdmin listens on address ("127.0.0.1:9090") and serves nothing until
// Execute, so that a taken port is found before anything starts. Close it or
// Execute it.
func OpenAdmin(address string, reg *prometheus.Registry, log *slog.Logger) (*Admin, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	return NewAdmin(ln, reg, log), nil
}

// NewAdmin is OpenAdmin on a listener that is there, which it closes.
func NewAdmin(ln net.Listener, reg *prometheus.Registry, log *slog.Logger) *Admin {
	a := &Admin{Checks: &Checks{log: log}, ln: ln, mux: http.NewServeMux()}
	a.server = &http.Server{
		Handler:           a.handler(reg),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          stdlog.New(ErrorLog(log), "", 0),
	}
	return a
}

func (a *Admin) handler(reg *prometheus.Registry) http.Handler {
	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		Registry: reg,
		// A broken collector must not hide the others from the alerts.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             15 * time.Second,
	})
	a.mux.Handle("GET /metrics", metrics)
	a.mux.Handle("GET /readyz", a.Checks)
	a.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	return a.mux
}

// Handle adds a page of the program's own, by a pattern of net/http, before
// Execute.
func (a *Admin) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// Addr is where it listens; of use when the port was 0.
func (a *Admin) Addr() string { return a.ln.Addr().String() }

// Execute serves until Interrupt or Close; nil after them. Both make an actor
// of a run.Group. A group interrupts all its actors at once, so where the
// metrics should outlast the drain, execute it beside the group and Close it
// when the group has ended.
func (a *Admin) Execute() error {
	if err := a.server.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin listener: %w", err)
	}
	return nil
}

// Interrupt ends Execute after the requests in flight, at most two seconds. It
// may be called twice and without Execute.
func (a *Admin) Interrupt(error) { _ = a.Close() }

// Close is Interrupt, for defer.
func (a *Admin) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		_ = a.server.Close()
	}
	// Without Execute the server does not know its listener.
	if err := a.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("admin listener: %w", err)
	}
	return nil
}
