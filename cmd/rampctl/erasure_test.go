package main

import (
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/inspect"
)

// What is left of a subject is counted where it is: a FORGET empties the state,
// retention the inputs, compaction the older states.
func TestErasure_remains(t *testing.T) {
	w := newAuditWorld(t, 200)
	r := inspect.Reader{Log: w.log, Codec: w.codec, Topics: auditTopics, Partitions: auditPartitions}
	key := events.Key{Provider: "acme", Account: "shop", ID: "o1"}
	left := func(what string) map[string]inspect.Remain {
		t.Helper()
		all, err := r.Remains(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]inspect.Remain{}
		for _, m := range all {
			out[m.Topic] = m
		}
		t.Logf("%s: %+v", what, all)
		return out
	}
	before := left("at first")
	if m := before[auditTopics.OrderState]; m.Records == 0 || !m.Live || m.Stub || before[auditTopics.Webhook].Records == 0 || before[auditTopics.Transition].Records == 0 {
		t.Fatalf("order-state: %+v", m)
	}
	w.forget(key)
	after := left("forgotten")
	if m := after[auditTopics.OrderState]; m.Records == 0 || m.Live || !m.Stub {
		t.Errorf("order-state after FORGET: %+v; want older records, and a stub", m)
	}
	if m := after[auditTopics.Intent]; m.Records != before[auditTopics.Intent].Records {
		t.Errorf("the FORGET counts as something that is left: %+v", m)
	}
	for _, topic := range []string{auditTopics.OrderState, auditTopics.Discrepancy, auditTopics.CheckSchedule} {
		w.log.Compact(topic)
	}
	for _, topic := range append(auditTopics.Inputs(), auditTopics.Transition, auditTopics.DeadLetter) {
		for n := range int32(auditPartitions) {
			w.log.Truncate(topic, n, 1<<40)
		}
	}
	for topic, m := range left("expired and compacted") {
		if m.Records != 0 || m.Live || m.Stub != (topic == auditTopics.OrderState) {
			t.Errorf("%s: %+v; want nothing but the stub", topic, m)
		}
	}
}

// When the broker may remove it follows from the topic's own settings.
func TestErasure_whenGone(t *testing.T) {
	for _, tc := range []struct {
		name      string
		m         inspect.Remain
		config    map[string]string
		notBefore string
		because   string
	}{
		{"nothing left", inspect.Remain{}, map[string]string{"retention.ms": "1000"}, "", ""},
		{"expires", inspect.Remain{Records: 1, Newest: auditDay}, map[string]string{"cleanup.policy": "delete", "retention.ms": "1000"}, "2023-11-14T22:13:21.000Z", "retention.ms 1000"},
		{"kept for ever", inspect.Remain{Records: 1, Newest: auditDay}, map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}, "", "retention.ms is -1: no bound"},
		{"compacted", inspect.Remain{Records: 1, Newest: auditDay}, map[string]string{"cleanup.policy": "compact", "max.compaction.lag.ms": "2000"}, "2023-11-14T22:13:22.000Z", "max.compaction.lag.ms 2000"},
		{"compacted some day", inspect.Remain{Records: 1, Newest: auditDay}, map[string]string{"cleanup.policy": "compact", "max.compaction.lag.ms": "9223372036854775807"}, "", "max.compaction.lag.ms is 9223372036854775807: no bound"},
		{"not forgotten", inspect.Remain{Records: 1, Live: true, Newest: auditDay}, map[string]string{"cleanup.policy": "compact", "max.compaction.lag.ms": "2000"}, "",
			"it is the present record: nothing was forgotten, or the reconciler has not read the FORGET"},
	} {
		if notBefore, because := whenGone(tc.m, tc.config); notBefore != tc.notBefore || because != tc.because {
			t.Errorf("%s: not before %q because %q; want %q, %q", tc.name, notBefore, because, tc.notBefore, tc.because)
		}
	}
}
