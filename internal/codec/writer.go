package codec

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/avro"

	"rampstream/schemas"
)

// writer is a schema that values were written with.
type writer struct {
	name   string           // record name without our namespace; the full name if it is not ours
	schema *avro.Schema     // as registered; nil when it is not Avro
	root   *avro.SchemaNode // of schema, references expanded; nil like shape
	shape  *shape           // the layout of schema; nil when our records cannot have it
	read   *avro.Schema     // decodes what schema wrote into our layout; nil when it cannot
	extra  bool             // schema has fields that ours does not know
	ours   bool             // schema is ours in all that matters to its values: reader reads them
}

// flight is one look-up under way. done is closed when it has ended.
type flight struct {
	done chan struct{}
	w    *writer
	err  error
	// gaveUp: it failed because the one that asked was cancelled, which says
	// nothing to the others.
	gaveUp bool
}

// writerOf finds the schema that a framed value was written with.
func (c *Codec) writerOf(ctx context.Context, value []byte) (*writer, error) {
	id, ok := SchemaID(value)
	if !ok {
		return nil, fmt.Errorf("value of %d bytes is not framed: %w", len(value), ErrCorrupt)
	}
	if w, ok := c.own[id]; ok {
		return w, nil
	}
	if w, ok := c.writers.Load(id); ok {
		return w.(*writer), nil
	}
	if c.resolver == nil {
		return nil, fmt.Errorf("schema id %d: no registry: %w", id, ErrSchemaUnavailable)
	}
	return c.lookUp(ctx, id)
}

// writerFor is writerOf for a value that must be of the record.
func (c *Codec) writerFor(ctx context.Context, record string, value []byte) (*writer, error) {
	w, err := c.writerOf(ctx, value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("codec: decode %s: %w", record, err)
	case w.name != record:
		return nil, fmt.Errorf("codec: decode %s: written as %q: %w", record, w.name, ErrWrongRecord)
	case w.read == nil:
		return nil, fmt.Errorf("codec: decode %s: schema cannot be read as ours: %w", record, ErrWrongRecord)
	}
	return w, nil
}

// lookUp asks the resolver, once for all goroutines that want the id at the
// same time. The one that asks does so with its own context; when that one is
// cancelled the others ask again with theirs, so nobody fails for another's
// deadline.
func (c *Codec) lookUp(ctx context.Context, id int) (*writer, error) {
	for {
		c.mu.Lock()
		if w, ok := c.writers.Load(id); ok { // landed between the caller's look and ours
			c.mu.Unlock()
			return w.(*writer), nil
		}
		f, waiting := c.flights[id]
		if !waiting {
			f = &flight{done: make(chan struct{})}
			c.flights[id] = f
		}
		c.mu.Unlock()
		if !waiting {
			return c.fetch(ctx, id, f)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("schema id %d: %v: %w", id, ctx.Err(), ErrSchemaUnavailable)
		case <-f.done:
			if f.err == nil {
				return f.w, nil
			}
			if ctx.Err() != nil || !f.gaveUp {
				return nil, f.err
			}
		}
	}
}

// fetch asks the resolver and ends the flight.
func (c *Codec) fetch(ctx context.Context, id int, f *flight) (*writer, error) {
	text, err := c.resolver.SchemaByID(ctx, id)
	if err != nil {
		f.gaveUp = ctx.Err() != nil
		f.err = fmt.Errorf("schema id %d: %w: %w", id, err, ErrSchemaUnavailable)
		if errors.Is(err, ErrUnknownSchema) {
			f.err = fmt.Errorf("schema id %d: %w", id, ErrUnknownSchema)
		}
	} else {
		f.w = newWriter(text)
		c.writers.Store(id, f.w)
	}
	c.mu.Lock()
	delete(c.flights, id)
	c.mu.Unlock()
	close(f.done)
	return f.w, f.err
}

// resolve reads a framed value of the record into v, a wire struct.
func (w *writer) resolve(record string, value []byte, v any) error {
	if err := w.decode(value[frameSize:], w.read, v); err != nil {
		return fmt.Errorf("codec: decode %s: %w", record, err)
	}
	return nil
}

// decode reads body into v with schema, which is w.schema or w.read. The walk
// before it bounds what the Avro library may be made to do.
func (w *writer) decode(body []byte, schema *avro.Schema, v any) error {
	rest, err := w.shape.walk(body)
	if err != nil {
		return fmt.Errorf("%v: %w", err, ErrCorrupt)
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes after the value: %w", len(rest), ErrCorrupt)
	}
	if _, err := schema.Decode(body, v); err != nil {
		return fmt.Errorf("%v: %w", err, ErrCorrupt)
	}
	return nil
}

// ourWriter is the writer of a schema of ours.
func ourWriter(name string, schema *avro.Schema) (*writer, error) {
	root := schema.Root().ExpandReferences()
	sh, err := shapeOf(root)
	if err != nil {
		return nil, fmt.Errorf("codec: schema %s: %w", name, err)
	}
	return &writer{name: name, schema: schema, root: root, shape: sh, read: schema, ours: true}, nil
}

// newWriter compiles a registered schema. A text that is not Avro, or not one
// of our records, gives a writer that reads nothing: that is what the id means,
// and it will not change.
func newWriter(text string) *writer {
	schema, err := avro.Parse(text)
	if err != nil {
		return &writer{}
	}
	root := schema.Root().ExpandReferences()
	w := &writer{name: fullName(root), schema: schema}
	ours, err := ourSchemas()
	if err != nil {
		return w
	}
	for name, reader := range ours {
		if w.name != schemas.Namespace+"."+name {
			continue
		}
		w.name = name
		w.extra = extraFields(root, reader.Root())
		sh, err := shapeOf(root)
		if err != nil {
			return w
		}
		if read, err := avro.Resolve(schema, reader); err == nil {
			w.root, w.shape, w.read = root, sh, read
			w.ours = sameLayout(root, reader.Root().ExpandReferences())
		}
	}
	return w
}

// SameRecord reports whether text is our schema of a record, by its name in
// package schemas: the same fields of the same types in the same order, whatever
// a registry has made of the text.
func SameRecord(record, text string) bool {
	w := newWriter(text)
	return w.name == record && w.ours
}

// sameLayout reports whether a and b have the same fields of the same types in
// the same order. Texts may differ: registries reformat them, and descriptions
// are corrected.
func sameLayout(a, b *avro.SchemaNode) bool {
	if a.Type != b.Type || a.LogicalType != b.LogicalType || len(a.Fields) != len(b.Fields) ||
		len(a.Branches) != len(b.Branches) || (a.Items == nil) != (b.Items == nil) {
		return false
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !sameLayout(&a.Fields[i].Type, &b.Fields[i].Type) {
			return false
		}
	}
	for i := range a.Branches {
		if !sameLayout(&a.Branches[i], &b.Branches[i]) {
			return false
		}
	}
	return a.Items == nil || sameLayout(a.Items, b.Items)
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// extraFields reports whether w, or a record in an array of w, has fields that
// r does not have.
func extraFields(w, r *avro.SchemaNode) bool {
	known := make(map[string]*avro.SchemaNode, len(r.Fields))
	for i := range r.Fields {
		known[r.Fields[i].Name] = &r.Fields[i].Type
	}
	for i := range w.Fields {
		have, ok := known[w.Fields[i].Name]
		if !ok {
			return true
		}
		if wi, ri := w.Fields[i].Type.Items, have.Items; wi != nil && ri != nil && extraFields(wi, ri) {
			return true
		}
	}
	return false
}

// WrittenNewer reports whether value was written with a schema that has fields
// ours does not know. Who only shows such a value may go on; who would join it
// and write it back would lose what the newer program knew, and must stop.
// Errors are those of Decode.
func (c *Codec) WrittenNewer(ctx context.Context, value []byte) (bool, error) {
	w, err := c.writerOf(ctx, value)
	if err != nil {
		return false, fmt.Errorf("codec: %w", err)
	}
	return w.extra, nil
}
