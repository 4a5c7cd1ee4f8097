//go:build unix

package slab

import (
	"fmt"
	"syscall"
)

// take asks the system for n bytes of zeros, apart from the collector's heap:
// there a live gigabyte would allow another one of garbage before a collection,
// and what is given back would stay with the process.
func take(n int) ([]byte, error) {
	mem, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("slab: %d bytes of memory: %w", n, err)
	}
	return mem, nil
}

// give returns what take gave; nil is nothing.
func give(mem []byte) error {
	if mem == nil {
		return nil
	}
	return syscall.Munmap(mem)
}
