package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// Tests for single rows of docs/faults.md that no other test shows.

// lossy is a network that loses the answers to a kind of request after the
// broker has done what was asked.
type lossy struct {
	key  int16
	left atomic.Int32 // answers to lose
	lost atomic.Int32
}

func (l *lossy) dial(ctx context.Context, network, host string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: c, l: l}, nil
}

type lossyConn struct {
	net.Conn
	l     *lossy
	armed atomic.Bool
}

// Write sees whole requests: length, then the key.
func (c *lossyConn) Write(p []byte) (int, error) {
	if len(p) > 6 && int16(binary.BigEndian.Uint16(p[4:])) == c.l.key && c.l.left.Add(-1) >= 0 {
		c.armed.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.armed.Load() { // the answer was made, so the deed is done
		c.l.lost.Add(1)
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// K3, K28: the broker does what it was asked and its answer is lost. Whatever
// Commit says then is true, and in the end the batch is there once.
func TestTxnGroup_Commit_answerLost(t *testing.T) {
	for _, tc := range []struct {
		name   string
		key    kmsg.Key
		losses int32
	}{{"end", kmsg.EndTxn, 1}, {"end, twice", kmsg.EndTxn, 2}, {"produce", kmsg.Produce, 1}, {"offsets", kmsg.TxnOffsetCommit, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg, _ := start(t, 1, "a", "b", "out")
			put(t, cfg, "a", 0, "1", "2")
			l := &lossy{key: int16(tc.key)}
			through := cfg
			through.Dialer = l.dial
			g := openTxn(t, through, txnOptions("0"), newTable(t))
			l.left.Store(tc.losses)
			visible := 0
			for visible < 2 {
				rs := pollN(t, g.Poll, 1)
				ok, err := g.Commit(patient(t), copies(rs))
				now := len(values(t, cfg, "out", 0, true))
				if err == nil && ok != (now > visible) {
					t.Fatalf("Commit = %v with %d copies before and %d after", ok, visible, now)
				}
				visible = now
				if err != nil { // unknown: a new session finds out
					g.Close()
					g = openTxn(t, cfg, txnOptions("0"), newTable(t))
				}
			}
			if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"1", "2"}) || l.lost.Load() != tc.losses {
				t.Errorf("%d answers lost, copies = %q; want %d, and each once", l.lost.Load(), got, tc.losses)
			}
		})
	}
}

// mortalConn breaks right behind one of its first requests: whether the broker
// got that one, only the broker knows.
type mortalConn struct {
	net.Conn
	left atomic.Int32
	died *atomic.Int32
}

func (c *mortalConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.left.Add(-1) == 0 {
		c.died.Add(1)
		_ = c.Conn.Close()
	}
	return n, err
}

// K28: no connection lives for more than some requests; the copies are whole
// and single all the same.
func TestTxnGroup_connectionsThatDie(t *testing.T) {
	cfg, _ := start(t, 2, "a", "b", "out")
	var died atomic.Int32
	mortal := cfg
	mortal.Dialer = func(ctx context.Context, network, host string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		m := &mortalConn{Conn: c, died: &died}
		m.left.Store(5 + rand.Int32N(8))
		return m, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- survive(ctx, mortal, "1") }()
	var want, got []string
	for died.Load() < 10 {
		want = append(want, fmt.Sprintf("%04d", len(want)))
		put(t, cfg, []string{"a", "b"}[len(want)%2], int32(len(want)/2%2), want[len(want)-1])
		eventually(t, "the copy", func() bool {
			got = append(values(t, cfg, "out", 0, true), values(t, cfg, "out", 1, true)...)
			return len(got) >= len(want)
		})
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d connections died; copies = %q, want each of %d once", died.Load(), got, len(want))
	}
}

// liar is a network in which a broker that ended a transaction says that it does
// not know what happened.
type liar struct {
	net.Conn
	left  *atomic.Int32
	armed atomic.Bool
}

func (c *liar) Write(p []byte) (int, error) {
	if len(p) > 6 && int16(binary.BigEndian.Uint16(p[4:])) == int16(kmsg.EndTxn) && c.left.Add(-1) == 0 {
		c.armed.Store(true)
	}
	return c.Conn.Write(p)
}

// Read sees a whole answer: its length, its number, no tags, the
// throttle time, the code.
func (c *liar) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 14 && c.armed.Swap(false) {
		binary.BigEndian.PutUint16(p[13:], 0xffff) // UNKNOWN_SERVER_ERROR is -1
	}
	return n, err
}

// A commit whose outcome the broker does not know may have happened: to call it
// aborted would double what it wrote, and leave memory behind the log.
func TestTxnGroup_Commit_endNotKnownToTheBroker(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	var left atomic.Int32
	left.Store(1)
	through := cfg
	through.Dialer = func(ctx context.Context, network, host string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, host)
		return &liar{Conn: c, left: &left}, err
	}
	g := openTxn(t, through, txnOptions("0"), newTable(t))
	rs := pollN(t, g.Poll, 1)
	ok, err := g.Commit(patient(t), copies(rs))
	if got := values(t, cfg, "out", 0, true); ok || err == nil || !slices.Equal(got, []string{"1"}) {
		t.Errorf("Commit = %v, %v with copies %q; want an error, the copy is there", ok, err, got)
	}
	if left.Load() > 0 {
		t.Error("the broker told the truth: the run proves nothing")
	}
	if _, err := g.Poll(patient(t), 1); err == nil || errors.Is(err, stream.ErrTransient) {
		t.Errorf("Poll of a session in doubt = %v, want its end", err)
	}
}

// K3, and the process is gone while its client asks again: the next process with
// the id finds the batch committed, and reads on behind it.
func TestTxnGroup_Commit_killedWhileItAsksAgain(t *testing.T) {
	cfg, _ := start(t, 1, "a", "b", "out")
	put(t, cfg, "a", 0, "1")
	l := &lossy{key: int16(kmsg.EndTxn)}
	var gone atomic.Bool
	through := cfg
	through.Dialer = func(ctx context.Context, network, host string) (net.Conn, error) {
		if gone.Load() {
			return nil, errors.New("the process is gone")
		}
		return l.dial(ctx, network, host)
	}
	o := txnOptions("0")
	o.LeaveOnClose = false
	g := openTxn(t, through, o, newTable(t))
	rs := pollN(t, g.Poll, 1)
	l.left.Store(1000) // no answer ever comes back
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if ok, err := g.Commit(ctx, copies(rs)); ok || err == nil {
			t.Errorf("Commit without an answer = %v, %v", ok, err)
		}
	}()
	eventually(t, "it asks again", func() bool { return l.lost.Load() > 1 })
	gone.Store(true)
	put(t, cfg, "a", 0, "2")
	next := openTxn(t, cfg, txnOptions("0"), newTable(t))
	rest := pollN(t, next.Poll, 1)
	if ok, err := next.Commit(patient(t), copies(rest)); !ok || err != nil {
		t.Errorf("Commit of the next process = %v, %v", ok, err)
	}
	if got := values(t, cfg, "out", 0, true); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("copies = %q, want each once", got)
	}
	cancel()
	g.Close()
	<-done
}
