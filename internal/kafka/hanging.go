package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// OpenTransaction is a transaction that keeps read-committed readers of a
// partition from its end.
type OpenTransaction struct {
	Topic     string
	Partition int32
	// Stable is where readers stop, Behind how many records stand behind it.
	Stable, Behind int64
	// ProducerID and Epoch wrote the transaction, which begins at FirstOffset;
	// LastWrite is when they wrote last. ProducerID is -1 where the broker names
	// nobody.
	ProducerID  int64
	Epoch       int16
	FirstOffset int64
	LastWrite   time.Time
	// TransactionalID and State are those that a coordinator knows for the
	// producer; "" when none does, and then nobody will ever end it, unless Hidden.
	TransactionalID, State string
	// Hidden: no id is known, and there may be some that we must not see.
	Hidden bool
}

// Known reports whether a coordinator will end the transaction by its timeout.
func (t OpenTransaction) Known() bool {
	return t.State == "Ongoing" || strings.HasPrefix(t.State, "Prepare")
}

// Command is the command of Kafka's own tools that ends the transaction; "" for a
// Hidden one: what somebody may still commit must not be aborted in a partition.
func (t OpenTransaction) Command(broker string) string {
	if t.Hidden {
		return ""
	}
	if t.Known() {
		return fmt.Sprintf("kafka-transactions.sh --bootstrap-server %s forceTerminateTransaction --transactionalId %s", broker, t.TransactionalID)
	}
	return fmt.Sprintf("kafka-transactions.sh --bootstrap-server %s abort --topic %s --partition %d --start-offset %d", broker, t.Topic, t.Partition, t.FirstOffset)
}

// OpenTransactions lists the transactions that are open in topics at this
// moment, by topic, partition and offset. Most of them end by themselves within
// milliseconds: look twice.
func OpenTransactions(ctx context.Context, cfg Config, topics []string) ([]OpenTransaction, error) {
	var out []OpenTransaction
	err := withAdmin(cfg, func(adm *kadm.Client) (err error) {
		out, err = openTransactions(ctx, adm, topics)
		return err
	})
	return out, err
}

func openTransactions(ctx context.Context, adm *kadm.Client, topics []string) ([]OpenTransaction, error) {
	behind, err := unstable(ctx, adm, topics)
	if err != nil || len(behind) == 0 {
		return nil, err
	}
	set := kadm.TopicsSet{}
	for _, u := range behind {
		set.Add(u.Topic, u.Partition)
	}
	producers, err := adm.DescribeProducers(ctx, set)
	if err != nil {
		return nil, wrap("describe producers", err)
	}
	listed, err := adm.ListTransactions(ctx, nil, nil)
	if err != nil {
		return nil, wrap("list transactions", err)
	}
	owners := map[int64]kadm.ListedTransaction{}
	for _, l := range listed {
		owners[l.ProducerID] = l
	}
	hidden, err := hidesIDs(ctx, adm)
	if err != nil {
		return nil, err
	}
	var out []OpenTransaction
	for _, u := range behind {
		if err := producers[u.Topic].Partitions[u.Partition].Err; err != nil {
			return nil, wrap(fmt.Sprintf("describe producers of %s-%d", u.Topic, u.Partition), err)
		}
		found := false
		for _, p := range producers[u.Topic].Partitions[u.Partition].ActiveProducers.Sorted() {
			if p.CurrentTxnStartOffset < 0 {
				continue
			}
			found = true
			t := u
			t.ProducerID, t.Epoch, t.FirstOffset, t.LastWrite = p.ProducerID, p.ProducerEpoch, p.CurrentTxnStartOffset, time.UnixMilli(p.LastTimestamp)
			t.TransactionalID, t.State = owners[p.ProducerID].TxnID, owners[p.ProducerID].State
			t.Hidden = hidden && t.TransactionalID == ""
			out = append(out, t)
		}
		if !found {
			u.ProducerID, u.Hidden = -1, hidden
			out = append(out, u)
		}
	}
	return out, nil
}

// nobodysID is a transactional id that nobody has: who may describe it may describe
// all.
const nobodysID = "rampstream-doctor-asks-whether-it-may-see-every-id"

// hidesIDs reports whether there may be transactions that brokers do not list for
// us: they leave out those of ids that we have no right to, and say nothing.
func hidesIDs(ctx context.Context, adm *kadm.Client) (bool, error) {
	_, err := adm.DescribeTransactions(ctx, nobodysID)
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return true, nil
	}
	return false, wrap("describe transactions", err)
}

// unstable lists the partitions whose stable end is before their end.
func unstable(ctx context.Context, adm *kadm.Client, topics []string) ([]OpenTransaction, error) {
	stable, err := adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return nil, wrap("list stable offsets", err)
	}
	high, err := adm.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = high.Error()
	}
	if err != nil {
		return nil, wrap("list offsets", err)
	}
	var out []OpenTransaction
	stable.Each(func(s kadm.ListedOffset) {
		h, ok := high.Lookup(s.Topic, s.Partition)
		if ok && s.Offset < h.Offset {
			out = append(out, OpenTransaction{Topic: s.Topic, Partition: s.Partition, Stable: s.Offset, Behind: h.Offset - s.Offset, FirstOffset: s.Offset})
		}
	})
	slices.SortFunc(out, func(a, b OpenTransaction) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return out, nil
}

// StableWatch measures for how long the stable ends of topics have stood still
// before the ends. Its methods are for one goroutine.
type StableWatch struct {
	log    *Log
	topics []string
	since  map[string]map[int32]stood
}

// stood is a stable end and when it was first seen there.
type stood struct {
	at   int64
	from time.Time
}

// WatchStable opens a watch of topics.
func WatchStable(cfg Config, topics []string) (*StableWatch, error) {
	log, err := OpenLog(cfg)
	if err != nil {
		return nil, err
	}
	return &StableWatch{log: log, topics: topics, since: map[string]map[int32]stood{}}, nil
}

// Look asks the brokers and returns for each topic how long its oldest stable
// end has not moved while records stand behind it; 0 for a topic that is read to
// its end.
func (w *StableWatch) Look(ctx context.Context, now time.Time) (map[string]time.Duration, error) {
	behind, err := unstable(ctx, kadm.NewClient(w.log.cl), w.topics)
	if err != nil {
		return nil, err
	}
	out, next := map[string]time.Duration{}, map[string]map[int32]stood{}
	for _, t := range w.topics {
		out[t], next[t] = 0, map[int32]stood{}
	}
	for _, u := range behind {
		s, ok := w.since[u.Topic][u.Partition]
		if !ok || s.at != u.Stable {
			s = stood{u.Stable, now}
		}
		next[u.Topic][u.Partition] = s
		out[u.Topic] = max(out[u.Topic], now.Sub(s.from))
	}
	w.since = next
	return out, nil
}

// Close ends the watch's connections.
func (w *StableWatch) Close() { w.log.Close() }
