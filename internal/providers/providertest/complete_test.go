package providertest_test

import (
	"strings"
	"testing"

	"rampstream/internal/providers/providertest"
)

func TestIncomplete(t *testing.T) {
	reason := "the document has nothing of the kind"
	for _, tc := range []struct {
		name    string
		setting providertest.Setting
		want    string // part of a fault; "" for none about Required
	}{
		{"empty without a reason", providertest.Setting{}, "Required is empty"},
		{"empty with a reason", providertest.Setting{Without: map[string]string{"Required": reason}}, ""},
		{"filled", providertest.Setting{Required: "a route for everyone"}, ""},
		{"filled with a reason", providertest.Setting{Required: "x", Without: map[string]string{"Required": reason}}, "Required is filled"},
		{"a word for a reason", providertest.Setting{Without: map[string]string{"Required": "n/a"}}, "Required: the reason"},
		{"no such field", providertest.Setting{Without: map[string]string{"Requires": reason}}, "Requires is excused"},
	} {
		got := strings.Join(providertest.Incomplete(tc.setting), "; ")
		if tc.want == "" && strings.Contains(got, "Required") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s; want %q", tc.name, got, tc.want)
		}
	}
}
