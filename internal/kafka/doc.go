// Package kafka moves bytes between the programs and a Kafka cluster. It is the
// only package that knows Kafka's client; it knows records and coordinates, not
// what they mean.
//
// It promises: a record that Publish or Commit reports is acknowledged by all
// in-sync replicas; a transaction is committed only when every one of its
// records was acknowledged; a group session starts a partition at the offsets
// that the program's own restored state names, and only when all its topics are
// assigned together; an offset that the log does not have is an error, never a
// silent jump.
//
// It deliberately does not create topics or register schemas on its own, commit
// offsets in the background, reset a position, or retry what the caller can see
// and decide about. Every error that crosses the border carries one of the
// classes of package stream, decided by code and type in one place (classOf).
package kafka
