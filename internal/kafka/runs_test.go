package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// plainLog hides that a log fills runs.
type plainLog struct{ stream.Log }

// Runs have every record once, in order, whatever becomes of the memory of the
// runs before.
func TestReadRuns(t *testing.T) {
	cfg, _ := start(t, 1, "runs", "none")
	p := openProducer(t, cfg, kafka.ProducerOptions{})
	var want []string
	for range 9 {
		var rs []stream.Record
		for range 100 {
			v := fmt.Sprintf("value %d", len(want))
			want = append(want, v)
			rs = append(rs, stream.Record{Topic: "runs", Key: []byte("k"), Value: []byte(v), Headers: []stream.Header{{Key: "h", Value: []byte(v)}}})
		}
		if _, err := p.Publish(patient(t), rs...); err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, cfg)
	for name, log := range map[string]stream.Log{"of the log": l, "of any log": plainLog{l}} {
		t.Run(name, func(t *testing.T) {
			two, sent := []*stream.Run{{}, {}}, 0
			var got []string
			room := func() (*stream.Run, error) { return two[sent%2], nil }
			send := func(run *stream.Run) error {
				if run != two[sent%2] || len(run.Records) == 0 {
					t.Errorf("run %d is not the one that was given, or has none of %d records", sent, len(want))
				}
				for _, r := range run.Records {
					if h, _ := r.Header("h"); string(h) != string(r.Value) || r.Offset != int64(len(got)) || r.Topic != "runs" {
						t.Errorf("record %d is %s-%d at %d, with header %q and value %q", len(got), r.Topic, r.Partition, r.Offset, h, r.Value)
					}
					got = append(got, string(r.Value))
				}
				sent++
				return nil
			}
			if err := stream.ReadRuns(patient(t), log, "runs", 0, 0, 900, true, room, send); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) || sent < 2 {
				t.Errorf("%d records in %d runs, want %d in several", len(got), sent, len(want))
			}
			if err := stream.ReadRuns(patient(t), log, "none", 0, 0, 0, true, room, send); err != nil || len(got) != 900 {
				t.Errorf("ReadRuns of nothing = %v with %d records", err, len(got)-900)
			}
			stop := errors.New("stop")
			for _, at := range []int{0, 1} {
				calls := 0
				err := stream.ReadRuns(patient(t), log, "runs", 0, 0, 900, true, func() (*stream.Run, error) {
					if calls++; calls > 1 && at == 1 {
						return nil, stop
					}
					return &stream.Run{}, nil
				}, func(*stream.Run) error {
					if at == 0 {
						return stop
					}
					return nil
				})
				if !errors.Is(err, stop) || calls > at+1 {
					t.Errorf("ReadRuns that is stopped = %v after %d runs, want %v after %d", err, calls, stop, at+1)
				}
			}
			if err := stream.ReadRuns(patient(t), log, "runs", 0, 0, 901, true, room, send); !errors.Is(err, stream.ErrLoss) {
				t.Errorf("ReadRuns beyond the end = %v, want %v", err, stream.ErrLoss)
			}
		})
	}
}
