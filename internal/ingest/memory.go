package ingest

import "sync"

// memory remembers recent keys in two generations: a full younger one becomes
// the older, and the older is forgotten. It holds at most 2*size keys, costs
// O(1), and forgets the oldest half at worst one generation early. Safe for
// concurrent use.
type memory[V any] struct {
	mu             sync.Mutex
	size           int
	younger, older map[string]V
}

func newMemory[V any](size int) *memory[V] {
	return &memory[V]{size: (size + 1) / 2, younger: map[string]V{}}
}

// update calls fn with what is remembered of key and remembers its result if
// keep is true, else forgets the key. fn runs under the lock.
func (m *memory[V]) update(key string, fn func(v V, found bool) (next V, keep bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, found := m.younger[key]
	if !found {
		v, found = m.older[key]
	}
	next, keep := fn(v, found)
	delete(m.older, key)
	if !keep {
		delete(m.younger, key)
		return
	}
	if _, in := m.younger[key]; !in && len(m.younger) >= m.size {
		m.older, m.younger = m.younger, map[string]V{}
	}
	m.younger[key] = next
}

// get returns what is remembered of key.
func (m *memory[V]) get(key string) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.younger[key]; ok {
		return v, true
	}
	v, ok := m.older[key]
	return v, ok
}

// len is how many keys are held.
func (m *memory[V]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.younger) + len(m.older)
}
