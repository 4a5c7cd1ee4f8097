package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes. In a file it is a plain number or a number with
// KiB or MiB.
type Size int64

// sizeUnits are tried in order; the bare number is last.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// ParseSize reads "262144", "256KiB", "256 KiB" or "1MiB".
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(digits, " "), 10, 64)
		if err != nil || n < 0 || n > (1<<40)/u.bytes {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf("want bytes, or a number with KiB or MiB")
}

// String is the shortest form that ParseSize reads back.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
