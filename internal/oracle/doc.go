// Package oracle derives the state of an order or customer the slow and obvious
// way: it keeps every observation, and for each question looks through all of
// them. It is written from docs/ORDER.md and shares no code with internal/order,
// so that an audit or a test that compares the two finds the mistakes of either.
//
// It imports package events and the standard library, does no I/O, and is not
// meant to be fast.
package oracle
