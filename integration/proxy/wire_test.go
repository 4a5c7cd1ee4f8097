package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"rampstream/integration/proxy"
)

// TestWire: what is sent over a wire arrives although packets are lost, and
// nothing arrives while one way of it is cut, or after it is closed.
func TestWire(t *testing.T) {
	w := openWire(t)
	ln, err := net.Listen("tcp", net.JoinHostPort(w.Here.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, text, _ := net.SplitHostPort(ln.Addr().String())
	served, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(w.There.String(), text), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	echo := func() error {
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		sent, got := make([]byte, 1<<16), make([]byte, 1<<16)
		for i := range sent {
			sent[i] = byte(i * i >> 3)
		}
		if _, err := conn.Write(sent); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			return err
		}
		if string(sent) != string(got) {
			return errors.New("other bytes came back")
		}
		return nil
	}
	if err := echo(); err != nil {
		t.Errorf("over a good wire: %v", err)
	}
	if passed, lost := w.Packets(); passed == 0 || lost != 0 {
		t.Errorf("%d packets were passed on and %d lost by a good wire", passed, lost)
	}
	n := 0
	w.Lose(func(uint16, uint16) bool { n++; return n%5 == 0 })
	if err := echo(); err != nil {
		t.Errorf("over a wire that loses every fifth packet: %v", err)
	}
	if _, lost := w.Packets(); lost == 0 {
		t.Error("no packet was lost")
	}
	w.Lose(func(from, _ uint16) bool { return from == uint16(served) })
	_ = conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("write over a wire whose other way is cut: %v", err)
	}
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a wire whose way back is cut gave %d bytes, %v", n, err)
	}
	w.Lose(nil)
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("what waited for a good wire: %v", err)
	}
}

func openWire(t *testing.T) *proxy.Wire {
	t.Helper()
	w, err := proxy.OpenWire()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}
