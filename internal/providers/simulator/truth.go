package simulator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rampstream/internal/events"
)

// Truth lists every subject in the order of placing, account after account.
func (w *World) Truth() []Truth {
	lanes := w.Lanes()
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	var out []Truth
	for _, l := range lanes {
		for _, s := range w.accounts[l].placed {
			out = append(out, s.truth(now))
		}
	}
	return out
}

// TruthOf is the truth about one subject; ok is false when it was never placed.
func (w *World) TruthOf(k events.Key) (t Truth, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[k.Lane()]
	if a == nil || a.subjects[k] == nil {
		return Truth{}, false
	}
	return a.subjects[k].truth(w.now()), true
}

func (s *subject) truth(now time.Time) Truth {
	end, cur := s.last(), s.stages[s.current(now)]
	settled := s.start.Add(end.at)
	return Truth{
		Key: s.key, Raw: end.word, Final: end.status, Fate: s.fate, NowRaw: cur.word, Now: cur.status,
		Settled: !now.Before(settled), SettledAt: settled, PlacedAt: s.start,
		Fiat: s.fiat, Crypto: s.crypto, IntendedFiat: s.meantFiat, IntendedCrypto: s.meant,
		Network: s.network, Side: s.side, TxHash: s.txHash, CustomerRef: s.customerRef, Tampered: s.tampered,
		KnownToMerchant: s.announced, Synced: s.synced, Denied: s.denied, Contradicted: s.contradicted,
	}
}

// Plan describes what was decided for a subject: its stages and webhooks with
// their times and faults, one a line. Equal seeds give equal plans. "" for a
// subject that was never placed.
func (w *World) Plan(k events.Key) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[k.Lane()]
	if a == nil || a.subjects[k] == nil {
		return ""
	}
	s := a.subjects[k]
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s tampered=%t\n", k, s.fate, s.fiat, s.crypto, s.tampered)
	for _, st := range s.stages {
		fmt.Fprintf(&b, "stage %v %q %s\n", st.at, st.word, st.status)
	}
	for _, n := range s.notices() {
		fmt.Fprintf(&b, "webhook %v %q of stage %d %v\n", n.at, n.word, n.stage, n.faults)
	}
	return b.String()
}

// String is the amount and its currency.
func (m Money) String() string { return m.Amount + " " + m.Currency }

// Quiet reports whether every subject has reached its last state and no webhook
// is waiting to be sent or repeated.
func (w *World) Quiet() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 || w.sending > 0 {
		return false
	}
	now := w.now()
	for _, a := range w.accounts {
		for _, s := range a.placed {
			if now.Before(s.start.Add(s.last().at)) {
				return false
			}
		}
	}
	return true
}

// WaitQuiet waits until Quiet, or until ctx ends.
func (w *World) WaitQuiet(ctx context.Context) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for !w.Quiet() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("simulator: not quiet: %w", ctx.Err())
		case <-t.C:
		}
	}
	return nil
}
