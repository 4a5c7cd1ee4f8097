package ingest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Request is one HTTP request whose body has not been read.
type Request struct {
	Method string
	Target string // the request target as it stood on the wire
	Remote string // "host:port" of the other end of the connection
	Header http.Header
	// ContentLength is the declared length, -1 for a chunked body.
	ContentLength int64
	Body          io.Reader // nil for none
}

// Handle does the whole work on one request and counts its answer. It never
// panics and returns within Limits.Publish plus the time the body takes. ctx
// carries values only: that a client has gone does not cancel its record.
func (s *Server) Handle(ctx context.Context, req Request) Response {
	start := s.now()
	resp := s.guarded(ctx, req)
	if resp.Provider == "" {
		resp.Provider = noProvider
	}
	s.metrics.response(resp, s.now().Sub(start))
	s.logResponse(resp)
	return resp
}

// guarded turns a panic into a 500. The panic's value may quote a payload:
// only its type and the stack are logged.
func (s *Server) guarded(ctx context.Context, req Request) (resp Response) {
	defer func() {
		if v := recover(); v != nil {
			s.metrics.panics.Inc()
			s.log.Error(msgPanic, slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
			resp = refuse(http.StatusInternalServerError, reasonPanic)
			resp.Close = true
		}
	}()
	return s.dispatch(ctx, req)
}

func (s *Server) dispatch(ctx context.Context, req Request) Response {
	path, query := target(req.Target)
	switch {
	case path == ordersPath:
		return s.intent(ctx, req, query, events.Order)
	case path == customersPath:
		return s.intent(ctx, req, query, events.Customer)
	default:
		return s.webhook(ctx, req, path, query)
	}
}

func (s *Server) webhook(ctx context.Context, req Request, path, query string) (resp Response) {
	lane, tok, ok := webhookPath(path)
	route := s.routes[lane]
	if !ok || route == nil || (tok != "" && !route.PathToken) {
		return refuse(http.StatusNotFound, reasonPath)
	}
	defer func() { resp.Provider, resp.Account = route.Provider, route.Account }()
	if !route.admits(req.Remote, req.Header, s.cfg.TrustedProxies) {
		resp = refuse(http.StatusForbidden, reasonAddress)
		resp.Close = true // its body stays unread
		return resp
	}
	if ok, allow := route.allows(req.Method); !ok {
		return refuse(http.StatusMethodNotAllowed, reasonMethod).with("Allow", allow)
	}
	if len(query) > maxQuery {
		return refuse(http.StatusBadRequest, reasonQuery)
	}
	body, release, resp, ok := s.receive(req, route.Media, s.cfg.Limits.Body)
	if !ok {
		return resp
	}
	defer release()
	done, ok := s.acquire()
	if !ok {
		return s.unavailable(reasonOverload)
	}
	defer done()
	r := raw{route, providers.Delivery{
		Method: req.Method, RawQuery: query, PathToken: tok, Header: req.Header, Body: body,
		ReceivedAt: events.At(s.now()),
	}}
	v, refusal, ok := s.verify(r)
	if !ok {
		return refusal
	}
	return s.settle(ctx, v)
}

// receive checks what the head of a request declares, then reads its body.
// release is to be called when the body is no longer needed.
func (s *Server) receive(req Request, media Media, most int64) (body []byte, release func(), refusal Response, ok bool) {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		if req.ContentLength != 0 {
			refusal = refuse(http.StatusBadRequest, reasonBody)
			refusal.Close = true
			return nil, nil, refusal, false
		}
		return nil, func() {}, Response{}, true
	}
	// Presence counts, not only a value: two headers or an empty one are as
	// little an identity body as gzip.
	if enc := req.Header["Content-Encoding"]; len(enc) > 1 || (len(enc) == 1 && !strings.EqualFold(strings.TrimSpace(enc[0]), "identity")) {
		return nil, nil, refuse(http.StatusUnsupportedMediaType, reasonEncoding), false
	}
	if !media.Takes(req.Header["Content-Type"]) {
		return nil, nil, refuse(http.StatusUnsupportedMediaType, reasonMedia), false
	}
	if req.ContentLength > most {
		return nil, nil, refuse(http.StatusRequestEntityTooLarge, reasonTooLarge), false
	}
	if req.Body == nil || req.ContentLength == 0 {
		body, release = nil, func() {}
	} else {
		if req.ContentLength > 0 {
			most = req.ContentLength
		}
		var err error
		if body, release, err = s.memory.read(req.Body, most); err != nil {
			return nil, nil, s.refuseBody(err), false
		}
	}
	if len(body) == 0 && media != MediaAny {
		release()
		return nil, nil, refuse(http.StatusBadRequest, reasonEmpty), false
	}
	return body, release, Response{}, true
}

// Takes reports whether the Content-Type headers of a request are what the
// route reads. Exactly one header: two could be read two ways.
func (m Media) Takes(headers []string) bool {
	if m == MediaAny {
		return len(headers) <= 1
	}
	if len(headers) != 1 {
		return false
	}
	kind, _, _ := strings.Cut(headers[0], ";")
	return strings.EqualFold(strings.TrimSpace(kind), contentTypeJSON)
}
