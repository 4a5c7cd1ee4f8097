package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// appendTime is the timestamp type of a record stamped by the broker.
const appendTime = 1

func fromClient(r *kgo.Record) (out stream.Record) {
	convert(&out, r, make([]stream.Header, len(r.Headers)))
	return out
}

// convert makes out, which is empty, of r, with room for as many headers as r has.
func convert(out *stream.Record, r *kgo.Record, room []stream.Header) {
	out.Topic, out.Partition, out.Offset = r.Topic, r.Partition, r.Offset
	out.Key, out.Value = r.Key, r.Value
	out.TimestampMs = r.Timestamp.UnixMilli()
	out.AppendTime = r.Attrs.TimestampType() == appendTime
	if len(r.Headers) > 0 {
		for i, h := range r.Headers {
			room[i] = stream.Header{Key: h.Key, Value: h.Value}
		}
		out.Headers = room
	}
}

// fromFetches converts what a poll returned: two allocations for all of it.
func fromFetches(fetches kgo.Fetches) []stream.Record {
	n, headers := 0, 0
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		n += len(p.Records)
		for _, r := range p.Records {
			headers += len(r.Headers)
		}
	})
	if n == 0 {
		return nil
	}
	rs, room := make([]stream.Record, n), make([]stream.Header, headers)
	left := rs
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for i, r := range p.Records {
			h := len(r.Headers)
			convert(&left[i], r, room[:h:h])
			room = room[h:]
		}
		left = left[len(p.Records):]
	})
	return rs
}

func toClient(r stream.Record) *kgo.Record {
	return &toClients([]stream.Record{r})[0]
}

// toClients converts records to be written: two allocations for all of them.
func toClients(rs []stream.Record) []kgo.Record { return new(clientRecords).convert(rs, time.Time{}) }

// clientRecords is memory for converted records. It may be used again when the
// client has acknowledged all of them: it looks at none after that.
type clientRecords struct {
	records []kgo.Record
	headers []kgo.RecordHeader
}

// maxRoom bounds the records whose memory is kept for the next batch.
const maxRoom = 64_000

// convert stamps records that have no time with now: the client would ask the clock
// for each of them. The zero time leaves that to it.
func (c *clientRecords) convert(rs []stream.Record, now time.Time) []kgo.Record {
	headers := 0
	for i := range rs {
		headers += len(rs[i].Headers)
	}
	if cap(c.records) < len(rs) {
		c.records = make([]kgo.Record, len(rs))
	}
	if cap(c.headers) < headers {
		c.headers = make([]kgo.RecordHeader, headers)
	}
	out, room := c.records[:len(rs)], c.headers[:headers]
	for i := range rs {
		r, o := &rs[i], &out[i]
		*o = kgo.Record{} // a literal would be made beside it and copied
		o.Topic, o.Partition, o.Key, o.Value, o.Timestamp = r.Topic, r.Partition, r.Key, r.Value, now
		if r.TimestampMs != 0 {
			o.Timestamp = time.UnixMilli(r.TimestampMs)
		}
		if n := len(r.Headers); n > 0 {
			for j, h := range r.Headers {
				room[j] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
			}
			o.Headers, room = room[:n:n], room[n:]
		}
	}
	return out
}
