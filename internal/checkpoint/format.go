package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrDamaged says that a file is not what a Writer wrote.
var ErrDamaged = errors.New("checkpoint is damaged")

// A file is magic and blocks. A block is the length of its payload and the
// checksum, 4 bytes each, its kind, and the payload. The checksum covers the
// block's number in the file, its kind and its payload. The first block is the
// head, the last one the end, and nothing follows it.
const (
	magic = "rampck\x00\x01" // the last byte is the version of the format

	kindHead    = 1
	kindEntries = 2
	kindEnd     = 3 // payload: how many entries, 8 bytes

	frame = 4 + 4 + 1
	// blockSize is where a block of entries ends; one entry may go beyond.
	blockSize = 256 << 10
	// maxBlock bounds what a block may claim to be: an entry is a Kafka record.
	maxBlock = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(number uint64, kind byte, payload []byte) uint32 {
	var b [9]byte
	binary.BigEndian.PutUint64(b[:], number)
	b[8] = kind
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, payload)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrDamaged)
}

// appendEntry writes an entry to a payload.
func appendEntry(b, key, value []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(len(key))), uint64(len(value)))
	return append(append(b, key...), value...)
}

// nextEntry takes the first entry of a payload; ok is false if none is there in
// full.
func nextEntry(b []byte) (key, value, rest []byte, ok bool) {
	k, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, nil, false
	}
	v, m := binary.Uvarint(b[n:])
	left := uint64(len(b) - n)
	if m <= 0 || k > left || v > left || uint64(m)+k+v > left {
		return nil, nil, nil, false
	}
	b = b[n+m:]
	return b[:k:k], b[k : k+v : k+v], b[k+v:], true
}
