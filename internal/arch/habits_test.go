package arch_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// A reporter takes a finding, as testing.T.Errorf does.
type reporter func(format string, args ...any)

// A rule looks at one file.
type rule struct {
	name  string
	tests bool // at test files too
	check func(goFile, reporter)
}

var rules = []rule{
	{"files are short and plain", true, shortAndPlain},
	{"functions are short", false, shortFunctions},
	{"exported names are documented", false, documented},
	{"no init", true, noInit},
	{"exits in one place", false, exitsInOnePlace},
	{"tests do not sleep", true, noSleep},
	{"TLS is verified", false, verifiedTLS},
	{"no banned import", true, noBannedImport},
	{"pure packages are pure", false, purePackage},
	{"replays read no wall clock", false, noWallClock},
}

func TestRules(t *testing.T) {
	files := sources(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range files {
				if r.tests || !f.test {
					r.check(f, t.Errorf)
				}
			}
		})
	}
}

const (
	maxFile     = 600
	maxFunction = 60 // lines of a body, outside tests
)

func shortAndPlain(f goFile, report reporter) {
	if f.lines > maxFile {
		report("%s has %d lines, at most %d: split it by concept", f.name, f.lines, maxFile)
	}
	for i, b := range f.text {
		if b >= 0x80 && !f.test {
			report("%s:%d has a byte beyond ASCII; write it as an escape", f.name, 1+strings.Count(string(f.text[:i]), "\n"))
			break
		}
	}
}

func shortFunctions(f goFile, report reporter) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		fn, ok := n.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			return true
		}
		if n := fset.Position(fn.Body.End()).Line - fset.Position(fn.Body.Pos()).Line; n > maxFunction {
			report("%s: %s has %d lines, at most %d", at(f, fn), fn.Name.Name, n, maxFunction)
		}
		return true
	})
}

// spokenFor are methods whose meaning a standard interface gives.
var spokenFor = []string{"Error", "Unwrap", "Is", "String", "GoString", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON", "Len", "Less", "Swap", "Push", "Pop", "Write", "Read", "Close"}

func documented(f goFile, report reporter) {
	if !strings.HasPrefix(f.dir, "internal/") && f.dir != "schemas" {
		return
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || receiverExported(d) && !slices.Contains(spokenFor, d.Name.Name)) {
				report("%s: %s has no doc comment", at(f, d), d.Name.Name)
			}
		case *ast.GenDecl:
			documentedGroup(f, d, report)
		}
	}
}

func TestPackages_areDocumented(t *testing.T) {
	has := map[string]bool{}
	for _, f := range code(t) {
		has[f.dir] = has[f.dir] || f.ast.Doc != nil
	}
	for dir, ok := range has {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func receiverExported(d *ast.FuncDecl) bool {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// A comment on the group speaks for its constants and variables,
// never for a type.
func documentedGroup(f goFile, d *ast.GenDecl, report reporter) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				report("%s: type %s has no doc comment", at(f, s), s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					report("%s: %s has no doc comment", at(f, s), name.Name)
				}
			}
		}
	}
}

// Package state that is written on its own schedule belongs to nobody.
func noInit(f goFile, report reporter) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			report("%s: no init functions", at(f, fn))
		}
	}
}

// Only a main ends a process, and only through package run.
func exitsInOnePlace(f goFile, report reporter) {
	if f.dir == "internal/run" || !strings.HasPrefix(f.dir, "internal/") {
		return
	}
	uses(f, f.ast, func(sel *ast.SelectorExpr, pkg, name string) {
		if pkg == "os" && name == "Exit" || pkg == "log" && strings.HasPrefix(name, "Fatal") {
			report("%s uses %s.%s; return an error", at(f, sel), pkg, name)
		}
	})
}

// A test that sleeps is slow when it passes and flaky when it fails. Inside a
// bubble time is virtual, so files that use testing/synctest are free to.
func noSleep(f goFile, report reporter) {
	if !f.test || f.imports()["testing/synctest"] != "" {
		return
	}
	uses(f, f.ast, func(sel *ast.SelectorExpr, pkg, name string) {
		if pkg == "time" && name == "Sleep" {
			report("%s sleeps: poll a condition, or use testing/synctest", at(f, sel))
		}
	})
}

// InsecureSkipVerify is either off or replaced: where a client may leave out
// the host name, VerifyConnection checks the chain in the same function.
func verifiedTLS(f goFile, report reporter) {
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || mentions(fn, "VerifyConnection") {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if setsTrue(n, "InsecureSkipVerify") {
				report("%s: InsecureSkipVerify without VerifyConnection", at(f, n))
			}
			return true
		})
	}
}

func mentions(n ast.Node, name string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}

// setsTrue: an assignment or a field of a literal gives name anything but false.
func setsTrue(n ast.Node, name string) bool {
	isFalse := func(e ast.Expr) bool { id, ok := e.(*ast.Ident); return ok && id.Name == "false" }
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		id, ok := n.Key.(*ast.Ident)
		return ok && id.Name == name && !isFalse(n.Value)
	case *ast.AssignStmt:
		for i, l := range n.Lhs {
			if sel, ok := l.(*ast.SelectorExpr); ok && sel.Sel.Name == name && n.Tok == token.ASSIGN && !isFalse(n.Rhs[min(i, len(n.Rhs)-1)]) {
				return true
			}
		}
	}
	return false
}
