// Package events is the vocabulary of rampstream: keys, statuses, amounts,
// facts, and the records that travel between the programs.
//
// It promises that every type here is a plain value: comparable or cheap to
// copy, without I/O, clock, goroutine or any import beyond the standard
// library. It does not know Avro (internal/codec does), Kafka, HTTP, or how
// evidence becomes a state (internal/order does).
//
// The zero value of every type claims nothing: an unset status is
// StatusUnknown, an unset amount is absent (never 0), an unset time is absent.
package events
