package kafka

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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
func Converting() func([]stream.Record, time.Time) []kgo.Record { return new(clientRecords).convert }

// Decoded is what batches made of an answer, beside records: the position behind
// them, how many bytes they had, and whether what follows is odd.
type Decoded struct {
	Pos  int64
	Read int
	Odd  bool
}

// Decode has batches read an answer in runs, whose memory is run's each time:
// seen is called with what stands in it.
func Decode(rp *kmsg.FetchResponseTopicPartition, committed bool, from, to int64, run *stream.Run, seen func([]stream.Record)) (d Decoded) {
	u := newUnpacker()
	b := newBatches(rp, committed, u)
	b.topic, b.partition, b.pos, b.to = "t", 3, from, to
	for more := true; more; {
		u.begin(run)
		more = b.fill(run)
		seen(run.Records)
	}
	d.Pos, d.Read, d.Odd = b.pos, len(rp.RecordBatches)-len(b.in), b.odd
	return d
}

// FromFetches is fromFetches.
func FromFetches(fs kgo.Fetches) []stream.Record { return fromFetches(fs) }

// FromClient is fromClient.
func FromClient(r *kgo.Record) stream.Record { return fromClient(r) }

// Raised is raised, of a transaction begun by an epoch of an id after some
// initialisations, and what holds after it.
func Raised(id int64, epoch int16, inits int64, nowID int64, nowEpoch int16, nowInits int64) bool {
	return under{id, epoch, inits}.raised(under{nowID, nowEpoch, nowInits})
}

// NewPool is an empty pool.
func NewPool() *pool { return new(pool) }

// Pooled is what a pool keeps: pieces of records, and bytes.
func Pooled(p *pool) (records, bytes int) {
	for _, b := range p.bytes {
		bytes += cap(b)
	}
	return len(p.records), bytes
}

// GiveUpAfter has reads of a log give up after so long.
func GiveUpAfter(l *Log, d time.Duration) { l.stalled = d }

// CompareLayout is compareLayout with a topic whose partitions have so many copies.
func CompareLayout(s TopicSpec, replicas ...int) []Change {
	t := kadm.TopicDetail{Topic: s.Name, Partitions: kadm.PartitionDetails{}}
	for i, n := range replicas {
		t.Partitions[int32(i)] = kadm.PartitionDetail{Topic: s.Name, Partition: int32(i), Replicas: make([]int32, n)}
	}
	return compareLayout(s, t)
}

// ClientTLS is tlsConfig.
func ClientTLS(p map[string]string) (*tls.Config, error) { return tlsConfig(p) }
