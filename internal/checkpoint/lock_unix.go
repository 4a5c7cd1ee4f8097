//go:build unix

package checkpoint

import (
	"errors"
	"os"
	"syscall"
)

// flock takes the lock for this process; it ends with the file or the process.
func flock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
