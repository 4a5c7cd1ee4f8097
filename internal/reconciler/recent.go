package reconciler

import (
	"rampstream/internal/events"
)

// maxRecent bounds one generation of decoded states: some kilobytes each.
const maxRecent = 4096

// recent is a cache of decoded states in two generations: when the young one is
// full it becomes the old one, and what nobody asked for since is dropped.
type recent struct {
	young, old map[string]cachedState
}

type cachedState struct {
	value *byte // of the record value that was decoded: a state that moved on does not match
	state events.State
}

// get returns the decoded form of value, if it is still here. The state must
// not be changed.
func (r *recent) get(key string, value []byte) (events.State, bool) {
	c, ok := r.young[key]
	if !ok {
		if c, ok = r.old[key]; ok {
			r.add(key, c)
		}
	}
	if !ok || c.value != &value[0] {
		return events.State{}, false
	}
	return c.state, true
}

// put remembers the decoded form of a value that is in memory from now on.
func (r *recent) put(key string, value []byte, st events.State) {
	r.add(key, cachedState{&value[0], st})
}

func (r *recent) add(key string, c cachedState) {
	if len(r.young) >= maxRecent {
		r.old, r.young = r.young, nil
	}
	if r.young == nil {
		r.young = make(map[string]cachedState, maxRecent)
	}
	r.young[key] = c
}
