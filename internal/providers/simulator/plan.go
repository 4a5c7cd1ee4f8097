package simulator

import (
	"fmt"
	"slices"
	"time"

	"rampstream/internal/events"
)

// stage is one state of a subject on the provider's side.
type stage struct {
	at     time.Duration // after the subject was placed
	word   string        // as the API states it; "" when the API does not know the id
	status events.Status
	hook   string // the word of the webhook that announces it; "" for none
	weird  bool   // no document has the word
	count  int    // Zumo: how many accounts the wallet has
}

// subject is one order or customer.
type subject struct {
	a      *account
	key    events.Key
	kind   events.SubjectKind
	start  time.Time
	stages []stage
	fate   Fate
	number int // in order of placing, from 1

	fiat, crypto         Money // as the API states them
	meantFiat, meant     Money // as the merchant meant them
	network, side        string
	txHash               string
	customerRef          string
	externalID, walletID string
	announced            bool
	tampered             bool
	synced               bool
	denied               string
	contradicted         bool
	announcedStage       int               // the latest stage a webhook told
	sent                 map[int]*outgoing // the first delivery of each stage
	weirdSeen, amtSeen   bool              // counted already
}

// notice is one webhook to be sent.
type notice struct {
	stage  int           // the state it announces
	claim  int           // the state it tells, another one when it lies
	word   string        // the webhook word it tells
	at     time.Duration // after the subject was placed
	n      int           // number in the plan, names its dice
	faults []Fault
}

func (n *notice) has(f Fault) bool { return slices.Contains(n.faults, f) }

// current is the index of the stage that holds at now.
func (s *subject) current(now time.Time) int {
	i := 0
	for j, st := range s.stages {
		if !now.Before(s.start.Add(st.at)) {
			i = j
		}
	}
	return i
}

func (s *subject) last() *stage { return &s.stages[len(s.stages)-1] }

func (s *subject) dice() dice { return dice{s.a.w.opt.Seed, s.key.String()} }

// PlaceOrder begins an order's life at a provider. For Zumo, which has no
// orders, it is a customer.
func (w *World) PlaceOrder(p events.Provider, name events.Account, spec OrderSpec) (Truth, error) {
	kind := events.Order
	if p == "zumo" {
		kind = events.Customer
	}
	return w.place(p, name, kind, spec)
}

// PlaceCustomer begins a customer's life: Kado's KYC, Kuna's verification,
// Zumo's wallet.
func (w *World) PlaceCustomer(p events.Provider, name events.Account, spec CustomerSpec) (Truth, error) {
	return w.place(p, name, events.Customer, OrderSpec{
		ID: spec.ID, CustomerRef: spec.CustomerRef, Fate: spec.Fate, Unannounced: spec.Unannounced,
	})
}

func (w *World) place(p events.Provider, name events.Account, kind events.SubjectKind, spec OrderSpec) (Truth, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[events.LaneOf(p, name)]
	if a == nil {
		return Truth{}, fmt.Errorf("simulator: no account %s", events.LaneOf(p, name))
	}
	s, err := a.place(kind, spec)
	if err != nil {
		return Truth{}, err
	}
	return s.truth(w.now()), nil
}

// place plans a subject and queues its webhooks. The world is locked.
func (a *account) place(kind events.SubjectKind, spec OrderSpec) (*subject, error) {
	n := len(a.placed) + 1
	id := spec.ID
	if id == "" {
		id = a.dialect.newID(kind, n, dice{a.w.opt.Seed, fmt.Sprintf("%s#%s#%d", a.lane, kind, n)})
	}
	s := &subject{
		a: a, kind: kind, start: a.w.now(), number: n, announced: !spec.Unannounced, announcedStage: -1,
		key:  events.Key{Provider: a.provider, Account: a.name, Kind: kind, ID: id},
		fiat: spec.Fiat, crypto: spec.Crypto, network: spec.Network, side: spec.Side,
		customerRef: spec.CustomerRef, externalID: spec.ExternalID,
	}
	if !s.key.Valid() {
		return nil, fmt.Errorf("simulator: %s: id is not 1-128 of [A-Za-z0-9._:-]", a.lane)
	}
	if a.subjects[s.key] != nil {
		return nil, fmt.Errorf("simulator: %s is there already", s.key)
	}
	if err := s.plan(spec.Fate); err != nil {
		return nil, err
	}
	a.dialect.fill(s, s.dice())
	a.subjects[s.key] = s
	a.placed = append(a.placed, s)
	for _, n := range s.notices() {
		a.w.push(item{due: s.start.Add(n.at), subject: s, notice: n})
	}
	return s, nil
}

// plan draws the fate, unless one is given, and the stages with their times.
func (s *subject) plan(want Fate) error {
	d, f := s.dice(), s.a.w.opt.Faults
	fates := s.a.dialect.fates(s.kind)
	if len(fates) == 0 {
		return fmt.Errorf("simulator: %s has no %ss", s.key.Provider, s.kind)
	}
	s.fate = want
	if want == FateDrawn {
		s.fate = draw(d, fates)
	} else if !slices.ContainsFunc(fates, func(w weighted) bool { return w.fate == want }) {
		return fmt.Errorf("simulator: %s: a %s of %s cannot end %s", s.key, s.kind, s.key.Provider, want)
	}
	s.stages = slices.Clone(s.a.dialect.life(s.kind, s.fate))
	if odd, ok := s.a.dialect.unknown(s.kind); ok && len(s.stages) > 1 && d.chance("unknown word", 0, f.UnknownWord) {
		odd.weird = true
		s.stages = slices.Insert(s.stages, len(s.stages)-1, odd)
	}
	at := time.Duration(0)
	for i := range s.stages {
		s.stages[i].at = at
		at += d.around("stage", i, s.a.w.speed.Stage)
	}
	return nil
}

func draw(d dice, fates []weighted) Fate {
	total := 0
	for _, f := range fates {
		total += f.weight
	}
	n := d.below("fate", 0, total)
	for _, f := range fates {
		if n -= f.weight; n < 0 {
			return f.fate
		}
	}
	return fates[0].fate
}

// notices plans the webhooks, true and false, in order of their stages.
func (s *subject) notices() []*notice {
	var out []*notice
	add := func(n *notice) {
		n.faults = slices.DeleteFunc(n.faults, func(f Fault) bool { return !s.a.dialect.can(f) })
		n.n = len(out)
		out = append(out, n)
	}
	for i, st := range s.stages {
		if st.hook != "" {
			s.announce(i, add)
		}
	}
	s.lies(add)
	return out
}

// announce plans the webhook of stage i and what goes wrong with it.
func (s *subject) announce(i int, add func(*notice)) {
	d, f, speed := s.dice(), s.a.w.opt.Faults, s.a.w.speed
	st := s.stages[i]
	n := &notice{stage: i, claim: i, word: st.hook, at: st.at}
	if d.chance("lose", i, f.Lose) {
		n.faults = []Fault{FaultLost}
		add(n)
		return
	}
	if d.chance("delay", i, f.Delay) {
		n.faults = append(n.faults, FaultDelayed)
		n.at += d.around("delay by", i, speed.Delay)
	}
	if next := slices.IndexFunc(s.stages[i+1:], func(st stage) bool { return st.hook != "" }); next >= 0 && d.chance("reorder", i, f.Reorder) {
		n.faults = append(n.faults, FaultReordered)
		n.at = max(n.at, s.stages[i+1+next].at+d.around("reorder by", i, speed.Stage/2))
	}
	for _, x := range []struct {
		fault Fault
		p     float64
	}{{FaultStale, f.Stale}, {FaultOddForm, f.OddForm}, {FaultTypeConflict, f.TypeConflict}} {
		if d.chance(string(x.fault), i, x.p) && (x.fault != FaultTypeConflict || i > 0) {
			n.faults = append(n.faults, x.fault)
		}
	}
	add(n)
	if d.chance("duplicate", i, f.Duplicate) {
		again := append([]Fault{FaultDuplicate}, n.faults...)
		add(&notice{stage: i, claim: i, word: n.word, at: n.at + d.around("duplicate after", i, speed.Stage), faults: again})
	}
	if s.a.dialect.can(FaultBadSignature) && d.chance("bad signature", i, f.BadSignature) {
		add(&notice{stage: i, claim: i, word: n.word, at: st.at, faults: []Fault{FaultBadSignature}})
	}
}

// lies plans webhooks about what is not, or not yet.
func (s *subject) lies(add func(*notice)) {
	d, f := s.dice(), s.a.w.opt.Faults
	can := s.a.dialect.can
	end := len(s.stages) - 1
	soon := s.a.w.speed.Stage / 4
	if end >= 2 && s.stages[end].hook != "" && can(FaultContradict) && d.chance("contradict", 0, f.Contradict) {
		s.contradicted = true
		add(&notice{stage: 1, claim: end, word: s.stages[end].hook, at: s.stages[1].at + soon, faults: []Fault{FaultContradict}})
	}
	if l, ok := s.a.dialect.(liar); ok && end >= 1 && s.stages[end].status.Terminal() && d.chance("deny", 0, f.Deny) {
		if word := l.opposite(s.stages[end].status); word != "" {
			s.denied = word
			add(&notice{stage: end - 1, claim: end - 1, word: word, at: s.stages[end-1].at + soon, faults: []Fault{FaultDeny}})
		}
	}
	if can(FaultForged) && d.chance("forge", 0, f.Forge) {
		add(&notice{stage: 0, claim: end, word: s.last().hook, at: soon, faults: []Fault{FaultForged}})
	}
}

// liar is a dialect whose authenticated webhooks can claim an end that never
// comes.
type liar interface {
	opposite(events.Status) string
}
