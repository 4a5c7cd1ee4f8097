package order

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rampstream/internal/events"
)

// Settings are the times that View, Discrepancies and Schedule read. They are
// part of the rules version: changing one changes what states say.
type Settings struct {
	// Margin is how far two of our clocks may differ.
	Margin time.Duration
	// Confirm is how much later a poll must be to overrule what was said before.
	Confirm time.Duration
	// MinInterval and MaxInterval bound the time between two checks of an open
	// order.
	MinInterval, MaxInterval time.Duration
	// Horizon is for how long an order that does not move is asked about.
	Horizon time.Duration
	// MissingWebhook is how long after a poll a webhook is not yet missing.
	MissingWebhook time.Duration
	// Stuck is how long an open order may stand still.
	Stuck time.Duration
	// ConfirmationsCompleted and ConfirmationsOther are when, after a terminal
	// status, the provider is asked again.
	ConfirmationsCompleted, ConfirmationsOther []time.Duration
	// Generation ranks rules. It is part of the version, so that an order which is
	// viewed by old rules again never comes to a state that it had before: the
	// ids of transitions are made of states.
	Generation int64
}

// Generation ranks rules. A state must not be viewed by rules of a lower
// generation than it was: what differs within a generation has no rank of its
// own.
type Generation struct {
	Operator int64 // Settings.Generation: goes before the code's, so that an operator can go back
	Code     int64 // of this program's rules and tables
}

// Compare orders generations.
func (g Generation) Compare(o Generation) int {
	return cmp.Or(cmp.Compare(g.Operator, o.Operator), cmp.Compare(g.Code, o.Code))
}

// String is the operator's and the code's number with a dot between.
func (g Generation) String() string { return fmt.Sprintf("%d.%d", g.Operator, g.Code) }

// DefaultSettings are those of the design.
func DefaultSettings() Settings {
	return Settings{
		Margin: 5 * time.Second, Confirm: 10 * time.Minute,
		MinInterval: 30 * time.Second, MaxInterval: time.Hour, Horizon: 30 * 24 * time.Hour,
		MissingWebhook: 10 * time.Minute, Stuck: 24 * time.Hour,
		ConfirmationsCompleted: []time.Duration{15 * time.Minute},
		ConfirmationsOther:     []time.Duration{15 * time.Minute, time.Hour, 24 * time.Hour, 72 * time.Hour},
	}
}

// CodeGeneration is raised when the code of View, Discrepancies or Schedule, or
// the table of a provider, changes what any evidence says: members of a lower
// one are refused what members of a higher one wrote. A test holds the tables
// to it.
const CodeGeneration = 4

// Rules are everything beside the evidence that a view depends on. The zero
// Rules know no provider. Rules are read-only after NewRules and may be shared.
type Rules struct {
	settings Settings
	lanes    map[events.Account][]*laneRules // of each provider that has such an account
	version  string
}

type laneRules struct {
	provider          events.Provider
	vocabulary        events.Vocabulary
	version           string
	orders, customers words // of vocabulary
}

// words are what the words for one kind of subject mean, by their length. Every
// reading looks up the word of every row, and few words have the same length.
type words [][]wordMeaning

type wordMeaning struct {
	word   string
	status events.Status
}

func newWords(vocabulary map[string]events.Word) (w words) {
	for word, means := range vocabulary {
		for len(w) <= len(word) {
			w = append(w, nil)
		}
		w[len(word)] = append(w[len(word)], wordMeaning{word, means.Status})
	}
	return w
}

func (w words) meaning(word string) (st events.Status, listed bool) {
	if len(word) < len(w) {
		for _, m := range w[len(word)] {
			if m.word == word {
				return m.status, true
			}
		}
	}
	return events.StatusUnknown, false
}

// noLane is the table of a lane that is not configured.
var noLane laneRules

// lane gives the rules of key's lane; those of no word where it is not
// configured.
func (r *Rules) lane(key *events.Key) *laneRules {
	if lr := r.find(key.Provider, key.Account); lr != nil {
		return lr
	}
	return &noLane
}

// find is the rules of a lane, nil where it is not configured. It is asked several
// times a record, so it builds no name, and hashes one text instead of two.
func (r *Rules) find(p events.Provider, a events.Account) *laneRules {
	for _, lr := range r.lanes[a] {
		if lr.provider == p {
			return lr
		}
	}
	return nil
}

func (r *Rules) laneOf(l events.Lane) (*laneRules, bool) {
	lr := r.find(l.Split())
	return lr, lr != nil
}

// meaning is what a raw word means, UNKNOWN if the table does not have it: that
// is Meaning of the vocabulary, and a test holds the two equal.
func (l *laneRules) meaning(kind events.SubjectKind, word string) (st events.Status, listed bool) {
	if l.vocabulary.FoldCase {
		word = strings.ToUpper(word)
	}
	if kind == events.Customer {
		return l.customers.meaning(word)
	}
	return l.orders.meaning(word)
}

// NewRules compiles settings and the vocabulary of every configured lane.
func NewRules(s Settings, lanes map[events.Lane]events.Vocabulary) (Rules, error) {
	r := Rules{settings: s, lanes: make(map[events.Account][]*laneRules, len(lanes))}
	base, err := json.Marshal(struct {
		V int
		S Settings
	}{CodeGeneration, s})
	if err != nil {
		return Rules{}, fmt.Errorf("rules: %w", err)
	}
	var all []string
	for lane, v := range lanes {
		// Maps marshal with sorted keys, so equal vocabularies have one text.
		text, err := json.Marshal(v)
		if err != nil {
			return Rules{}, fmt.Errorf("rules: lane %s: %w", lane, err)
		}
		version := events.Digest("rules", string(base), string(text))
		p, a := lane.Split()
		r.lanes[a] = append(r.lanes[a], &laneRules{p, v, version, newWords(v.Orders), newWords(v.Customers)})
		all = append(all, string(lane)+"="+version)
	}
	slices.Sort(all)
	r.version = events.Digest(append([]string{"all", string(base)}, all...)...)
	return r, nil
}

// Version identifies the rules as a whole.
func (r Rules) Version() string { return r.version }

// LaneVersion identifies the rules for one lane; it stands in each state.
// Adding an account does not change the version of another's.
func (r Rules) LaneVersion(l events.Lane) string {
	if lr, ok := r.laneOf(l); ok {
		return lr.version
	}
	return r.version
}

// Configured reports whether the rules know a lane. A state of one that they do
// not know must not be viewed: every word of it would be unknown.
func (r Rules) Configured(l events.Lane) bool {
	_, ok := r.laneOf(l)
	return ok
}

// Lanes lists the configured lanes, sorted.
func (r Rules) Lanes() []events.Lane {
	out := make([]events.Lane, 0, len(r.lanes))
	for a, all := range r.lanes {
		for _, lr := range all {
			out = append(out, events.LaneOf(lr.provider, a))
		}
	}
	slices.Sort(out)
	return out
}

// Generation ranks these rules among others.
func (r Rules) Generation() Generation { return Generation{r.settings.Generation, CodeGeneration} }

// Knows is Configured for the lane of key.
func (r *Rules) Knows(key *events.Key) bool { return r.lane(key) != &noLane }

// VersionFor is LaneVersion for the lane of key.
func (r *Rules) VersionFor(key *events.Key) string {
	if lr := r.lane(key); lr != &noLane {
		return lr.version
	}
	return r.version
}

// Pollable reports whether the provider can be asked about key.
func (r *Rules) Pollable(key *events.Key) bool {
	return r.lane(key).pollable(key.Kind)
}

func (l *laneRules) pollable(kind events.SubjectKind) bool {
	if kind == events.Customer {
		return l.vocabulary.PollCustomers
	}
	return l.vocabulary.PollOrders
}

// Vocabulary is the table of a lane; the zero Vocabulary, to which every word
// is unknown, for a lane that is not configured.
func (r Rules) Vocabulary(l events.Lane) events.Vocabulary {
	if lr, ok := r.laneOf(l); ok {
		return lr.vocabulary
	}
	return events.Vocabulary{}
}

// Settings are the times that the rules were made with.
func (r Rules) Settings() Settings { return r.settings }

func (r Rules) margin() events.Millis { return ms(r.settings.Margin) }

func ms(d time.Duration) events.Millis { return events.Millis(d / time.Millisecond) }
