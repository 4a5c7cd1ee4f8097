package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// Refresh makes the client look at its topics now.
func (g *TxnGroup) Refresh() { g.cl.ForceMetadataRefresh() }

// AnnounceLate is what the client's goroutine does that was slow to say that a
// rebalance waits, when the next assignment has long begun.
func (g *Group) AnnounceLate() {
	g.lease.wait()
	g.blocked.Store(true)
}

// Lapse has the lease run out now.
func (g *PlainGroup) Lapse() { g.lease.lapse() }

// Mislead makes the log believe that a broker leads which is not there.
func (l *Log) Mislead(topic string, partition, node int32) {
	at, _ := l.leaders.find(context.Background(), topic, partition)
	l.leaders.keep(topic, partition, leaderOf{node, at.id}, 0)
}

// ParseJAAS is parseJAAS.
func ParseJAAS(s string) (module, user, pass string, err error) { return parseJAAS(s) }

// ToClient is toClient.
func ToClient(r stream.Record) *kgo.Record { return toClient(r) }

// Converting is convert of a clientRecords that is used again.
func Converting() func([]stream.Record) []kgo.Record { return new(clientRecords).convert }
