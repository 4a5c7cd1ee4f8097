package codec_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"rampstream/internal/codec"
	"rampstream/schemas"
)

func TestSameRecord(t *testing.T) {
	for _, name := range schemas.Names() {
		text := schemas.Text(name)
		if !codec.SameRecord(name, text) {
			t.Errorf("SameRecord(%s) of its own schema = false", name)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, []byte(text), " ", "\t"); err != nil || !codec.SameRecord(name, spaced.String()) {
			t.Errorf("SameRecord(%s) of the text laid out otherwise = false", name)
		}
		for _, other := range schemas.Names() {
			if other != name && codec.SameRecord(name, schemas.Text(other)) {
				t.Errorf("SameRecord(%s) of %s = true", name, other)
			}
		}
	}
	for what, text := range map[string]string{
		"nothing": "", "no schema": "{", "another type": `"string"`,
		"one field less": strings.Replace(schemas.Text("LaneState"), `{"name": "account"`, `{"name": "accounts"`, 1),
	} {
		if codec.SameRecord("LaneState", text) {
			t.Errorf("SameRecord of %s = true", what)
		}
	}
}
