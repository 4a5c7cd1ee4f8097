package kafka

import (
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

// ParseJAAS is parseJAAS.
func ParseJAAS(s string) (module, user, pass string, err error) { return parseJAAS(s) }

// ToClient is toClient.
func ToClient(r stream.Record) *kgo.Record { return toClient(r) }

// Converting is convert of a clientRecords that is used again.
func Converting() func([]stream.Record) []kgo.Record { return new(clientRecords).convert }
