// Package telemetry is how the programs speak to those who run them: logs,
// metrics, and an admin listener of its own with /metrics, /livez and /readyz.
//
// It promises that the admin listener answers within seconds whatever the
// checks do, and that Safe makes foreign text harmless in a log line. It has no
// profiler and no global registry, and it knows neither Kafka nor a provider.
package telemetry
