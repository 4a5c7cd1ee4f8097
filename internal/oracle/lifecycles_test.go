package oracle_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/providers"
	"rampstream/internal/providers/kado"
	"rampstream/internal/providers/kanga"
	"rampstream/internal/providers/koinal"
	"rampstream/internal/providers/kuna"
	"rampstream/internal/providers/zumo"
)

var update = flag.Bool("update", false, "write docs/lifecycles.md anew")

const lifecycles = "../../docs/lifecycles.md"

// bare and whole are an account without optional settings, and one with every
// setting that a capability depends on.
var (
	bare  = providers.Account{Account: "a", Webhook: providers.Webhook{Trust: "hint"}}
	whole = providers.Account{Account: "a", API: providers.API{BaseURL: "https://api.example.com", PublicKey: "k", AppID: "app"}}
)

// docs/lifecycles.md is what the tables say.
func TestLifecycles_documentIsWhatTheTablesSay(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(preamble)
	b.WriteString("| status | rank | terminal |\n|---|---|---|\n")
	for _, st := range events.Statuses() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", st, rank(st), yes(st.Terminal()))
	}
	for _, p := range []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider} {
		describe(&b, p)
	}
	if *update {
		if err := os.WriteFile(lifecycles, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(lifecycles)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/lifecycles.md is stale (%v): go test ./internal/oracle -run Lifecycles -update", err)
	}
}

const preamble = `# Lifecycles

Generated from the providers' tables by a test; do not edit. How statuses are decided stands in [ORDER.md](ORDER.md), what
each provider documents in [providers/](providers/).

A *word* is ` + "`status_raw`" + ` as a provider says it or as we compose it from two fields; the table says which status it means. A
**guess** is a meaning that the provider's documents do not state. Words that are not listed are UNKNOWN: kept, counted, and
deciding nothing. An account may add or replace words (` + "`api.statuses`" + `) where its provider's page says so.

A move to a word of lower rank raises ILLEGAL_TRANSITION unless it is among the *legal moves down*. A terminal status is
never lowered, whatever the table says. ` + "`*`" + ` is any word.

`

func describe(b *bytes.Buffer, p providers.Provider) {
	v, least := p.Vocabulary(whole), p.Vocabulary(bare)
	fmt.Fprintf(b, "\n## %s\n\n| | |\n|---|---|\n", p.Name)
	fmt.Fprintf(b, "| orders can be asked about | %s |\n", capability(least.PollOrders, v.PollOrders))
	fmt.Fprintf(b, "| customers can be asked about | %s |\n", capability(least.PollCustomers, v.PollCustomers))
	fmt.Fprintf(b, "| signed webhooks about orders are expected | %s |\n", capability(least.Webhooks, v.Webhooks))
	fmt.Fprintf(b, "| the payer can change the amount | %s |\n", yes(v.AmountUnsigned))
	fmt.Fprintf(b, "| case of words matters | %s |\n", yes(!v.FoldCase))
	wordTable(b, "Orders", v.Orders, false)
	wordTable(b, "Customers", v.Customers, true)
	if len(v.Regressions) > 0 {
		b.WriteString("\nLegal moves down:")
		for _, r := range v.Regressions {
			fmt.Fprintf(b, " `%s` to `%s`;", r[0], r[1])
		}
		b.Truncate(b.Len() - 1)
		b.WriteString(".\n")
	}
}

// wordTable lists by rank, then status, then word.
func wordTable(b *bytes.Buffer, title string, table map[string]events.Word, customer bool) {
	if len(table) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n| word | status | terminal | guess | note |\n|---|---|---|---|---|\n", title)
	for _, word := range slices.SortedFunc(maps.Keys(table), func(x, y string) int {
		a, c := table[x].Status, table[y].Status
		return cmp.Or(cmp.Compare(a.Rank(), c.Rank()), cmp.Compare(a, c), strings.Compare(x, y))
	}) {
		w := table[word]
		settles := w.Status.Terminal()
		if customer {
			settles = w.Status == events.StatusCancelled
		}
		fmt.Fprintf(b, "| `%s` | `%s` | %s | %s | %s |\n", word, w.Status, yes(settles), yes(w.Guess), w.Note)
	}
}

func rank(st events.Status) string {
	if st.Rank() == 0 {
		return "-"
	}
	return fmt.Sprint(st.Rank())
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func capability(least, most bool) string {
	if least != most {
		return "if configured"
	}
	return yes(most)
}

// tables is what the providers' tables were when a generation of the code was
// made. Never edit a line: a changed table is a new generation.
var tables = map[int64]string{
	4: "fd543779662e35364a0427274cbc23f2",
}

// A member of an older generation is refused what a newer one wrote; a table
// that changes without one would be viewed to and fro during a rollout.
func TestLifecycles_changedTablesAreANewGeneration(t *testing.T) {
	var all []string
	for _, p := range []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider} {
		for _, a := range []providers.Account{bare, whole} {
			text, err := json.Marshal(p.Vocabulary(a))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(text))
		}
	}
	if got, want := events.Digest(all...), tables[order.CodeGeneration]; got != want {
		t.Errorf("the tables are %s, those of generation %d were %q: raise order.CodeGeneration and add a line to tables", got, order.CodeGeneration, want)
	}
}

// Every word of a table is one that evidence can hold, and means a status of
// the closed set; every legal move names words of the table.
func TestLifecycles_tablesAreSound(t *testing.T) {
	for _, p := range []providers.Provider{kado.Provider, kanga.Provider, koinal.Provider, kuna.Provider, zumo.Provider} {
		v := p.Vocabulary(whole)
		for _, table := range []map[string]events.Word{v.Orders, v.Customers} {
			for word, w := range table {
				if word == "" || len(word) > 64 || word[0] == '!' || w.Status == events.StatusDisputed {
					t.Errorf("%s: word %q of %v cannot stand in evidence", p.Name, word, w.Status)
				}
				if v.FoldCase && word != strings.ToUpper(word) {
					t.Errorf("%s: word %q is never found: case is folded", p.Name, word)
				}
			}
		}
		for _, r := range v.Regressions {
			from, to := rankOf(v, r[0]), rankOf(v, r[1])
			if r[0] != "*" && r[1] != "*" && from < to {
				t.Errorf("%s: %v is no move down", p.Name, r)
			}
		}
	}
}

func rankOf(v events.Vocabulary, word string) int {
	w, ok := v.Orders[word]
	if !ok {
		w = v.Customers[word]
	}
	return w.Status.Rank()
}
