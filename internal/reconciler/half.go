package reconciler

// Without transactions a batch may be written in part: its discrepancies, and
// neither its states nor its positions. Its records are read again then, perhaps
// cut into other batches, and what they say together may be another thing. The
// invariant:
//
//	A batch begins at a position that was written and reads at most
//	mostUnverified records, whatever max_batch says. So all that a failed one
//	may have written is of the first mostUnverified records of each input behind
//	the position.
//
// Whatever these change has its side outputs written anew, known or not. It does
// not matter how many batches failed, or whose they were: none began before the
// position that a restore finds. Nor does it matter how they were cut, because it
// ends with the states: a batch of which one may be written is committed again of
// the same records, or memory is restored (BatchStands of Session.Commit).

// mostUnverified is how many records a batch has at most where there are no
// transactions. A version in which it is less would not cover what this one left
// half written.
const mostUnverified = 5000

// half says which records of a partition's inputs a batch that was not written to
// its end may have been made of.
type half struct {
	// rolledBack is below which offsets those stand that this process began with.
	rolledBack [inputs]int64
	// restored is where the inputs ended at the restore: nobody else has read
	// beyond. It is 0 again once read, the records since then, says that it is over.
	restored [inputs]int64
	read     [inputs]int
}

func (h *half) has(input int, offset int64) bool {
	return offset < h.rolledBack[input] || offset < h.restored[input]
}

// failed is a batch that may have been written in part.
func (h *half) failed(o *overlay) {
	for i := range h.rolledBack {
		h.rolledBack[i] = max(h.rolledBack[i], o.next[i])
	}
}

// passed is a batch that was written to its end, positions and all.
func (h *half) passed(o *overlay) {
	for i := range h.read {
		if h.read[i] += o.read[i]; h.read[i] >= mostUnverified {
			h.restored[i] = 0
		}
	}
}
