package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// intent serves POST /v1/orders and /v1/customers. This interface is ours, so
// an error names the field; a client that sends JSON by our shape never needs
// to guess.
func (s *Server) intent(ctx context.Context, req Request, query string, kind events.SubjectKind) (resp Response) {
	defer func() { resp.Provider = intentsProvider }()
	if req.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, reasonMethod).with("Allow", "POST")
	}
	if query != "" {
		return refuse(http.StatusBadRequest, reasonQuery)
	}
	tok := s.authorize(req.Header["Authorization"])
	if tok == nil {
		return refuse(http.StatusUnauthorized, reasonToken).with("Www-Authenticate", "Bearer")
	}
	body, release, resp, ok := s.receive(req, MediaJSON, s.cfg.Limits.Intent)
	if !ok {
		return resp
	}
	defer release()
	done, ok := s.acquire()
	if !ok {
		return s.unavailable(reasonOverload)
	}
	defer done()
	in, err := ParseIntent(kind, body)
	if err != nil {
		return refuseIntent(err)
	}
	if lane := in.Key.Lane(); !s.accounts[lane] {
		return fieldError(http.StatusUnprocessableEntity, reasonAccount, "account", "is not configured for this provider")
	} else if !tok.accounts[lane] {
		return refuse(http.StatusForbidden, reasonForbidden)
	}
	in.Source = tok.name
	in.ObservedAt = events.At(s.now())
	return s.settleIntent(ctx, in, traceparent(req.Header))
}

// authorize finds the token of a request, nil for none. Every candidate is
// compared, whichever matched.
func (s *Server) authorize(headers []string) *token {
	if len(headers) != 1 {
		return nil
	}
	scheme, value, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "bearer") {
		return nil
	}
	digest := sha256.Sum256([]byte(strings.TrimSpace(value)))
	var found *token
	for i := range s.tokens {
		if subtle.ConstantTimeCompare(digest[:], s.tokens[i].digest[:]) == 1 {
			found = &s.tokens[i]
		}
	}
	return found
}

func (s *Server) settleIntent(ctx context.Context, in events.Intent, traceparent string) Response {
	ctx, cancel := s.detached(ctx)
	defer cancel()
	value, err := s.deps.Encoder.EncodeIntent(in)
	if err != nil {
		return fieldError(http.StatusUnprocessableEntity, reasonUnencoded, "", "the intent cannot be encoded")
	}
	lane := in.Key.Lane()
	r, err := s.publish(ctx, event{
		record: stream.Record{
			Topic: s.cfg.Topics.Intent, Partition: stream.Auto, Key: []byte(in.Key.String()), Value: value,
			Headers: cloudEvent("rampstream.v1.Intent", lane, in.EventID, traceparent),
		},
		id: in.EventID, lane: lane, trust: events.TrustSigned, kind: kindIntent,
	})
	switch {
	case err == nil:
		return accepted(r, reasonIntent)
	case errors.Is(err, stream.ErrTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, reasonOversized)
	default:
		return s.notDurable(err)
	}
}

func refuseIntent(err error) Response {
	fe := (*FieldError)(nil)
	if !errors.As(err, &fe) {
		return refuse(http.StatusBadRequest, reasonSyntax)
	}
	switch {
	case fe.Field == "":
		return fieldError(http.StatusBadRequest, reasonSyntax, "", fe.Rule)
	case fe.Value:
		return fieldError(http.StatusUnprocessableEntity, reasonValue, fe.Field, fe.Rule)
	default:
		return fieldError(http.StatusBadRequest, reasonField, fe.Field, fe.Rule)
	}
}

func fieldError(status int, reason Reason, field, rule string) Response {
	body, err := json.Marshal(struct {
		Error string `json:"error"`
		Field string `json:"field,omitempty"`
	}{rule, field})
	if err != nil { // strings always marshal
		return refuse(status, reason)
	}
	return Response{Status: status, Reason: reason, Body: append(body, '\n')}
}
