// Package proxy stands between Kafka clients and brokers and makes the faults
// of a network: it understands requests and answers by kind, so that a rule can
// hold one sort of request, lose one answer, or answer in a broker's place.
//
// Every broker has a listener of its own; answers that name brokers name those
// listeners instead, so that a client that starts at the proxy stays behind it.
// It is for tests: plaintext only, nothing is authenticated.
package proxy

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Proxy is a set of listeners, one a broker. Its methods may be called
// concurrently.
type Proxy struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// Where it listens, and where clients reach that.
	listen, reached string

	mu        sync.Mutex
	rules     []*Rule
	listeners map[string]net.Listener // by the broker's address
	conns     map[*link]struct{}
	opened    int
	// network is what every byte meets.
	latency func() time.Duration
	life    func() time.Duration
}

// Open listens for the brokers; more are added as answers name them.
func Open(brokers []string) (*Proxy, error) { return open(brokers, "127.0.0.1", "127.0.0.1") }

// OpenAcross is Open at the far end of a wire.
func OpenAcross(w *Wire, brokers []string) (*Proxy, error) {
	return open(brokers, w.Here.String(), w.There.String())
}

func open(brokers []string, listen, reached string) (*Proxy, error) {
	p := &Proxy{listen: listen, reached: reached, listeners: map[string]net.Listener{}, conns: map[*link]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, b := range brokers {
		if _, err := p.front(b); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Brokers are the addresses to give to clients.
func (p *Proxy) Brokers() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, ln := range p.listeners {
		out = append(out, p.address(ln))
	}
	return out
}

// Close ends all connections and waits for what serves them.
func (p *Proxy) Close() {
	p.cancel()
	p.mu.Lock()
	for _, ln := range p.listeners {
		_ = ln.Close()
	}
	for l := range p.conns {
		l.close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Connections counts those that were opened so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Live counts the connections of which something may still be passed on.
func (p *Proxy) Live() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Add makes a rule count from now on. Of several that match a request the first
// is obeyed.
func (p *Proxy) Add(rules ...*Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, rules...)
}

// Clear takes all rules away and makes the network good again. What is held
// stays held.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.latency, p.life = nil, nil, nil
}

// Slow delays every request and every answer by what it returns.
func (p *Proxy) Slow(latency func() time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = latency
}

// Mortal ends every connection that is opened from now on after the life that
// it returns.
func (p *Proxy) Mortal(life func() time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life = life
}

// Reset ends all connections and says how many there were.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.conns {
		l.close()
	}
	return len(p.conns)
}

// front is the address that stands for a broker's.
func (p *Proxy) front(broker string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ln, ok := p.listeners[broker]; ok {
		return p.address(ln), nil
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(p.listen, "0"))
	if err != nil {
		return "", err
	}
	p.listeners[broker] = ln
	p.wg.Go(func() { p.serve(ln, broker) })
	return p.address(ln), nil
}

// address is where clients reach a listener.
func (p *Proxy) address(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String()) // of a listener always
	return net.JoinHostPort(p.reached, port)
}

func (p *Proxy) serve(ln net.Listener, broker string) {
	for {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.connect(client, broker) })
	}
}

func (p *Proxy) connect(client net.Conn, broker string) {
	upstream, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(p.ctx, "tcp", broker)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{p: p, client: client, upstream: upstream, pending: map[int32]pending{}, cut: make(chan struct{})}
	p.mu.Lock()
	p.conns[l] = struct{}{}
	p.opened++
	life := p.life
	p.mu.Unlock()
	if life != nil {
		timer := time.AfterFunc(life(), l.close)
		defer timer.Stop()
	}
	var both sync.WaitGroup
	both.Go(l.requests)
	both.Go(l.answers)
	both.Wait()
	l.close()
	_ = upstream.Close()
	p.mu.Lock()
	delete(p.conns, l)
	p.mu.Unlock()
}

// rewrite puts the proxy's addresses in place of the brokers'.
func (p *Proxy) rewrite(resp kmsg.Response) error {
	swap := func(host *string, port *int32) error {
		if *host == "" {
			return nil
		}
		addr, err := p.front(net.JoinHostPort(*host, strconv.Itoa(int(*port))))
		if err != nil {
			return err
		}
		h, text, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(text, 10, 32)
		*host, *port = h, int32(n)
		return err
	}
	var err error
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	switch r := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			keep(swap(&r.Brokers[i].Host, &r.Brokers[i].Port))
		}
	case *kmsg.FindCoordinatorResponse:
		keep(swap(&r.Host, &r.Port))
		for i := range r.Coordinators {
			keep(swap(&r.Coordinators[i].Host, &r.Coordinators[i].Port))
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			keep(swap(&r.Brokers[i].Host, &r.Brokers[i].Port))
		}
	case *kmsg.ProduceResponse:
		for i := range r.Brokers {
			keep(swap(&r.Brokers[i].Host, &r.Brokers[i].Port))
		}
	case *kmsg.ApiVersionsResponse:
		// From version 16 on an answer to Fetch may name brokers, and it is too
		// large to be read by us every time.
		for i := range r.ApiKeys {
			if kmsg.Key(r.ApiKeys[i].ApiKey) == kmsg.Fetch {
				r.ApiKeys[i].MaxVersion = min(r.ApiKeys[i].MaxVersion, 15)
			}
		}
	default:
		err = fmt.Errorf("proxy: %T names no brokers", resp)
	}
	return err
}

// named are the requests whose answers name brokers, or say what there is.
func named(k kmsg.Key) bool {
	switch k {
	case kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeCluster, kmsg.Produce, kmsg.ApiVersions:
		return true
	default:
		return false
	}
}
