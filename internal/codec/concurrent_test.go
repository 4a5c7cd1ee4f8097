package codec_test

import (
	"bytes"
	"sync"
	"testing"

	"rampstream/internal/events"
)

// Encoders share buffers. None may hand its own on before it has copied the
// value out of it.
func TestEncode_concurrent(t *testing.T) {
	c := newCodec(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			k := events.Key{Provider: "kado", Account: events.Account(bytes.Repeat([]byte{byte('a' + g)}, 100)), ID: "o"}
			x := events.CheckTask{Key: k, DueAt: 1, Cause: events.CauseSchedule}
			want, err := c.EncodeCheckTask(x)
			for range 20_000 {
				got, gerr := c.EncodeCheckTask(x)
				if err != nil || gerr != nil || !bytes.Equal(got, want) {
					t.Errorf("encoding %s beside others: %x, %v; want %x, %v", k, got, gerr, want, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
