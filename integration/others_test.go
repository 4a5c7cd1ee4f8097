package integration_test

import (
	"testing"

	"rampstream/integration"
	"rampstream/internal/stream"
)

// TestReader_Agree_bites shows a reader that saw other records than the history.
func TestReader_Agree_bites(t *testing.T) {
	topics := stream.DefaultTopics("x.")
	h := integration.History{Topics: topics, Partitions: 1,
		Committed: map[string][][]stream.Record{topics.Intent: {{{Offset: 3, Key: []byte("k")}}}},
		All:       map[string][][]stream.Record{topics.Intent: {{{Offset: 3, Key: []byte("k")}}}},
	}
	for _, tc := range []struct {
		name, says string
		want       int
	}{
		{"the same", "x.intent.v1 0 1 6dc37558881b9a1f83bcdd12ae36b80193ee0b8cbe36f262d4e4ed78971e5042", 0},
		{"another digest", "x.intent.v1 0 1 00", 2},
		{"nothing", "", 2},
	} {
		r := integration.Reader{Name: "fake", Command: []string{"sh", "-c", `echo "$0"`, tc.says}}
		found, _, err := r.Agree(t.Context(), []string{"b"}, h)
		must(t, err)
		if len(found) != tc.want {
			t.Errorf("%s: %d violations, want %d: %v", tc.name, len(found), tc.want, found)
		}
	}
}
