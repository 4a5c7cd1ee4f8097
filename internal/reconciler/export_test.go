package reconciler

import (
	"fmt"
	"math"
)

// EntryRoundTrip writes and reads an entry of a table.
func EntryRoundTrip(value []byte, chain string, clean, open bool) (size int, gotValue []byte, gotChain string, gotClean bool, err error) {
	raw, _ := appendEntry(nil, nil, entry{value: value, chain: chain, clean: clean, open: open})
	_, _, e, err := parseEntry(nil, nil, raw)
	return len(raw), e.value, e.chain, e.clean, err
}

// ParseEntry reads any bytes as an entry.
func ParseEntry(raw []byte) error {
	_, _, _, err := parseEntry(nil, nil, raw)
	return err
}

// RecordDigest is the digest of one state.
func RecordDigest(key string, value []byte) string { return hashRecord(key, value).String() }

// Dump gives every entry in memory: value, sum, link and marks of it.
func (e *Engine) Dump() map[string]string {
	out := map[string]string{}
	for _, p := range e.parts {
		_, _, err := p.states.Walk("", math.MaxInt, func(key, raw []byte) error {
			_, _, en, err := parseEntry(nil, nil, raw)
			out[string(key)] = fmt.Sprintf("%x %v %s %v", en.value, en.sum, en.chain, en.outdated)
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	return out
}

// Marks gives the marks of forgotten subjects.
func (e *Engine) Marks() map[string]string {
	out := map[string]string{}
	for _, p := range e.parts {
		for name, m := range p.stubs {
			out[name] = fmt.Sprint(m)
		}
	}
	return out
}

// Hex writes raw as the packing of entries does, and Unhex reads it.
func Hex(raw []byte) []byte { return appendHex(nil, raw) }

// Unhex is the inverse of Hex for 16 bytes; ok is false for any other text.
func Unhex(text []byte) (raw [16]byte, ok bool) {
	ok = unhex(&raw, text)
	return raw, ok
}
