package redrive_test

import (
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
