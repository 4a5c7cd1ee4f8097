package ingest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/run"
)

// Server does the work on requests. It is safe for concurrent use and holds
// no goroutine.
type Server struct {
	cfg      Config
	deps     Deps
	rand     func() float64
	now      func() time.Time
	log      *slog.Logger
	noise    *limited // refusals: what strangers cause
	faults   *limited // what an operator should look at
	metrics  *metrics
	routes   map[events.Lane]*Route
	accounts map[events.Lane]bool
	tokens   []token
	slots    chan struct{} // in-flight semaphore
	memory   *bodyMemory
	budget   *budget
	seen     *memory[acknowledged]
	health   health
	drift    *drift
}

// token is a bearer token by its digest: comparing digests takes the same time
// for every candidate.
type token struct {
	name     string
	digest   [sha256.Size]byte
	accounts map[events.Lane]bool
}

// New builds a server. It does no I/O. A fault of cfg is a run.ErrConfig.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, run.Config(err)
	}
	if deps.Publisher == nil || deps.Encoder == nil {
		return nil, errors.New("ingest: publisher and encoder are required")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Rand == nil {
		deps.Rand = rand.Float64
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, fmt.Errorf("ingest: register metrics: %w", err)
	}
	l := cfg.Limits
	s := &Server{
		cfg: cfg, deps: deps, rand: deps.Rand, now: deps.Now, log: deps.Log, metrics: m,
		noise: newLimited(deps.Log, deps.Now), faults: newLimited(deps.Log, deps.Now),
		routes: map[events.Lane]*Route{}, accounts: map[events.Lane]bool{},
		slots: make(chan struct{}, l.InFlight),
		// Two bodies always fit, whatever the limit: a buffer that grows is
		// counted beside the one that it replaces.
		memory: &bodyMemory{limit: int64(max(l.InFlight, 2)) * (l.Body + 1)},
		budget: newBudget(l, cfg.Routes), seen: newMemory[acknowledged](l.Remember),
	}
	s.drift = newDrift(s)
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		s.routes[events.LaneOf(r.Provider, r.Account)] = r
		s.accounts[events.LaneOf(r.Provider, r.Account)] = true
		m.warm(r.Provider)
	}
	for _, a := range cfg.Accounts {
		s.accounts[a] = true
	}
	for _, t := range cfg.Tokens {
		accounts := map[events.Lane]bool{}
		for _, a := range t.Accounts {
			accounts[a] = true
		}
		s.tokens = append(s.tokens, token{t.Name, sha256.Sum256([]byte(t.Secret.Reveal())), accounts})
	}
	return s, nil
}

// Unauthenticated lists the routes whose every delivery is a hint.
func (s *Server) Unauthenticated() []events.Lane {
	var out []events.Lane
	for _, r := range s.cfg.Routes {
		if !r.Authenticated {
			out = append(out, events.LaneOf(r.Provider, r.Account))
		}
	}
	return out
}

// acquire takes an in-flight slot, or reports that there is none: waiting
// would only turn an overload into a slow one.
func (s *Server) acquire() (release func(), ok bool) {
	select {
	case s.slots <- struct{}{}:
		s.metrics.inFlight.Inc()
		return func() { <-s.slots; s.metrics.inFlight.Dec() }, true
	default:
		return nil, false
	}
}
