package arch_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "rampstream/"

// A goFile is one parsed file of this module.
type goFile struct {
	name  string // slash-separated, from the root of the module
	dir   string // the package's path below the module
	test  bool
	ast   *ast.File
	lines int
	text  []byte
}

// imports maps each import path to the name that the file uses for it.
func (f goFile) imports() map[string]string {
	m := map[string]string{}
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		m[p] = name
	}
	return m
}

var fset = token.NewFileSet()

// at words a position as file:line from the root.
func at(f goFile, n ast.Node) string {
	return f.name + ":" + strconv.Itoa(fset.Position(n.Pos()).Line)
}

var load = sync.OnceValues(func() ([]goFile, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	var files []goFile
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || hasModule(name)):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		// What is built only to be found out by a test breaks rules on purpose.
		if bytes.HasPrefix(text, []byte("//go:build mutant\n")) {
			return nil
		}
		tree, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		files = append(files, goFile{
			name: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
			ast: tree, text: text, lines: strings.Count(string(text), "\n"),
		})
		return nil
	})
	return files, err
})

// hasModule: a folder with a go.mod of its own is not ours to judge.
func hasModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// sources are all files of the module; those of package documentation only
// would hide a broken walk, so few files are an error.
func sources(t *testing.T) []goFile {
	t.Helper()
	files, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("found %d files: the walk is broken", len(files))
	}
	return files
}

// code is sources without test files.
func code(t *testing.T) []goFile {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(sources(t)), func(f goFile) bool { return f.test })
}

// uses calls fn for every pkg.Name below n, with pkg's import path.
func uses(f goFile, n ast.Node, fn func(sel *ast.SelectorExpr, pkg, name string)) {
	byName := map[string]string{}
	for p, name := range f.imports() {
		byName[name] = p
	}
	ast.Inspect(n, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && byName[id.Name] != "" {
			fn(sel, byName[id.Name], sel.Sel.Name)
		}
		return true
	})
}
