package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rampstream/internal/flock"
)

// Dir is a folder of checkpoints that this process has for itself.
type Dir struct {
	path string
	lock *os.File
}

const (
	suffix  = ".ckpt"
	unready = ".tmp"
)

// OpenDir makes the folder if need be, locks it, and removes what an earlier
// process left unfinished. Errors: flock.ErrHeld, and those of the file system.
func OpenDir(path string) (*Dir, error) {
	lock, err := flock.Dir(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	d := &Dir{path: path, lock: lock}
	if err := d.clear(); err != nil {
		return nil, errors.Join(fmt.Errorf("checkpoint: %w", err), lock.Close())
	}
	return d, nil
}

func (d *Dir) clear() error {
	left, err := filepath.Glob(filepath.Join(d.path, "*"+unready))
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// Close gives the folder up. No reader or writer of it may be in use.
func (d *Dir) Close() error { return d.lock.Close() }

// Remove deletes a checkpoint, if it is there.
func (d *Dir) Remove(name string) error {
	if err := os.Remove(d.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// file is where a checkpoint stands. Names are the caller's own, never from
// outside; a separator in one is a programmer's error.
func (d *Dir) file(name string) string {
	if strings.ContainsAny(name, "/\\.") || name == "" {
		panic("checkpoint: name " + name)
	}
	return filepath.Join(d.path, name+suffix)
}

// sync makes a renaming in the folder durable.
func (d *Dir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
