package reconciler

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rampstream/internal/events"
)

// Metrics is an Observer that counts for Prometheus.
type Metrics struct {
	joined, dead, transitions, restored, unknown, ignored, written *prometheus.CounterVec
	notViewed                                                      prometheus.Counter
	reg                                                            prometheus.Registerer
}

// NewMetrics registers ramp_reconciler_... with reg.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ramp_reconciler_" + name, Help: help}, labels)
	}
	m := &Metrics{
		joined:      counter("records_total", "Input records by source and by what joining them did.", "source", "verdict"),
		dead:        counter("dead_letters_total", "Records set aside, by class.", "class"),
		transitions: counter("transitions_total", "Announced changes of a status.", "status", "reason"),
		restored:    counter("restores_total", "Partitions restored, by where the states came from: memory that was kept, a checkpoint, the topic.", "source"),
		unknown:     counter("unknown_status_total", "Joined evidence that left a subject without a known status.", "provider"),
		ignored:     counter("checkpoints_ignored_total", "Checkpoints that a restore did not use, by reason.", "reason"),
		written:     counter("checkpoints_total", "Checkpoints of a partition by result: written, failed.", "result"),
		reg:         reg,
	}
	m.notViewed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ramp_reconciler_states_not_viewed_total", Help: "States that stay as other rules viewed them, because the current ones fail on them: a fault of this version.",
	})
	for _, c := range []prometheus.Collector{m.notViewed, m.joined, m.dead, m.transitions, m.restored, m.unknown, m.ignored, m.written} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Watch adds gauges of what a loop holds. Call it once.
func (m *Metrics) Watch(l *Loop) {
	gauge := func(name, help string, value func() float64) {
		m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ramp_reconciler_" + name, Help: help}, value))
	}
	gauge("states", "States in memory.", func() float64 { n, _ := l.Snapshot(); return float64(n) })
	gauge("state_bytes", "Bytes of live keys and states.", func() float64 { n, _ := l.Memory(); return float64(n) })
	gauge("state_held_bytes", "Bytes of memory that are held for them, dead space and the index included.", func() float64 { _, n := l.Memory(); return float64(n) })
	gauge("restore_partitions_left", "Assigned partitions that are not restored yet.", func() float64 { return float64(l.Progress().Partitions) })
	gauge("restore_partitions_behind", "Restored partitions that have not joined what their inputs held at the restore.", func() float64 { return float64(l.Progress().Behind) })
	gauge("restore_records_left", "Records of the state topics still to be read.", func() float64 { return float64(l.Progress().RecordsLeft) })
	gauge("restore_records_per_second", "Rate of the restore that is running; 0 when none is.", func() float64 { return l.Progress().Rate })
	gauge("restore_eta_seconds", "Expected time until every partition is restored; 0 when all are.", func() float64 { return l.Progress().ETA.Seconds() })
	gauge("restore_seconds", "Time that the last restore of an assignment took.", func() float64 { return time.Duration(l.progress().seconds.Load()).Seconds() })
	m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ramp_reconciler_restored_records_total", Help: "Records of the state topics that restores read.",
	}, func() float64 { return float64(l.progress().restoredEver.Load()) }))
	counter := func(name, help string, n *atomic.Int64) {
		m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "ramp_reconciler_" + name, Help: help}, func() float64 { return float64(n.Load()) }))
	}
	counter("sessions_lost_total", "Sessions that died and were opened again, for any reason.", &l.lost)
	counter("sessions_renewed_total", "Sessions that were closed and opened again because an end of a transaction was not answered and could have arrived in the next one. Only where transaction.version is below 2.", &l.renewed)
	counter("fenced_total", "Sessions that died because the brokers gave what they had to somebody else: a second process with the same ids, or one that came back too late.", &l.fenced)
	gauge("outdated_states", "States not yet viewed by the current rules.", func() float64 { _, n := l.Snapshot(); return float64(n) })
}

// Joined implements Observer.
func (m *Metrics) Joined(source, verdict string, n int) {
	m.joined.WithLabelValues(source, verdict).Add(float64(n))
}

// DeadLetter implements Observer.
func (m *Metrics) DeadLetter(class string) { m.dead.WithLabelValues(class).Inc() }

// Transition implements Observer.
func (m *Metrics) Transition(to events.Status, reason string) {
	m.transitions.WithLabelValues(to.String(), reason).Inc()
}

// Restored implements Observer.
func (m *Metrics) Restored(_ int32, _ int64, source string) {
	m.restored.WithLabelValues(source).Inc()
}

// UnknownStatus implements Observer.
func (m *Metrics) UnknownStatus(p events.Provider) { m.unknown.WithLabelValues(string(p)).Inc() }

// CheckpointIgnored implements Observer.
func (m *Metrics) CheckpointIgnored(reason string) { m.ignored.WithLabelValues(reason).Inc() }

// CheckpointWritten implements Observer.
func (m *Metrics) CheckpointWritten(bytes int64) {
	result := "written"
	if bytes == 0 {
		result = "failed"
	}
	m.written.WithLabelValues(result).Inc()
}

// NotViewed implements Observer.
func (m *Metrics) NotViewed() { m.notViewed.Inc() }
