package codec_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rampstream/internal/codec"
	"rampstream/internal/events"
)

// The forms for the hot path read and write what the plain ones do, also when
// many values share the memory of their texts, and keep none of the caller's.
func TestInto_isDecodeAndEncode(t *testing.T) {
	c := newCodec(t)
	var texts codec.Texts
	type read struct{ want, got any }
	var all []read
	for range 200 { // several rooms of texts
		for name, v := range samples() {
			all = append(all, read{v, readInto(t, c, &texts, name, v)})
		}
	}
	for _, r := range all {
		if d := cmp.Diff(r.want, r.got); d != "" {
			t.Fatalf("read (-want +got):\n%s", d)
		}
	}
}

func readInto(t *testing.T, c *codec.Codec, texts *codec.Texts, name string, v any) any {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	room := []byte("before")
	switch x := v.(type) {
	case events.Webhook:
		value, err := c.EncodeWebhook(x)
		check(err)
		var got events.Webhook
		check(c.ReadWebhook(t.Context(), texts, value, &got))
		clear(value)
		return got
	case events.StatusCheck:
		value, err := c.EncodeStatusCheck(x)
		check(err)
		var got events.StatusCheck
		check(c.ReadStatusCheck(t.Context(), texts, value, &got))
		clear(value)
		return got
	case events.Intent:
		value, err := c.EncodeIntent(x)
		check(err)
		var got events.Intent
		check(c.ReadIntent(t.Context(), texts, value, &got))
		clear(value)
		return got
	case events.State:
		value, err := c.EncodeState(x)
		check(err)
		appended, err := c.AppendState(room, &x, nil)
		check(err)
		sameAppended(t, name, appended, value)
		want, err := c.DecodeState(t.Context(), value)
		check(err)
		used := []events.Evidence{{Word: "used"}, {Digest: "before", Facts: events.Facts{Side: "x"}}}
		got := events.State{Evidence: used[:0]}
		rows := codec.Rows{"used"}
		check(c.RereadState(t.Context(), texts, x.Key.Kind, value, &got, &rows))
		for i := range rows { // any of them may be known
			some := append(codec.Rows(nil), rows[:i+1]...)
			some[i/2] = ""
			appended, err := c.AppendState(room, &got, some)
			check(err)
			sameAppended(t, name, appended, value)
		}
		clear(value)
		if len(got.Evidence) == 0 {
			got.Evidence = nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s reread (-want +got):\n%s", name, d)
		}
		return v // some samples have facts without a column
	case events.Transition:
		value, err := c.EncodeTransition(x)
		check(err)
		appended, err := c.AppendTransition(room, &x)
		check(err)
		sameAppended(t, name, appended, value)
	case events.CheckTask:
		value, err := c.EncodeCheckTask(x)
		check(err)
		appended, err := c.AppendCheckTask(room, &x)
		check(err)
		sameAppended(t, name, appended, value)
	}
	return v
}

func sameAppended(t *testing.T, name string, appended, value []byte) {
	t.Helper()
	if !bytes.Equal(appended, append([]byte("before"), value...)) {
		t.Fatalf("%s: appended %x, encoded %x", name, appended, value)
	}
}

func TestAppend_refusesAndLeavesTheRoomAsItWas(t *testing.T) {
	c := newCodec(t)
	if b, err := c.AppendState([]byte("x"), &events.State{}, nil); err == nil || string(b) != "x" {
		t.Errorf("AppendState = %q, %v", b, err)
	}
	if b, err := c.AppendCheckTask([]byte("x"), &events.CheckTask{}); err == nil || string(b) != "x" {
		t.Errorf("AppendCheckTask = %q, %v", b, err)
	}
}
