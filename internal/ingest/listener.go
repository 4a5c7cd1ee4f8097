package ingest

import (
	"bytes"
	"net"
	"sync"
)

// bounded is a listener that holds at most so many connections and counts the
// refusals that net/http writes by itself. x/net's LimitListener would do the
// first half, but its connections hide CloseWrite, without which a peer that
// still sends loses the answer to a reset.
type bounded struct {
	net.Listener
	slots   chan struct{}
	once    sync.Once
	closed  chan struct{}
	metrics *metrics
}

func newBounded(l net.Listener, n int, m *metrics) *bounded {
	return &bounded{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{}), metrics: m}
}

// Accept waits for a free slot before it takes a connection, so that the rest
// waits in the kernel's queue.
func (l *bounded) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: c, listener: l}, nil
}

// Close is safe twice.
func (l *bounded) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	listener *bounded
	once     sync.Once
}

func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.listener.slots })
	return err
}

// CloseWrite is net/http's half-close: the peer can read an answer that came
// before its request had ended.
func (c *boundedConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}

// serverRefusal ends the head of net/http's own refusals (server.go,
// errorHeaders); no answer of the handler has this content type.
var serverRefusal = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// protocolCodes are the statuses of such refusals.
var protocolCodes = map[string]bool{"400": true, "417": true, "431": true, "501": true, "505": true}

// Write counts refusals that never reach the handler: bad request lines,
// headers above the limit, framing that could be read two ways, expectations
// other than 100-continue (417). Without it they would be invisible.
func (c *boundedConn) Write(p []byte) (int, error) {
	const prefix = "HTTP/1.1 "
	if len(p) > len(prefix)+3 && string(p[:len(prefix)]) == prefix &&
		(bytes.Contains(p, serverRefusal) || bytes.HasPrefix(p[len(prefix):], []byte("417"))) {
		code := string(p[len(prefix) : len(prefix)+3])
		if !protocolCodes[code] {
			code = "400"
		}
		c.listener.metrics.responses.WithLabelValues(string(noProvider), code, string(reasonProtocol)).Inc()
	}
	return c.Conn.Write(p)
}
