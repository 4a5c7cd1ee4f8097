package kafka_test

import (
	"testing"

	"rampstream/internal/kafka"
)

// A group that nobody is in any more is forgotten some days later, and brokers
// from 4.0 on answer for it with an error. It has no members all the same: that
// is what whoever skips a gap after a long absence has to hear.
func TestMembers_ofAGroupThatIsGone(t *testing.T) {
	cfg, _ := start(t, 1, "s")
	if n, err := kafka.Members(patient(t), cfg, "gone"); n != 0 || err != nil {
		t.Errorf("Members of a group that does not exist = %d, %v; want 0, nil", n, err)
	}
}
