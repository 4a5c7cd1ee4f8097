package providers_test

import (
	"errors"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/jsonx"
)

func TestCheckJSONPost(t *testing.T) {
	type header = map[string][]string
	for _, tc := range []struct {
		name   string
		d      providers.Delivery
		strict bool
		class  error
		reason providers.Reason
	}{
		{"plain", providers.Delivery{Method: "POST", Body: []byte("{}"), Header: header{"Content-Type": {"application/json"}}}, true, nil, ""},
		{"charset and identity", providers.Delivery{Method: "POST", Body: []byte("{}"), Header: header{"Content-Type": {"Application/JSON ; charset=utf-8"}, "Content-Encoding": {"Identity"}}}, true, nil, ""},
		{"no type", providers.Delivery{Method: "POST", Body: []byte("{}")}, false, nil, ""},
		{"no type, strict", providers.Delivery{Method: "POST", Body: []byte("{}")}, true, providers.ErrUnsupportedMedia, "media_type"},
		{"text, strict", providers.Delivery{Method: "POST", Body: []byte("{}"), Header: header{"Content-Type": {"text/plain"}}}, true, providers.ErrUnsupportedMedia, "media_type"},
		{"two types", providers.Delivery{Method: "POST", Body: []byte("{}"), Header: header{"Content-Type": {"application/json", "application/json"}}}, false, providers.ErrUnsupportedMedia, "media_type"},
		{"gzip", providers.Delivery{Method: "POST", Body: []byte("{}"), Header: header{"Content-Encoding": {"gzip"}}}, false, providers.ErrUnsupportedMedia, "media_type"},
		{"identity, then gzip", providers.Delivery{Method: "POST", Body: []byte("{}"), Header: header{"Content-Encoding": {"identity", "gzip"}}}, false, providers.ErrUnsupportedMedia, "media_type"},
		{"a token", providers.Delivery{Method: "POST", Body: []byte("{}"), PathToken: "x"}, false, providers.ErrUnauthentic, "path_token"},
		{"GET", providers.Delivery{Method: "GET", Body: []byte("{}")}, false, providers.ErrBadRequest, "unknown_shape"},
		{"empty", providers.Delivery{Method: "POST"}, false, providers.ErrBadRequest, "empty_body"},
	} {
		err := providers.CheckJSONPost(tc.d, tc.strict)
		if tc.class == nil {
			if err != nil {
				t.Errorf("%s: %v, want no error", tc.name, err)
			}
			continue
		}
		var refused *providers.DeliveryError
		if !errors.Is(err, tc.class) || !errors.As(err, &refused) || refused.Reason != tc.reason {
			t.Errorf("%s: %v, want %v for %s", tc.name, err, tc.class, tc.reason)
		}
	}
}

func TestReadAmount(t *testing.T) {
	for text, want := range map[string]events.Amount{
		`12.50`: "12.50", `"0.010"`: "0.010", `""`: "", `null`: "", `true`: "", `{}`: "", `[1]`: "",
	} {
		if got, err := providers.ReadAmount(value(t, text)); err != nil || got != want {
			t.Errorf("ReadAmount(%s) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"1,5"`, `"NaN"`, `" 1"`, `1e999999999`} {
		if got, err := providers.ReadAmount(value(t, text)); !errors.Is(err, providers.ErrAmount) {
			t.Errorf("ReadAmount(%s) = %q, %v, want ErrAmount", text, got, err)
		}
	}
}

func TestToken(t *testing.T) {
	for text, want := range map[string]string{
		`"tx-1"`: "tx-1", `"12345678"`: "12345678", `"123456789"`: "", `"a b"`: "", `"a/b"`: "", `""`: "", `1`: "", `null`: "",
	} {
		if got := providers.Token(value(t, text), 8); got != want {
			t.Errorf("Token(%s) = %q, want %q", text, got, want)
		}
	}
}

func TestIsWord(t *testing.T) {
	for text, want := range map[string]bool{
		"FINISHED": true, "zażółć": true, strings.Repeat("x", 16): true, strings.Repeat("x", 17): false,
		"": false, "a b": false, "a\u00a0b": false, "a\x00": false, "\xff": false, "a\u200b": false,
	} {
		if got := providers.IsWord(text, 16); got != want {
			t.Errorf("IsWord(%q) = %t, want %t", text, got, want)
		}
	}
}

// value is that of a member, so that literals of every kind can be named.
func value(t *testing.T, text string) jsonx.Value {
	t.Helper()
	v, err := jsonx.Parse([]byte(`{"v":` + text + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return v.Get("v")
}
