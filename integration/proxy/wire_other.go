//go:build !linux

package proxy

import (
	"fmt"
	"net/netip"
	"os"
)

// Wire is a network below TCP; only Linux has it.
type Wire struct{ Here, There netip.Addr }

// OpenWire fails.
func OpenWire() (*Wire, error) {
	return nil, fmt.Errorf("proxy: a wire needs Linux: %w", os.ErrNotExist)
}

// Lose does nothing.
func (*Wire) Lose(func(from, to uint16) bool) {}

// Packets counts none.
func (*Wire) Packets() (passed, lost int) { return 0, 0 }

// Close does nothing.
func (*Wire) Close() {}
