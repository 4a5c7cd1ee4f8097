package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/oklog/run"
)

// headerSlop is what net/http reads beyond MaxHeaderBytes before it answers
// 431 (server.go, initialReadLimitSize).
const headerSlop = 4096

// minHeaderBytes leaves room for the signed headers of every provider.
const minHeaderBytes = headerSlop + 1024

// HTTPServer is the http.Server of the public listener with every limit set.
// HTTP/2 is spoken over TLS only: without it an upgrade would be read before
// ReadHeaderTimeout applies.
func (s *Server) HTTPServer() *http.Server {
	l := s.cfg.Limits
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: l.ReadHeader,
		ReadTimeout:       l.Read,
		WriteTimeout:      l.Write,
		IdleTimeout:       l.Idle,
		MaxHeaderBytes:    l.HeaderBytes - headerSlop,
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog:          s.errorLog(),
		// "OPTIONS *" would be answered 200 by net/http itself.
		DisableGeneralOptionsHandler: true,
	}
}

// Listeners are what Run serves and closes. They are bound before: a taken
// port is a fault of the start, not of a goroutine.
type Listeners struct {
	Public net.Listener
	TLS    *tls.Config // nil serves plain HTTP/1.1, behind a proxy that ends TLS
	// Admin is metrics and health on a listener of its own, nil for none:
	// nothing of it is on Public.
	Admin Actor
}

// An Actor runs until it is interrupted (telemetry.Admin).
type Actor interface {
	// Execute returns nil after Interrupt.
	Execute() error
	// Interrupt may be called twice and without Execute.
	Interrupt(error)
}

// Run serves until ctx is done. Then it is no longer ready, stops accepting,
// waits up to Limits.Drain for requests in flight, each of which waits for its
// acknowledgement, and interrupts Admin last: whoever probes sees the drain.
// nil means that every accepted request was answered.
//
//	ctx ----done----> drain public ---> interrupt Admin ---> return
//	public.Serve --fails--^
//	Admin.Execute -fails--^
func (s *Server) Run(ctx context.Context, l Listeners) error {
	var g run.Group
	ctx, stop := context.WithCancel(ctx)
	g.Add(func() error { <-ctx.Done(); return nil }, func(error) { stop() })

	var drainErr error // set by an interrupt, which Run of the group waits for
	srv := s.HTTPServer()
	g.Add(func() error {
		err := s.serve(srv, l)
		if errors.Is(err, http.ErrServerClosed) {
			return nil // the drain has begun
		}
		return fmt.Errorf("ingest: serve: %w", err)
	}, func(error) { drainErr = s.drain(srv) })
	if l.Admin != nil {
		g.Add(l.Admin.Execute, l.Admin.Interrupt) // after the drain: interrupts are in order
	}
	s.started(l.Public)
	err := g.Run()
	s.log.Info(msgStopped)
	return errors.Join(err, drainErr)
}

func (s *Server) serve(srv *http.Server, l Listeners) error {
	public := newBounded(l.Public, s.cfg.Limits.Connections, s.metrics)
	if l.TLS == nil {
		return srv.Serve(public)
	}
	srv.TLSConfig = l.TLS
	return srv.ServeTLS(public, "", "")
}

func (s *Server) started(public net.Listener) {
	s.log.Info(msgStarted, slog.String("listen", public.Addr().String()), slog.Int("routes", len(s.routes)), slog.Int("tokens", len(s.tokens)))
	for _, lane := range s.Unauthenticated() {
		s.log.Warn(msgUnauthenticated, slog.String("lane", string(lane)), slog.String("effect", "its deliveries are hints and enter no state"))
	}
}

func (s *Server) drain(srv *http.Server) error {
	s.health.drain()
	s.log.Info(msgStopping, slog.Duration("within", s.cfg.Limits.Drain))
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Limits.Drain)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		_ = srv.Close()
		return fmt.Errorf("ingest: drain: %w", err)
	}
	return nil
}
