package providers_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rampstream/internal/providers"
)

// Every setting of an account stands in a page of docs/providers, by its path in
// the configuration.
func TestDocuments_nameEverySetting(t *testing.T) {
	pages, err := filepath.Glob("../../docs/providers/*.md")
	if err != nil || len(pages) < 6 {
		t.Fatalf("pages = %v, %v", pages, err)
	}
	var all strings.Builder
	for _, p := range pages {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	for section, typ := range map[string]reflect.Type{
		"webhook": reflect.TypeFor[providers.Webhook](), "api": reflect.TypeFor[providers.API](), "poll": reflect.TypeFor[providers.Poll](),
	} {
		for i := range typ.NumField() {
			name := section + "." + typ.Field(i).Tag.Get("koanf")
			if !strings.Contains(all.String(), "`"+name+"`") {
				t.Errorf("no page of docs/providers names `%s`", name)
			}
		}
	}
}
