package arch_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// faultIDs are the rows that docs/faults.md must have: the series of the
// catalogue and how many each has. B are the invariants.
var faultIDs = []struct {
	series string
	n      int
}{{"I", 45}, {"S", 9}, {"K", 33}, {"R", 20}, {"P", 16}, {"Y", 10}, {"C", 12}, {"V", 8}, {"X", 10}, {"B", 35}}

var (
	faultRow = regexp.MustCompile(`^\| ([A-Z]\d+) \| (.+) \| (.+) \| (.+) \|$`)
	testRef  = regexp.MustCompile("`([a-z0-9_/]+)/((?:Test|Fuzz)\\w*)(?::([^`]+))?`")
	endings  = []string{"proven: ", "partly: ", "not yet: ", "does not apply: "}
)

// checkFaults finds what is wrong with a fault table. exists says whether a
// package has a test, and whether a case is written in it.
func checkFaults(text string, exists func(pkg, test, named string) bool, report reporter) (counts map[string]int) {
	counts = map[string]int{}
	rows := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		m := faultRow.FindStringSubmatch(line)
		switch {
		case m == nil:
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| id ") {
				report("no row of four columns: %.60s", line)
			}
			continue
		case rows[m[1]] != "":
			report("%s stands twice", m[1])
		}
		rows[m[1]] = m[4]
	}
	for _, s := range faultIDs {
		for i := 1; i <= s.n; i++ {
			id := fmt.Sprintf("%s%d", s.series, i)
			proof, ok := rows[id]
			if !ok {
				report("%s is missing", id)
				continue
			}
			delete(rows, id)
			counts[checkProof(id, proof, exists, report)]++
		}
	}
	for id := range rows {
		report("%s is no row of the catalogue", id)
	}
	return counts
}

// checkProof judges the last column of one row and says how it ends.
func checkProof(id, proof string, exists func(pkg, test, named string) bool, report reporter) string {
	i := slices.IndexFunc(endings, func(e string) bool { return strings.HasPrefix(proof, e) })
	if i < 0 {
		report("%s is neither proven nor excused: %.60s", id, proof)
		return ""
	}
	refs := testRef.FindAllStringSubmatch(proof, -1)
	for _, r := range refs {
		if !exists(r[1], r[2], r[3]) {
			report("%s names %s, which does not exist", id, r[0])
		}
	}
	rest := strings.TrimSpace(testRef.ReplaceAllString(strings.TrimPrefix(proof, endings[i]), ""))
	switch endings[i] {
	case "proven: ":
		if len(refs) == 0 || strings.Trim(rest, ", ") != "" {
			report("%s is proven by %d tests and %q; want tests alone", id, len(refs), rest)
		}
	case "partly: ":
		if _, missing, ok := strings.Cut(rest, "Missing: "); len(refs) == 0 || !ok || len(missing) < 7 {
			report("%s is proven in part by %d tests; want some, and what is missing", id, len(refs))
		}
	default:
		if len(rest) < 8 {
			report("%s has no reason", id)
		}
	}
	return endings[i]
}

func TestFaults(t *testing.T) {
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, words := testsOf(sources(t))
	counts := checkFaults(string(text), func(pkg, test, named string) bool {
		for _, dir := range []string{pkg, "internal/" + pkg} {
			if tests[dir+"/"+test] {
				return named == "" || words[dir][named]
			}
		}
		return false
	}, t.Errorf)
	for _, e := range endings {
		t.Logf("%s %d", strings.TrimSuffix(e, ": "), counts[e])
	}
}

// testsOf lists the tests by folder and name, and by folder the string
// literals of its test files, among which are the names of cases.
func testsOf(files []goFile) (tests map[string]bool, words map[string]map[string]bool) {
	tests, words = map[string]bool{}, map[string]map[string]bool{}
	for _, f := range files {
		if !f.test {
			continue
		}
		if words[f.dir] == nil {
			words[f.dir] = map[string]bool{}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Body != nil && len(n.Body.List) > 0 {
					tests[f.dir+"/"+n.Name.Name] = true
				}
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					words[f.dir][s] = true
				}
			}
			return true
		})
	}
	return tests, words
}

func TestFaults_bite(t *testing.T) {
	row := func(id, proof string) string { return "| " + id + " | a | b | " + proof + " |\n" }
	var good strings.Builder
	for _, s := range faultIDs {
		for i := 1; i <= s.n; i++ {
			good.WriteString(row(fmt.Sprintf("%s%d", s.series, i), "proven: `p/TestA`, `p/TestA:case`"))
		}
	}
	exists := func(pkg, test, named string) bool {
		return pkg == "p" && test == "TestA" && (named == "" || named == "case")
	}
	for name, tc := range map[string]struct {
		old, new string
		found    int
	}{
		"nothing":         {"", "", 0},
		"no such test":    {row("I1", "proven: `p/TestA`, `p/TestA:case`"), row("I1", "proven: `p/TestB`"), 1},
		"no such case":    {row("I1", "proven: `p/TestA`, `p/TestA:case`"), row("I1", "proven: `p/TestA:other`"), 1},
		"id missing":      {row("K33", "proven: `p/TestA`, `p/TestA:case`"), "", 1},
		"id twice":        {row("K33", "proven: `p/TestA`, `p/TestA:case`"), row("K33", "proven: `p/TestA`") + row("K33", "proven: `p/TestA`"), 1},
		"foreign id":      {row("B35", "proven: `p/TestA`, `p/TestA:case`"), row("B35", "proven: `p/TestA`") + row("B36", "proven: `p/TestA`"), 1},
		"no ending":       {row("I1", "proven: `p/TestA`, `p/TestA:case`"), row("I1", "surely"), 1},
		"only words":      {row("I1", "proven: `p/TestA`, `p/TestA:case`"), row("I1", "proven: by design"), 1},
		"nothing missing": {row("I1", "proven: `p/TestA`, `p/TestA:case`"), row("I1", "partly: `p/TestA`"), 1},
		"no reason":       {row("I1", "proven: `p/TestA`, `p/TestA:case`"), row("I1", "not yet: later"), 1},
		"three columns":   {row("I1", "proven: `p/TestA`, `p/TestA:case`"), "| I1 | a | b |\n", 2},
		"a good reason":   {row("I1", "proven: `p/TestA`, `p/TestA:case`"), row("I1", "does not apply: there is no such part"), 0},
	} {
		var found []string
		checkFaults(strings.Replace(good.String(), tc.old, tc.new, 1), exists, func(format string, args ...any) {
			found = append(found, fmt.Sprintf(format, args...))
		})
		if len(found) != tc.found {
			t.Errorf("%s: found %q, want %d findings", name, found, tc.found)
		}
	}
}

// toolchain is the least one without holes that a stranger can reach.
var toolchain = [3]int{1, 26, 6}

// X1: go.mod asks for a toolchain that has the fixes which ingest counts on.
func TestToolchain_floor(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go (\d+)\.(\d+)(?:\.(\d+))?$`).FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("go.mod has no go line")
	}
	var got [3]int
	for i := range got {
		got[i], _ = strconv.Atoi(m[i+1])
	}
	if slices.Compare(got[:], toolchain[:]) < 0 {
		t.Errorf("go.mod asks for go %v, at least %v is needed", got, toolchain)
	}
}
