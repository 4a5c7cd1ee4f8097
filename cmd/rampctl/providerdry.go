package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync"

	"rampstream/internal/providers/jsonx"
)

// dryRequest is a request as --dry-run shows it.
type dryRequest struct {
	Method  string            `json:"method"`
	Host    string            `json:"host"`
	Path    string            `json:"path"`
	Query   string            `json:"query,omitempty"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body,omitempty"`
}

// recorder is a transport that keeps requests, masked, and sends nothing. It
// answers a login with a token that is none, and everything else with 400: a
// status that no client repeats.
type recorder struct {
	login func(*http.Request) (string, bool)
	clear []string

	mu   sync.Mutex
	seen []dryRequest
}

func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := maskedBody(r, t.clear)
	if r.Body != nil {
		_ = r.Body.Close() // the contract of RoundTripper
	}
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.seen = append(t.seen, dryRequest{
		Method: r.Method, Host: r.URL.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Headers: maskedHeaders(r.Header), Body: body,
	})
	t.mu.Unlock()
	answer := &http.Response{
		StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if t.login != nil {
		if text, ok := t.login(r); ok {
			answer.StatusCode, answer.Body = http.StatusOK, io.NopCloser(strings.NewReader(text))
		}
	}
	return answer, nil
}

// plainHeaders hold nothing that proves who is calling. Of every other header
// only the name is shown.
var plainHeaders = []string{"Accept", "Content-Type", "X-Timestamp", "X-Public-Key", "Merchant_id"}

func maskedHeaders(h http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		if out[name] = masked; slices.Contains(plainHeaders, name) {
			out[name] = strings.Join(values, ", ")
		}
	}
	return out
}

// maxShown bounds what is kept of a body to be shown.
const maxShown = 1 << 20

func maskedBody(r *http.Request, clear []string) (any, error) {
	if r.Body == nil {
		return nil, nil
	}
	media, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == "multipart/form-data" {
		return maskedForm(multipart.NewReader(r.Body, params["boundary"]))
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxShown))
	if err != nil || len(b) == 0 {
		return nil, err
	}
	v, err := jsonx.Parse(b)
	if err != nil {
		return fmt.Sprintf("[masked, %d bytes]", len(b)), nil
	}
	return maskedJSON(v, clear, false), nil
}

// maskedForm names the parts of an upload and their sizes.
func maskedForm(form *multipart.Reader) (any, error) {
	var parts []map[string]any
	for {
		p, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		n, err := io.Copy(io.Discard, p)
		if err != nil {
			return nil, err
		}
		parts = append(parts, map[string]any{"part": p.FormName(), "bytes": n})
	}
}

// maskedJSON keeps the shape and the members' names in their order, and the
// values of the members that are clear.
func maskedJSON(v jsonx.Value, clear []string, shown bool) any {
	switch v.Kind() {
	case jsonx.Object:
		o := object{}
		for _, m := range v.Members() {
			o = append(o, member{m.Key, maskedJSON(m.Value, clear, slices.Contains(clear, m.Key))})
		}
		return o
	case jsonx.Array:
		out := []any{}
		for _, item := range v.Items() {
			out = append(out, maskedJSON(item, clear, shown))
		}
		return out
	}
	literal, isNumber := v.Literal()
	text, isText := v.Text()
	truth, isBool := v.Truth()
	switch {
	case v.IsNull():
		return nil
	case !shown:
		return masked
	case isNumber:
		return json.Number(literal)
	case isText:
		return text
	case isBool:
		return truth
	}
	return masked
}

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err1 := plainJSON(m.key)
		value, err2 := plainJSON(m.value)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("member %d cannot be encoded", i)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
