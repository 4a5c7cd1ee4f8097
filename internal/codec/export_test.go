package codec

import "maps"

// Slow is c without the reader of our own versions: every value is resolved by
// the Avro library, as those of other versions are.
func Slow(c *Codec) *Codec {
	s := &Codec{ids: c.ids, own: maps.Clone(c.own), resolver: c.resolver, flights: map[int]*flight{}}
	for id, w := range s.own {
		slow := *w
		slow.ours = false
		s.own[id] = &slow
	}
	return s
}

// Fast reports whether what was written with the id is read by our reader.
func Fast(c *Codec, id int) bool {
	if w, ok := c.own[id]; ok {
		return w.ours
	}
	w, ok := c.writers.Load(id)
	return ok && w.(*writer).ours
}

// The bounds of arrays.
const (
	MaxItems  = maxItems
	MaxBlocks = maxBlocks
)

// What tests compare with its long form.
var (
	RowsSorted        = rowsSorted
	ASCII             = ascii
	AppendCoordinates = appendCoordinates
)

// TextOf is what our reader reads at the start of body; "" for a fault.
func TextOf(body []byte) string {
	r := reader{s: string(body)}
	if s := r.text(); r.err == nil {
		return s
	}
	return ""
}
