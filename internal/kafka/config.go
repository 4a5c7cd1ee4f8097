package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"

	"rampstream/internal/stream"
)

// Config says how to reach a cluster. The zero value is not usable: Brokers is
// required.
type Config struct {
	// Brokers are host:port pairs to start from.
	Brokers []string
	// Properties are client properties by Kafka's own names; the few of
	// librdkafka's that name PEM files and credentials are taken too. See
	// KnownProperties.
	Properties map[string]string
	// ClientID is sent with every request, for quotas and broker logs. The
	// property client.id wins over it.
	ClientID string
	// Registerer takes the client's metrics (ramp_kafka_...); nil means none.
	Registerer prometheus.Registerer
	// MetadataMinAge bounds how often metadata is asked for after an error; 0
	// means 500ms. The client's default of 5s turns one leader move into
	// seconds of refusals.
	MetadataMinAge time.Duration
	// Dialer replaces the network, for simulations; nil means TCP. With it the
	// TLS properties are not applied.
	Dialer func(ctx context.Context, network, host string) (net.Conn, error)
}

// Validate returns one sentence for each fault, nil when there is none. It reads
// no file and reveals no secret.
func (c Config) Validate() []string {
	var faults []string
	if len(c.Brokers) == 0 {
		faults = append(faults, "brokers: at least one host:port is required")
	}
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		n, perr := strconv.Atoi(port)
		if err != nil || perr != nil || host == "" || n < 1 || n > 65535 {
			faults = append(faults, "brokers: must be host:port (got "+strconv.Quote(b)+")")
		}
	}
	return append(faults, validateProperties(c.Properties)...)
}

// faultsError is Validate as one error of class ErrRefused.
func (c Config) faultsError() error {
	faults := c.Validate()
	if len(faults) == 0 {
		return nil
	}
	return wrap("kafka configuration", errors.Join(stream.ErrRefused, errors.New(strings.Join(faults, "; "))))
}

func (c Config) clientID() string {
	if id := c.Properties["client.id"]; id != "" {
		return id
	}
	if c.ClientID != "" {
		return c.ClientID
	}
	return "rampstream"
}

// options are what every client has. role labels its metrics; "" registers
// none, for short-lived clients.
func (c Config) options(role string) ([]kgo.Opt, error) {
	if err := c.faultsError(); err != nil {
		return nil, err
	}
	minAge := c.MetadataMinAge
	if minAge == 0 {
		minAge = 500 * time.Millisecond
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.clientID()),
		kgo.SoftwareNameAndVersion("rampstream", "1"),
		kgo.MetadataMinAge(minAge),
		// How long a partition count that somebody raised may go unnoticed.
		kgo.MetadataMaxAge(20 * time.Second),
		// The client's own telemetry would push data that nobody asked for.
		kgo.DisableClientMetrics(),
	}
	if rack := c.Properties["client.rack"]; rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	security, err := securityOptions(c.Properties, c.Dialer != nil)
	if err != nil {
		return nil, err
	}
	opts = append(opts, security...)
	if c.Dialer != nil {
		opts = append(opts, kgo.Dialer(c.Dialer))
	}
	if c.Registerer != nil && role != "" {
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("ramp_kafka",
			kprom.Registerer(c.Registerer),
			kprom.WithStaticLabel(prometheus.Labels{"role": role}),
		)))
	}
	return opts, nil
}

// newClient builds a client of the common options and more.
func (c Config) newClient(role string, more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.options(role)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	return cl, wrap("kafka client", err)
}

// maxBuffered is more than a batch of the reconciler writes: a record beyond it
// would wait for others in a goroutine of its own.
const maxBuffered = 250_000

// compression names a codec; what a broker does not know is written plain.
func compression(name string) (kgo.ProducerOpt, error) {
	switch name {
	case "", "snappy":
		return kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()), nil
	case "lz4":
		return kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()), nil
	case "zstd":
		return kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()), nil
	case "none":
		return kgo.ProducerBatchCompression(kgo.NoCompression()), nil
	}
	return nil, fmt.Errorf("compression %q: must be none, snappy, lz4 or zstd: %w", name, stream.ErrRefused)
}

// KnownProperties lists the property names that Config takes, sorted.
func KnownProperties() []string {
	names := make([]string, 0, len(properties))
	for n := range properties {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
