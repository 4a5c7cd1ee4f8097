package reconciler_test

import (
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// FORGET takes effect in the transaction that reads it: the state keeps no
// fact, its discrepancies and its task are tombstoned, and nothing that comes
// later, a hint least of all, has the provider asked about it.
func TestEngine_forget(t *testing.T) {
	w := newWorld(t)
	w.now = minute(60)
	w.append(w.intent("o1", minute(1)), w.check("o1", "done", minute(2), events.CauseSchedule), w.check("o1", "fail", minute(3), events.CauseSchedule))
	w.drain()
	if _, ok := w.task("o1"); !ok || len(w.table(topics.Discrepancy)) == 0 {
		t.Fatal("the order has no task or no discrepancy to lose")
	}
	x := events.Intent{Key: key("o1"), Kind: events.Forget, EventID: "f1", ObservedAt: minute(30), Operator: "op", Reason: "erasure"}
	v, err := w.codec.EncodeIntent(x)
	if err != nil {
		t.Fatal(err)
	}
	forget := stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(x.Key.String()), Value: v}
	for _, more := range [][]stream.Record{
		{forget},
		{w.hook("o1", "done", minute(40), events.TrustHint)},
		{w.check("o1", "done", minute(41), events.CauseHint), w.hook("o1", "done", minute(42), events.TrustSigned), forget},
	} {
		w.append(more...)
		w.drain()
		st := w.state("o1")
		if st.DecidedBy != order.RuleForgotten || st.Facts != (events.Facts{}) || st.Expected != (events.Facts{}) ||
			len(st.Evidence) != 1 || st.Evidence[0].Kind != events.EvidenceForget || len(st.Open) > 0 {
			t.Fatalf("state after FORGET: %+v", st)
		}
		if task, ok := w.task("o1"); ok {
			t.Fatalf("the poller is asked about a forgotten order: %+v", task)
		}
		if left := w.table(topics.Discrepancy); len(left) > 0 {
			t.Fatalf("%d discrepancies outlive the order", len(left))
		}
	}
}

// An account that is missing in the configuration forgets as well.
func TestEngine_forgetWithoutAccount(t *testing.T) {
	w := newWorld(t)
	w.now = minute(60)
	w.append(w.intent("o1", minute(1)), w.check("o1", "done", minute(2), events.CauseSchedule), w.check("o1", "fail", minute(3), events.CauseSchedule))
	w.drain()
	var err error
	if w.rules, err = order.NewRules(order.DefaultSettings(), nil); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.append(w.check("o1", "wait", minute(4), events.CauseSchedule)) // taken without being viewed
	w.drain()
	x := events.Intent{Key: key("o1"), Kind: events.Forget, EventID: "f1", ObservedAt: minute(30), Operator: "op", Reason: "erasure"}
	v, err := w.codec.EncodeIntent(x)
	if err != nil {
		t.Fatal(err)
	}
	w.append(stream.Record{Topic: topics.Intent, Partition: stream.Auto, Key: []byte(x.Key.String()), Value: v})
	w.drain()
	st := w.state("o1")
	_, asked := w.task("o1")
	if st.DecidedBy != order.RuleForgotten || st.Facts != (events.Facts{}) || st.Expected != (events.Facts{}) || len(st.Evidence) != 1 || asked || len(w.table(topics.Discrepancy)) > 0 {
		t.Errorf("state %+v, asked about %v, %d discrepancies", st, asked, len(w.table(topics.Discrepancy)))
	}
	checkChain(t, w)
}
