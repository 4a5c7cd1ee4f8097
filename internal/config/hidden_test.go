package config_test

import (
	"bytes"
	"strings"
	"testing"
)

// The query of a URL is where a token stands that its path has no room for.
func TestPrint_hidesQueries(t *testing.T) {
	cfg, err := load(t, "accounts: [{provider: kado, account: a, webhook: {url: 'https://h.example/hook?token=sup3rsecret'}, api: {base_url: 'https://u@api.example/v1?key=sup3rsecret#sup3rsecret'}}]")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := cfg.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "sup3rsecret") || !strings.Contains(out.String(), "https://h.example/hook?") || !strings.Contains(out.String(), "https://api.example/v1") {
		t.Errorf("Print shows a query, or not what stands before it:\n%s", out.String())
	}
	if _, err := load(t, out.String()); err != nil {
		t.Errorf("Load of what Print wrote: %v", err)
	}
}

// A secret that begins with an asterisk and is not quoted is an alias to the
// parser, which names it.
func TestLoad_aliasIsNotQuoted(t *testing.T) {
	_, err := load(t, "accounts: [{provider: kuna, account: a, api: {password: *sup3rsecret}}]")
	if err == nil || strings.Contains(err.Error(), "sup3r") || !strings.Contains(err.Error(), "anchor") {
		t.Errorf("Load of a secret that looks like an alias = %v; want an error that quotes nothing of the file", err)
	}
}
