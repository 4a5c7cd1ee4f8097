package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/ingest"
)

// counting is a listener that counts the bytes that the server reads.
type counting struct {
	net.Listener
	read atomic.Int64
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, l}, nil
}

type countingConn struct {
	net.Conn
	l *counting
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.l.read.Add(int64(n))
	return n, err
}

func (c *countingConn) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil // of a pipe
}

// pipes is a listener in memory: the time of its connections is that of a bubble.
type pipes struct {
	waiting chan net.Conn
	closed  chan struct{}
	close   func()
}

func newPipes() *pipes {
	p := &pipes{waiting: make(chan net.Conn, 100), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.waiting:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	p.waiting <- far
	return near, nil
}

// running is a server on a listener.
type running struct {
	*rig
	addr string
	open func() (net.Conn, error)
	ln   *counting
	stop context.CancelFunc
	err  chan error
}

// serve runs a server on a real socket, with limits that no test waits for.
func serve(t *testing.T, change ...func(*ingest.Config, *ingest.Deps, *rig)) *running {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, tcp, func() (net.Conn, error) { return net.Dial("tcp", tcp.Addr().String()) }, change...)
}

func serveOn(t *testing.T, ln net.Listener, open func() (net.Conn, error), change ...func(*ingest.Config, *ingest.Deps, *rig)) *running {
	t.Helper()
	change = append([]func(*ingest.Config, *ingest.Deps, *rig){func(c *ingest.Config, _ *ingest.Deps, r *rig) {
		r.at = time.Time{}
		c.Limits.ReadHeader, c.Limits.Read = patience, patience
		c.Limits.Publish, c.Limits.Write, c.Limits.Drain = patience, 2*patience, 2*patience
	}}, change...)
	s := &running{rig: newRig(t, change...), addr: ln.Addr().String(), open: open, ln: &counting{Listener: ln}, err: make(chan error, 1)}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = sync.OnceFunc(stop)
	go func() { s.err <- s.Run(ctx, ingest.Listeners{Public: s.ln}) }()
	t.Cleanup(func() {
		s.stop()
		if s.err != nil {
			<-s.err
		}
	})
	return s
}

func (s *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// answers reads all answers until the server closes.
func answers(t *testing.T, c net.Conn) (statuses []int, raw string) {
	t.Helper()
	var all bytes.Buffer
	br := bufio.NewReader(io.TeeReader(c, &all))
	for {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return statuses, all.String()
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return statuses, all.String()
		}
		statuses = append(statuses, resp.StatusCode)
	}
}

const head = "POST /v1/webhooks/kado/acme HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Test-Signature: good\r\n"

// Framing that two parsers could read two ways is refused and the connection
// closed: N bytes in are at most one event.
func TestSocket_ambiguousFraming(t *testing.T) {
	const body = `{"id":"o-1","status":"paid"}`
	n := fmt.Sprint(len(body))
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	smuggled := head + "Content-Length: " + n + "\r\n\r\n" + strings.Replace(body, "o-1", "o-2", 1)
	for _, tc := range []struct {
		name, request string
		events        int // at most
		status        int // of the first answer
	}{
		{"plain", head + "Connection: close\r\nContent-Length: " + n + "\r\n\r\n" + body, 1, 200},
		{"chunked", head + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, 1, 200},
		{"CL and TE", head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + smuggled, 1, 200},
		{"two CL", head + "Content-Length: " + n + "\r\nContent-Length: 4\r\n\r\n" + body, 0, 400},
		{"CL list", head + "Content-Length: " + n + ", 4\r\n\r\n" + body, 0, 400},
		{"CL with a sign", head + "Content-Length: +" + n + "\r\n\r\n" + body, 0, 400},
		{"TE with a blank", head + "Transfer-Encoding : chunked\r\n\r\n" + chunk, 0, 400},
		{"TE twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, 0, 501},
		{"TE unknown", head + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk, 0, 501},
		{"obs-fold", head + "Connection: close\r\nContent-Length: " + n + "\r\nX-A: 1\r\n two\r\n\r\n" + body, 1, 0},
		{"obs-fold in the signature", strings.Replace(head, "X-Test-Signature: good", "X-Test-Signature: ba\r\n d", 1) + "Content-Length: " + n + "\r\n\r\n" + body, 0, 401},
		{"bare LF chunk line", head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\n%s\r\n0\r\n\r\n", len(body), body), 0, 400},
		{"bare CR in a chunk line", head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r;a\r\n%s\r\n0\r\n\r\n", len(body), body), 0, 400},
		{"no Host", strings.Replace(head, "Host: x\r\n", "", 1) + "Content-Length: " + n + "\r\n\r\n" + body, 0, 400},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 0},
		{"h2c upgrade", strings.Replace(head, "Host: x", "Host: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", 1) + "Content-Length: " + n + "\r\n\r\n" + body, 1, 200},
		{"odd expectation", head + "Expect: a-miracle\r\nContent-Length: " + n + "\r\n\r\n" + body, 0, 417},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, 404},
		{"CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t)
			c := s.dial(t)
			if _, err := io.WriteString(c, tc.request); err != nil {
				t.Fatal(err)
			}
			got, raw := answers(t, c)
			if tc.status != 0 && (len(got) == 0 || got[0] != tc.status) {
				t.Errorf("answers %v; want %d first\n%s", got, tc.status, raw)
			}
			if n := len(s.log.snapshot()); n > tc.events {
				t.Errorf("%d events of one request", n)
			}
			for _, status := range got {
				if status >= 300 && status < 400 || status < 200 || status > 200 && status < 300 {
					t.Errorf("answer %d", status)
				}
			}
			if n := s.count(t, "ramp_ingest_responses_total"); int(n) != len(got) && tc.name != "HTTP/2 preface" {
				t.Errorf("%v answers counted, %d sent\n%s", n, len(got), raw)
			}
		})
	}
}

func TestSocket_headersAboveTheLimit(t *testing.T) {
	s := serve(t)
	for size, want := range map[int]int{8 << 10: 200, 17 << 10: 431, 1 << 20: 431} {
		c := s.dial(t)
		body := fmt.Sprintf(`{"id":"o-%d"}`, size)
		go func() {
			_, _ = io.WriteString(c, head+"Connection: close\r\nX-Pad: "+strings.Repeat("x", size)+fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		}()
		if got, raw := answers(t, c); len(got) != 1 || got[0] != want || !strings.Contains(raw, "Connection: close") {
			t.Errorf("header of %d bytes: %v; want %d and close\n%.300s", size, got, want, raw)
		}
	}
	if n := s.count(t, "ramp_ingest_responses_total", "provider=none", "code=431", "reason=protocol"); n != 2 {
		t.Errorf("counted %v answers 431; want 2", n)
	}
}

// What is too large is cut: declared before a byte of it is read, chunked at
// the cap, padded with chunk extensions at the server's bound for those.
func TestSocket_hugeBodies(t *testing.T) {
	const slack = 16<<10 + 8<<10 // chunk overhead and net/http's read buffers
	for _, tc := range []struct {
		name, head string
		piece      string
		status     int
		most       int64
	}{
		{"declared", "Content-Length: 1073741824\r\n\r\n", strings.Repeat("x", 64<<10), 413, slack},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n", "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n", 413, 256<<10*11/10 + slack},
		{"chunk extensions", "Transfer-Encoding: chunked\r\n\r\n", "1;" + strings.Repeat("p", 3000) + "\r\nx\r\n", 400, 256<<10*11/10 + slack},
		{"tiny chunks", "Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nx\r\n", 4000), 413, 8 * 256 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t)
			c := s.dial(t)
			go func() {
				_, err := io.WriteString(c, head+tc.head)
				for sent := 0; err == nil && sent < 1<<30; sent += len(tc.piece) {
					_, err = io.WriteString(c, tc.piece)
				}
			}()
			got, raw := answers(t, c)
			if len(got) != 1 || got[0] != tc.status || !strings.Contains(raw, "Connection: close") {
				t.Errorf("answers %v; want one %d and close\n%.300s", got, tc.status, raw)
			}
			if n := s.ln.read.Load(); n > tc.most {
				t.Errorf("the server read %d bytes; want at most %d", n, tc.most)
			}
			if n := len(s.log.snapshot()); n != 0 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// Slow and silent peers are cut at their deadlines; others are served meanwhile.
// Virtual time: to be slow is no fault of the test's.
func TestSocket_slowPeers(t *testing.T) {
	for _, tc := range []struct{ name, sends string }{
		{"silence", ""},
		{"half a header", "POST /v1/webhooks/kado/acme HTTP/1.1\r\nHost:"},
		{"half a body", head + "Content-Length: 100\r\n\r\n{"},
		{"half a chunk", head + "Transfer-Encoding: chunked\r\n\r\nff\r\n{"},
		{"expect and silence", head + "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := newPipes()
				s := serveOn(t, ln, ln.dial, func(c *ingest.Config, _ *ingest.Deps, _ *rig) {
					c.Limits.ReadHeader, c.Limits.Read = 300*time.Millisecond, 600*time.Millisecond
				})
				c := s.dial(t)
				start := time.Now()
				if _, err := io.WriteString(c, tc.sends); err != nil {
					t.Fatal(err)
				}
				if got := s.send(t, `{"id":"o-1","status":"paid"}`); got != 200 {
					t.Errorf("another client = %d; want 200", got)
				}
				_, _ = io.Copy(io.Discard, c)
				// net/http leaves who is answered half a second to read it.
				if took := time.Since(start); took < 300*time.Millisecond || took > 1100*time.Millisecond {
					t.Errorf("closed after %v; want the deadline of 300 or 600ms", took)
				}
				if n := len(s.log.snapshot()); n != 1 {
					t.Errorf("%d events; want only the other client's", n)
				}
			})
		})
	}
}

// A client that asks again and again and reads no answer is cut at the deadline
// of writing, and others are served meanwhile. A pipe holds nothing: who does not
// read the first answer is one.
func TestSocket_slowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := serveOn(t, ln, ln.dial, func(c *ingest.Config, _ *ingest.Deps, _ *rig) {
			c.Limits.Publish, c.Limits.Write = 300*time.Millisecond, 600*time.Millisecond
		})
		c, start := s.dial(t), time.Now()
		cut := make(chan error, 1)
		go func() {
			for {
				// Refused without a look at its body, so that only answers pile up.
				if _, err := io.WriteString(c, "PUT "+hook+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					cut <- err
					return
				}
			}
		}()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if got := s.send(t, `{"id":"o-1","status":"paid"}`); got != 200 {
				t.Errorf("another client = %d; want 200", got)
			}
			select {
			case err := <-cut:
				if took := time.Since(start); errors.Is(err, os.ErrDeadlineExceeded) || took > 1100*time.Millisecond {
					t.Errorf("cut after %v, %v; want the deadline of 600ms", took, err)
				}
				return
			case <-tick.C:
			}
		}
	})
}

// The same by a real socket, whose buffers fill first.
func TestSocket_slowReaderFillsTheBuffers(t *testing.T) {
	s := serve(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) {
		c.Limits.Publish, c.Limits.Write = 300*time.Millisecond, 600*time.Millisecond
	})
	c := s.dial(t)
	for {
		if _, err := io.WriteString(c, "PUT "+hook+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("never cut: %v", err)
			}
			return
		}
	}
}

// send posts one delivery by an ordinary client and returns the status.
func (s *running) send(t *testing.T, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+s.addr+hook, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Test-Signature", "good")
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return s.open() }}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Errorf("post: %v", err)
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// Expect: 100-continue is only answered for a body that will be read.
func TestSocket_expectContinue(t *testing.T) {
	s := serve(t)
	for name, header := range map[string]string{"415": "Content-Encoding: gzip\r\nContent-Length: 10", "413": "Content-Length: 1073741824"} {
		c := s.dial(t)
		if _, err := io.WriteString(c, head+"Expect: 100-continue\r\n"+header+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got, raw := answers(t, c); strings.Contains(raw, "100 Continue") || len(got) != 1 || fmt.Sprint(got[0]) != name {
			t.Errorf("answers %v; want %s without an invitation\n%s", got, name, raw)
		}
	}
}

// The client hangs up while its record is on its way: the record stays.
func TestSocket_hangUpDuringProduce(t *testing.T) {
	s := serve(t, func(_ *ingest.Config, _ *ingest.Deps, r *rig) { r.log.hold = make(chan struct{}) })
	c := s.dial(t)
	if _, err := io.WriteString(c, head+"Content-Length: 12\r\n\r\n{\"id\":\"o-1\"}"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the record to be on its way", func() bool { return s.log.calls() == 1 })
	_ = c.Close()
	close(s.log.hold)
	waitFor(t, "the record", func() bool { return len(s.log.snapshot()) == 1 })
}

// SIGTERM under load: no new connection, every request in flight waits for its
// acknowledgement, and Run returns nil.
func TestRun_drains(t *testing.T) {
	s := serve(t, func(_ *ingest.Config, _ *ingest.Deps, r *rig) { r.log.hold = make(chan struct{}) })
	const n = 20
	statuses := make(chan int, n)
	for i := range n {
		go func() { statuses <- s.send(t, fmt.Sprintf(`{"id":"o-%d","status":"paid"}`, i)) }()
	}
	waitFor(t, "all requests to be in flight", func() bool { return s.log.calls() == n })
	s.stop()
	waitFor(t, "readiness to end", func() bool { return s.Ready(context.Background()) != nil })
	waitFor(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(s.log.hold)
	for range n {
		if got := <-statuses; got != 200 {
			t.Errorf("a request in flight = %d; want 200", got)
		}
	}
	if err := <-s.err; err != nil {
		t.Errorf("Run = %v; want nil", err)
	}
	s.err = nil
	if got := len(s.log.snapshot()); got != n {
		t.Errorf("%d records for %d answers 200", got, n)
	}
}

// A drain that does not end is an error: something accepted was not answered.
func TestRun_drainTimesOut(t *testing.T) {
	s := serve(t, func(c *ingest.Config, _ *ingest.Deps, r *rig) {
		c.Limits.Drain = 50 * time.Millisecond
		r.log.hold = make(chan struct{})
	})
	defer close(s.log.hold)
	c := s.dial(t)
	if _, err := io.WriteString(c, head+"Content-Length: 12\r\n\r\n{\"id\":\"o-1\"}"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the record to be on its way", func() bool { return s.log.calls() == 1 })
	s.stop()
	if err := <-s.err; err == nil {
		t.Error("Run = nil; want the drain's error")
	}
	s.err = nil
}

// The number of connections is bounded, and a closed one makes room.
func TestSocket_connectionCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, start := newPipes(), time.Now()
		s := serveOn(t, ln, ln.dial, func(c *ingest.Config, _ *ingest.Deps, _ *rig) {
			c.Limits.Connections = 2
			c.Limits.ReadHeader = 300 * time.Millisecond
		})
		for range 4 {
			s.dial(t) // silent; the server cuts them, two at a time
		}
		if got, took := s.send(t, `{"id":"o-1","status":"paid"}`), time.Since(start); got != 200 || took != 600*time.Millisecond {
			t.Errorf("after the silent ones = %d after %v; want 200 after 600ms", got, took)
		}
	})
}

// 300 endless bodies at once hold no more memory than the bound says.
func TestSocket_memoryIsBounded(t *testing.T) {
	s := serve(t, func(c *ingest.Config, _ *ingest.Deps, _ *rig) { c.Limits.InFlight = 8 })
	var wg sync.WaitGroup
	var refused atomic.Int64
	var conns []net.Conn
	for range 100 {
		c := s.dial(t)
		conns = append(conns, c)
		wg.Go(func() {
			// Just below the cap, and then silence: the buffers stay. Who is refused
			// may not get all of it through.
			_, _ = io.WriteString(c, head+"Content-Length: 262144\r\n\r\n"+strings.Repeat("x", 200<<10))
			got, _ := answers(t, c)
			if len(got) == 1 && got[0] == http.StatusServiceUnavailable {
				refused.Add(1)
			}
		})
	}
	waitFor(t, "80 of 100 to be refused for memory: room is for 8", func() bool { return refused.Load() >= 80 })
	for _, c := range conns {
		_ = c.Close()
	}
	wg.Wait()
	waitFor(t, "room again", func() bool { return s.send(t, `{"id":"o-1","status":"paid"}`) == 200 })
}
