// Package embedded runs a Kafka-compatible broker and a schema registry inside
// this process, on real ports that any client can use. It is for demonstrations
// and tests; it is not a Kafka, and the programs never import it.
//
// What differs from a real cluster, as far as this project relies on it:
//
//   - Records keep the producer's timestamps (CreateTime), whatever
//     message.timestamp.type says. Specs sets the topics to CreateTime, so that
//     they do not claim a referee that is not there.
//   - One copy of everything; with DataDir it survives a restart of the process,
//     without it nothing does.
//   - Compact must not run while a transaction is open: it would lose committed
//     keys.
//   - The registry compares schemas by the Avro rules of twmb/avro, by the level
//     of the subject; references and modes are not checked.
//
// Topics are created by the caller (kafka.ApplyTopics), never by themselves.
package embedded

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"rampstream/internal/kafka"
)

// Options say where to listen. The zero value is one broker and a registry on
// random loopback ports, in memory.
type Options struct {
	// BrokerAddr and RegistryAddr are host:port; "" is a random loopback port.
	// Further brokers take the following ports.
	BrokerAddr, RegistryAddr string
	// DataDir keeps topics, groups, transactions and schemas; "" is memory.
	DataDir string
	// Brokers is 1 when 0.
	Brokers int
}

// Cluster is a running broker and registry. Its methods may be called
// concurrently.
type Cluster struct {
	kafka    *kfake.Cluster
	addrs    []string
	server   *http.Server
	url      string
	finished chan struct{}
}

// Start listens and serves until Close.
func Start(o Options) (*Cluster, error) {
	n := max(o.Brokers, 1)
	opts := []kfake.Opt{
		kfake.NumBrokers(n),
		// Members that leave without saying so are noticed within a demonstration.
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{"default.replication.factor": strconv.Itoa(n)}),
	}
	ports, listen, err := listener(o.BrokerAddr, n)
	if err != nil {
		return nil, err
	}
	opts = append(opts, kfake.Ports(ports...), kfake.ListenFn(listen))
	if o.DataDir != "" {
		opts = append(opts, kfake.DataDir(o.DataDir))
	}
	kc, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	c := &Cluster{kafka: kc, addrs: kc.ListenAddrs(), finished: make(chan struct{})}
	if err := c.serveRegistry(o); err != nil {
		kc.Close()
		return nil, err
	}
	return c, nil
}

// listener gives the ports of n brokers and a listen function that keeps the
// host that was asked for.
func listener(addr string, n int) ([]int, func(string, string) (net.Listener, error), error) {
	host, port := "127.0.0.1", 0
	if addr != "" {
		h, p, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, nil, fmt.Errorf("broker address %q: %w", addr, err)
		}
		if port, err = strconv.Atoi(p); err != nil {
			return nil, nil, fmt.Errorf("broker address %q: %w", addr, err)
		}
		if h != "" {
			host = h
		}
	}
	ports := make([]int, n)
	for i := range ports {
		if port != 0 {
			ports[i] = port + i
		}
	}
	listen := func(network, address string) (net.Listener, error) {
		_, p, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return net.Listen(network, net.JoinHostPort(host, p))
	}
	return ports, listen, nil
}

func (c *Cluster) serveRegistry(o Options) error {
	addr := o.RegistryAddr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	handler, err := newRegistry(o.DataDir)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("embedded registry: %w", err)
	}
	c.url = "http://" + ln.Addr().String()
	c.server = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(c.finished)
		_ = c.server.Serve(ln) // returns when Close closes the listener
	}()
	return nil
}

// Brokers are the addresses to start from.
func (c *Cluster) Brokers() []string { return append([]string(nil), c.addrs...) }

// RegistryURL is the registry's base URL.
func (c *Cluster) RegistryURL() string { return c.url }

// Kafka is the broker itself, for tests that inject faults.
func (c *Cluster) Kafka() *kfake.Cluster { return c.kafka }

// Close stops both. Clients that are still connected see closed connections.
func (c *Cluster) Close() {
	_ = c.server.Close()
	<-c.finished
	c.kafka.Close()
}

// Specs returns specs as this cluster can keep them: one replica a broker at
// most, one in-sync replica, CreateTime.
func (c *Cluster) Specs(specs []kafka.TopicSpec) []kafka.TopicSpec {
	out := make([]kafka.TopicSpec, len(specs))
	for i, s := range specs {
		s.Replication = min(s.Replication, int16(len(c.addrs)))
		s.Configs = maps.Clone(s.Configs)
		s.Configs["min.insync.replicas"] = "1"
		if s.Configs["message.timestamp.type"] != "" {
			s.Configs["message.timestamp.type"] = "CreateTime"
		}
		out[i] = s
	}
	return out
}
