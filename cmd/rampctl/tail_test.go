package main

import (
	"bytes"
	"strings"
	"testing"

	"rampstream/internal/inspect"
	"rampstream/internal/stream"
)

// What a producer wrote by mistake may be about a person, whether it happens to be
// JSON or not: a tail shows what ingest made of a body and nothing else.
func TestTail_deadLettersShowNobodysBytes(t *testing.T) {
	w := newAuditWorld(t, 0)
	remains := `{"digest":"` + strings.Repeat("ab", 32) + `","length":7,"content_type":"application/json","keys":["id"]}`
	for _, tc := range []struct {
		name, program, value string
		shown                bool
	}{
		{"ingest's", "ingest", remains, true},
		{"a raw body", "ingest", `{"email":"joe@example.com"}`, false},
		{"more than one", "ingest", remains + `{"email":"joe@example.com"}`, false},
		{"a producer's JSON", "reconciler", `{"email":"joe@example.com"}`, false},
		{"one that looks like ingest's", "reconciler", remains, false},
		{"bytes", "reconciler", "joe@example.com", false},
	} {
		var stdout bytes.Buffer
		c := &cli{out: &stdout, output: "text"}
		rec := stream.DeadLetter(auditTopics.DeadLetter, stream.Record{Topic: auditTopics.Intent, Key: []byte("acme/shop/o1"), Value: []byte(tc.value)},
			tc.program, "join", "UNDECODABLE", "corrupt")
		if err := c.record(t.Context(), inspect.Reader{Log: w.log, Codec: w.codec, Topics: auditTopics, Partitions: auditPartitions}, rec); err != nil {
			t.Fatal(err)
		}
		out := stdout.String()
		if shown := strings.Contains(out, `"digest"`); shown != tc.shown || strings.Contains(out, "joe@") {
			t.Errorf("%s is printed as %s", tc.name, out)
		}
	}
}
