package order_test

import (
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// A poll about an order of which webhooks and polls said three words: what the
// reconciler asks of this package, in the memory that it has.

func benchRows(b *testing.B) (r order.Rules, rows, next []events.Evidence) {
	r = rules(b, nil)
	rows = fold(r, say{"hook", "wait", 0, "1", 0}, say{"poll", "wait", 2, "1", 0}, say{"hook", "run", 4, "1", 0},
		say{"poll", "run", 6, "1", 0}, say{"hook", "done", 8, "1", 0}, say{"poll", "done", 10, "1", 0})
	return r, rows, rowsOf(r, say{"poll", "done", 18, "1", 0}, 9)
}

func BenchmarkRead(b *testing.B) {
	r, rows, _ := benchRows(b)
	var in order.Reading
	b.ReportAllocs()
	for b.Loop() {
		r.Read(&in, key, rows)
	}
}

func BenchmarkAssess(b *testing.B) {
	r, rows, _ := benchRows(b)
	var in order.Reading
	var st events.State
	r.Read(&in, key, rows)
	b.ReportAllocs()
	for b.Loop() {
		in.Assess(&st)
	}
}

func BenchmarkSchedule(b *testing.B) {
	r, rows, _ := benchRows(b)
	var in order.Reading
	var st events.State
	r.Read(&in, key, rows)
	in.Assess(&st)
	b.ReportAllocs()
	for b.Loop() {
		in.Schedule(&st)
	}
}

func BenchmarkAbsorb(b *testing.B) {
	_, rows, next := benchRows(b)
	room := make([]events.Evidence, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		order.Absorb(room, rows, next)
	}
}

func BenchmarkAppendCheck(b *testing.B) {
	r, rows, _ := benchRows(b)
	c := events.StatusCheck{Key: key, EventID: "00112233445566778899aabbccddeeff", ObservedAt: 1760000000000, Outcome: events.OutcomeOK,
		StatusRaw: "done", Facts: rows[0].Facts}
	at, dst := order.Where{Topic: "ramp.status-check.v1"}, make([]events.Evidence, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		dst = r.AppendCheck(dst[:0], &c, &at)
	}
}

func BenchmarkAppendWebhook(b *testing.B) {
	r, rows, _ := benchRows(b)
	w := events.Webhook{Key: key, EventID: "00112233445566778899aabbccddeeff", ObservedAt: 1760000000000, Trust: events.TrustSigned,
		StatusRaw: "done", Facts: rows[0].Facts}
	at, dst := order.Where{Topic: "ramp.webhook.v1"}, make([]events.Evidence, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		dst = r.AppendWebhook(dst[:0], &w, &at)
	}
}
