package poller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/events"
)

// Metrics are the program's counters, and gauges read from a snapshot at every
// scrape. Labels come from closed sets and the configuration. A nil *Metrics
// counts nothing.
type Metrics struct {
	checks         *prometheus.CounterVec // provider, outcome, cause
	late           prometheus.Histogram
	nonceRefusals  *prometheus.CounterVec // lane
	unknownDropped *prometheus.CounterVec // lane
	extra          *prometheus.CounterVec // lane, result
	sweeps         *prometheus.CounterVec // lane, result
	sweepRefused   *prometheus.CounterVec // lane
	badRecords     prometheus.Counter
}

// NewMetrics registers the counters. Register Gauges of the Poller too.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ramp_poller_" + name, Help: help}, labels)
	}
	m := &Metrics{
		checks: counter("checks_total", "Answers and failures made into events, GAVE_UP too.", "provider", "outcome", "cause"),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ramp_poller_lateness_seconds",
			Help: "From the due time of a check to its first call.", Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 5, 15, 60, 300, 1800, 7200}}),
		nonceRefusals:  counter("nonce_refusals_total", "Calls refused, perhaps for their nonce.", "lane"),
		unknownDropped: counter("unknown_hints_dropped_total", "Tasks of ids that only a hint named, left aside by the cap or the configuration.", "lane"),
		extra:          counter("extra_requests_total", "Retries and log-ins that a call wanted beyond its one request.", "lane", "result"),
		sweeps:         counter("sweep_calls_total", "Pages read and entries marked.", "lane", "result"),
		sweepRefused:   counter("sweep_refused_total", "Entries of sweeps that cannot be read or name no subject of the lane.", "lane"),
		badRecords:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ramp_poller_undecodable_total", Help: "Schedule records that are no task."}),
	}
	for _, c := range []prometheus.Collector{m.checks, m.late, m.nonceRefusals, m.unknownDropped, m.extra, m.sweeps, m.sweepRefused, m.badRecords} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Checked implements Observer.
func (m *Metrics) Checked(p events.Provider, o events.Outcome, c events.Cause) {
	m.checks.WithLabelValues(string(p), string(o), c.String()).Inc()
}

// Late implements Observer.
func (m *Metrics) Late(d time.Duration) { m.late.Observe(d.Seconds()) }

// NonceRefused implements Observer.
func (m *Metrics) NonceRefused(l events.Lane) { m.nonceRefusals.WithLabelValues(string(l)).Inc() }

// UnknownDropped implements Observer.
func (m *Metrics) UnknownDropped(l events.Lane) { m.unknownDropped.WithLabelValues(string(l)).Inc() }

// Extra implements Observer.
func (m *Metrics) Extra(l events.Lane, granted bool) {
	result := "granted"
	if !granted {
		result = "denied"
	}
	m.extra.WithLabelValues(string(l), result).Inc()
}

// Swept implements Observer.
func (m *Metrics) Swept(l events.Lane, ok bool) {
	result := "ok"
	if !ok {
		result = "failed"
	}
	m.sweeps.WithLabelValues(string(l), result).Inc()
}

// SweepRefused implements Observer.
func (m *Metrics) SweepRefused(l events.Lane, n int) {
	m.sweepRefused.WithLabelValues(string(l)).Add(float64(n))
}

func (m *Metrics) undecodable(n int) {
	if m != nil {
		m.badRecords.Add(float64(n))
	}
}

// Gauges is a collector of the lanes' present state.
func (p *Poller) Gauges() prometheus.Collector { return &gauges{p: p} }

type gauges struct{ p *Poller }

func laneGauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("ramp_poller_"+name, help, []string{"lane"}, nil)
}

var laneGauges = []struct {
	desc  *prometheus.Desc
	value func(LaneSnapshot, time.Time) float64
}{
	{laneGauge("tasks", "Live tasks."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.Tasks) }},
	{laneGauge("due", "Tasks that could be asked now."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.Due) }},
	{laneGauge("overdue", "Tasks due for more than a minute."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.Overdue) }},
	{laneGauge("held", "Answered tasks that wait for the reconciler."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.Held) }},
	{laneGauge("refused_hints", "Ids that only a hint named, left aside and not yet answered."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.Refused) }},
	{laneGauge("parked", "Tasks that cannot be asked: no such account or call is configured."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.Parked) }},
	{laneGauge("in_flight", "Calls at the provider."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.InFlight) }},
	{laneGauge("unpublished", "Answers that Kafka has not acknowledged."), func(s LaneSnapshot, _ time.Time) float64 { return float64(s.Unpublished) }},
	{laneGauge("budget_calls_per_second", "The rate as learned from the provider's refusals."), func(s LaneSnapshot, _ time.Time) float64 { return s.Rate }},
	{laneGauge("breaker_open", "0 closed, 0.5 half-open, 1 open."), func(s LaneSnapshot, _ time.Time) float64 { return breakerValue(s.Breaker) }},
	{laneGauge("nonce_alarm", "1 when a fresh nonce was refused too: credentials, or another user of the key."), func(s LaneSnapshot, _ time.Time) float64 { return float64(unit(s.NonceAlarm)) }},
	{laneGauge("retry_after_seconds", "How long the provider still asked not to be called."), func(s LaneSnapshot, now time.Time) float64 {
		return max(s.RetryAfter.Sub(events.At(now)), 0).Seconds()
	}},
	{laneGauge("oldest_due_seconds", "How long the oldest due task waits."), func(s LaneSnapshot, now time.Time) float64 {
		return max(events.At(now).Sub(s.OldestDue), 0).Seconds()
	}},
	{laneGauge("freshness_timestamp_seconds", "When the newest acknowledged answer was asked for; 0 for none yet."), func(s LaneSnapshot, _ time.Time) float64 {
		return float64(s.LastOK) / 1000
	}},
}

func breakerValue(word string) float64 {
	switch word {
	case breakerOpen.String():
		return 1
	case breakerHalfOpen.String():
		return 0.5
	}
	return 0
}

var leaseGauge = prometheus.NewDesc("ramp_poller_lease", "1 while the group confirms our partitions or there are none, 0 when nothing may be asked.", nil, nil)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- leaseGauge
	for _, l := range laneGauges {
		ch <- l.desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	now := g.p.cfg.Now()
	g.p.mu.Lock()
	lanes, leased := g.p.core.gauges(now), g.p.leased()
	g.p.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(leaseGauge, prometheus.GaugeValue, float64(unit(leased)))
	for _, s := range lanes {
		for _, l := range laneGauges {
			ch <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, l.value(s, now), string(s.Lane))
		}
	}
}
