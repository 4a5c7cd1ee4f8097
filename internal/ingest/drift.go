package ingest

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// drift notices members that a provider's document does not have: one delivery a
// second and route is looked at, after it became durable. It changes nothing of
// what is taken, and knows names by their hashes only.
type drift struct {
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics
	limits  map[events.Lane]*rate.Limiter

	mu   sync.Mutex
	told map[string]bool // provider and hash of a name; maxTold at most
}

// maxTold bounds the names that are told of, each once.
const maxTold = 256

func newDrift(s *Server) *drift {
	d := &drift{log: s.log, now: s.now, metrics: s.metrics, limits: map[events.Lane]*rate.Limiter{}, told: map[string]bool{}}
	for _, r := range s.cfg.Routes {
		d.limits[events.LaneOf(r.Provider, r.Account)] = rate.NewLimiter(1, 1)
	}
	return d
}

// watch looks at a verified delivery.
func (d *drift) watch(v verified) {
	w, ok := v.route.Parser.(providers.FieldWatcher)
	limit := d.limits[events.LaneOf(v.route.Provider, v.route.Account)]
	if !ok || limit == nil || !limit.AllowN(d.now(), 1) {
		return
	}
	for _, name := range w.UnlistedFields(v.delivery.Body) {
		d.metrics.unlisted.WithLabelValues(string(v.route.Provider)).Inc()
		if d.first(string(v.route.Provider) + " " + name) {
			d.log.Info(msgUnlisted, slog.String("provider", string(v.route.Provider)), slog.String("name_sha256", name))
		}
	}
}

func (d *drift) first(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told[key] || len(d.told) >= maxTold {
		return false
	}
	d.told[key] = true
	return true
}
