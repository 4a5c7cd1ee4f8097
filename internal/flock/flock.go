// Package flock gives a process a folder for itself.
package flock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrHeld says that another process, or another part of this one, has the folder.
var ErrHeld = errors.New("the folder is in use")

// Dir makes the folder, for its owner alone, if need be, and locks it until the
// returned file is closed or the process ends. Errors: ErrHeld, and those of the
// file system.
func Dir(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}
