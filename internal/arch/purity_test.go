package arch_test

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// impure are the imports that a pure file does not have.
var impure = []string{"net", "net/http", "os", "os/exec", "log", "log/slog", "sync", "sync/atomic", "io/fs", "syscall", "math/rand/v2", "crypto/rand", "context"}

// clocks are the functions of package time that read the wall clock or wait.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// purePackages are pure in every file.
var purePackages = []string{"internal/events", "internal/oracle", "internal/order", "internal/providers/jsonx"}

func purePackage(f goFile, report reporter) {
	if !slices.Contains(purePackages, f.dir) {
		return
	}
	for p := range f.imports() {
		if slices.Contains(impure, p) {
			report("%s imports %s: %s is pure", f.name, p, f.dir)
		}
	}
	checkClock(f, f.ast, report)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report("%s starts a goroutine: %s is pure", at(f, n), f.dir)
		case *ast.ChanType:
			report("%s has a channel: %s is pure", at(f, n), f.dir)
		}
		return true
	})
}

func checkClock(f goFile, n ast.Node, report reporter) {
	uses(f, n, func(sel *ast.SelectorExpr, pkg, name string) {
		if pkg == "time" && slices.Contains(clocks, name) {
			report("%s uses time.%s where time comes from the caller", at(f, sel), name)
		}
	})
}

// The loops take their clock and randomness from outside; the wall clock may
// only be handed over as a function value, never called.
func noWallClock(f goFile, report reporter) {
	if !slices.Contains([]string{"internal/reconciler", "internal/replay", "internal/codec"}, f.dir) {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Now" {
				if id, ok := sel.X.(*ast.Ident); ok && id.Name == "time" {
					report("%s calls time.Now: a replay would not give the same values", at(f, n))
				}
			}
		}
		return true
	})
}

// pureOfHTTP are names of net/http that do nothing.
var pureOfHTTP = regexp.MustCompile(`^(CanonicalHeaderKey|Header|Method[A-Z]\w*|Status[A-Z]\w*)$`)

// The half of a provider that verifies and parses is what ParseWebhook reaches
// within its package. It does no I/O, takes no lock and reads no clock.
func TestPure_parsingHalfOfProviders(t *testing.T) {
	for dir, decls := range parsingHalves(t) {
		if len(decls) < 2 {
			t.Errorf("%s: ParseWebhook reaches %d functions; the search is broken", dir, len(decls))
		}
		for _, d := range decls {
			checkClock(d.file, d.fn, t.Errorf)
			uses(d.file, d.fn, func(sel *ast.SelectorExpr, pkg, name string) {
				if slices.Contains(impure, pkg) && (pkg != "net/http" || !pureOfHTTP.MatchString(name)) {
					t.Errorf("%s: %s is reached by ParseWebhook and uses %s.%s", at(d.file, sel), d.fn.Name.Name, pkg, name)
				}
			})
		}
	}
}

type decl struct {
	file goFile
	fn   *ast.FuncDecl
}

// parsingHalves finds, for every provider, the functions that ParseWebhook
// reaches. It goes by names, so it may find more than are called.
func parsingHalves(t *testing.T) map[string][]decl {
	t.Helper()
	byName := map[string]map[string][]decl{}
	for _, f := range code(t) {
		if !slices.Contains(concretes, f.dir) {
			continue
		}
		if byName[f.dir] == nil {
			byName[f.dir] = map[string][]decl{}
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				byName[f.dir][fn.Name.Name] = append(byName[f.dir][fn.Name.Name], decl{f, fn})
			}
		}
	}
	if len(byName) != len(concretes) {
		t.Fatalf("found %d of %d providers", len(byName), len(concretes))
	}
	halves := map[string][]decl{}
	for dir, names := range byName {
		halves[dir] = reach(names, "ParseWebhook")
		if len(halves[dir]) == 0 {
			t.Errorf("%s has no ParseWebhook", dir)
		}
	}
	return halves
}

// reach follows names from start. A function that wants a context cannot be
// called from there: whoever made one up would itself be reported.
func reach(names map[string][]decl, start string) []decl {
	var out []decl
	seen, todo := map[string]bool{}, []string{start}
	follow := func(name string, method bool) {
		key := name
		if method {
			key = "." + name
		}
		if !seen[key] {
			seen[key] = true
			todo = append(todo, key)
		}
	}
	for len(todo) > 0 {
		name, method := strings.CutPrefix(todo[0], ".")
		todo = todo[1:]
		for _, d := range names[name] {
			if name != start && (d.fn.Recv != nil) != method || wantsContext(d.fn) {
				continue
			}
			out = append(out, d)
			packages := d.file.imports()
			ast.Inspect(d.fn.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if id, ok := n.X.(*ast.Ident); !ok || !isPackage(packages, id.Name) {
						follow(n.Sel.Name, true)
					}
				case *ast.Ident:
					follow(n.Name, false)
				}
				return true
			})
		}
	}
	return out
}

func isPackage(imports map[string]string, name string) bool {
	for _, n := range imports {
		if n == name {
			return true
		}
	}
	return false
}

func wantsContext(fn *ast.FuncDecl) bool {
	for _, p := range fn.Type.Params.List {
		if sel, ok := p.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Context" {
			return true
		}
	}
	return false
}

// secretName matches what must be compared in constant time.
var secretName = regexp.MustCompile(`(?i)^(got|want|expected)?(sig|signature|mac|hmac|secret|token|password|digest|sum)$`)

// A comparison that stops at the first difference tells an attacker how much
// was right: verifiers use hmac.Equal or crypto/subtle.
func TestVerifiers_compareInConstantTime(t *testing.T) {
	for _, decls := range parsingHalves(t) {
		for _, d := range decls {
			constantTime(d.file, d.fn, t.Errorf)
		}
	}
	for _, f := range code(t) {
		if f.dir == "internal/ingest" {
			constantTime(f, f.ast, t.Errorf)
		}
	}
}

func constantTime(f goFile, n ast.Node, report reporter) {
	uses(f, n, func(sel *ast.SelectorExpr, pkg, name string) {
		if pkg == "bytes" && (name == "Equal" || name == "Compare") || pkg == "strings" && name == "Compare" || pkg == "reflect" && name == "DeepEqual" {
			report("%s uses %s.%s in a verifier; use hmac.Equal", at(f, sel), pkg, name)
		}
	})
	ast.Inspect(n, func(n ast.Node) bool {
		b, ok := n.(*ast.BinaryExpr)
		if ok && (b.Op.String() == "==" || b.Op.String() == "!=") && (isSecret(b.X) && !isConstant(b.Y) || isSecret(b.Y) && !isConstant(b.X)) {
			report("%s compares a secret with %s; use hmac.Equal", at(f, b), b.Op)
		}
		return true
	})
}

func isSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name)
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Reveal"
	}
	return false
}

// isConstant: emptiness and presence are not secrets.
func isConstant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || strings.HasPrefix(e.Name, "no")
	}
	return false
}
