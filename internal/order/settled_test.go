package order_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/order"
)

// A confirmation that denies the settlement ends the asking. COMPLETED is said
// again 6 minutes after it was first said (a hint's poll), so that the denial at
// +15 min is no dispute yet (T last + confirm = +16 min) - and it is the last question
// ever asked. STATUS_CONFLICT stays open for ever.
func TestSchedule_denialDoesNotConfirm(t *testing.T) {
	r := rules(t, nil)
	st := r.View(key, fold(r, say{"hook", "done", 0, "", 0}, say{"poll", "done", 6, "", 0}, say{"poll", "run", 15, "", 0}))
	if st.Status != events.StatusCompleted || !slices.Contains(st.Open, "STATUS_CONFLICT") {
		t.Fatalf("%v by %s, open %v", st.Status, st.DecidedBy, st.Open)
	}
	if _, ok := r.Schedule(st); !ok {
		t.Errorf("%v by %s, open %v: the provider's last answer denies it, and nothing is asked any more", st.Status, st.DecidedBy, st.Open)
	}
}

// The fifth meaning pushes the one with the wrong amount out: more evidence
// makes a dispute vanish, and nothing says that something was dropped.
func TestView_droppedMeaningsAreTold(t *testing.T) {
	r := rules(t, nil)
	hook := func(f events.Facts, m int) []events.Evidence {
		return r.FromWebhook(events.Webhook{Key: key, EventID: events.EventID(fmt.Sprint("e", m)), ObservedAt: minute(m), Trust: events.TrustSigned,
			StatusRaw: "done", Status: events.StatusCompleted, Facts: f}, order.Where{Topic: "w", Offset: int64(m), AppendedAt: minute(m)})
	}
	wrong := events.Facts{CryptoAmount: "2", CryptoAsset: "BTC"}
	rows := order.Join(r.FromIntent(events.Intent{Key: key, EventID: "i", ObservedAt: minute(0), Facts: events.Facts{CryptoAmount: "1", CryptoAsset: "BTC"}},
		order.Where{Topic: "i", AppendedAt: minute(0)}), hook(wrong, 1))
	if st := r.View(key, rows); st.Status != events.StatusDisputed {
		t.Fatalf("%v by %s, want DISPUTED", st.Status, st.DecidedBy)
	}
	for n, i := 0, 0; n < 4; i++ { // right amounts, another creation time or transaction: other meanings
		f := events.Facts{CryptoAmount: "1", CryptoAsset: "BTC", ExternalID: fmt.Sprint("x", i)}
		if f.Digest() < wrong.Digest() {
			n++
			rows = order.Join(rows, hook(f, 2+n))
		}
	}
	st := r.View(key, rows)
	if st.Status != events.StatusDisputed && len(st.Open) == 0 {
		t.Errorf("%v by %s, open %v: a signed COMPLETED of another amount was dropped in silence", st.Status, st.DecidedBy, st.Open)
	}
}

// Two different facts have one digest, so a row takes the facts of whichever
// argument came first.
func TestJoin_commutesWhateverTheTexts(t *testing.T) {
	r := rules(t, nil)
	intent := func(f events.Facts) []events.Evidence {
		return r.FromIntent(events.Intent{Key: key, EventID: "e", ObservedAt: minute(1), Facts: f}, order.Where{Topic: "i", AppendedAt: minute(1)})
	}
	a := intent(events.Facts{MerchantRef: "a\x00b", CustomerRef: "c"})
	b := intent(events.Facts{MerchantRef: "a", CustomerRef: "b\x00c"})
	if !slices.Equal(order.Join(a, b), order.Join(b, a)) {
		t.Errorf("Join(a, b) = %+v\nJoin(b, a) = %+v", order.Join(a, b)[0].Facts, order.Join(b, a)[0].Facts)
	}
	if st := r.View(key, order.Join(a, b)); !slices.Contains(st.Open, "DUPLICATE_CONFLICT") {
		t.Errorf("open %v: two contents of one revision are no conflict", st.Open)
	}
}

// At a provider whose payer can change amount and currency, 0.01 of any
// currency passes for verified against an intent that states no asset.
func TestView_amountOfAnotherCurrencyVerifiesNothing(t *testing.T) {
	r := rules(t, func(v *events.Vocabulary) { v.AmountUnsigned = true })
	for _, want := range []events.Facts{{CryptoAmount: "0.01"}, {CryptoReceiveMin: "0.01"}} {
		rows := r.FromIntent(events.Intent{Key: key, EventID: "i", ObservedAt: minute(0), Facts: want}, order.Where{Topic: "i", AppendedAt: minute(0)})
		rows = order.Join(rows, r.FromCheck(events.StatusCheck{Key: key, EventID: "p", ObservedAt: minute(1), Outcome: events.OutcomeOK, StatusRaw: "done",
			Status: events.StatusCompleted, Facts: events.Facts{CryptoAmount: "0.01", CryptoAsset: "DOGE"}}, order.Where{Topic: "p", AppendedAt: minute(1)}))
		if st := r.View(key, rows); st.DecidedBy != order.RuleAmountUnverified {
			t.Errorf("%+v: %v by %s, want %s", want, st.Status, st.DecidedBy, order.RuleAmountUnverified)
		}
	}
}

// Docs/poller.md: "calls about it fail since 1 h: next try after 1 h".
func TestSchedule_backOffOverClassesOfFailures(t *testing.T) {
	r := rules(t, nil)
	var said []say
	said = append(said, say{"intent", "", 0, "1", 0})
	for m := 1; m <= 61; m += 15 {
		said = append(said, say{"poll", "!timeout", m, "", 0})
	}
	same := append(slices.Clone(said), say{"poll", "!timeout", 62, "", 0})
	other := append(slices.Clone(said), say{"poll", "!unreachable", 62, "", 0})
	next := func(said []say) time.Duration {
		task, _ := r.Schedule(r.View(key, fold(r, said...)))
		return task.DueAt.Sub(minute(62))
	}
	if a, b := next(same), next(other); b < a {
		t.Errorf("after an hour of failures the next try is in %v, but in %v when the last one is of another class", a, b)
	}
}
