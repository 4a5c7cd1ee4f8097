package jsonx

import (
	"hash/maphash"
	"math/bits"
)

// fewKeys is where a table becomes cheaper than comparing every pair.
const fewKeys = 8

// compareKeys raises the flags for one object.
func (p *parser) compareKeys(members []Member) {
	if len(members) <= fewKeys {
		for i := range members {
			for j := range i {
				p.comparePair(members[i].Key, members[j].Key)
			}
		}
		return
	}
	twins := p.keys.repeated(members, true)
	if !twins {
		return
	}
	// Of keys that are equal but for case the table keeps the first, so it says
	// nothing about a pair among the others: a, A, A.
	if p.keys.repeated(members, false) {
		p.flags.Duplicates = true
	}
	p.flags.CaseTwins = p.flags.CaseTwins || p.keys.differ
}

func (p *parser) comparePair(a, b string) {
	switch {
	case len(a) != len(b):
	case a == b:
		p.flags.Duplicates = true
	case equalFold(a, b):
		p.flags.CaseTwins = true
	}
}

// keyTable finds equal keys of one object in time that does not depend on what
// they are: its hash has a seed of its own, so nobody can choose keys that meet.
type keyTable struct {
	seed   maphash.Seed
	seeded bool
	slots  []int32 // index of a member, plus one; 0 is free
	folded []byte
	differ bool // the last search with fold met keys that differ by case
}

// repeated reports whether two keys are equal, with fold but for case.
func (t *keyTable) repeated(members []Member, fold bool) bool {
	if !t.seeded {
		t.seed, t.seeded = maphash.MakeSeed(), true
	}
	size := 1 << bits.Len(uint(2*len(members)))
	if cap(t.slots) < size {
		t.slots = make([]int32, size)
	}
	t.slots = t.slots[:size]
	clear(t.slots)
	if fold {
		t.differ = false
	}
	found := false
	for i := range members {
		first := t.put(members, i, fold)
		if first < 0 {
			continue
		}
		found = true
		if fold && members[first].Key != members[i].Key {
			t.differ = true
		}
	}
	return found
}

// put places member i, or returns the one that is there with an equal key.
func (t *keyTable) put(members []Member, i int, fold bool) int {
	key := members[i].Key
	mask := len(t.slots) - 1
	for at := int(t.hash(key, fold)) & mask; ; at = (at + 1) & mask {
		other := int(t.slots[at]) - 1
		switch {
		case other < 0:
			t.slots[at] = int32(i + 1)
			return -1
		case members[other].Key == key || fold && equalFold(members[other].Key, key):
			return other
		}
	}
}

func (t *keyTable) hash(key string, fold bool) uint64 {
	if !fold {
		return maphash.String(t.seed, key)
	}
	t.folded = t.folded[:0]
	for i := range len(key) {
		t.folded = append(t.folded, lower(key[i]))
	}
	return maphash.Bytes(t.seed, t.folded)
}

// equalFold works on bytes: keys may hold lone surrogates, which are no runes.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
