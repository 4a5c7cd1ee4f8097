package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// ends counts the requests to end a transaction that were written, and those that
// were answered. One that was not may still reach its coordinator, however late:
// the client gave its connection up and asked again by another.
type ends struct{ written, answered atomic.Int64 }

// OnBrokerWrite is the client's hook. A request of which nothing was written is
// none, and one that was written in part is taken for whole.
func (e *ends) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, err error) {
	if key == int16(kmsg.EndTxn) && (n > 0 || err == nil) {
		e.written.Add(1)
	}
}

// OnBrokerRead is the client's hook.
func (e *ends) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(kmsg.EndTxn) && err == nil {
		e.answered.Add(1)
	}
}

// unanswered is how many were not answered, ever.
func (e *ends) unanswered() int64 { return e.written.Load() - e.answered.Load() }

// under is what a transaction was begun under.
type under struct {
	id    int64
	epoch int16
	inits int64 // how often the id had been initialised
}

// raised reports whether the end of the transaction raised the epoch. What an
// initialisation raised may have been raised before that end was written: only a
// session's own is sure to come after.
func (u under) raised(now under) bool {
	return (now.id != u.id || now.epoch != u.epoch) && now.inits == u.inits
}

// overdue ends the session if a request to end the transaction that is over may
// still arrive in one that is begun by the same epoch. Whoever opens the next
// session has the epoch raised, and requests of the one before are refused. From
// transaction.version 2 on the answer to EndTxn has raised it, and the session goes
// on.
func (g *TxnGroup) overdue(ctx context.Context) {
	n := g.ends.unanswered()
	if n == g.settled {
		return
	}
	if g.under.raised(g.now(ctx)) {
		g.settled = n
		return
	}
	g.fail(fmt.Errorf("an end of a transaction was not answered by the connection it went by, and may arrive in the next one: %w", stream.ErrRenew))
}

// now is what a transaction would be begun under. Where the client has no id, its
// begin says why, or gets one: then it is initialised.
func (g *TxnGroup) now(ctx context.Context) under {
	id, epoch, err := g.cl.ProducerID(ctx)
	if err != nil {
		return g.under
	}
	return under{id, epoch, g.inits.n.Load()}
}
