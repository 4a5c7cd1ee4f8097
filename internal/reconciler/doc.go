// Package reconciler joins webhooks, intents and status checks into one state
// an order or customer, and writes states, transitions, discrepancies, the
// poller's schedule, dead letters and its own position in one transaction a
// batch.
//
// It promises:
//
//   - A batch changes an overlay. The overlay reaches memory only when the
//     transaction that carries its records is known to be committed.
//   - The position of a partition is a record of its own, written with the
//     states it describes: the group's offsets are for the platform's lag tools.
//   - A restore is verified: the number and the digest of the restored states
//     must be those of the position, or the process ends with stream.ErrLoss.
//   - It reads no clock that reaches a value. Times come from the records, so a
//     replay gives the same bytes.
//   - Nothing is dropped: a record that cannot be applied becomes a dead letter
//     in the same transaction.
//
// The Engine is the step function, without clock or Kafka. Within a step its
// joiners work side by side, each on partitions of its own; in what comes out that
// shows in nothing but the order between partitions. Loop drives it over a
// Session.
package reconciler
