package kado_test

import (
	"fmt"
	"strings"
	"testing"
)

// A delivery is verified within the budget of an ingest request, whatever an
// attacker puts into the body before the signature is known to be wrong: each
// body is as large as ingest takes, and made to be slow in one way. The goal is
// 5 ms a body.
//
//	GOMAXPROCS=1 go test ./internal/providers/kado -run '^$' -bench Worst -benchtime 100x -count 3
func BenchmarkParseWebhook_worst(b *testing.B) {
	p := open(b, account())
	for _, w := range worst() {
		delivery := sent{body: w.body, key: "somebody-else's-secret", payload: "x"}.delivery(b)
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.ParseWebhook(delivery)
			}
		})
	}
}

// An honest delivery, and one that is as honest and signed with another key.
func BenchmarkParseWebhook(b *testing.B) {
	p := open(b, account())
	for name, d := range map[string]sent{"honest": {body: completed}, "wrong key": {body: completed, key: "somebody-else's-secret"}} {
		delivery := d.delivery(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.ParseWebhook(delivery)
			}
		})
	}
}

type hostileBody struct{ name, body string }

// full is the size of the largest body that ingest reads, less the brackets.
const full = 256<<10 - 16

// worst are bodies that are slow to read: long tokens, many tokens, numbers
// that need big arithmetic, keys that collide, and the shapes between.
func worst() []hostileBody {
	upper := strings.Repeat("A", 20)
	return []hostileBody{
		{"blanks", "[" + strings.Repeat(" ", full) + "0]"},
		{"whole numbers", list("123456789", 19_990)},
		{"short numbers", list("1.5e-7", 19_990)},
		{"19 digits", list("1152921504606846977e-30", 19_990)},
		{"halfway between doubles", list("9007199254740993e9", 19_990)},
		{"denormal numbers", list("4.9e-324", 19_990)},
		{"big numbers", list("1.7976931348623157e308", 19_990)},
		{"long denormal numbers", list("2."+strings.Repeat("4703282292062327", 100)+"e-324", 19_990)},
		{"long fractions", list("0."+strings.Repeat("7", 1900), 19_990)},
		{"one long number", "[1" + strings.Repeat("1", full-16) + "e-249990]"},
		{"escapes", `["` + units(`\u0001`) + `"]`},
		{"lone surrogates", `["` + units(`\ud800`) + `"]`},
		{"pairs of surrogates", `["` + units(`\ud83d\ude00`) + `"]`},
		{"short escaped strings", list(`"\u0001\u0001"`, 19_990)},
		{"nested arrays", list(strings.Repeat("[", 31)+strings.Repeat("]", 31), 600)},
		{"nested objects", list(strings.Repeat(`{"":`, 30)+"0"+strings.Repeat("}", 30), 300)},
		{"small objects", list(`{"a":0}`, 6_600)},
		{"objects of eight keys", list(members(8, func(i int) string { return upper + string(rune('A'+i)) }), 1_170)},
		{"objects of nine keys", list(members(9, func(i int) string { return upper + string(rune('A'+i)) }), 1_050)},
		{"eight long keys", members(8, func(i int) string { return strings.Repeat("A", full/8-8) + string(rune('A'+i)) })},
		{"keys that are equal", members(9_990, func(int) string { return "k" })},
		{"keys that are equal but for case", members(9_990, func(i int) string { return fmt.Sprintf("%c%d", "aA"[i%2], i/2) })},
		{"keys of one length", members(9_990, func(i int) string { return fmt.Sprintf("%sA%07d", "AAAAAA", i) })},
		{"indices from the end", members(9_990, func(i int) string { return fmt.Sprint(4294967294 - i*7919) })},
		{"indices and equal keys", members(9_990, func(i int) string { return fmt.Sprint((4294967294 - i*7919) >> (i % 2 * 31)) })},
	}
}

// units repeats a part as often as a body holds it.
func units(part string) string { return strings.Repeat(part, full/len(part)) }

func list(item string, most int) string {
	n := min(most, full/(len(item)+1))
	return "[" + strings.Repeat(item+",", n) + "0]"
}

func members(most int, key func(int) string) string {
	var b strings.Builder
	for i := 0; i < most && b.Len() < full; i++ {
		fmt.Fprintf(&b, `,"%s":0`, key(i))
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}
