package integration

import (
	"reflect"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// atomic: of one transaction all records, in all topics, are visible or none.
//
// The transactions of a producer are told apart by its epoch, which the broker
// raises with each of them from transaction.version 2 on. Below it an epoch has
// many transactions and nothing in a record says where one ends: there the
// position, which counts and digests the states that were written with it, is
// what would show a part that is missing.
func (c *checker) atomic() {
	if c.SharedEpochs {
		return
	}
	visible := map[coordinate]bool{}
	for _, t := range c.Topics.All() {
		c.Each(t, func(r stream.Record) { visible[at(r)] = true })
	}
	type fate struct{ seen, hidden coordinate }
	fates := map[Writer]*fate{}
	for _, t := range c.Topics.All() {
		for n, records := range c.All[t] {
			for _, r := range records {
				w := c.writer(r, n)
				if !w.Transactional {
					continue
				}
				f := fates[w]
				if f == nil {
					f = &fate{}
					fates[w] = f
				}
				if visible[at(r)] {
					f.seen = at(r)
				} else {
					f.hidden = at(r)
				}
			}
		}
	}
	for w, f := range fates {
		if f.seen.topic != "" && f.hidden.topic != "" {
			c.fail(Torn, "producer %d, epoch %d: %s is visible and %s is not", w.ID, w.Epoch, f.seen, f.hidden)
		}
	}
}

// writer is who wrote a record; nobody where that is not known.
func (c *checker) writer(r stream.Record, partition int) Writer {
	if parts := c.Writers[r.Topic]; partition < len(parts) {
		return parts[partition][r.Offset]
	}
	return Writer{}
}

// growth: along the records of a key evidence is only added. What is joined to
// the next state leaves it as it is.
func (c *checker) growth() {
	for _, t := range []string{c.Topics.OrderState, c.Topics.CustomerState} {
		last := map[string][]events.Evidence{}
		c.Each(t, func(r stream.Record) {
			key := string(r.Key)
			if r.Value == nil {
				delete(last, key)
				return
			}
			st, err := c.decodeState(r)
			if err != nil {
				return // reported by placement
			}
			if both := order.Join(last[key], st.Evidence); !reflect.DeepEqual(both, order.Join(nil, st.Evidence)) {
				c.fail(Shrunk, "%s at %s lacks evidence that the state before it had", key, at(r))
			}
			last[key] = st.Evidence
		})
	}
}
