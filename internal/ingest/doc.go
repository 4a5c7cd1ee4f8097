// Package ingest is the HTTP program: it takes providers' deliveries and
// merchants' intents and answers 200 only after Kafka acknowledged the event.
//
// It promises:
//   - the work on one request is Server.Handle, which needs no listener, no
//     wall clock and no goroutine of its own;
//   - nothing has a side effect before a delivery is verified: the stages are
//     types (raw, verified, event) and only an event can be published;
//   - before verification 400, 401, 404, 405, 413, 415, 431 or 503; after it
//     200 for an event or a dead letter, or 503 when Kafka did not acknowledge.
//     Never another 2xx, never a redirect;
//   - each response is counted once, with labels from closed sets.
//
// It does not know any provider, Kafka's client or Avro: parsers, publisher
// and encoder come from outside. It keeps no state that a restart would miss.
package ingest
