package reconciler

import (
	"fmt"
	"maps"
	"slices"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// Members of one group may have different rules for a while: a rollout, or a
// setting that was changed in one pod only. Then a partition that goes to and
// fro must not be viewed to and fro. So rules have an order in each partition,
// and the position carries where it stands:
//
//   - The generation: first the operator's (rules.generation), then that of the
//     code. A member of a lower one is refused.
//   - Within a generation, what was left behind: whoever views the states of a
//     lane by other rules than they were viewed by supersedes those, in the
//     transaction that writes the first of them. A member whose rules for a
//     lane were superseded is refused.
//
// So each set of rules is taken up at most once a generation and partition, and
// going back is a deliberate step: the operator raises rules.generation. Nobody
// is refused for a lane that only others know, or that they know alone.

// admit refuses a partition that was written by newer rules than ours.
func (r *restorer) admit(pos events.Position) error {
	mine := r.cfg.Rules.Generation()
	theirs := order.Generation{Operator: pos.RulesGeneration, Code: pos.RulesCode}
	switch c := mine.Compare(theirs); {
	case c > 0:
		return nil
	case c < 0:
		return fmt.Errorf("partition %d was written by rules of generation %v, these are of %v: deploy that version, or set rules.generation to %d in every member to go back to this one: %w",
			r.n, theirs, mine, theirs.Operator+1, stream.ErrRefused)
	}
	for _, lane := range r.cfg.Rules.Lanes() {
		if slices.Contains(pos.Superseded, ruleID(lane, r.cfg.Rules.LaneVersion(lane))) {
			return fmt.Errorf("the rules of %s were superseded in partition %d, where another member has others: give all members the same configuration, or set rules.generation to %d in every member to go back to these: %w",
				lane, r.n, theirs.Operator+1, stream.ErrRefused)
		}
	}
	return nil
}

// inherit takes over what the position says was left behind. Under a higher
// generation all that was before it is.
func (r *restorer) inherit(p *partition, pos events.Position) {
	if p.superseded == nil { // else memory that is used again, and not yet written
		p.superseded = map[string]bool{}
	}
	if r.cfg.Rules.Generation() == (order.Generation{Operator: pos.RulesGeneration, Code: pos.RulesCode}) {
		for _, id := range pos.Superseded {
			p.superseded[id] = true
		}
		for id := range p.foreign {
			p.superseded[id] = true
		}
	}
	p.foreign = nil
}

// outdate counts a restored state that other rules viewed, and notes which.
func (p *partition) outdate(lane, version string) {
	p.outdated++
	if version == versionUnconfigured {
		return
	}
	if p.foreign == nil {
		p.foreign = map[string]bool{}
	}
	p.foreign[ruleID(events.Lane(lane), version)] = true
}

// describe adds to a position by which rules its partition is written.
func (j *joiner) describe(p *partition, pos *events.Position) {
	g := j.cfg.Rules.Generation()
	pos.RulesVersion, pos.RulesGeneration, pos.RulesCode = j.cfg.Rules.Version(), g.Operator, g.Code
	pos.Superseded = slices.Sorted(maps.Keys(p.superseded))
}

// ruleID names the rules of one lane: two lanes may have equal rules, and one of
// them leave them behind. 64 bits are plenty for the few there are.
func ruleID(lane events.Lane, version string) string {
	return events.Digest("rules of", string(lane), version)[:16]
}
