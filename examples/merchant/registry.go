package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/linkedin/goavro/v2"
)

// schema is one registered schema and its id.
type schema struct {
	id    uint32
	codec *goavro.Codec
}

// registry asks a schema registry and remembers what it said: the schema of an
// id never changes.
type registry struct {
	base   string
	client *http.Client
	known  map[uint32]*schema
}

func newRegistry(base string) *registry {
	return &registry{strings.TrimRight(base, "/"), &http.Client{Timeout: 10 * time.Second}, map[uint32]*schema{}}
}

func (r *registry) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("registry: GET %s: HTTP %d", path, resp.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(into)
}

// latest is the newest schema of a subject.
func (r *registry) latest(ctx context.Context, subject string) (*schema, error) {
	var answer struct {
		ID     uint32 `json:"id"`
		Schema string `json:"schema"`
	}
	if err := r.get(ctx, "/subjects/"+url.PathEscape(subject)+"/versions/latest", &answer); err != nil {
		return nil, err
	}
	return r.keep(answer.ID, answer.Schema)
}

// of is the schema that a value was written with.
func (r *registry) of(ctx context.Context, value []byte) (*schema, error) {
	if len(value) < frame || value[0] != 0 {
		return nil, errors.New("no schema id in front of the value")
	}
	id := binary.BigEndian.Uint32(value[1:frame])
	if s := r.known[id]; s != nil {
		return s, nil
	}
	var answer struct {
		Schema string `json:"schema"`
	}
	if err := r.get(ctx, fmt.Sprintf("/schemas/ids/%d", id), &answer); err != nil {
		return nil, err
	}
	return r.keep(id, answer.Schema)
}

func (r *registry) keep(id uint32, text string) (*schema, error) {
	codec, err := goavro.NewCodec(text)
	if err != nil {
		return nil, fmt.Errorf("schema %d: %w", id, err)
	}
	s := &schema{id, codec}
	r.known[id] = s
	return s, nil
}

// frame is what stands before the Avro body: a zero byte and the schema id.
const frame = 5

func (s *schema) encode(record map[string]any) ([]byte, error) {
	return s.codec.BinaryFromNative(binary.BigEndian.AppendUint32([]byte{0}, s.id), record)
}

// line is the record as one JSON object, without the names of union branches.
func (s *schema) line(value []byte) ([]byte, error) {
	native, _, err := s.codec.NativeFromBinary(value[frame:])
	if err != nil {
		return nil, err
	}
	return json.Marshal(plain(native))
}

// plain undoes goavro's form of unions: {"string": "x"} is "x".
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for branch, x := range v {
				if branch == "string" || branch == "boolean" || branch == "long" || branch == "long.timestamp-millis" {
					return plain(x)
				}
			}
		}
		out := make(map[string]any, len(v))
		for name, x := range v {
			out[name] = plain(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain(x)
		}
		return out
	default:
		return v
	}
}
