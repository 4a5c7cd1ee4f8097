package integration

import (
	"bytes"
	"slices"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// fold joins, one by one, all evidence that the reconciler has passed, in the
// order of coordinates, which is not the order in which it came.
func (c *checker) fold() map[string][]events.Evidence {
	var all []coordinate
	for w, in := range c.inputs {
		if in.bad == "" && len(in.rows) > 0 && w.offset < c.next[w.topic][w.partition] {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b coordinate) int {
		if a.offset != b.offset {
			return int(b.offset - a.offset) // latest first
		}
		return bytes.Compare([]byte(a.String()), []byte(b.String()))
	})
	rows := map[string][]events.Evidence{}
	for _, w := range all {
		key := c.inputs[w].key.String()
		rows[key] = order.Join(rows[key], c.inputs[w].rows)
	}
	return rows
}

// states: the latest state of every key is the view of the fold, byte for byte,
// and no key without evidence has one.
func (c *checker) states() {
	want := c.fold()
	have := c.Latest(c.Topics.OrderState)
	for k, r := range c.Latest(c.Topics.CustomerState) {
		have[k] = r
	}
	for name, rows := range want {
		key, err := events.ParseKey(name)
		if err != nil {
			c.fail(WrongState, "key %q: %v", name, err)
			continue
		}
		value, err := c.Codec.EncodeState(c.Rules.View(key, rows))
		if err != nil {
			c.fail(WrongState, "%s: %v", name, err)
			continue
		}
		if !bytes.Equal(value, have[name].Value) {
			c.fail(WrongState, "%s: %d bytes at %s, the fold of %d rows gives other %d bytes", name, len(have[name].Value), at(have[name]), len(rows), len(value))
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			c.fail(Invented, "%s has a state and no evidence", name)
		}
	}
}

// latestStates decodes the live states.
func (c *checker) latestStates() map[string]events.State {
	out := map[string]events.State{}
	for _, t := range []string{c.Topics.OrderState, c.Topics.CustomerState} {
		for k, r := range c.Latest(t) {
			if st, err := c.decodeState(r); err == nil && r.Value != nil {
				out[k] = st
			}
		}
	}
	return out
}

func (c *checker) decodeState(r stream.Record) (events.State, error) {
	if r.Topic == c.Topics.CustomerState {
		return c.Codec.DecodeCustomerState(c.ctx, r.Value)
	}
	return c.Codec.DecodeOrderState(c.ctx, r.Value)
}

// quotes: every coordinate that a state, transition or discrepancy quotes names
// an input of the same subject, with the event id that is quoted, and evidence
// never quotes a hint.
func (c *checker) quotes() {
	for _, t := range []string{c.Topics.OrderState, c.Topics.CustomerState} {
		c.Each(t, func(r stream.Record) {
			st, err := c.decodeState(r)
			if err != nil || r.Value == nil {
				return
			}
			for _, e := range st.Evidence {
				for _, s := range []events.Sighting{e.First, e.Last} {
					c.quoted(r, st.Key, s, e.Kind)
				}
			}
		})
	}
	c.Each(c.Topics.Transition, func(r stream.Record) {
		if tr, err := c.Codec.DecodeTransition(c.ctx, r.Value); err == nil && tr.Cause != "" {
			c.coordinates(r, tr.Key, tr.Cause, tr.CauseEventID)
		}
	})
	c.Each(c.Topics.Discrepancy, func(r stream.Record) {
		d, err := c.Codec.DecodeDiscrepancy(c.ctx, r.Value)
		if err != nil || r.Value == nil {
			return
		}
		for _, e := range d.Evidence {
			c.coordinates(r, d.Key, e, "")
		}
	})
}

// sources are the topics that each kind of evidence comes from.
func (c *checker) source(kind events.EvidenceKind) string {
	switch kind {
	case events.EvidenceWebhook, events.EvidenceWebhookMore:
		return c.Topics.Webhook
	case events.EvidencePoll:
		return c.Topics.StatusCheck
	case events.EvidenceIntent, events.EvidenceDecision, events.EvidenceForget:
		return c.Topics.Intent
	default:
		return "" // overflow and future rows may come from any
	}
}

func (c *checker) quoted(r stream.Record, key events.Key, s events.Sighting, kind events.EvidenceKind) {
	if s.Topic == "" {
		return
	}
	w := coordinate{s.Topic, s.Partition, s.Offset}
	in, ok := c.inputs[w]
	from := c.source(kind)
	switch {
	case !ok || in.key != key || in.id != s.EventID:
		c.fail(Invented, "%s quotes %s for event %s: not there", at(r), w, s.EventID)
	case !in.signed || in.bad != "":
		c.fail(Invented, "%s quotes %s, which is no evidence", at(r), w)
	case from != "" && from != s.Topic:
		c.fail(Invented, "%s quotes %s as %s", at(r), w, kind)
	}
}

func (c *checker) coordinates(r stream.Record, key events.Key, text string, id events.EventID) {
	topic, partition, offset, ok := events.ParseCoordinates(text)
	in, there := c.inputs[coordinate{topic, partition, offset}]
	if !ok || !there || in.key != key || id != "" && in.id != id {
		c.fail(Invented, "%s quotes %s: not there", at(r), text)
	}
}

// chainHeader is the header of a state that names its last transition.
const chainHeader = "ramp_transition_digest"

// transitions: ids are unique; per subject each begins where the one before
// ended, and the last one leads to the latest state.
//
// Without transactions a process that died may have told what no state
// followed: its successor read the same records, of several topics, in another
// order. There the chain is what leads back from the state, link by link, and
// what stands beside it is told by nobody's state.
func (c *checker) transitions() {
	ids := map[events.EventID]coordinate{}
	chains := map[string]*chain{}
	c.Each(c.Topics.Transition, func(r stream.Record) {
		tr, err := c.Codec.DecodeTransition(c.ctx, r.Value)
		if err != nil {
			return // reported by placement
		}
		first, twice := ids[tr.ID]
		if twice && c.AtLeastOnce {
			return // readers drop it by its id
		}
		if twice {
			c.fail(Repeated, "transition %s stands at %s and %s", tr.ID, first, at(r))
		}
		ids[tr.ID] = at(r)
		key := string(r.Key)
		ch := chains[key]
		if ch == nil {
			ch = &chain{links: map[string]events.Transition{}}
			chains[key] = ch
		}
		if before := ch.last; !c.AtLeastOnce && (tr.DigestBefore != before.DigestAfter || tr.From != before.To) {
			c.fail(BrokenChain, "%s: %s begins at %s (%s), the one before ended at %s (%s)", at(r), key, tr.From, tr.DigestBefore, before.To, before.DigestAfter)
		}
		if tr.ID != events.EventID(events.Digest("transition", key, tr.DigestBefore, tr.DigestAfter)) {
			c.fail(BrokenChain, "%s: the id is not the hash of key and digests", at(r))
		}
		ch.last, ch.links[tr.DigestAfter] = tr, tr
	})
	for _, t := range []string{c.Topics.OrderState, c.Topics.CustomerState} {
		for key, r := range c.Latest(t) {
			st, err := c.decodeState(r)
			if err != nil || r.Value == nil {
				continue
			}
			header, _ := r.Header(chainHeader)
			tr := c.leadsTo(chains[key], key, string(header))
			if string(header) != tr.DigestAfter || st.Status != tr.To || st.Terminal != tr.Terminal {
				c.fail(BrokenChain, "%s is %s at %s, its last transition leads to %s (%s)", key, st.Status, header, tr.To, tr.DigestAfter)
			}
			delete(chains, key)
		}
	}
	for key := range chains {
		c.fail(BrokenChain, "%s has transitions and no state", key)
	}
}

// chain is what was told of one subject.
type chain struct {
	last  events.Transition
	links map[string]events.Transition // by the digest after
}

// leadsTo is the transition that a state with this link must follow: the last
// one, or, without transactions, the one that it names, if the way back from
// there is whole.
func (c *checker) leadsTo(ch *chain, key, link string) events.Transition {
	switch {
	case ch == nil:
		return events.Transition{}
	case !c.AtLeastOnce:
		return ch.last
	}
	tr := ch.links[link]
	for at, n := tr, 0; at.DigestBefore != "" || at.From != events.StatusUnknown; n++ {
		before, ok := ch.links[at.DigestBefore]
		if !ok || before.To != at.From || n > len(ch.links) {
			c.fail(BrokenChain, "%s: nothing leads to %s (%s), where the way to its state begins", key, at.From, at.DigestBefore)
			return tr
		}
		at = before
	}
	return tr
}

// lastAsked is when the latest question was asked whose answer is evidence.
func lastAsked(st events.State) (last events.Millis) {
	for _, e := range st.Evidence {
		if e.Kind == events.EvidencePoll {
			last = max(last, e.Last.At)
		}
	}
	return last
}

// tasks: what the poller is asked about a subject is what its state asks for,
// unless a hint that came after the last question asks to look sooner.
func (c *checker) tasks() {
	tasks, states := c.Latest(c.Topics.CheckSchedule), c.latestStates()
	for name, st := range states {
		want, ok := c.Rules.Schedule(st)
		r, there := tasks[name]
		if there && r.Value != nil {
			got, err := c.Codec.DecodeCheckTask(c.ctx, r.Value)
			if err != nil || got.Cause == events.CauseHint && got.HintAt > lastAsked(st) || ok && got == want {
				continue
			}
			c.fail(WrongTask, "%s: the task at %s is due %d (%s), the state asks for %t, %d (%s)", name, at(r), got.DueAt, got.Cause, ok, want.DueAt, want.Cause)
			continue
		}
		if ok {
			c.fail(WrongTask, "%s asks for a check and has no task", name)
		}
	}
	for name, r := range tasks {
		if _, known := states[name]; known || r.Value == nil {
			continue
		}
		if got, err := c.Codec.DecodeCheckTask(c.ctx, r.Value); err != nil || got.Known || got.Cause != events.CauseHint {
			c.fail(WrongTask, "%s has a task at %s and no state", name, at(r))
		}
	}
}

// discrepancies: those of a subject are what its state's evidence says, byte for
// byte, and nobody else has one.
func (c *checker) discrepancies() {
	have := c.Latest(c.Topics.Discrepancy)
	for name, st := range c.latestStates() {
		for _, d := range c.Rules.Discrepancies(st.Key, st.Evidence) {
			value, err := c.Codec.EncodeDiscrepancy(d)
			r, there := have[d.RecordKey()]
			switch {
			case err != nil:
				c.fail(Disagreeing, "%s: %s: %v", name, d.Type, err)
			case !there || r.Value == nil:
				c.fail(Disagreeing, "%s: %s follows from the state and is not there", name, d.Type)
			case !bytes.Equal(value, r.Value):
				c.fail(Disagreeing, "%s: %s at %s is not what follows from the state", name, d.Type, at(r))
			}
			delete(have, d.RecordKey())
		}
	}
	for key, r := range have {
		if r.Value != nil {
			c.fail(Disagreeing, "%s at %s follows from no state", key, at(r))
		}
	}
}
