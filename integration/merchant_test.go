package integration_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"

	"rampstream/internal/demo"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// merchant: a foreign program with a client and an Avro library of its own
// writes intents and reads webhooks; one with another partitioner is set aside.
func merchant(t *testing.T, p platform) {
	w := newWorld(t, p, options{stage: 100 * time.Millisecond})
	ingest, poller, reconciler := w.startAll()

	const n = 20
	orders := make([]map[string]string, n)
	for i := range orders {
		orders[i] = map[string]string{"provider": "koinal", "account": demo.Account, "order_id": fmt.Sprintf("shop-%d", i), "merchant_ref": fmt.Sprintf("ref-%d", i)}
		if i%2 == 0 {
			orders[i]["fiat_amount"], orders[i]["fiat_currency"] = "12.50", "EUR"
		}
	}
	text, err := json.Marshal(orders)
	must(t, err)
	file := filepath.Join(w.dir, "orders.json")
	must(t, os.WriteFile(file, text, 0o600))
	w.shop("-intents", file, "-count", "-1")

	table := w.table()
	eventually(t, patience, "every intent is a state CREATED", func() (bool, string) {
		if _, err := table.Refresh(t.Context()); err != nil {
			return false, err.Error()
		}
		created := 0
		for _, st := range table.States() {
			if st.Status == events.StatusCreated && st.DecidedSource == "intent" && strings.HasPrefix(st.Expected.MerchantRef, "ref-") {
				created++
			}
		}
		return created == n, fmt.Sprintf("%d of %d", created, n)
	})

	// Webhooks of a real order, as the merchant prints them.
	must(t, w.place(t.Context(), 4, 0, 200*time.Millisecond))
	must(t, w.sim.World.WaitQuiet(t.Context()))
	webhooks := w.count(w.topics().Webhook)
	lines := bufio.NewScanner(strings.NewReader(w.shop("-count", fmt.Sprint(webhooks))))
	seen := 0
	for ; lines.Scan(); seen++ {
		var line struct{ Key, Trust, Status string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Key == "" || line.Trust == "" || line.Status == "" {
			t.Errorf("the merchant printed %q: %v", lines.Text(), err)
		}
	}
	if seen != webhooks {
		t.Errorf("the merchant printed %d webhooks of %d", seen, webhooks)
	}

	misplaced := w.misplace()
	w.agree()
	r := w.finish([]*process{ingest}, []*process{poller}, reconciler)
	dead := slices.Concat(r.Committed[w.topics().DeadLetter]...)
	if len(dead) != 1 {
		t.Fatalf("%d dead letters, want the misplaced intent alone", len(dead))
	}
	if class, _ := dead[0].Header(stream.HeaderErrClass); string(class) != "WRONG_PARTITION" || string(dead[0].Key) != misplaced {
		t.Errorf("dead letter of %s is %s, want WRONG_PARTITION of %s", dead[0].Key, class, misplaced)
	}
}

// shop runs the merchant's program to its end and returns what it printed.
func (w *world) shop(args ...string) string {
	w.t.Helper()
	code, out := w.command("merchant", append([]string{"-brokers", strings.Join(w.cfg.Kafka.Brokers, ","), "-registry", w.cfg.Registry.URL,
		"-prefix", w.cfg.Topics.Prefix, "-group", w.cfg.Topics.Prefix + "shop"}, args...)...)
	if code != 0 {
		w.t.Fatalf("merchant %v: exit code %d\n%s", args, code, out)
	}
	return out
}

// count is the number of records of a topic without transactions.
func (w *world) count(topic string) int {
	w.t.Helper()
	ends, err := w.adm.ListEndOffsets(w.t.Context(), topic)
	must(w.t, err)
	n := int64(0)
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return int(n)
}

// misplace writes an intent the way a producer with kafka-go's FNV partitioner
// would, and returns its key: one for which that is not the right partition.
func (w *world) misplace() string {
	w.t.Helper()
	all := make([]int, partitions)
	for i := range all {
		all[i] = i
	}
	key := ""
	for i := 0; key == ""; i++ {
		k := "koinal/" + demo.Account + "/fnv-" + fmt.Sprint(i)
		m := kafka.Message{Key: []byte(k)}
		if (&kafka.Hash{}).Balance(m, all...) != (kafka.Murmur2Balancer{Consistent: true}).Balance(m, all...) {
			key = k
		}
	}
	cd, _ := w.reading()
	k, err := events.ParseKey(key)
	must(w.t, err)
	value, err := cd.EncodeIntent(events.Intent{Key: k, EventID: "misplaced-1", ObservedAt: events.At(time.Now()), Source: "test"})
	must(w.t, err)
	w.write(&kafka.Hash{}, kafka.Message{Key: []byte(key), Value: value, Headers: []kafka.Header{{Key: "x-origin", Value: []byte("test")}}})
	return key
}

// write writes intents once each, to partitions that a balancer chooses. What is
// not answered in time kafka-go writes again, so there is much time.
func (w *world) write(b kafka.Balancer, ms ...kafka.Message) {
	w.t.Helper()
	out := &kafka.Writer{Addr: kafka.TCP(w.cfg.Kafka.Brokers...), Topic: w.topics().Intent, Balancer: b, RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond, ReadTimeout: patience, WriteTimeout: patience, Transport: ownTransport(w.t)}
	must(w.t, out.WriteMessages(w.t.Context(), ms...))
	must(w.t, out.Close())
}

// ownTransport is a transport of one writer. The shared one remembers for
// seconds which topics there are, and those of another scenario are not ours.
func ownTransport(t *testing.T) *kafka.Transport {
	tr := &kafka.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}
