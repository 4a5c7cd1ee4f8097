package arch_test

import (
	"fmt"
	"go/parser"
	"strings"
	"testing"
)

// file parses text as the file name of this module.
func file(t *testing.T, name, text string) goFile {
	t.Helper()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	dir, _, _ := strings.Cut(name, "/x")
	return goFile{name: name, dir: dir, test: strings.HasSuffix(name, "_test.go"), ast: tree, text: []byte(text), lines: strings.Count(text, "\n")}
}

// A rule that never fails proves nothing: each is shown what it must find, and
// something like it that it must not.
func TestRules_bite(t *testing.T) {
	long := strings.Repeat("\n", 61)
	for _, tc := range []struct{ rule, name, bad, good string }{
		{"files are short and plain", "internal/poller/x.go", "package p\n" + strings.Repeat("\n", 600), "package p\n"},
		{"files are short and plain", "internal/poller/x.go", "package p // \u00e9\n", "package p // e\n"},
		{"functions are short", "internal/poller/x.go", "package p\nfunc f() {" + long + "}", "package p\nfunc f() {}" + long},
		{"exported names are documented", "internal/poller/x.go", "package p\nfunc (t *T[X]) F() {}", "package p\nfunc (t *u) F() {}\nfunc (t T) Error() string"},
		{"exported names are documented", "internal/poller/x.go", "package p\n// Types.\ntype (\nT int\n)", "package p\n// T is one.\ntype T int"},
		{"exported names are documented", "internal/poller/x.go", "package p\nconst A = 1", "package p\n// Some.\nconst (\nA = 1\n)\nvar B = 1 // one"},
		{"no init", "internal/poller/x_test.go", "package p\nfunc init() {}", "package p\nfunc (t T) init() {}"},
		{"exits in one place", "internal/poller/x.go", "package p\nimport \"os\"\nfunc f() { os.Exit(1) }", "package p\nimport \"os\"\nfunc f() { os.Getpid() }"},
		{"tests do not sleep", "internal/poller/x_test.go", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }", "package p\nimport (\"time\"; \"testing/synctest\")\nfunc f() { time.Sleep(1); synctest.Wait() }"},
		{"TLS is verified", "internal/kafka/x.go", "package p\nfunc f() { c.InsecureSkipVerify = v }", "package p\nfunc f() { c.InsecureSkipVerify = false }"},
		{"TLS is verified", "internal/kafka/x.go", "package p\nvar _ = 1\nfunc f() { g(T{InsecureSkipVerify: true}) }", "package p\nfunc f() { g(T{InsecureSkipVerify: true, VerifyConnection: v}) }"},
		{"no banned import", "internal/poller/x_test.go", "package p\nimport \"math/rand\"", "package p\nimport \"math/rand/v2\""},
		{"no banned import", "internal/poller/x_test.go", "package p\nimport \"github.com/stretchr/testify/assert\"", "package p\nimport \"github.com/google/go-cmp/cmp\""},
		{"no banned import", "internal/codec/x.go", "package p\nimport \"unsafe\"", "package p\nimport \"strings\""},
		{"pure packages are pure", "internal/order/x.go", "package p\nimport \"sync\"", "package p\nimport \"strings\""},
		{"pure packages are pure", "internal/order/x.go", "package p\nimport \"time\"\nvar t = time.Now", "package p\nimport \"time\"\nvar t = time.Second"},
		{"pure packages are pure", "internal/order/x.go", "package p\nfunc f() { go f() }", "package p\nfunc f() { f() }"},
		{"replays read no wall clock", "internal/reconciler/x.go", "package p\nimport \"time\"\nfunc f() { time.Now() }", "package p\nimport \"time\"\nvar now = time.Now"},
	} {
		for text, want := range map[string]bool{tc.bad: true, tc.good: false} {
			if got := findings(t, tc.rule, file(t, tc.name, text)); (len(got) > 0) != want {
				t.Errorf("rule %q on %q found %q, want findings: %v", tc.rule, text, got, want)
			}
		}
	}
}

func findings(t *testing.T, name string, f goFile) []string {
	t.Helper()
	var out []string
	for _, r := range rules {
		if r.name == name {
			r.check(f, func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) })
			return out
		}
	}
	t.Fatalf("no rule %q", name)
	return nil
}

func TestConstantTime_bites(t *testing.T) {
	for text, want := range map[string]int{
		`func f() { if signature == expected { } }`:                 1,
		`func f() { return c.Secret.Reveal() != other }`:            1,
		`func f() { return bytes.Equal(a, b) }`:                     1,
		`func f() { return secret == "" || len(mac) != size }`:      0,
		`func f() { return hmac.Equal(mac, want) && token != nil }`: 0,
	} {
		n := 0
		f := file(t, "internal/ingest/x.go", "package p\nimport \"bytes\"\n"+text)
		constantTime(f, f.ast, func(string, ...any) { n++ })
		if n != want {
			t.Errorf("constantTime(%s) found %d, want %d", text, n, want)
		}
	}
}

func TestArrows_refuse(t *testing.T) {
	for _, tc := range []struct {
		from, to string
		want     bool
	}{
		{"internal/poller", "internal/kafka", false},
		{"internal/providers/kado", "internal/providers/kuna", false},
		{"internal/events", "internal/stream", false},
		{"internal/never-heard-of", "internal/events", false},
		{"internal/app", "internal/providers/kado", false},
		{"cmd/ingest", "internal/providers/kado", true},
		{"internal/codec", "internal/events", true},
	} {
		if got := mayImport(tc.from, tc.to); got != tc.want {
			t.Errorf("mayImport(%s, %s) = %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}
