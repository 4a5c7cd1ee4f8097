package poller

// maxNonce is the largest integer that a JSON number carries exactly: 2^53 - 1.
const maxNonce = 1<<53 - 1

// nonces gives strictly increasing numbers, milliseconds by preference. It
// hands out only numbers of a block whose reservation is acknowledged, so that
// whoever owns the lane next can start above everything that was ever used.
type nonces struct {
	block    int64
	last     int64 // highest used, or given up
	reserved int64 // highest acknowledged by this owner; 0 before the first
	asked    int64 // highest reserved or being reserved, by anyone
}

// newNonces starts above what any former owner may have used. The gap of one
// block covers a reservation that was used and then lost with its broker while
// the clock stood still or stepped back.
func newNonces(reservedBefore, block int64) nonces {
	n := nonces{block: block, asked: reservedBefore}
	if reservedBefore > 0 {
		n.last = min(reservedBefore+block, maxNonce)
	}
	return n
}

// peek is the nonce that a call at nowMs would use.
func (n *nonces) peek(nowMs int64) int64 { return max(nowMs, n.last+1) }

// usable reports whether peek may be used.
func (n *nonces) usable(nowMs int64) bool { return n.peek(nowMs) <= n.reserved }

// exhausted reports whether no nonce is left below 2^53.
func (n *nonces) exhausted(nowMs int64) bool { return n.peek(nowMs) > maxNonce }

// take burns and returns the nonce; call it only when usable.
func (n *nonces) take(nowMs int64) int64 {
	n.last = n.peek(nowMs)
	return n.last
}

// jump gives up a block: a refused nonce may mean that the provider has seen
// higher ones.
func (n *nonces) jump() { n.last = min(n.last+n.block, maxNonce) }

// want is the reservation to ask for; ok is false while half a block is left.
func (n *nonces) want(nowMs int64) (ceiling int64, ok bool) {
	next := n.peek(nowMs)
	if next > maxNonce || next+n.block/2 <= n.reserved {
		return 0, false
	}
	ceiling = min(max(next+n.block, n.asked), maxNonce)
	return ceiling, ceiling > n.reserved
}

// acked notes that a reservation is durable.
func (n *nonces) acked(ceiling int64) { n.reserved = max(n.reserved, ceiling) }
