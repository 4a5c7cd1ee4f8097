package stream_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rampstream/internal/stream"
)

// Whatever headers a record had, those of an earlier dead letter too, it comes
// out of its dead letter as it was.
func TestParseDeadLetter_isTheInverse(t *testing.T) {
	names := []string{stream.HeaderErrTopic, stream.HeaderErrClass, stream.HeaderErrAppended, stream.HeaderOriginTopic, "x", ""}
	rapid.Check(t, func(t *rapid.T) {
		src := stream.Record{
			Topic: rapid.SampledFrom([]string{"a", "a-b.c"}).Draw(t, "topic"), Partition: rapid.Int32Min(-1).Draw(t, "partition"),
			Offset: rapid.Int64Min(-1).Draw(t, "offset"), Key: rapid.SliceOf(rapid.Byte()).Draw(t, "key"), Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
			AppendTime: rapid.Bool().Draw(t, "append time"),
		}
		if src.AppendTime {
			src.TimestampMs = rapid.Int64Min(1).Draw(t, "time")
		}
		src.Headers = []stream.Header{}
		for range rapid.IntRange(0, 6).Draw(t, "headers") {
			src.Headers = append(src.Headers, stream.Header{Key: rapid.SampledFrom(names).Draw(t, "name"), Value: []byte(rapid.String().Draw(t, "header"))})
		}
		d := stream.DeadLetter("dead", src, "p", "s", "C", "m")
		d.Partition, d.Offset = 3, 4
		got, err := stream.ParseDeadLetter(d)
		want := stream.Letter{At: stream.Coordinate{Topic: "dead", Partition: 3, Offset: 4}, Source: src, Program: "p", Stage: "s", Class: "C", Message: "m"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("ParseDeadLetter: %v, -want +got\n%s", err, diff)
		}
	})
}

func TestParseDeadLetter_refuses(t *testing.T) {
	for name, h := range map[string][]stream.Header{
		"nothing":      nil,
		"no offset":    {{stream.HeaderErrTopic, []byte("t")}, {stream.HeaderErrPartition, []byte("1")}},
		"no number":    {{stream.HeaderErrTopic, []byte("t")}, {stream.HeaderErrPartition, []byte("1")}, {stream.HeaderErrOffset, []byte("x")}},
		"no partition": {{stream.HeaderErrTopic, []byte("t")}, {stream.HeaderErrPartition, []byte("9999999999")}, {stream.HeaderErrOffset, []byte("1")}},
	} {
		if l, err := stream.ParseDeadLetter(stream.Record{Headers: h}); err == nil || l.Source.Topic != "" {
			t.Errorf("%s: ParseDeadLetter = %+v, %v; want an error", name, l, err)
		}
	}
}

func TestAppendedAt(t *testing.T) {
	origin := func(text string) []stream.Header {
		return []stream.Header{{Key: stream.HeaderOriginAppended, Value: []byte(text)}}
	}
	for _, tc := range []struct {
		name    string
		r       stream.Record
		believe bool
		want    int64
	}{
		{"the producer's clock", stream.Record{TimestampMs: 5}, true, 0},
		{"the broker's clock", stream.Record{TimestampMs: 5, AppendTime: true}, true, 5},
		{"an older origin", stream.Record{TimestampMs: 5, AppendTime: true, Headers: origin("3")}, true, 3},
		{"an older origin, not believed", stream.Record{TimestampMs: 5, AppendTime: true, Headers: origin("3")}, false, 5},
		{"a younger origin", stream.Record{TimestampMs: 5, AppendTime: true, Headers: origin("9")}, true, 5},
		{"an origin on a topic without a clock", stream.Record{TimestampMs: 5, Headers: origin("3")}, true, 3},
		{"no number", stream.Record{TimestampMs: 5, AppendTime: true, Headers: origin("soon")}, true, 5},
		{"not a time", stream.Record{TimestampMs: 5, AppendTime: true, Headers: origin("-3")}, true, 5},
	} {
		if got := tc.r.AppendedAt(tc.believe); got != tc.want {
			t.Errorf("%s: AppendedAt(%v) = %d, want %d", tc.name, tc.believe, got, tc.want)
		}
	}
}

func TestCoordinate_roundTrip(t *testing.T) {
	for _, c := range []stream.Coordinate{{"a", 0, 0}, {"ramp.dead-letter.v1", 11, 1 << 50}, {"x-1-2", 3, 4}} {
		if got, err := stream.ParseCoordinate(c.String()); err != nil || got != c {
			t.Errorf("ParseCoordinate(%s) = %v, %v", c, got, err)
		}
	}
	for _, text := range []string{"", "a", "a-1", "-1-2", "a-x-1", "a-1-x", "a-1--2", "a-4294967296-1"} {
		if c, err := stream.ParseCoordinate(text); err == nil {
			t.Errorf("ParseCoordinate(%q) = %v, want an error", text, c)
		}
	}
}
