package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rampstream/internal/ingest"
)

// What the program itself costs a delivery, without network, signature and
// broker.
func BenchmarkHandle(b *testing.B) {
	r := newRig(b, func(_ *ingest.Config, d *ingest.Deps, r *rig) {
		r.at = time.Time{}
		d.Publisher = discard{}
	})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if got := r.Handle(context.Background(), post(hook, fmt.Sprintf(`{"id":"o-%d","status":"paid"}`, n))); got.Status != 200 {
			b.Fatalf("= %d", got.Status)
		}
	}
}
