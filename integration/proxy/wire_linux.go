package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Wire is a network below TCP on which this host talks to itself: what listens on
// Here is reached at There, and every packet of it, either way, can be lost. It
// needs Linux and the right to make a network interface.
type Wire struct {
	Here, There netip.Addr

	tun  *os.File
	done chan struct{}

	mu           sync.Mutex
	lose         func(from, to uint16) bool
	passed, lost int
}

// OpenWire makes the interface, of a network of four addresses below 10.0.0.0/8.
// It loses nothing yet. An error that wraps os.ErrPermission or os.ErrNotExist
// says that this host has no such thing for us.
func OpenWire() (*Wire, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) { // a file without a driver
		err = errors.Join(err, os.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("proxy: open a tun: %w", err)
	}
	net := [4]byte{10, byte(64 + rand.IntN(128)), byte(rand.IntN(256)), byte(rand.IntN(64) << 2)}
	w := &Wire{Here: netip.AddrFrom4([4]byte{net[0], net[1], net[2], net[3] + 1}), There: netip.AddrFrom4([4]byte{net[0], net[1], net[2], net[3] + 2}), done: make(chan struct{})}
	if err := w.raise(fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("proxy: make an interface: %w", err)
	}
	w.tun = os.NewFile(uintptr(fd), "tun")
	go w.serve()
	return w, nil
}

// raise gives the interface its address and sets it up.
func (w *Wire) raise(fd int) error {
	req, err := unix.NewIfreq("wire%d")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	name := req.Name()
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(sock) }()
	here := w.Here.As4()
	for _, set := range []struct {
		key   uint
		value func(*unix.Ifreq) error
	}{
		{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(here[:]) }},
		{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 252}) }},
		{unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := set.value(req); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(sock, set.key, req); err != nil {
			return err
		}
	}
	return nil
}

// Lose has every packet lost for which it is true, by the ports that it comes
// from and goes to; nil loses none.
func (w *Wire) Lose(lose func(from, to uint16) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = lose
}

// Packets counts those that were passed on and those that were lost.
func (w *Wire) Packets() (passed, lost int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed, w.lost
}

// Close takes the interface away.
func (w *Wire) Close() {
	_ = w.tun.Close()
	<-w.done
}

// serve sends back what the host sends to There as if There had sent it to Here.
// The sums of a packet stay right when its two addresses change places.
func (w *Wire) serve() {
	defer close(w.done)
	b := make([]byte, 1<<16)
	for {
		n, err := w.tun.Read(b)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p := b[:n]
		if n < 24 || p[0]>>4 != 4 || p[9] != unix.IPPROTO_TCP {
			continue // of IPv6, which talks to its neighbours
		}
		ports := p[int(p[0]&15)*4:]
		if len(ports) < 4 || w.loses(binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[2:])) {
			continue
		}
		var from [4]byte
		copy(from[:], p[12:16])
		copy(p[12:16], p[16:20])
		copy(p[16:20], from[:])
		_, _ = w.tun.Write(p) // what the host does not take is lost too
	}
}

func (w *Wire) loses(from, to uint16) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose != nil && w.lose(from, to) {
		w.lost++
		return true
	}
	w.passed++
	return false
}
