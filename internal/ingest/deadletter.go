package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// The stages at which a delivery can turn out to be unusable.
const (
	stageParse   = "parse"
	stageEncode  = "encode"
	stageProduce = "produce"

	kindWebhook    = "webhook"
	kindIntent     = "intent"
	kindDeadLetter = "dead_letter"
)

// knownKeys are the member names that the providers' documents have. A dead
// letter lists which of them the body had; any other name may be personal
// data and is not kept.
var knownKeys = map[string]bool{
	"id": true, "_id": true, "orderId": true, "resource": true, "type": true, "data": true, "message": true,
	"status": true, "eventType": true, "subjectType": true, "subject": true, "transactionKey": true,
	"externalId": true, "customerId": true, "walletId": true, "operationId": true, "code": true,
	"success": true, "result": true, "state": true, "amount": true, "currency": true,
}

// remains is what is kept of a body that could not be an event.
type remains struct {
	Digest      string   `json:"digest"` // SHA-256 of the body, hexadecimal
	Length      int      `json:"length"`
	ContentType string   `json:"content_type"` // of a closed set, else "other"
	Keys        []string `json:"keys"`         // known member names at the top level
}

// setAside publishes a dead letter for an authentic delivery and answers 200:
// a 4xx would make the provider repeat it for ever. Of a delivery that comes again
// within the replay window there is one. Where nothing says that the provider sent
// it now, on a route without a verifier or because it is stale, it costs a hint, or
// else strangers could fill the topic.
func (s *Server) setAside(ctx context.Context, v verified, stage string, reason Reason) Response {
	lane, taken := events.LaneOf(v.route.Provider, v.route.Account), s.now()
	sum := sha256.Sum256(v.delivery.Body)
	digest := hex.EncodeToString(sum[:])
	query := v.delivery.RawQuery
	if v.route.Authenticated {
		query = "" // no scheme signs it
	}
	id := events.EventID(events.Digest("dead letter", string(lane), query, digest))
	key := string(lane) + "/dead-letter/" + string(id)
	hint := !v.route.Authenticated || reason == reasonStale
	if r, ok := s.replayed(v.route.Provider, key, id); ok && !hint {
		return accepted(r, reasonReplay)
	}
	if hint {
		if over := s.budget.take(lane, key, taken); over != "" {
			s.metrics.hintsDropped.WithLabelValues(string(v.route.Provider), over).Inc()
			return hintDropped(id)
		}
	}
	e := s.deadLetter(v, stage, reason, digest, s.cfg.RawDeadLetters)
	e.id, e.lane = id, lane
	r, err := s.publish(ctx, e)
	if errors.Is(err, stream.ErrTooLarge) && s.cfg.RawDeadLetters {
		e.record.Value = s.deadLetter(v, stage, reason, digest, false).record.Value
		r, err = s.publish(ctx, e)
	}
	if err != nil {
		return s.notDurable(err)
	}
	if hint {
		s.budget.durable(key, taken)
	} else {
		s.remember(key, id, r)
	}
	s.faults.warn(msgDeadLetter, slog.String("lane", string(lane)), slog.String("reason", string(reason)),
		slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset))
	return accepted(r, reasonDeadLetter)
}

func (s *Server) deadLetter(v verified, stage string, reason Reason, digest string, rawBody bool) event {
	media := mediaOf(v.delivery.Header["Content-Type"])
	value, contentType := v.delivery.Body, media
	if media != contentTypeJSON && media != contentTypeForm {
		contentType = "application/octet-stream"
	}
	if !rawBody || value == nil { // a nil value would be a tombstone
		value, contentType = remainsOf(v.delivery.Body, digest, media), contentTypeJSON
	}
	src := stream.Record{
		Topic: s.cfg.Topics.Webhook, Partition: -1, Offset: -1,
		Key: []byte(events.LaneOf(v.route.Provider, v.route.Account)), Value: value,
		Headers: []stream.Header{{Key: "content-type", Value: []byte(contentType)}},
	}
	return event{
		record: stream.DeadLetter(s.cfg.Topics.DeadLetter, src, "ingest", stage, string(reason), "delivery set aside"),
		trust:  events.TrustHint, kind: kindDeadLetter,
	}
}

func remainsOf(body []byte, digest, media string) []byte {
	out, err := json.Marshal(remains{digest, len(body), media, topLevelKeys(body)})
	if err != nil { // strings and integers always marshal
		return []byte("{}")
	}
	return out
}

// mediaOf names the content type of a request without quoting it.
func mediaOf(headers []string) string {
	if len(headers) == 0 {
		return "none"
	}
	kind, _, _ := strings.Cut(headers[0], ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case contentTypeJSON, contentTypeForm:
		return kind
	default:
		return "other"
	}
}

// topLevelKeys lists the known member names of a JSON object, sorted, each
// once; none for anything else.
func topLevelKeys(body []byte) []string {
	keys := []string{}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return keys
	}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			break
		}
		if knownKeys[name] && !slices.Contains(keys, name) {
			keys = append(keys, name)
		}
		var skipped json.RawMessage
		if dec.Decode(&skipped) != nil {
			break
		}
	}
	slices.Sort(keys)
	return keys
}
