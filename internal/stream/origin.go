package stream

import (
	"fmt"
	"slices"
	"strconv"
)

// Header names of a copied record. The origin is where the record first stood:
// copying a copy keeps it.
const (
	HeaderOriginTopic     = "ramp_origin_topic"
	HeaderOriginPartition = "ramp_origin_partition"
	HeaderOriginOffset    = "ramp_origin_offset"
	// HeaderOriginAppended is the broker's clock at the origin, in milliseconds
	// since the epoch; absent where that is not known.
	HeaderOriginAppended = "ramp_origin_appended_at"
	// HeaderRedriveOf is the dead letter that a record was made of, as
	// topic-partition-offset.
	HeaderRedriveOf = "ramp_redrive_of"
	// HeaderRedrives is how many times the record was redriven.
	HeaderRedrives = "ramp_redrives"
)

// Coordinate names a record.
type Coordinate struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String is topic-partition-offset.
func (c Coordinate) String() string {
	return c.Topic + "-" + strconv.Itoa(int(c.Partition)) + "-" + strconv.FormatInt(c.Offset, 10)
}

// At is where the record stands.
func (r Record) At() Coordinate { return Coordinate{r.Topic, r.Partition, r.Offset} }

// Redrives is how often the record was redriven; 0 when it says nothing that
// can be read.
func (r Record) Redrives() int {
	v, _ := r.Header(HeaderRedrives)
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Origin is where a copied record first stood; ok is false for a record that
// is no copy.
func (r Record) Origin() (c Coordinate, ok bool) {
	topic, ok1 := r.Header(HeaderOriginTopic)
	partition, _ := r.Header(HeaderOriginPartition)
	offset, _ := r.Header(HeaderOriginOffset)
	p, err1 := strconv.ParseInt(string(partition), 10, 32)
	o, err2 := strconv.ParseInt(string(offset), 10, 64)
	if !ok1 || err1 != nil || err2 != nil {
		return Coordinate{}, false
	}
	return Coordinate{string(topic), int32(p), o}, true
}

// Redrive is the record that brings a dead letter back to the topic it came
// from, into the partition of its key: same key, value and headers, with its
// origin, what it was made of, and how often it was redriven.
func (l Letter) Redrive() Record {
	src := l.Source
	h := slices.DeleteFunc(slices.Clone(src.Headers), func(h Header) bool {
		return h.Key == HeaderRedriveOf || h.Key == HeaderRedrives
	})
	if _, copied := src.Origin(); !copied {
		h = append(h,
			Header{HeaderOriginTopic, []byte(src.Topic)},
			Header{HeaderOriginPartition, strconv.AppendInt(nil, int64(src.Partition), 10)},
			Header{HeaderOriginOffset, strconv.AppendInt(nil, src.Offset, 10)},
		)
		if src.AppendTime {
			h = append(h, Header{HeaderOriginAppended, strconv.AppendInt(nil, src.TimestampMs, 10)})
		}
	}
	h = append(h,
		Header{HeaderRedriveOf, []byte(l.At.String())},
		Header{HeaderRedrives, strconv.AppendInt(nil, int64(src.Redrives()+1), 10)},
	)
	return Record{Topic: src.Topic, Partition: Auto, Key: src.Key, Value: src.Value, Headers: h}
}

// AppendedAt is the broker's clock when the record was appended, in
// milliseconds; 0 when it is not known. believe takes an earlier one from the
// origin of a copied record: the copy is then no younger than what it copies.
// It can only make a record older, never newer.
func (r Record) AppendedAt(believe bool) int64 {
	at := int64(0)
	if r.AppendTime {
		at = r.TimestampMs
	}
	if !believe {
		return at
	}
	text, ok := r.Header(HeaderOriginAppended)
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if !ok || err != nil || ms <= 0 {
		return at
	}
	if at == 0 {
		return ms
	}
	return min(at, ms)
}

// ParseCoordinate reads what Coordinate.String wrote. The numbers stand after
// the last two hyphens: a topic may have hyphens of its own.
func ParseCoordinate(text string) (Coordinate, error) {
	fail := fmt.Errorf("%q is not topic-partition-offset", text)
	rest, offset, ok1 := cutLast(text)
	topic, partition, ok2 := cutLast(rest)
	o, err1 := strconv.ParseInt(offset, 10, 64)
	p, err2 := strconv.ParseInt(partition, 10, 32)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || topic == "" || o < 0 || p < 0 {
		return Coordinate{}, fail
	}
	return Coordinate{topic, int32(p), o}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '-' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
