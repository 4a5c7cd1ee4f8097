// Package table is the contract of a program's memory of one partition: bytes
// under keys. internal/table/tabletest holds every implementation to it.
//
// A table is a copy of what Kafka has, never the truth: it may be thrown away
// at any time and is then read back.
package table

// Table holds the states of one partition. One goroutine at a time may call
// its methods, except that those of Reader may be called by several at once
// while nothing is changed. Errors are of the medium; a table that returned one
// is of no more use than for Close.
type Table interface {
	Reader
	Writer
}

// Reader is what a table answers.
type Reader interface {
	// Get appends the value of key to dst: what it returns shares no memory with
	// the table. found is false, and dst comes back as it was, where there is no
	// such key. A value may be empty.
	Get(dst, key []byte) (value []byte, found bool, err error)
	// Len is how many keys there are.
	Len() int
	// Walk calls fn for the keys from position pos on, 0 being the beginning,
	// until fn was given at least max bytes of keys and values, and returns where
	// to go on. more is false when nothing is left. key and value may be read
	// only during the call, and fn must not change the table.
	//
	// Between two calls the table may change. A walk to its end meets every key
	// that was there from its beginning to its end, once or more often: the value
	// met last is not older than that of the beginning.
	Walk(pos Pos, max int, fn func(key, value []byte) error) (next Pos, more bool, err error)
}

// Writer is what changes a table. key and value are copied.
type Writer interface {
	Put(key, value []byte) error
	// Delete removes key, if it is there.
	Delete(key []byte) error
	// Close gives back what the table holds. It must not be used afterwards.
	Close() error
}

// Pos is a place within a walk; its meaning is the implementation's.
type Pos string

// Sizer is what a table may tell of the room it takes.
type Sizer interface {
	// Size is the bytes of live keys and values, and those of memory that are
	// held for them.
	Size() (live, held int64)
}
