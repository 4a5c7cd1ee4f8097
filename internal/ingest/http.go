package ingest

import (
	"net/http"
	"strconv"
	"time"
)

// ServeHTTP is Handle behind net/http. No mux stands before it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resp := s.Handle(r.Context(), Request{
		Method: r.Method, Target: r.RequestURI, Remote: r.RemoteAddr, Header: r.Header,
		ContentLength: r.ContentLength, Body: r.Body,
	})
	if r.Context().Err() != nil {
		s.metrics.abandoned.Inc()
	}
	h := w.Header()
	for k, v := range resp.Header {
		h[k] = v
	}
	h.Set("Content-Type", contentTypeJSON)
	h.Set("Content-Length", strconv.Itoa(len(resp.Body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// net/http lets a chunked body win over a Content-Length beside it and
		// hides the latter. What a proxy may have taken for the rest of this
		// body must not become a request of its own.
		h.Set("Connection", "close")
	}
	if resp.Close {
		h.Set("Connection", "close")
		// net/http would read up to 256 KiB more of a chunked body before it
		// closes. A deadline in the past ends that; without a connection to set
		// it on there is nothing to read either.
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	}
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body) // the client may have gone; the record has not
}
