package redrive_test

import (
	"context"
	"errors"
	"testing"

	"rampstream/internal/redrive"
	"rampstream/internal/stream"
)

// What can never be brought back must not keep what can from being brought back:
// "there are more" asks to run it again, and the runs must come to an end.
func TestRedrive_endsBehindWhatCannotBeBroughtBack(t *testing.T) {
	w := newWorld(t)
	for range 5 { // deliveries that ingest set aside
		w.append(stream.DeadLetter(topics.DeadLetter, stream.Record{Topic: topics.Webhook, Partition: -1, Offset: -1, Key: []byte("acme/shop"), Value: []byte("{}")},
			"ingest", "parse", "no_order_id", "delivery set aside"))
		w.now++
	}
	w.append(misplaced(w.hook(w.ours, "a", "done", day)))
	w.join()
	for range 20 { // as runRedrive with --all --execute --limit 5
		more := false
		err := w.redriver().Pages(t.Context(), redrive.Filter{Limit: 5}, func(sel redrive.Selection, steps []redrive.Step) error {
			w.write(steps)
			more = sel.More
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.join()
		if !more {
			break
		}
	}
	if _, ok := w.state("a"); !ok {
		t.Error("20 runs never brought back the record that can be: the 5 oldest, which cannot, fill the limit each time")
	}
}

func TestSelect_atAPartitionThatIsNone(t *testing.T) {
	away := stream.Coordinate{Topic: topics.DeadLetter, Partition: partitions, Offset: 0}
	if sel, err := newWorld(t).redriver().Select(t.Context(), redrive.Filter{At: &away}); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Select of a dead letter of another partition = %+v, %v; want ErrRefused", sel, err)
	}
}

// scans counts how often the dead letters are read from their beginning.
type scans struct {
	redrive.Log
	n *int
}

func (s scans) Read(ctx context.Context, topic string, n int32, from, to int64, committed bool, fn func(stream.Record) error) error {
	if topic == topics.DeadLetter && n == 0 {
		*s.n++
	}
	return s.Log.Read(ctx, topic, n, from, to, committed, fn)
}

// Who begins with one record does not read the topic twice for each that can never
// be brought back; and however much is looked at, no more than the limit is written.
func TestPages_smallLimit(t *testing.T) {
	w := newWorld(t)
	for range 500 { // deliveries that ingest set aside
		w.append(stream.DeadLetter(topics.DeadLetter, stream.Record{Topic: topics.Webhook, Partition: -1, Offset: -1, Key: []byte("acme/shop"), Value: []byte("{}")},
			"ingest", "parse", "no_order_id", "delivery set aside"))
	}
	w.now++
	for _, id := range []string{"a", "b", "c"} {
		w.append(misplaced(w.hook(w.ours, id, "done", day)))
	}
	w.join()
	d, n, written := w.redriver(), 0, 0
	d.Log = scans{d.Log, &n}
	more := false
	err := d.Pages(t.Context(), redrive.Filter{Limit: 1}, func(sel redrive.Selection, steps []redrive.Step) error {
		for _, s := range steps {
			if s.Outcome.Written() {
				written++
			}
		}
		more = sel.More
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n > 40 {
		t.Errorf("the dead letters were read %d times for one record; want some", n)
	}
	if written != 1 || !more {
		t.Errorf("%d would be written, more %v; want 1 and more", written, more)
	}
}
