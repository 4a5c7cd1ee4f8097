//go:build unix

package flock

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the lock for this process; it ends with the file or the process.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrHeld
	}
	return err
}
