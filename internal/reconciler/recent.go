package reconciler

import (
	"rampstream/internal/events"
)

// maxRecent bounds one generation of decoded states: some kilobytes each.
const maxRecent = 4096

// recent is a cache of decoded states in two generations: when the young one is
// full it becomes the old one, and what nobody asked for since is dropped.
//
// What it has of a key is what the table has: both change in Accept alone, and
// whoever reads a table back from Kafka forgets the cache.
type recent struct {
	young, old map[string]events.State
}

// get returns the decoded state of key, if it is still here. It must not be
// changed.
func (r *recent) get(key string) (events.State, bool) {
	st, ok := r.young[key]
	if !ok {
		if st, ok = r.old[key]; ok {
			r.put(key, st)
		}
	}
	return st, ok
}

// put remembers the state of key that is in memory from now on.
func (r *recent) put(key string, st events.State) {
	if len(r.young) >= maxRecent {
		r.old, r.young = r.young, nil
	}
	if r.young == nil {
		r.young = make(map[string]events.State, maxRecent)
	}
	r.young[key] = st
}
