package arch_test

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	callRow   = regexp.MustCompile("^\\| ([a-z]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	methodRef = regexp.MustCompile("`(\\w+)\\.(\\w+)`")
)

// checkCalls finds what is wrong with the table of calls: methods and tests
// that do not exist, and methods of a client that no row names.
func checkCalls(text string, methods map[string]bool, exists func(pkg, test string) bool, report reporter) (rows int) {
	named := map[string]bool{}
	for line := range strings.Lines(text) {
		m := callRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || m[1] == "provider" {
			continue
		}
		rows++
		clients := methodRef.FindAllStringSubmatch(m[3], -1)
		for _, c := range clients {
			name := m[1] + " " + c[1] + "." + c[2]
			if named[name] = true; !methods[name] {
				report("%s: %s has no such method", m[1], c[0])
			}
		}
		tests := testRef.FindAllStringSubmatch(m[6], -1)
		for _, r := range tests {
			if !exists(r[1], r[2]) {
				report("%s: %s does not exist", m[1], r[0])
			}
		}
		if len(clients) == 0 || len(tests) == 0 {
			report("%s: %q has %d methods and %d tests", m[1], strings.TrimSpace(m[2]), len(clients), len(tests))
		}
	}
	for name := range methods {
		_, method, _ := strings.Cut(name, ".")
		if strings.Contains(name, " Client.") && ast.IsExported(method) && !named[name] {
			report("%s makes a call that no row of the table names", name)
		}
	}
	return rows
}

func TestCalls(t *testing.T) {
	text, err := os.ReadFile("../../docs/providers/CALLS.md")
	if err != nil {
		t.Fatal(err)
	}
	files := sources(t)
	tests, _ := testsOf(files)
	methods := map[string]bool{}
	for _, f := range files {
		provider, ok := strings.CutPrefix(f.dir, "internal/providers/")
		if !ok || f.test || !slices.Contains(concretes, f.dir) {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				methods[provider+" "+receiver(fn)+"."+fn.Name.Name] = true
			}
		}
	}
	rows := checkCalls(string(text), methods, func(pkg, test string) bool { return tests["internal/"+pkg+"/"+test] }, t.Errorf)
	if rows < 35 {
		t.Errorf("the table has %d rows; want one for each call", rows)
	}
}

// receiver is the type of a method, without its pointer.
func receiver(fn *ast.FuncDecl) string {
	e := fn.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func TestCalls_bite(t *testing.T) {
	methods := map[string]bool{"kado Client.Quote": true, "kado Client.do": true}
	exists := func(pkg, test string) bool { return pkg == "providers/kado" && test == "TestQuote" }
	const good = "| kado | GET quote | `Client.Quote` | `kado quote` | quote | `providers/kado/TestQuote` |\n"
	for text, want := range map[string]int{
		good: 0,
		"":   1, // Quote is not named
		strings.Replace(good, "Client.Quote", "Client.Price", 1):    2,
		strings.Replace(good, "TestQuote", "TestPrice", 1):          1,
		strings.Replace(good, "`providers/kado/TestQuote`", "-", 1): 1,
	} {
		n := 0
		checkCalls(text, methods, exists, func(string, ...any) { n++ })
		if n != want {
			t.Errorf("checkCalls(%q) reports %d, want %d", text, n, want)
		}
	}
}
