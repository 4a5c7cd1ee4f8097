// Package stream is the shape in which the programs and Kafka exchange bytes:
// records, coordinates and the errors that a caller may branch on. It knows
// neither Kafka's client nor what the bytes mean, so that a program's loop runs
// as well against a simulated log.
package stream

import (
	"errors"
	"fmt"
)

// Header is one record header. Kafka allows a key several times.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record, read or to be written.
type Record struct {
	Topic     string
	Partition int32 // to write: the partition, or Auto for murmur2 of Key
	Offset    int64 // read records and acknowledged ones
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
	// TimestampMs is the record's timestamp in milliseconds since the epoch;
	// 0 in a record to be written means "now, by the client's clock".
	TimestampMs int64
	// AppendTime is true when TimestampMs is the broker's clock
	// (message.timestamp.type=LogAppendTime), so that it may referee ours.
	AppendTime bool
}

// Auto as a partition means the Java-compatible murmur2 of the key.
const Auto int32 = -1

// Header returns the last value of a header, and whether it is there.
func (r Record) Header(key string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// The classes of error that cross the border to Kafka. Everything else is a
// fault of the program.
var (
	// ErrTransient: not acknowledged in time, or Kafka or the registry is out of
	// reach. The record may still land.
	ErrTransient = errors.New("the platform is not available")
	// ErrTooLarge: the record exceeds what the topic or client allows. It was
	// not and will not be written.
	ErrTooLarge = errors.New("record too large")
	// ErrRefused: the platform refuses (missing topic, ACL, authentication). A
	// retry does not help.
	ErrRefused = errors.New("the platform refuses")
	// ErrClock is an ErrRefused: the broker takes no record with this host's time.
	ErrClock = fmt.Errorf("%w the time of this host", ErrRefused)
	// ErrFenced: another instance with the same identity took over.
	ErrFenced = errors.New("fenced by another instance")
	// ErrRenew: the session must be closed and opened anew before anything more is
	// written. Nothing is in doubt: what it answered holds.
	ErrRenew = errors.New("the session has to be opened anew")
	// ErrLoss: what should be in the log is not. A person is needed.
	ErrLoss = errors.New("loss or corruption detected")
)

// Murmur2 is the hash of Kafka's Java client over key bytes.
func Murmur2(data []byte) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}

// PartitionOf is the partition that Kafka's Java client gives a key among n.
func PartitionOf(key []byte, n int32) int32 {
	return int32(Murmur2(key)&0x7fffffff) % n
}
