package codec

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/avro"
)

// DecodeAny shows a value of any of our records to people: its record name and
// one line of JSON. It reads with the schema that the value was written with,
// so fields stand in that schema's order and none is missing; absent fields are
// null and instants are RFC 3339 with milliseconds, UTC. Nothing but the Avro
// encoding is checked: a value that Decode refuses for what it says is shown.
// Errors: ErrCorrupt, ErrWrongRecord (not one of our records),
// ErrSchemaUnavailable.
func (c *Codec) DecodeAny(ctx context.Context, value []byte) (name string, line []byte, err error) {
	w, err := c.writerOf(ctx, value)
	if err != nil {
		return "", nil, fmt.Errorf("codec: decode: %w", err)
	}
	if w.read == nil {
		return "", nil, fmt.Errorf("codec: decode: %q is not a record of ours: %w", w.name, ErrWrongRecord)
	}
	var v any
	if err := w.decode(value[frameSize:], w.schema, &v); err != nil {
		return "", nil, fmt.Errorf("codec: decode %s: %w", w.name, err)
	}
	if line, err = appendJSON(nil, w.root, v); err != nil {
		return "", nil, fmt.Errorf("codec: show %s: %v: %w", w.name, err, ErrCorrupt)
	}
	return w.name, line, nil
}

// appendJSON writes v, decoded without a target type, in the order of its
// schema. Types that our schemas do not use are written as encoding/json does.
func appendJSON(dst []byte, n *avro.SchemaNode, v any) ([]byte, error) {
	switch x := v.(type) {
	case map[string]any:
		return appendObject(dst, n, x)
	case []any:
		return appendArray(dst, n, x)
	case time.Time:
		return x.UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`), nil
	}
	out, err := json.Marshal(v)
	return append(dst, out...), err
}

func appendObject(dst []byte, n *avro.SchemaNode, x map[string]any) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	for i := range n.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		f := &n.Fields[i]
		dst = append(dst, '"')
		dst = append(dst, f.Name...) // an Avro name needs no escaping
		dst = append(dst, '"', ':')
		if dst, err = appendJSON(dst, present(&f.Type), x[f.Name]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendArray(dst []byte, n *avro.SchemaNode, x []any) ([]byte, error) {
	var err error
	dst = append(dst, '[')
	for i, item := range x {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, present(n.Items), item); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// present is the schema of a value that is not null.
func present(n *avro.SchemaNode) *avro.SchemaNode {
	if n == nil {
		return &avro.SchemaNode{}
	}
	for i := range n.Branches {
		if n.Branches[i].Type != "null" {
			return &n.Branches[i]
		}
	}
	return n
}
