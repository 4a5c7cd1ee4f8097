// Package tabletest is the contract of table.Table as tests.
package tabletest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rampstream/internal/table"
)

// Run holds tables made by open, which closes nothing, to the contract.
func Run(t *testing.T, open func(testing.TB) table.Table) {
	t.Run("is a map", func(t *testing.T) { rapid.Check(t, func(rt *rapid.T) { isAMap(t, rt, open) }) })
	t.Run("values of any size", func(t *testing.T) { anySize(t, opened(t, open)) })
	t.Run("what it returns is not its memory", func(t *testing.T) { noAlias(t, opened(t, open)) })
	t.Run("walk while it changes", func(t *testing.T) { walkWhileChanging(t, opened(t, open)) })
	t.Run("walk ends at an error", func(t *testing.T) { walkError(t, opened(t, open)) })
	t.Run("churn", func(t *testing.T) { churn(t, opened(t, open)) })
}

func opened(t testing.TB, open func(testing.TB) table.Table) table.Table {
	t.Helper()
	tb := open(t)
	t.Cleanup(func() {
		if err := tb.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return tb
}

// isAMap runs random calls beside a map.
func isAMap(t testing.TB, rt *rapid.T, open func(testing.TB) table.Table) {
	tb, model := open(t), map[string]string{}
	defer tb.Close()
	keys := rapid.SampledFrom([]string{"", "a", "b", "ab", "kado/shop/1", "kado/shop/2", string(make([]byte, 200))})
	rt.Repeat(map[string]func(*rapid.T){
		"put": func(rt *rapid.T) {
			k, v := keys.Draw(rt, "key"), string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "value"))
			must(rt, tb.Put([]byte(k), []byte(v)))
			model[k] = v
		},
		"delete": func(rt *rapid.T) {
			k := keys.Draw(rt, "key")
			must(rt, tb.Delete([]byte(k)))
			delete(model, k)
		},
		"": func(rt *rapid.T) { same(rt, tb, model) },
	})
}

// same compares every way of reading with the model.
func same(t rapid.TB, tb table.Table, model map[string]string) {
	t.Helper()
	if tb.Len() != len(model) {
		t.Fatalf("Len = %d, want %d", tb.Len(), len(model))
	}
	for _, k := range []string{"", "a", "never put"} {
		want, ok := model[k]
		got, found, err := tb.Get([]byte("dst"), []byte(k))
		if err != nil || found != ok || string(got) != "dst"+want {
			t.Fatalf("Get(%q) = %q, %v, %v; want %q, %v", k, got, found, err, "dst"+want, ok)
		}
	}
	if got := walk(t, tb, 40); !maps.Equal(got, model) {
		t.Fatalf("Walk gives %d keys %.200q, want %d %.200q", len(got), got, len(model), model)
	}
}

func walk(t rapid.TB, tb table.Table, step int) map[string]string {
	t.Helper()
	out := map[string]string{}
	pos, more := table.Pos(""), true
	for more {
		var err error
		pos, more, err = tb.Walk(pos, step, func(k, v []byte) error { out[string(k)] = string(v); return nil })
		must(t, err)
	}
	return out
}

func anySize(t *testing.T, tb table.Table) {
	model := map[string]string{}
	for _, n := range []int{0, 1, 7, 8, 127, 128, 16383, 16384, 1 << 20, 5 << 20, 3} {
		k := fmt.Sprint("k", n)
		model[k] = string(bytes.Repeat([]byte{byte(n)}, n))
		must(t, tb.Put([]byte(k), []byte(model[k])))
	}
	for k, v := range model {
		if got, found, err := tb.Get(nil, []byte(k)); err != nil || !found || string(got) != v {
			t.Errorf("Get(%s) = %d bytes, %v, %v; want %d bytes", k, len(got), found, err, len(v))
		}
	}
	same(t, tb, model)
}

func noAlias(t *testing.T, tb table.Table) {
	key, value := []byte("key"), []byte("value")
	must(t, tb.Put(key, value))
	key[0], value[0] = 'X', 'X'
	got, _, err := tb.Get(nil, []byte("key"))
	must(t, err)
	got[1] = 'X'
	if again, _, _ := tb.Get(nil, []byte("key")); string(again) != "value" {
		t.Errorf("the value became %q through a slice of the caller's", again)
	}
}

// walkWhileChanging holds the promise that a checkpoint rests on.
func walkWhileChanging(t *testing.T, tb table.Table) {
	rng := rand.New(rand.NewPCG(3, 4))
	const keys = 3000
	began, now := map[string]uint64{}, map[string]uint64{}
	var version uint64
	put := func(k string) {
		version++
		now[k] = version
		v := binary.BigEndian.AppendUint64(nil, version)
		must(t, tb.Put([]byte(k), append(v, make([]byte, 200+rng.IntN(4000))...)))
	}
	name := func() string { return fmt.Sprint("order/", rng.IntN(keys)) }
	for range 3 * keys {
		put(name())
	}
	maps.Copy(began, now)
	met := map[string]uint64{}
	pos, more := table.Pos(""), true
	for more {
		var err error
		pos, more, err = tb.Walk(pos, 64<<10, func(k, v []byte) error { met[string(k)] = binary.BigEndian.Uint64(v); return nil })
		must(t, err)
		for range 10 {
			put(name())
		}
		k := name()
		must(t, tb.Delete([]byte(k)))
		delete(now, k)
		delete(began, k)
	}
	for k, v := range began {
		if met[k] < v {
			t.Errorf("the walk met %s with version %d, want at least %d", k, met[k], v)
		}
	}
}

func walkError(t *testing.T, tb table.Table) {
	must(t, tb.Put([]byte("a"), []byte("1")))
	stop := errors.New("stop")
	if _, _, err := tb.Walk("", 100, func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Walk = %v, want the error of fn", err)
	}
}

// churn puts and deletes enough for dead space to be taken back many times.
func churn(t *testing.T, tb table.Table) {
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	for i := range 60_000 {
		k := fmt.Sprint("order/", rng.IntN(4000))
		if rng.IntN(6) == 0 {
			must(t, tb.Delete([]byte(k)))
			delete(model, k)
			continue
		}
		v := string(bytes.Repeat([]byte{byte(i)}, rng.IntN(2500)))
		must(t, tb.Put([]byte(k), []byte(v)))
		model[k] = v
	}
	if got := walk(t, tb, 1<<20); !maps.Equal(got, model) {
		t.Errorf("after churn %d keys are walked, want %d", len(got), len(model))
	}
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if got, found, err := tb.Get(nil, []byte(k)); err != nil || !found || string(got) != model[k] {
			t.Fatalf("Get(%s) = %d bytes, %v, %v; want %d", k, len(got), found, err, len(model[k]))
		}
	}
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
