package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inline is a command that a text names, and block a line of a code block.
var (
	inline = regexp.MustCompile("`rampctl ([^`]+)`")
	block  = regexp.MustCompile(`(?m)^ *(?:go run \./cmd/)?rampctl ([^\n]+)$`)
	// rest is what does not belong to the command: a comment, a pipe, a redirection.
	rest = regexp.MustCompile(` +#.*| +[|>].*|\s\[.*`)
)

// Every command that a document names exists, with the flags that it gives. A
// word with a bar (ls|get) stands for several.
func TestDocuments_commandsExist(t *testing.T) {
	seen := 0
	for _, file := range documents(t) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		for _, m := range slices.Concat(inline.FindAllStringSubmatch(text, -1), block.FindAllStringSubmatch(text, -1)) {
			line := strings.ReplaceAll(rest.ReplaceAllString(" "+m[1], ""), "...", "")
			seen++
			if fault := unknown(strings.Fields(line)); fault != "" {
				t.Errorf("%s: rampctl %s: %s", filepath.Base(file), m[1], fault)
			}
		}
	}
	if seen < 80 {
		t.Errorf("found %d commands in the documents", seen)
	}
}

// documents are the texts that a person reads.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"../../README.md", "../../docker-compose.kafka.yml", "../../deploy/config.example.yaml"}
	for _, dir := range []string{"../../docs", "../../examples"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, ".md") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// unknown says which word or flag of a command line rampctl does not have.
func unknown(args []string) string {
	cmd := (&cli{}).root()
	cmd.InitDefaultVersionFlag() // the library adds it when it runs
	for i, a := range args {
		if strings.HasPrefix(a, "-") {
			continue
		}
		if i > 0 && strings.HasPrefix(args[i-1], "-") && !cmd.HasSubCommands() {
			continue
		}
		if !cmd.HasSubCommands() {
			break
		}
		if i > 0 && (args[i-1] == "-c" || args[i-1] == "-o") {
			continue
		}
		for j, word := range strings.Split(a, "|") {
			sub, _, err := cmd.Find([]string{word})
			if err != nil || sub == cmd {
				return "no command " + word
			}
			if j == len(strings.Split(a, "|"))-1 {
				cmd = sub
			}
		}
	}

	for _, a := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case strings.HasPrefix(a, "--") && name != "help" && cmd.Flag(name) == nil:
			return "no flag " + a
		case strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && len(name) == 1 && cmd.Flags().ShorthandLookup(name) == nil && cmd.InheritedFlags().ShorthandLookup(name) == nil:
			return "no flag " + a
		}
	}
	return ""
}

// The check finds what it is for.
func TestDocuments_checkBites(t *testing.T) {
	for line, want := range map[string]string{
		"orders ls --open": "", "-c x.yaml orders ls": "", "orders decide|forget KEY": "", "demo --orders 200 -o json": "", "doctor --transactions": "",
		"orders list": "no command list", "orders ls --closed": "no flag --closed", "nosuch": "no command nosuch", "tail -x order-state": "no flag -x",
	} {
		if got := unknown(strings.Fields(line)); got != want {
			t.Errorf("rampctl %s: %q, want %q", line, got, want)
		}
	}
}
