package ingest

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/events"
)

// maxSchemes bounds the scheme label. Parsers name a handful of readings each.
const maxSchemes = 64

// metrics are the program's. Labels come from configuration and closed sets
// only, never from a request.
type metrics struct {
	responses     *prometheus.CounterVec // provider, code, reason
	duration      *prometheus.HistogramVec
	published     *prometheus.CounterVec // provider, kind
	publishFailed *prometheus.CounterVec // provider, class
	hintsDropped  *prometheus.CounterVec // provider, budget
	replays       *prometheus.CounterVec
	previousKey   *prometheus.CounterVec
	schemes       *prometheus.CounterVec // provider, scheme
	unknownStatus *prometheus.CounterVec
	unlisted      *prometheus.CounterVec
	abandoned     prometheus.Counter
	panics        prometheus.Counter
	inFlight      prometheus.Gauge
	clockOffset   prometheus.Gauge

	mu         sync.Mutex
	schemeSeen map[string]bool
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ramp_ingest_" + name, Help: help}, labels)
	}
	m := &metrics{
		responses: counter("responses_total", "Answers, one for each request.", "provider", "code", "reason"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ramp_ingest_request_duration_seconds", Help: "From the head of a request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 8, 10, 20},
		}, []string{"provider"}),
		published:     counter("published_total", "Records that Kafka acknowledged.", "provider", "kind"),
		publishFailed: counter("publish_failures_total", "Records without an acknowledgement; they may still have landed.", "provider", "class"),
		hintsDropped:  counter("hints_dropped_total", "Unverified deliveries over the budget.", "provider", "budget"),
		replays:       counter("replays_total", "Deliveries whose event id was seen before.", "provider"),
		previousKey:   counter("previous_key_total", "Deliveries that only the previous secret verified.", "provider"),
		schemes:       counter("verified_total", "Verified deliveries by the reading of the provider's document that matched.", "provider", "scheme"),
		unknownStatus: counter("unknown_status_total", "Deliveries whose status word is in no table.", "provider"),
		unlisted:      counter("unlisted_fields_total", "Members in sampled deliveries (one a second and provider) that no document of the provider has; they are dropped.", "provider"),
		abandoned:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ramp_ingest_abandoned_total", Help: "Requests whose client had gone before the answer."}),
		panics:        prometheus.NewCounter(prometheus.CounterOpts{Name: "ramp_ingest_panics_total", Help: "Panics answered with 500."}),
		inFlight:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "ramp_ingest_in_flight_requests", Help: "Requests being verified or published."}),
		clockOffset: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ramp_ingest_clock_offset_seconds",
			Help: "How far our clock is ahead of the broker's, at least; from append times."}),
		schemeSeen: map[string]bool{},
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.responses, m.duration, m.published, m.publishFailed, m.hintsDropped, m.replays,
		m.previousKey, m.schemes, m.unknownStatus, m.unlisted, m.abandoned, m.panics, m.inFlight, m.clockOffset} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// warm makes the counters that alerts look at exist before the first event.
func (m *metrics) warm(p events.Provider) {
	for _, c := range []*prometheus.CounterVec{m.replays, m.previousKey, m.unknownStatus, m.unlisted} {
		c.WithLabelValues(string(p))
	}
	for _, over := range []string{overOrder, overAccount} {
		m.hintsDropped.WithLabelValues(string(p), over)
	}
}

func (m *metrics) response(r Response, took time.Duration) {
	m.responses.WithLabelValues(string(r.Provider), strconv.Itoa(r.Status), string(r.Reason)).Inc()
	m.duration.WithLabelValues(string(r.Provider)).Observe(took.Seconds())
}

// verified counts how a delivery was accepted.
func (m *metrics) verified(w events.Webhook) {
	p := string(w.Key.Provider)
	scheme := w.Scheme
	if scheme == "" {
		scheme = "hint"
	}
	m.schemes.WithLabelValues(p, m.bounded(p, scheme)).Inc()
	if len(w.Scheme) >= len("previous") && w.Scheme[len(w.Scheme)-len("previous"):] == "previous" {
		m.previousKey.WithLabelValues(p).Inc()
	}
	if w.StatusRaw != "" && w.Status == events.StatusUnknown {
		m.unknownStatus.WithLabelValues(p).Inc()
	}
}

// bounded keeps a parser that writes something else than a reading's name into
// Scheme from making labels without end.
func (m *metrics) bounded(provider, scheme string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := provider + "\x00" + scheme
	if m.schemeSeen[key] {
		return scheme
	}
	if len(m.schemeSeen) >= maxSchemes || len(scheme) > 64 {
		return string(reasonOther)
	}
	m.schemeSeen[key] = true
	return scheme
}
