package stream

import (
	"fmt"
	"slices"
	"strconv"
)

// Header names of a dead letter, those of Kafka Connect.
const (
	HeaderErrTopic     = "__connect.errors.topic"
	HeaderErrPartition = "__connect.errors.partition"
	HeaderErrOffset    = "__connect.errors.offset"
	HeaderErrConnector = "__connect.errors.connector.name"
	HeaderErrStage     = "__connect.errors.stage"
	HeaderErrClass     = "__connect.errors.exception.class.name"
	HeaderErrMessage   = "__connect.errors.exception.message"
)

// DeadLetter is the record that sets src aside in topic dead: same key, value
// and headers, with where it came from and why. class is one word of a closed
// set ("WRONG_PARTITION", "UNDECODABLE", ...); message must be safe to keep.
func DeadLetter(dead string, src Record, program, stage, class, message string) Record {
	h := append([]Header(nil), src.Headers...)
	h = append(h,
		Header{HeaderErrTopic, []byte(src.Topic)},
		Header{HeaderErrPartition, strconv.AppendInt(nil, int64(src.Partition), 10)},
		Header{HeaderErrOffset, strconv.AppendInt(nil, src.Offset, 10)},
		Header{HeaderErrConnector, []byte(program)},
		Header{HeaderErrStage, []byte(stage)},
		Header{HeaderErrClass, []byte(class)},
		Header{HeaderErrMessage, []byte(message)},
	)
	if src.AppendTime {
		h = append(h, Header{HeaderErrAppended, strconv.AppendInt(nil, src.TimestampMs, 10)})
	}
	return Record{Topic: dead, Partition: Auto, Key: src.Key, Value: src.Value, Headers: h}
}

// HeaderErrAppended is ours beside those of Kafka Connect: the broker's clock
// when the record was appended, in milliseconds since the epoch. It is absent
// where the topic's timestamps are not the broker's.
const HeaderErrAppended = "ramp_errors_appended_at"

// Letter is a dead letter taken apart.
type Letter struct {
	// At is the dead letter itself, without its bytes.
	At Coordinate
	// Source is the record that was set aside: its coordinates (-1 for an HTTP
	// body), key, value, headers, and its append time where that is known.
	Source                         Record
	Program, Stage, Class, Message string
}

// ParseDeadLetter is the inverse of DeadLetter. It fails for a record that does
// not say where it came from.
func ParseDeadLetter(r Record) (Letter, error) {
	l := Letter{At: r.At(), Source: Record{Key: r.Key, Value: r.Value}}
	h := slices.Clone(r.Headers)
	// The last of a name is the one that DeadLetter added; earlier ones are the
	// record's own.
	take := func(name string) (string, bool) {
		for i := len(h) - 1; i >= 0; i-- {
			if h[i].Key == name {
				v := string(h[i].Value)
				h = slices.Delete(h, i, i+1)
				return v, true
			}
		}
		return "", false
	}
	// It stands last, or DeadLetter did not add it.
	if n := len(h) - 1; n >= 0 && h[n].Key == HeaderErrAppended {
		text, _ := take(HeaderErrAppended)
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 {
			l.Source.TimestampMs, l.Source.AppendTime = ms, true
		}
	}
	topic, ok1 := take(HeaderErrTopic)
	partition, ok2 := take(HeaderErrPartition)
	offset, ok3 := take(HeaderErrOffset)
	p, err1 := strconv.ParseInt(partition, 10, 32)
	o, err2 := strconv.ParseInt(offset, 10, 64)
	if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil {
		return Letter{}, fmt.Errorf("dead letter %s does not say where it came from", l.At)
	}
	l.Source.Topic, l.Source.Partition, l.Source.Offset = topic, int32(p), o
	l.Program, _ = take(HeaderErrConnector)
	l.Stage, _ = take(HeaderErrStage)
	l.Class, _ = take(HeaderErrClass)
	l.Message, _ = take(HeaderErrMessage)
	l.Source.Headers = h
	return l, nil
}
