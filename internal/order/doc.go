// Package order turns evidence about an order or a customer into a state.
//
// It promises:
//
//   - Join is commutative, associative and idempotent. Duplicates, reordering,
//     replays, and the race between webhook and poll therefore need no
//     coordination: the same set of records gives the same evidence, byte for
//     byte.
//   - View is total and pure: every evidence, however contradictory, has a view,
//     and the view names the rule that decided. It reads no clock; what it calls
//     late or stuck follows from the times inside the evidence.
//   - What is kept of an order is bounded by the vocabularies of its provider,
//     not by the number of records.
//
// It does no I/O, starts no goroutine, and knows neither Kafka nor Avro.
package order
