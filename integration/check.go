package integration

import (
	"context"
	"fmt"

	"github.com/linkedin/goavro/v2"

	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/stream"
)

// The invariants that Check knows, by what a violation of them is.
const (
	Lost          = "durable 200"      // acknowledged and not in the log
	Misplaced     = "attribution"      // a key, value or partition that do not belong together
	Unreadable    = "well-formed"      // a value that two libraries do not read and write alike
	WrongState    = "state = oracle"   // a state that is not the fold of its inputs
	Invented      = "no invention"     // something quoted that nobody said
	WrongPosition = "position"         // a position that does not describe the states
	BrokenChain   = "transition chain" // a transition that does not follow from the one before
	Repeated      = "exactly once"     // one transition twice
	Unaccounted   = "conservation"     // an input neither joined nor set aside, or both
	Hanging       = "nothing hangs"    // a transaction that is still open
	WrongTask     = "schedule"         // a task that the state does not ask for
	Disagreeing   = "discrepancies"    // one that does not follow from its state, or is missing
	Torn          = "atomicity"        // a transaction that is seen in part
	Shrunk        = "growth"           // a state that forgot evidence that an older one had
	OverBudget    = "budget"           // more calls than an account's budget grants
	Impatient     = "Retry-After"      // a call before the provider wants one
	Untrue        = "truth"            // a state that is not what the provider finally says
	Leaked        = "silence"          // personal data or a secret outside its place
)

// Run is what a run of the programs left behind and what it is checked against.
type Run struct {
	History
	Rules order.Rules
	Codec *codec.Codec
	// Settings are what Rules were made of: a run is saved with them.
	Settings config.Config
	// Schema fetches the text of a schema by its registry id.
	Schema func(ctx context.Context, id int) (string, error)
	// Receipts are what ingest promised with answers 200.
	Receipts []Receipt
	// Requests are what each provider's account saw, by lane; nil where nobody
	// took notes.
	Requests map[events.Lane][]Request
	// Expected is the status that each subject must end with.
	Expected map[events.Key]events.Status
	// Secret strings may stand in no record and in no Output of a program.
	Secret []string
	Output string
	// SharedEpochs: the cluster does not raise a producer's epoch with every
	// transaction (transaction.version below 2).
	SharedEpochs bool
	// AtLeastOnce: without transactions a transition may stand again, with the
	// same id, after it or after others of its batch; and one may stand that no
	// state followed, told by a process that died.
	AtLeastOnce bool
}

// Receipt is where ingest said that an event is durable.
type Receipt struct {
	EventID   events.EventID `json:"event_id"`
	Topic     string         `json:"topic"`
	Partition int32          `json:"partition"`
	Offset    int64          `json:"offset"`
	Dropped   bool           `json:"dropped"` // a hint over the budget: nothing was promised
}

// Violation is a witness against one invariant.
type Violation struct {
	Invariant string
	Witness   string
}

// String is one line for a report.
func (v Violation) String() string { return v.Invariant + ": " + v.Witness }

// coordinate names a record.
type coordinate struct {
	topic     string
	partition int32
	offset    int64
}

func at(r stream.Record) coordinate { return coordinate{r.Topic, r.Partition, r.Offset} }

func (c coordinate) String() string { return fmt.Sprintf("%s-%d-%d", c.topic, c.partition, c.offset) }

// checker is one Check under way.
type checker struct {
	Run
	ctx    context.Context
	found  []Violation
	avro   map[int]*goavro.Codec
	inputs map[coordinate]input
	next   map[string][]int64 // position of the reconciler, by input topic and partition
}

func (c *checker) fail(invariant, format string, args ...any) {
	c.found = append(c.found, Violation{invariant, fmt.Sprintf(format, args...)})
}

// Check returns every violation that it finds, nil when there is none. An error
// means that it could not look.
func Check(ctx context.Context, run Run) ([]Violation, error) {
	c := &checker{Run: run, ctx: ctx, avro: map[int]*goavro.Codec{}, next: map[string][]int64{}}
	if err := c.wire(); err != nil {
		return nil, err
	}
	c.readInputs()
	c.placement()
	c.positions()
	c.deadLetters()
	c.receipts()
	c.states()
	c.quotes()
	c.transitions()
	c.growth()
	c.atomic()
	c.tasks()
	c.discrepancies()
	c.calls()
	c.truth()
	c.silence()
	return c.found, nil
}

// receipts: what was answered 200 stands where the answer said.
func (c *checker) receipts() {
	log := map[coordinate]stream.Record{}
	for _, t := range []string{c.Topics.Webhook, c.Topics.Intent, c.Topics.DeadLetter} {
		c.Each(t, func(r stream.Record) { log[at(r)] = r })
	}
	for _, p := range c.Receipts {
		if p.Dropped {
			continue
		}
		where := coordinate{p.Topic, p.Partition, p.Offset}
		r, ok := log[where]
		switch in := c.inputs[where]; {
		case !ok:
			c.fail(Lost, "event %s was acknowledged at %s: no such record", p.EventID, where)
		case r.Topic != c.Topics.DeadLetter && in.id != p.EventID:
			c.fail(Lost, "event %s was acknowledged at %s, which holds %s", p.EventID, where, in.id)
		}
	}
}

// truth: every subject ends as its provider finally says, unless it was forgotten.
func (c *checker) truth() {
	latest := c.latestStates()
	for key, want := range c.Expected {
		st, ok := latest[key.String()]
		switch {
		case !ok:
			c.fail(Untrue, "%s has no state; want %s", key, want)
		case st.DecidedBy == order.RuleForgotten: // by a FORGET: states compares the rows
		case st.Status != want:
			c.fail(Untrue, "%s is %s by %s; want %s", key, st.Status, st.DecidedBy, want)
		}
	}
}
