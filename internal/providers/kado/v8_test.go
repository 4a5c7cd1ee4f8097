package kado_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"rampstream/internal/providers/kado"
)

// The corpus was made by V8 with testdata/gen_v8.mjs.
func TestCanonical_v8Corpus(t *testing.T) {
	f, err := os.Open("testdata/v8-corpus.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for in := bufio.NewScanner(f); in.Scan(); {
		if strings.HasPrefix(in.Text(), "#") {
			continue
		}
		col := strings.Split(in.Text(), "\t")
		body, want := decode64(t, col[0]), col[1]
		got, err := kado.Canonical(body)
		n++
		switch want {
		case "!":
			if err == nil {
				t.Errorf("Canonical(%q) = %q; JSON.parse refuses it", body, got)
			}
			continue
		case "=":
			want = string(body)
		default:
			want = string(decode64(t, want))
		}
		if err != nil || string(got) != want {
			t.Errorf("Canonical(%q) = %q, %v; want %q", body, got, err, want)
			continue
		}
		if s := kado.Sign("kado-test-private-key", "POST", "1700000000000", "/kado", kado.PayloadHex(got)); !strings.HasPrefix(s, col[2]) {
			t.Errorf("Sign over %q = %s, want %s...", body, s, col[2])
		}
	}
	if n < 3000 {
		t.Errorf("the corpus has %d bodies, want at least 3000", n)
	}
}

// Bodies that nobody has seen before, against the V8 of this machine.
func TestCanonical_v8Live(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not on PATH: only the committed corpus was compared")
	}
	if testing.Short() {
		t.Skip("short")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	var (
		bodies [10_000][]byte
		in     bytes.Buffer
	)
	for i := range bodies {
		bodies[i] = g.body()
		in.WriteString(base64.StdEncoding.EncodeToString(bodies[i]))
		in.WriteByte('\n')
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/gen_v8.mjs", "canon")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(bodies) {
		t.Fatalf("node answered %d lines, want %d", len(lines), len(bodies))
	}
	if refused := strings.Count(string(out), "!\n"); refused > len(bodies)/4 {
		t.Errorf("%d of %d bodies are no JSON: the generator is off", refused, len(bodies))
	}
	for i, line := range lines {
		got, err := kado.Canonical(bodies[i])
		if line == "!" {
			if err == nil {
				t.Errorf("Canonical(%q) = %q; JSON.parse refuses it", bodies[i], got)
			}
			continue
		}
		if want := decode64(t, line); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Canonical(%q) = %q, %v; want %q", bodies[i], got, err, want)
		}
	}
}

func decode64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// generator writes JSON texts that differ from their canonical form.
type generator struct{ *rand.Rand }

func (g generator) body() []byte {
	text := g.value(3)
	if g.IntN(10) == 0 && len(text) > 1 { // most often no JSON any more
		at := g.IntN(len(text))
		for at > 0 && text[at]&0xC0 == 0x80 { // between characters: V8 would repair UTF-8, we refuse it
			at--
		}
		text = text[:at] + g.pick(",", "0", ".", "+", `\`, `"`, "\u00a0", "\ufeff", "\x00", "}", "e") + text[at:]
	}
	return []byte(text)
}

func (g generator) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g generator) space() string { return g.pick("", "", "", " ", "\n", "\t", "\r") }

func (g generator) value(depth int) string {
	kinds := 8
	if depth == 0 {
		kinds = 5
	}
	switch g.IntN(kinds) {
	case 0:
		return g.pick("null", "true", "false")
	case 1, 2:
		return g.number()
	case 3, 4:
		return g.string()
	case 5:
		return "[" + g.list(func() string { return g.value(depth - 1) }) + "]"
	}
	return "{" + g.list(func() string { return g.key() + g.space() + ":" + g.space() + g.value(depth-1) }) + "}"
}

func (g generator) list(item func() string) string {
	var items []string
	for range g.IntN(7) {
		items = append(items, g.space()+item()+g.space())
	}
	return strings.Join(items, ",")
}

func (g generator) key() string {
	switch g.IntN(4) {
	case 0:
		return strconv.Quote(strconv.Itoa(g.IntN(40)))
	case 1:
		return g.pick(`"4294967294"`, `"4294967295"`, `"01"`, `"-1"`, `"1.5"`, `""`, `"__proto__"`, `"\u0061"`, `"\u0031"`, `"a"`, `"id"`)
	}
	return g.string()
}

func (g generator) number() string {
	f := math.Float64frombits(g.Uint64())
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	switch g.IntN(6) {
	case 0:
		return strconv.FormatFloat(f, 'e', g.IntN(25), 64)
	case 1:
		return strconv.FormatFloat(f, 'E', -1, 64)
	case 2:
		return strconv.FormatFloat(g.Float64()*math.Pow10(g.IntN(30)-10), 'f', g.IntN(25), 64)
	case 3:
		return g.pick("-0", "0.0", "1e400", "-1e400", "1e-400", "5e-324", "2e-324", "1e21", "1e20", "9007199254740993", "1E2", "0.0000001", "1e-6")
	case 4:
		return strconv.FormatUint(g.Uint64(), 10) + g.pick("", ".0", ".50", "e1", "E+2", "e-30")
	}
	return strconv.Itoa(g.IntN(1000)) + "." + strconv.Itoa(g.IntN(100000))
}

func (g generator) string() string {
	s := `"`
	for range g.IntN(8) {
		switch g.IntN(6) {
		case 0:
			s += `\` + g.pick(`"`, `\`, `/`, `b`, `f`, `n`, `r`, `t`)
		case 1:
			s += `\u` + strconv.FormatInt(0x10000|g.Int64N(0x10000), 16)[1:]
		case 2:
			s += `\uD` + g.pick("8", "b", "C", "f") + strconv.FormatInt(0x100|g.Int64N(0x100), 16)[1:]
		case 3:
			r := rune(0x80 + g.IntN(0x10F000))
			if r >= 0xD800 && r < 0xE000 {
				r = 'x'
			}
			s += string(r)
		default:
			s += string(rune(' ' + g.IntN(0x5F)))
			s = strings.TrimSuffix(strings.TrimSuffix(s, `\`), `"`)
			if s == "" {
				s = `"`
			}
		}
	}
	return s + `"`
}

func FuzzCanonical(f *testing.F) {
	for _, v := range readVectors(f).Vectors {
		f.Add(v.Body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := kado.Canonical(body)
		if err != nil {
			if got != nil {
				t.Fatalf("Canonical(%q) = %q beside %v", body, got, err)
			}
			return
		}
		again, err := kado.Canonical(got)
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("Canonical is not idempotent: %q, then %q, %v", got, again, err)
		}
	})
}
