// Package disk is a table on disk, for states that are more than memory has
// room for. It keeps all partitions in one Pebble.
//
// It promises:
//
//   - What it holds is a copy of Kafka, made by this process: opening a store
//     discards what an earlier one left, and nothing is synced, logged or
//     recovered. A disk that is lost costs a restore.
//   - Memory is bounded by the cache and two memtables, whatever the number of
//     partitions and states.
//   - A partition that is closed is deleted as one range; compactions give the
//     disk back.
//
// A disk that fails, or is full, ends the process: Pebble would try again for
// ever, and everything would wait for it.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"

	"rampstream/internal/flock"
)

const (
	// memTable is how much is gathered before it is written; there are two.
	memTable = 64 << 20
	// openFiles is below the 1,024 that a process may have by default.
	openFiles = 500
)

// Store is a folder with the tables of all partitions. Its methods may be called
// concurrently.
type Store struct {
	db   *pebble.DB
	lock *os.File
}

// Open discards what an earlier store left in the folder and makes an empty one
// there, which this process has for itself. cache is the memory for blocks that
// were read, in bytes. die is called with what went wrong when the disk fails
// later on; it may be called by any goroutine, and must not return.
func Open(path string, cache int64, die func(error)) (*Store, error) {
	lock, err := flock.Dir(path)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	path = filepath.Join(path, "states") // what is discarded is never the operator's
	db, err := openEmpty(path, cache, die)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disk: %w", err), lock.Close())
	}
	return &Store{db, lock}, nil
}

func openEmpty(path string, cache int64, die func(error)) (*pebble.DB, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	c := pebble.NewCache(cache)
	defer c.Unref() // the database has a reference of its own
	return pebble.Open(path, options(c, die))
}

func options(c *pebble.Cache, die func(error)) *pebble.Options {
	o := &pebble.Options{
		Cache: c, Logger: quiet{die}, FormatMajorVersion: pebble.FormatNewest,
		DisableWAL: true, MemTableSize: memTable, MaxOpenFiles: openFiles,
		EventListener: &pebble.EventListener{BackgroundError: func(err error) { die(fmt.Errorf("disk: %w", err)) }},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // a new order is looked for and is not there
		// Values are packed before they come here.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	return o
}

// Close gives the folder up. No table of it may be in use.
func (s *Store) Close() error { return errors.Join(s.db.Close(), s.lock.Close()) }

// quiet has Pebble say nothing of its own: what goes wrong is returned, or is a
// background error.
type quiet struct{ die func(error) }

func (quiet) Infof(string, ...any)                {}
func (quiet) Errorf(string, ...any)               {}
func (q quiet) Fatalf(format string, args ...any) { q.die(fmt.Errorf("disk: "+format, args...)) }
