package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Reason is why a response is what it is: a label of a closed set. The
// parsers' reasons (providers.Reason) are part of it.
type Reason string

// The reasons that are not a parser's.
const (
	reasonEvent       Reason = "event"
	reasonDeadLetter  Reason = "dead_letter"
	reasonReplay      Reason = "replay"
	reasonHintDropped Reason = "hint_dropped"
	reasonIntent      Reason = "intent"

	reasonPath       Reason = "path"
	reasonMethod     Reason = "method"
	reasonQuery      Reason = "query"
	reasonAddress    Reason = "address"
	reasonToken      Reason = "token"
	reasonForbidden  Reason = "account_not_allowed"
	reasonTooLarge   Reason = "too_large"
	reasonEncoding   Reason = "content_encoding"
	reasonMedia      Reason = "media_type"
	reasonEmpty      Reason = "empty_body"
	reasonBody       Reason = "body_unreadable"
	reasonOverload   Reason = "overload"
	reasonSyntax     Reason = "json_syntax"
	reasonField      Reason = "field"
	reasonValue      Reason = "value"
	reasonAccount    Reason = "unknown_account"
	reasonKafka      Reason = "kafka"
	reasonRefused    Reason = "kafka_refused"
	reasonClock      Reason = "kafka_clock"
	reasonPanic      Reason = "panic"
	reasonProtocol   Reason = "protocol"
	reasonOther      Reason = "other"
	reasonParserKey  Reason = "parser_key"
	reasonUnencoded  Reason = "unencodable"
	reasonOversized  Reason = "record_too_large"
	reasonStale      Reason = "stale" // a parser's: of an unusable delivery that is not of now
	noProvider              = events.Provider("none")
	intentsProvider         = events.Provider("intents")
	retryAfterFloor         = 5 // seconds
	retryAfterJitter        = 5 // seconds
	contentTypeJSON         = "application/json"
	contentTypeForm         = "application/x-www-form-urlencoded"
	contentTypeAvro         = "application/avro"
)

// parserReasons are the reasons a parser may give. Anything else it invents
// is counted as "other": a label never comes from a payload.
var parserReasons = map[providers.Reason]bool{
	"signature": true, "signature_format": true, "header_duplicate": true, "header_missing": true,
	"public_key": true, "timestamp": true, "stale": true, "json_syntax": true, "json_ambiguous": true,
	"json_bounds": true, "number_lossy": true, "encoding": true, "no_order_id": true, "bad_id": true,
	"media_type": true, "path_token": true, "empty_body": true, "unknown_shape": true,
}

func parserReason(r providers.Reason) Reason {
	if parserReasons[r] {
		return Reason(r)
	}
	return reasonOther
}

// Response is the answer to one request.
type Response struct {
	Status int
	Body   []byte      // JSON
	Header http.Header // nil, or what is to be added to the defaults
	// Close ends the connection after the answer, unread input included: it
	// slows a flood of refused requests.
	Close bool

	// Provider and Reason are the labels under which it was counted.
	Provider events.Provider
	Reason   Reason
	// Account is that of the route, "" where there is none: for the log.
	Account events.Account
}

// bodies are constant: an unverified peer learns the status and nothing else.
var bodies = map[int][]byte{
	http.StatusBadRequest:            []byte(`{"error":"bad request"}` + "\n"),
	http.StatusUnauthorized:          []byte(`{"error":"unauthorized"}` + "\n"),
	http.StatusForbidden:             []byte(`{"error":"forbidden"}` + "\n"),
	http.StatusNotFound:              []byte(`{"error":"not found"}` + "\n"),
	http.StatusMethodNotAllowed:      []byte(`{"error":"method not allowed"}` + "\n"),
	http.StatusRequestEntityTooLarge: []byte(`{"error":"body too large"}` + "\n"),
	http.StatusUnsupportedMediaType:  []byte(`{"error":"unsupported media type"}` + "\n"),
	http.StatusInternalServerError:   []byte(`{"error":"internal error"}` + "\n"),
	http.StatusServiceUnavailable:    []byte(`{"error":"try again later"}` + "\n"),
}

// refuse builds the constant answer of a status.
func refuse(status int, reason Reason) Response {
	r := Response{Status: status, Body: bodies[status], Reason: reason}
	switch status {
	case http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusRequestHeaderFieldsTooLarge:
		r.Close = true
	}
	return r
}

func (r Response) with(key, value string) Response {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set(key, value)
	return r
}

// unavailable is a 503 that says when to come back, with jitter so that the
// senders of one outage do not return together.
func (s *Server) unavailable(reason Reason) Response {
	wait := retryAfterFloor + int(s.rand()*(retryAfterJitter+1))
	wait = min(wait, retryAfterFloor+retryAfterJitter)
	return refuse(http.StatusServiceUnavailable, reason).with("Retry-After", strconv.Itoa(wait))
}

// receipt is where an event is durable.
type receipt struct {
	EventID   events.EventID `json:"event_id"`
	Topic     string         `json:"topic"`
	Partition int32          `json:"partition"`
	Offset    int64          `json:"offset"`
}

func accepted(r receipt, reason Reason) Response {
	body, err := json.Marshal(r)
	if err != nil { // strings and integers always marshal
		return refuse(http.StatusInternalServerError, reasonOther)
	}
	return Response{Status: http.StatusOK, Body: append(body, '\n'), Reason: reason}
}

// hintDropped answers a hint over the budget: there is nothing durable, and
// nothing that a retry would improve.
func hintDropped(id events.EventID) Response {
	return Response{
		Status: http.StatusOK, Reason: reasonHintDropped,
		Body: fmt.Appendf(nil, `{"event_id":%q,"dropped":true}`+"\n", string(id)),
	}
}
