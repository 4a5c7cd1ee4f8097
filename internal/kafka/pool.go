package kafka

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pool is memory for what a client fetches: it is taken for each batch of records
// of the log, and comes back when the last record of that was recycled. What
// nobody recycles is the collector's.
type pool struct {
	mu      sync.Mutex
	records [][]kgo.Record
	bytes   [][]byte
}

var (
	_ kgo.PoolRecords         = (*pool)(nil)
	_ kgo.PoolDecompressBytes = (*pool)(nil)
)

const (
	// maxPooled is how many pieces of each kind are kept: a batch of the reconciler
	// has records of some dozens of batches of the log.
	maxPooled = 64
	// maxPiece and maxPieceRecords bound a piece that is kept: a topic with huge
	// records must not fill the memory for good.
	maxPiece        = 512 << 10
	maxPieceRecords = 4 << 10
	// packed is a first guess at how much smaller records are on their way: a piece
	// that is too small is grown by the client, and comes back grown.
	packed = 4
)

// GetRecords implements kgo.PoolRecords.
func (p *pool) GetRecords(n int) []kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fitting(&p.records, n)
}

// PutRecords implements kgo.PoolRecords.
func (p *pool) PutRecords(rs []kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.records) < maxPooled && cap(rs) <= maxPieceRecords {
		p.records = append(p.records, rs)
	}
}

// GetDecompressBytes implements kgo.PoolDecompressBytes.
func (p *pool) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fitting(&p.bytes, max(len(compressed), min(packed*len(compressed), maxPiece))) // more is not kept
}

// PutDecompressBytes implements kgo.PoolDecompressBytes.
func (p *pool) PutDecompressBytes(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.bytes) < maxPooled && cap(b) <= maxPiece {
		p.bytes = append(p.bytes, b)
	}
}

// fitting takes the last piece that has room for n, or makes one.
func fitting[E any](pieces *[][]E, n int) []E {
	for i := len(*pieces) - 1; i >= 0; i-- {
		if piece := (*pieces)[i]; cap(piece) >= n {
			*pieces = slices.Delete(*pieces, i, i+1)
			return piece[:0]
		}
	}
	return make([]E, 0, n)
}

// loan is the memory of the records that Poll returned for a batch.
type loan struct {
	records []*kgo.Record
	over    bool // the batch was committed: at the next Poll nobody has them any more
}

// lend adds what a poll returned.
func (l *loan) lend(fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) { l.records = append(l.records, p.Records...) })
}

// end is the end of a batch. What was lent for one that was not committed is not
// taken back: it may still be on its way, in dead letters.
func (l *loan) end() {
	if !l.over {
		l.records = nil
	}
}

// take takes the memory back, if it is free.
func (l *loan) take() {
	if !l.over {
		return
	}
	for _, r := range l.records {
		r.Recycle()
	}
	clear(l.records)
	l.records, l.over = l.records[:0], false
}
