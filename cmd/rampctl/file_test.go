package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rampstream/internal/run"
)

// A file that was named is read or missed: another one, of another cluster perhaps,
// does not stand in for it, whatever its name.
func TestConfig_aNamedFileThatIsMissing(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.yaml")
	if err := os.WriteFile(other, []byte("kafka: {brokers: [other:9092]}\nregistry: {url: http://other:8081}\naccounts: [{provider: kado, account: acme, webhook: {trust: hint}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, args := range [][]string{{"-c", "rampstream.yaml", "config", "print"}, {"config", "print", "--config=rampstream.yaml"}, {"-c", "none.yaml", "config", "print"}} {
		var out, errw bytes.Buffer
		if err := execute(t.Context(), args, []string{"RAMP_CONFIG=" + other}, &out, &errw); run.Code(err) != run.BadConfig || out.Len() > 0 {
			t.Errorf("rampctl %v without that file = %v, code %d; want code 2\n%s", args, err, run.Code(err), out.String())
		}
	}
	var out, errw bytes.Buffer
	if err := execute(t.Context(), []string{"config", "print"}, []string{"RAMP_CONFIG=" + other}, &out, &errw); err != nil || !strings.Contains(out.String(), "other:9092") {
		t.Errorf("rampctl config print = %v; want the file that RAMP_CONFIG names\n%s", err, out.String())
	}
}
