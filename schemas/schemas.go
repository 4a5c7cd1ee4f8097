// Package schemas holds the Avro schemas of every topic: the public contract,
// described for its readers in docs/CONTRACT.md. The files are embedded, so
// that a program registers or looks up exactly the text it encodes with.
//
// It does not parse them; internal/codec does.
package schemas

import (
	"embed"
	"slices"
	"strings"
)

//go:embed *.avsc
var files embed.FS

// Namespace is the Avro namespace of every record.
const Namespace = "rampstream.v1"

// The promises of Compatibility, in the words of the schema registry.
const (
	FullTransitive     = "FULL_TRANSITIVE"
	BackwardTransitive = "BACKWARD_TRANSITIVE"
)

// promises lists every record with what it promises. Records of compacted
// topics are read by old and new programs for as long as they live, so both
// directions hold; events only have to stay readable.
var promises = map[string]string{
	"Webhook":     BackwardTransitive,
	"Intent":      BackwardTransitive,
	"StatusCheck": BackwardTransitive,
	"Transition":  BackwardTransitive,

	"OrderState":         FullTransitive,
	"CustomerState":      FullTransitive,
	"Discrepancy":        FullTransitive,
	"CheckTask":          FullTransitive,
	"LaneState":          FullTransitive,
	"ReconcilerPosition": FullTransitive,
}

// Names lists the records, sorted: Webhook, Intent, StatusCheck, OrderState,
// CustomerState, Transition, Discrepancy, CheckTask, LaneState and
// ReconcilerPosition.
func Names() []string {
	out := make([]string, 0, len(promises))
	for name := range promises {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Text is the schema of a record exactly as it is registered, without the
// file's last line feed; "" for a name that is not in Names.
func Text(name string) string {
	if _, ok := promises[name]; !ok {
		return ""
	}
	text, err := files.ReadFile(name + ".avsc")
	if err != nil { // embedded at build time; a test reads every name
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}

// Compatibility is the compatibility level that the subject of a record must
// have in the registry: FULL_TRANSITIVE or BACKWARD_TRANSITIVE; "" for a name
// that is not in Names.
func Compatibility(name string) string { return promises[name] }
