package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// appendTime is the timestamp type of a record stamped by the broker.
const appendTime = 1

func fromClient(r *kgo.Record) stream.Record {
	out := stream.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Key: r.Key, Value: r.Value,
		TimestampMs: r.Timestamp.UnixMilli(),
		AppendTime:  r.Attrs.TimestampType() == appendTime,
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]stream.Header, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = stream.Header{Key: h.Key, Value: h.Value}
		}
	}
	return out
}

func toClient(r stream.Record) *kgo.Record {
	out := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
	if r.TimestampMs != 0 {
		out.Timestamp = time.UnixMilli(r.TimestampMs)
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	return out
}
