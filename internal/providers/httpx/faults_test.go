package httpx_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"testing"
)

// P4 of docs/faults.md: a compressed answer is not expanded, so a bomb of 64 MiB
// stays as small as it came.
func TestDo_expandsNothing(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 1024 {
		if _, err := z.Write(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	asked := ""
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Accept-Encoding")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	_, body, err := get(t, insecure(), base, 1<<20)
	if err != nil || !bytes.Equal(body, bomb.Bytes()) || asked != "" {
		t.Errorf("Do = %d bytes, %v, asked for encoding %q; want the %d bytes as they came, and none asked for", len(body), err, asked, bomb.Len())
	}
}
