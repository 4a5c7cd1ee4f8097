package slab

// SetWindow makes the span of chunk numbers small, and has the numbers of an
// empty table wrap after a few chunks.
func (t *Table) SetWindow(n int) { t.window, t.first = n, 3*maxChunks-10 }

// Window is the span of chunk numbers.
func (t *Table) Window() int { return len(t.chunks) }
