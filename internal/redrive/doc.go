// Package redrive brings dead letters back to the topic they came from, once
// what made them dead letters is mended: a schema that was not registered, a
// program that could not read them, a producer with another partitioner.
//
// It promises:
//
//   - What would happen is known before anything is written: the forecast runs
//     the reconciler's own step function, of this version, configuration and
//     registry, on the states as they are now.
//   - A record comes back with its key, value and headers as they were, in the
//     partition of its key, with headers that name its origin.
//   - A dead letter is redriven once. What says so is the redriven record
//     itself, which carries the coordinates of its dead letter: there is no marker
//     to lose between two writes, a run that was killed is resumed by running
//     it again, and no transaction is needed.
//   - It does not go round: a record that was redriven MaxRedrives times and was
//     set aside each time is parked. What would be set aside again is not
//     written at all.
//
// It does not bring back what it has no bytes of (an HTTP delivery that ingest
// set aside has no signature any more), nor records of the programs' own
// tables, which they write anew by themselves. Two runs at the same time may both
// write a record; the second one then changes nothing, as every duplicate.
package redrive
