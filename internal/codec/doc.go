// Package codec turns the values of package events into the bytes that stand
// in Kafka records, and back. It is the only package that knows Avro.
//
// The wire form is Confluent's: a zero byte, the schema id in four big-endian
// bytes, the Avro body. What was written with an older or newer version of a
// schema is read by resolving that version, fetched once by its id, to ours.
//
// It promises that equal values have equal bytes, that a value it accepts is
// written back to a value it reads as equal, and that decoding takes memory and
// steps in proportion to the input. It refuses in both directions what the
// contract (docs/CONTRACT.md) forbids: nothing is written that could not be
// read again.
//
// A record has up to three files' worth of code: its rules and methods
// (state.go), its bytes in our version of the schema (state_binary.go), and what
// the Avro library resolves other versions to (state_wire.go). The rules are
// the same for both ways of reading, and tests hold the two equal.
//
// It does not talk to a registry (a Resolver does), does not know topics, and
// does not read tombstones: an empty value is for the caller to notice.
package codec
