package order_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// Tests for single rows of docs/faults.md that no other test shows.

// hookAt and pollAt are sighted to the second, with coordinates of their own.
func hookAt(r order.Rules, word string, at events.Millis, id events.EventID, offset int64, f events.Facts) []events.Evidence {
	return r.FromWebhook(events.Webhook{Key: key, EventID: id, ObservedAt: at, Trust: events.TrustSigned, StatusRaw: word, Facts: f},
		order.Where{Topic: "hook", Offset: offset, AppendedAt: at})
}

func pollAt(r order.Rules, word string, at events.Millis, f events.Facts) []events.Evidence {
	return r.FromCheck(events.StatusCheck{Key: key, EventID: "p-" + events.EventID(word), ObservedAt: at, Outcome: events.OutcomeOK, StatusRaw: word, Facts: f},
		order.Where{Topic: "poll", AppendedAt: at})
}

// I28: a scheme without a time can be replayed for ever. A replay, however
// late and as whatever event, is the first sighting again, and changes nothing.
func TestJoin_replayedWebhookProvesNothing(t *testing.T) {
	r := rules(t, nil)
	paid := events.Facts{CryptoAmount: "1", CryptoAsset: "BTC"}
	rows := order.Join(hookAt(r, "done", minute(1), "e1", 1, paid), pollAt(r, "back", minute(50), paid))
	for _, id := range []events.EventID{"e1", "another"} {
		again := order.Join(rows, hookAt(r, "done", minute(90*24*60), id, 99, paid))
		if !cmp.Equal(rows, again) {
			t.Errorf("a replay as event %s changed the evidence:\n%s", id, cmp.Diff(rows, again))
		}
	}
	if st := r.View(key, rows); st.Status != events.StatusRefunded {
		t.Errorf("status = %v; want REFUNDED", st.Status)
	}
}

// R10: a poll that began less than the margin after a webhook was received may
// be the older of the two; it does not lower what the webhook said.
func TestView_marginBetweenSources(t *testing.T) {
	r := rules(t, nil)
	for _, tc := range []struct {
		after events.Millis // the poll, after the webhook
		want  events.Status
	}{{-60_000, events.StatusProcessing}, {0, events.StatusProcessing}, {4_999, events.StatusProcessing}, {5_001, events.StatusPending}} {
		rows := order.Join(hookAt(r, "run", minute(1), "e1", 1, events.Facts{}), pollAt(r, "wait", minute(1)+tc.after, events.Facts{}))
		if got := r.View(key, rows); got.Status != tc.want {
			t.Errorf("a poll %d ms after the webhook: %v by %s, want %v", tc.after, got.Status, got.DecidedBy, tc.want)
		}
	}
}

// R13, P6: another unit is never compared as a number, and another transaction
// than the one named before is told.
func TestDiscrepancies_unitAndTransaction(t *testing.T) {
	r := rules(t, nil)
	open := func(rows []events.Evidence) (events.State, []string) { st := r.View(key, rows); return st, st.Open }
	want := r.FromIntent(events.Intent{Key: key, EventID: "i", ObservedAt: minute(1), Facts: events.Facts{CryptoAmount: "1", CryptoAsset: "BTC"}},
		order.Where{Topic: "intent", AppendedAt: minute(1)})
	st, got := open(order.Join(want, pollAt(r, "done", minute(2), events.Facts{CryptoAmount: "1", CryptoAsset: "DOGE"})))
	if st.Status != events.StatusDisputed || !slices.Contains(got, string(events.AssetMismatch)) || slices.Contains(got, string(events.AmountMismatch)) {
		t.Errorf("1 DOGE for 1 BTC: %v with %v; want DISPUTED with ASSET_MISMATCH alone", st.Status, got)
	}
	_, got = open(order.Join(hookAt(r, "done", minute(1), "e1", 1, events.Facts{TxHash: "aa"}), pollAt(r, "done", minute(2), events.Facts{TxHash: "bb"})))
	if !slices.Contains(got, string(events.TxHashMismatch)) {
		t.Errorf("two transactions: open %v; want TX_HASH_MISMATCH", got)
	}
}
