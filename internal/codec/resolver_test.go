package codec_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/schemas"
)

// registry is a Resolver of fixed texts that counts its calls.
type registry struct {
	texts map[int]string
	calls atomic.Int64
	delay time.Duration
	err   error
}

func (r *registry) SchemaByID(ctx context.Context, id int) (string, error) {
	r.calls.Add(1)
	if r.delay > 0 {
		select {
		case <-time.After(r.delay):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if r.err != nil {
		return "", r.err
	}
	text, ok := r.texts[id]
	if !ok {
		return "", errors.New("no such schema")
	}
	return text, nil
}

func reader(t *testing.T, r codec.Resolver) *codec.Codec {
	t.Helper()
	c, err := codec.New(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lane is a LaneState written with id.
func lane(t *testing.T, id int) []byte {
	t.Helper()
	c, err := codec.New(map[string]int{"LaneState": id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.EncodeLaneState(events.LaneState{Lane: "kado/acme", NonceReserved: 7, UpdatedAt: 1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestResolver_isAskedOnceForAnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{texts: map[int]string{42: schemas.Text("LaneState")}, delay: time.Second}
		c, b := reader(t, r), lane(t, 42)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, err := c.DecodeLaneState(t.Context(), b); err != nil || got.NonceReserved != 7 {
					t.Errorf("DecodeLaneState = %+v, %v", got, err)
				}
			})
		}
		wg.Wait()
		if _, err := c.DecodeLaneState(t.Context(), b); err != nil || r.calls.Load() != 1 {
			t.Errorf("asked %d times, %v; want once", r.calls.Load(), err)
		}
	})
}

// A failure says nothing about the bytes and is not remembered.
func TestResolver_failureIsNotRemembered(t *testing.T) {
	down := errors.New("connection refused")
	r := &registry{texts: map[int]string{42: schemas.Text("LaneState")}, err: down}
	c, b := reader(t, r), lane(t, 42)
	for range 2 {
		refuse(t, c, "LaneState", b, codec.ErrSchemaUnavailable)
	}
	if _, _, err := c.DecodeAny(t.Context(), b); !errors.Is(err, codec.ErrSchemaUnavailable) || errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("DecodeAny = %v, want ErrSchemaUnavailable", err)
	}
	if r.calls.Load() != 3 {
		t.Errorf("asked %d times, want each time", r.calls.Load())
	}
	r.err = nil
	if _, err := c.DecodeLaneState(t.Context(), b); err != nil {
		t.Errorf("after the registry came back: %v", err)
	}
	refuse(t, newCodec(t), "LaneState", b, codec.ErrSchemaUnavailable) // no resolver at all
}

// Who waits for another's look-up leaves when its own context ends, and asks
// itself when the other gave up.
func TestResolver_contextsAreTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{texts: map[int]string{42: schemas.Text("LaneState")}, delay: 10 * time.Second}
		c, b := reader(t, r), lane(t, 42)
		try := func(after time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			_, err := c.DecodeLaneState(ctx, b)
			return err
		}
		var first, second, third error
		var wg sync.WaitGroup
		wg.Go(func() { first = try(5 * time.Second) })
		synctest.Wait()
		wg.Go(func() { second = try(time.Second) })
		wg.Go(func() { third = try(time.Minute) })
		wg.Wait()
		if !errors.Is(first, codec.ErrSchemaUnavailable) || !errors.Is(second, codec.ErrSchemaUnavailable) || third != nil {
			t.Errorf("cancelled leader: %v; cancelled waiter: %v; patient waiter: %v", first, second, third)
		}
		if r.calls.Load() != 2 {
			t.Errorf("asked %d times, want twice", r.calls.Load())
		}
	})
}

// An id that means something else is a fact about the record: it is remembered,
// and no retry is asked for.
func TestDecode_refusesOtherSchemas(t *testing.T) {
	text := schemas.Text("LaneState")
	for name, other := range map[string]string{
		"another record of ours": schemas.Text("Webhook"),
		"another namespace":      strings.Replace(text, "rampstream.v1", "rampstream.v2", 1),
		"a foreign record":       `{"type": "record", "name": "Order", "fields": []}`,
		"no record":              `"string"`,
		"not Avro":               `syntax = "proto3";`,
		"a map":                  strings.Replace(text, `"type": "string"`, `"type": {"type": "map", "values": "string"}`, 1),
		"another type":           strings.Replace(text, `"type": "string"`, `"type": "long"`, 1),
		"a field too few":        strings.Replace(text, `"name": "nonce_reserved"`, `"name": "nonce"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := &registry{texts: map[int]string{42: other}}
			c := reader(t, r)
			refuse(t, c, "LaneState", lane(t, 42), codec.ErrWrongRecord)
			refuse(t, c, "LaneState", lane(t, 42), codec.ErrWrongRecord)
			want := codec.ErrWrongRecord
			if name == "another record of ours" { // that the bytes are not
				want = codec.ErrCorrupt
			}
			if _, _, err := c.DecodeAny(t.Context(), lane(t, 42)); !errors.Is(err, want) {
				t.Errorf("DecodeAny = %v, want %v", err, want)
			}
			if r.calls.Load() != 1 {
				t.Errorf("asked %d times, want once", r.calls.Load())
			}
		})
	}
}

func TestDecodeState_tellsOrdersFromCustomers(t *testing.T) {
	c := newCodec(t)
	order, err1 := c.EncodeState(fullOrderState())
	customer, err2 := c.EncodeState(fullCustomerState())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if s, err := c.DecodeState(t.Context(), customer); err != nil || s.Key != customerKey {
		t.Errorf("DecodeState = %+v, %v", s.Key, err)
	}
	if _, err := c.DecodeOrderState(t.Context(), customer); !errors.Is(err, codec.ErrWrongRecord) {
		t.Errorf("DecodeOrderState of a customer = %v, want ErrWrongRecord", err)
	}
	if _, err := c.DecodeCustomerState(t.Context(), order); !errors.Is(err, codec.ErrWrongRecord) {
		t.Errorf("DecodeCustomerState of an order = %v, want ErrWrongRecord", err)
	}
	refuse(t, c, "OrderState", lane(t, ids()["LaneState"]), codec.ErrWrongRecord)
}

// What another version of a schema wrote is read: a field that it did not have
// is absent, one that we do not have is passed over, and WrittenNewer says so.
func TestDecode_resolvesOtherVersions(t *testing.T) {
	text := schemas.Text("LaneState")
	const anchor = `{"name": "updated_at"`
	newer := strings.Replace(text, anchor, `{"name": "extra", "type": ["null", "string"], "default": null, "doc": "x"}, `+anchor, 1)
	i := strings.Index(text, `{"name": "calls_per_second"`)
	older := text[:i] + text[strings.Index(text, anchor):]
	// The body of lane: lane, provider, account, nonce, two nulls, updated_at.
	body := lane(t, 42)
	cut := len(body) - 1
	for _, tc := range []struct {
		name, text string
		value      []byte
		newer      bool
	}{
		{"same", text, body, false},
		{"newer", newer, append(append(body[:cut:cut], 2, 2, 'x'), body[cut:]...), true},
		{"older", older, append(body[:cut-1:cut-1], body[cut:]...), false},
	} {
		c := reader(t, &registry{texts: map[int]string{42: tc.text}})
		got, err := c.DecodeLaneState(t.Context(), tc.value)
		if want := (events.LaneState{Lane: "kado/acme", NonceReserved: 7, UpdatedAt: 1}); err != nil || got != want {
			t.Errorf("%s: DecodeLaneState = %+v, %v; want %+v", tc.name, got, err, want)
		}
		if n, err := c.WrittenNewer(t.Context(), tc.value); err != nil || n != tc.newer {
			t.Errorf("%s: WrittenNewer = %v, %v; want %v", tc.name, n, err, tc.newer)
		}
		_, line, err := c.DecodeAny(t.Context(), tc.value)
		if err != nil || strings.Contains(string(line), `"extra":"x"`) != tc.newer {
			t.Errorf("%s: DecodeAny = %s, %v", tc.name, line, err)
		}
	}
	// A field in a row of evidence is a field too.
	state := schemas.Text("OrderState")
	rows := strings.Replace(state, `{"name": "word"`, `{"name": "extra", "type": ["null", "string"], "default": null, "doc": "x"}, {"name": "word"`, 1)
	c := reader(t, &registry{texts: map[int]string{1: rows}})
	if n, err := c.WrittenNewer(t.Context(), []byte{0, 0, 0, 0, 1}); err != nil || !n {
		t.Errorf("WrittenNewer with a longer row = %v, %v; want true", n, err)
	}
}
