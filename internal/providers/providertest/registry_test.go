package providertest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every package that exports a providers.Provider as its variable Provider runs
// the suite. A package is found by its code, not by a list that someone forgets.
func TestProviders_runTheContract(t *testing.T) {
	found := 0
	for _, dir := range providerPackages(t) {
		if !declares(t, dir, func(name string) bool { return !strings.HasSuffix(name, "_test.go") }, isProvider) {
			continue
		}
		found++
		if !declares(t, dir, func(name string) bool { return name == "contract_test.go" }, runsContract) {
			t.Errorf("%s exports a Provider and has no contract_test.go that calls providertest.Run", dir)
		}
	}
	if found < 6 { // the five, and the toy
		t.Errorf("found %d providers: the search is broken", found)
	}
}

func providerPackages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, pattern := range []string{"../*", "*"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range matches {
			if info, err := os.Stat(m); err == nil && info.IsDir() {
				dirs = append(dirs, m)
			}
		}
	}
	return dirs
}

// declares reports whether is holds for a declaration of the wanted files of dir.
func declares(t *testing.T, dir string, want func(name string) bool, is func(ast.Decl) bool) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || !want(e.Name()) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if is(d) {
				return true
			}
		}
	}
	return false
}

// isProvider: var Provider = providers.Provider{...}
func isProvider(d ast.Decl) bool {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return false
	}
	for _, spec := range g.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if ok && len(v.Names) == 1 && v.Names[0].Name == "Provider" {
			return true
		}
	}
	return false
}

// runsContract: a test function that calls providertest.Run, whatever comes before.
func runsContract(d ast.Decl) bool {
	fn, ok := d.(*ast.FuncDecl)
	if !ok || fn.Body == nil || !strings.HasPrefix(fn.Name.Name, "Test") {
		return false
	}
	for _, stmt := range fn.Body.List { // at the top: not behind a condition or a skip
		call, ok := stmt.(*ast.ExprStmt)
		if !ok {
			continue
		}
		c, ok := call.X.(*ast.CallExpr)
		if !ok {
			continue
		}
		if sel, ok := c.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Run" {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "providertest" {
				return true
			}
		}
	}
	return false
}
