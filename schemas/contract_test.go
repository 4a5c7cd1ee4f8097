package schemas_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"rampstream/schemas"
)

// dictionary is docs/CONTRACT.md by section: the text under each heading of the
// third level.
func dictionary(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range strings.Split(string(text), "\n### ")[1:] {
		title, body, _ := strings.Cut(s, "\n")
		out[title] = body
	}
	return out
}

// row is the line of the dictionary that a field must have.
func row(f node) string {
	return fmt.Sprintf("| `%s` | %s | %s |", f["name"], typeWords(f["type"]), f["doc"])
}

func typeWords(t any) string {
	switch t := t.(type) {
	case []any:
		return typeWords(t[1]) + " or null"
	case node:
		if t["type"] != "array" {
			return "timestamp"
		}
		if items, ok := t["items"].(node); ok {
			return "array of " + items["name"].(string)
		}
		return "array of strings"
	}
	return t.(string)
}

// missing lists the fields of r that neither its section nor the common
// sections describe in the words of the schema, those in common that the
// section does not name, and the lines of the section that describe no field.
func missing(r node, section string, common ...string) []string {
	var out []string
	shared := strings.Join(common, "\n")
	known := map[string]bool{}
	for _, f := range r["fields"].([]any) {
		want := row(f.(node))
		known[want] = true
		quoted := "`" + f.(node)["name"].(string) + "`"
		switch {
		case strings.Contains(section, want+"\n"):
		case strings.Contains(shared, want+"\n") && strings.Contains(section, quoted):
		default:
			out = append(out, "no line "+want)
		}
	}
	for _, line := range strings.Split(section, "\n") {
		if strings.HasPrefix(line, "| `") && !known[line] {
			out = append(out, "a line of no field: "+line)
		}
	}
	return out
}

func TestContract_describesEveryField(t *testing.T) {
	doc := dictionary(t)
	input, _, _ := strings.Cut(doc["ReconcilerPosition"], "`InputPosition`:")
	_, position, _ := strings.Cut(doc["ReconcilerPosition"], "`InputPosition`:")
	doc["ReconcilerPosition"] = input
	inner := map[string]string{
		"OrderEvidence": doc["Evidence rows"] + factNames(doc["Facts"]), "CustomerEvidence": doc["Evidence rows"] + factNames(doc["Facts"]),
		"WebhookWalletAccount": doc["Wallet accounts"], "StatusCheckWalletAccount": doc["Wallet accounts"],
		"CustomerWalletAccount": doc["Wallet accounts"], "InputPosition": position,
	}
	for _, name := range schemas.Names() {
		var r node
		if err := json.Unmarshal([]byte(schemas.Text(name)), &r); err != nil {
			t.Fatal(err)
		}
		for _, m := range missing(r, doc[name], doc["Subject columns"], doc["Facts"], doc["Expected facts"]) {
			t.Errorf("docs/CONTRACT.md, %s: %s", name, m)
		}
		for _, f := range r["fields"].([]any) {
			if a, ok := f.(node)["type"].(node); ok && a["type"] == "array" {
				items, ok := a["items"].(node)
				if !ok {
					continue
				}
				for _, m := range missing(items, inner[items["name"].(string)], doc["Facts"]) {
					t.Errorf("docs/CONTRACT.md, %s: %s", items["name"], m)
				}
			}
		}
	}
}

// factNames quotes the names of the facts, which the section on rows refers to
// as a whole.
func factNames(section string) string {
	return "\n" + strings.Join(regexp.MustCompile("(?m)^\\| (`[a-z_]+`)").FindAllString(section, -1), " ")[2:] + "\n"
}

func TestContract_bites(t *testing.T) {
	r := node{"fields": []any{node{"name": "word", "type": "string", "doc": "A word."}}}
	const good = "| `word` | string | A word. |\n"
	if m := missing(r, good); len(m) != 0 {
		t.Errorf("missing(good) = %q", m)
	}
	for _, bad := range []string{"", "| `word` | string | Another. |\n", "| `word` | string or null | A word. |\n", good + "| `gone` | string | Gone. |\n"} {
		if m := missing(r, bad); len(m) == 0 {
			t.Errorf("missing(%q) finds nothing", bad)
		}
	}
}

// The rules that a state can name are described one by one.
func TestContract_describesEveryRule(t *testing.T) {
	text, err := os.ReadFile("../docs/CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`Name of the rule that decided\. One of ([a-z_, ]+)\.`).FindStringSubmatch(schemas.Text("OrderState"))
	if list == nil {
		t.Fatal("OrderState.avsc does not list the rules")
	}
	for _, rule := range strings.Split(list[1], ", ") {
		if !strings.Contains(string(text), "\n| `"+rule+"` | ") {
			t.Errorf("docs/CONTRACT.md does not describe the rule %s", rule)
		}
	}
}
