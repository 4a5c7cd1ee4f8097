package codec

import "unsafe"

// Texts is memory for the texts of many values: one allocation for some dozens
// of them, which lives as long as any of their texts, unless Release says that
// nobody has them any more. The zero Texts is ready for use; it must not be
// copied, nor used by two goroutines.
//
// Released memory is written over, so it stays in the processor's caches. That is
// the one thing here that Go cannot check: a text must not be looked at once it
// is released, by nobody.
type Texts struct {
	room []byte // the piece that is being filled, as far as it is
	kept int    // of it, for good
}

// textRoom is what is made room for at once.
const textRoom = 64 << 10

// Text is string(b) in t's memory.
func (t *Texts) Text(b []byte) string {
	if t.Left() < len(b) {
		t.room, t.kept = make([]byte, 0, max(len(b), textRoom)), 0
	}
	at := len(t.room)
	t.room = append(t.room, b...)
	return unsafe.String(unsafe.SliceData(t.room[at:]), len(b))
}

// Left is how many bytes of text there is room for without an allocation.
func (t *Texts) Left() int { return cap(t.room) - len(t.room) }

// Keep takes all texts that there are out of what Release makes free.
func (t *Texts) Keep() { t.kept = len(t.room) }

// Release makes the memory of all texts since Keep free for the next ones.
func (t *Texts) Release() { t.room = t.room[:t.kept] }

// Reset makes the memory of all texts free, kept or not.
func (t *Texts) Reset() { t.room, t.kept = t.room[:0], 0 }
