package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// Writer writes one checkpoint. After an error it is of no more use than for
// Abort. It is for one goroutine.
type Writer struct {
	dir     *Dir
	name    string
	f       *os.File
	block   []byte // frame and payload of the entries so far
	number  uint64
	entries uint64
	size    int64
}

// Create begins a checkpoint beside the place of its name. It takes the place
// of an older one at Commit.
func (d *Dir) Create(name string, head []byte) (*Writer, error) {
	f, err := os.OpenFile(d.file(name)+unready, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	w := &Writer{dir: d, name: name, f: f, size: int64(len(magic))}
	w.reset()
	if _, err := f.WriteString(magic); err != nil {
		return nil, errors.Join(fmt.Errorf("checkpoint: %w", err), w.Abort())
	}
	w.block = append(w.block, head...)
	if err := w.flush(kindHead); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func (w *Writer) reset() {
	if w.block == nil {
		w.block = make([]byte, 0, blockSize+blockSize/4)
	}
	w.block = append(w.block[:0], make([]byte, frame)...)
}

// Add writes an entry; key and value are copied. A key may come more than once:
// the last one counts.
func (w *Writer) Add(key, value []byte) error {
	w.block = appendEntry(w.block, key, value)
	w.entries++
	if len(w.block) < blockSize {
		return nil
	}
	return w.flush(kindEntries)
}

// flush writes the block that was gathered.
func (w *Writer) flush(kind byte) error {
	payload := w.block[frame:]
	if len(payload) > maxBlock {
		return fmt.Errorf("checkpoint: an entry of %d bytes", len(payload))
	}
	binary.BigEndian.PutUint32(w.block, uint32(len(payload)))
	binary.BigEndian.PutUint32(w.block[4:], checksum(w.number, kind, payload))
	w.block[8] = kind
	w.number++
	w.size += int64(len(w.block))
	_, err := w.f.Write(w.block)
	w.reset()
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// Commit makes the checkpoint durable and puts it in its place. It returns the
// size of the file.
func (w *Writer) Commit() (size int64, err error) {
	if len(w.block) > frame {
		if err := w.flush(kindEntries); err != nil {
			return 0, errors.Join(err, w.Abort())
		}
	}
	w.block = binary.BigEndian.AppendUint64(w.block, w.entries)
	if err := w.flush(kindEnd); err != nil {
		return 0, errors.Join(err, w.Abort())
	}
	if err := w.f.Sync(); err != nil {
		return 0, errors.Join(fmt.Errorf("checkpoint: %w", err), w.Abort())
	}
	if err := w.f.Close(); err != nil {
		return 0, errors.Join(fmt.Errorf("checkpoint: %w", err), w.remove())
	}
	place := w.dir.file(w.name)
	if err := os.Rename(place+unready, place); err != nil {
		return 0, errors.Join(fmt.Errorf("checkpoint: %w", err), w.remove())
	}
	if err := w.dir.sync(); err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	return w.size, nil
}

// Abort removes what was written. An older checkpoint stays.
func (w *Writer) Abort() error { return errors.Join(w.f.Close(), w.remove()) }

func (w *Writer) remove() error { return os.Remove(w.dir.file(w.name) + unready) }
