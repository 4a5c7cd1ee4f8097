package arch_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unslug  = regexp.MustCompile(`[^a-z0-9 _-]`)
	inRepo  = regexp.MustCompile("`((?:internal|cmd|integration|schemas|scripts|examples|deploy|docs|bench)/[A-Za-z0-9_./-]+)`")
	testOf  = regexp.MustCompile(`/(?:Test|Fuzz|Benchmark)[A-Za-z_]*$`)
)

// Every link in a document leads somewhere, to the heading as well, and every
// path that it names in the repository is there.
func TestDocuments_linksLead(t *testing.T) {
	links := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".md") || strings.HasSuffix(path, "CHANGELOG.md") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, fault := range deadEnds(path, string(text)) {
			t.Errorf("%s: %s", path, fault)
		}
		links += len(link.FindAllString(string(text), -1))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if links < 40 {
		t.Errorf("found %d links", links)
	}
}

func deadEnds(path, text string) (faults []string) {
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		file, fragment, _ := strings.Cut(m[1], "#")
		if strings.Contains(file, "://") {
			continue
		}
		target := path
		if file != "" {
			target = filepath.Join(filepath.Dir(path), file)
		}
		raw, err := os.ReadFile(target)
		if _, statErr := os.Stat(target); statErr != nil {
			faults = append(faults, fmt.Sprintf("link to %s, which is not there", m[1]))
		} else if fragment != "" && (err != nil || !hasHeading(string(raw), fragment)) {
			faults = append(faults, fmt.Sprintf("link to %s: no such heading", m[1]))
		}
	}
	for _, m := range inRepo.FindAllStringSubmatch(text, -1) {
		name := testOf.ReplaceAllString(strings.TrimRight(m[1], "./"), "")
		if strings.Contains(name, "NAME") || strings.HasSuffix(name, "/vN") { // of a recipe
			continue
		}
		if found, err := filepath.Glob(filepath.Join("../..", name) + "*"); err != nil || len(found) == 0 {
			faults = append(faults, fmt.Sprintf("names %s, which is not there", m[1]))
		}
	}
	return faults
}

// hasHeading reports whether a heading gives the fragment, as the forges make it.
func hasHeading(text, fragment string) bool {
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(unslug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == fragment {
			return true
		}
	}
	return false
}

func TestDocuments_deadEndsAreFound(t *testing.T) {
	for text, want := range map[string]int{
		"[a](ORDER.md) [b](CONTRACT.md#topics) [c](#3-discrepancies) `internal/order` `internal/order/TestX`": 0,
		"[a](NOWHERE.md)": 1, "[b](CONTRACT.md#nowhere)": 1, "[c](#nowhere)": 1, "`internal/nowhere`": 1,
	} {
		if got := deadEnds("../../docs/ORDER.md", text); len(got) != want {
			t.Errorf("dead ends of %q = %q, want %d", text, got, want)
		}
	}
}
