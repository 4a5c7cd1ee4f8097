package codec

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/twmb/avro"

	"rampstream/schemas"
)

// The classes of error. Callers branch with errors.Is and on nothing else.
var (
	// ErrCorrupt: the bytes are not a value of the record: cut off, followed by
	// more, not framed, or against the contract (a key that disagrees with its
	// parts, an amount that is not a plain decimal, a word outside its closed
	// set). Trying again does not help.
	ErrCorrupt = errors.New("corrupt value")
	// ErrWrongRecord: the bytes were written with the schema of another record,
	// or with one that cannot be read as ours. Trying again does not help.
	ErrWrongRecord = errors.New("schema of another record")
	// ErrSchemaUnavailable: the writer's schema could not be fetched. Nothing
	// is known about the bytes; wait and try again.
	ErrSchemaUnavailable = errors.New("schema unavailable")
	// ErrUnknownSchema: the registry answers, and has no schema of the id. It may
	// lag behind a producer, so a while later the answer may differ; after that
	// nobody can read the bytes. A Resolver says so by wrapping it.
	ErrUnknownSchema = errors.New("no such schema")
	// ErrNoID: the record has no schema id to be written with.
	ErrNoID = errors.New("no schema id for this record")
	// ErrInvalid: the value must not be written, because the contract forbids
	// it and no reader would accept it.
	ErrInvalid = errors.New("value against the contract")
)

// A Resolver fetches the text of a schema by its registry id. The codec asks
// once for each id it has not met, possibly from several goroutines at once for
// different ids; a failure is not remembered.
type Resolver interface {
	SchemaByID(ctx context.Context, id int) (string, error)
}

// Codec encodes and decodes every record. It is safe for concurrent use.
type Codec struct {
	ids      map[string]int
	own      map[int]*writer // of ids
	resolver Resolver
	writers  sync.Map // any other registry id (int) -> *writer, for ever

	mu      sync.Mutex
	flights map[int]*flight // look-ups under way
}

// New returns a codec that writes each record with the registry id that ids
// has for its schema name; records without one can only be read. resolve may be
// nil: then only values written with one of ids can be read. An unknown name, an
// id that does not fit the frame, and an id given twice are errors.
func New(ids map[string]int, resolve Resolver) (*Codec, error) {
	ours, err := ourSchemas()
	if err != nil {
		return nil, err
	}
	c := &Codec{ids: make(map[string]int, len(ids)), own: make(map[int]*writer, len(ids)), resolver: resolve, flights: map[int]*flight{}}
	for name, id := range ids {
		schema, ok := ours[name]
		if !ok {
			return nil, fmt.Errorf("codec: schema id for %q: no such record", name)
		}
		if id < 0 || id > math.MaxInt32 {
			return nil, fmt.Errorf("codec: schema id %d for %s: not in 0..2147483647", id, name)
		}
		w, err := ourWriter(name, schema)
		if err != nil {
			return nil, err
		}
		if _, twice := c.own[id]; twice {
			return nil, fmt.Errorf("codec: schema id %d for %s: given to another record too", id, name)
		}
		c.ids[name], c.own[id] = id, w
	}
	return c, nil
}

// ourSchemas compiles the embedded schemas once.
var ourSchemas = sync.OnceValues(func() (map[string]*avro.Schema, error) {
	out := make(map[string]*avro.Schema)
	for _, name := range schemas.Names() {
		s, err := avro.Parse(schemas.Text(name))
		if err != nil {
			return nil, fmt.Errorf("codec: parse schema %s: %w", name, err)
		}
		out[name] = s
	}
	return out, nil
})

// The frame: a magic byte and the schema id.
const (
	magic     = 0x00
	frameSize = 5
)

// Body is the Avro body of a framed value, without magic byte and schema id:
// the part that does not depend on the registry. It is nil when value is not
// framed. The result shares memory with value.
func Body(value []byte) []byte {
	if len(value) < frameSize || value[0] != magic {
		return nil
	}
	return value[frameSize:]
}

// SchemaID is the registry id in the frame of value; ok is false when value is
// not framed.
func SchemaID(value []byte) (id int, ok bool) {
	if len(value) < frameSize || value[0] != magic {
		return 0, false
	}
	n := binary.BigEndian.Uint32(value[1:frameSize])
	return int(n), n <= math.MaxInt32
}
