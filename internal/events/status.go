package events

// Status is the closed set of normalised statuses. Records carry it as its
// String, beside the provider's own word.
type Status uint8

// The zero Status is the one that claims nothing and never decides.
const (
	StatusUnknown Status = iota
	StatusCreated
	StatusPending
	StatusProcessing
	StatusOnHold
	StatusDisputed
	StatusCompleted
	StatusFailed
	StatusCancelled
	StatusExpired
	StatusRefunded
	statusCount
)

var statusNames = [statusCount]string{
	"UNKNOWN", "CREATED", "PENDING", "PROCESSING", "ON_HOLD", "DISPUTED",
	"COMPLETED", "FAILED", "CANCELLED", "EXPIRED", "REFUNDED",
}

// ranks order the statuses of a normal life; DISPUTED and UNKNOWN have none.
var ranks = [statusCount]int{0, 10, 20, 30, 30, 0, 40, 40, 40, 40, 50}

// String is the word that stands in records.
func (s Status) String() string {
	if s >= statusCount {
		return statusNames[StatusUnknown]
	}
	return statusNames[s]
}

// Rank places s in an order's normal life, 10 (CREATED) to 50 (REFUNDED);
// 0 for UNKNOWN and DISPUTED, which have no place in it.
func (s Status) Rank() int {
	if s >= statusCount {
		return 0
	}
	return ranks[s]
}

// Terminal reports whether an order in s is settled: COMPLETED, FAILED,
// CANCELLED, EXPIRED or REFUNDED. DISPUTED is not.
func (s Status) Terminal() bool { return s.Rank() >= 40 }

// ParseStatus is the inverse of String. Any other word is StatusUnknown, false.
func ParseStatus(word string) (Status, bool) {
	for i, n := range statusNames {
		if n == word {
			return Status(i), true
		}
	}
	return StatusUnknown, false
}

// Statuses lists the closed set, in rank order, for documents and completion.
func Statuses() []Status {
	out := make([]Status, 0, statusCount)
	for s := StatusUnknown; s < statusCount; s++ {
		out = append(out, s)
	}
	return out
}
