package reconciler

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"rampstream/internal/codec"
	"rampstream/internal/stream"
)

// HeaderSkipped is the header of a position that a person moved over records
// that are gone: who, and why.
const HeaderSkipped = "ramp_skipped_by"

// SkipTo is the position rec, moved forward to the given offsets of inputs; all
// else of it stays, so that the states are held to it as before. An input that
// would move back, or that the position does not have, is an error: what was read
// once must not be left out, and by is kept in the record.
func SkipTo(ctx context.Context, cd *codec.Codec, rec stream.Record, to map[string]int64, by string) (stream.Record, error) {
	pos, err := cd.DecodePosition(ctx, rec.Value)
	if err != nil {
		return stream.Record{}, ownRecord(err)
	}
	if newer, err := cd.WrittenNewer(ctx, rec.Value); err != nil || newer {
		return stream.Record{}, fmt.Errorf("position of partition %d was written by a newer version of this program: %w", rec.Partition, stream.ErrRefused)
	}
	pos.Next = slices.Clone(pos.Next)
	moved := 0
	for i := range pos.Next {
		in := &pos.Next[i]
		next, ok := to[in.Topic]
		switch {
		case !ok:
			continue
		case next < in.Offset:
			return stream.Record{}, fmt.Errorf("position of partition %d: %s would go back from %d to %d", rec.Partition, in.Topic, in.Offset, next)
		}
		in.Offset = next
		moved++
	}
	if moved != len(to) {
		return stream.Record{}, fmt.Errorf("position of partition %d has %d of %d inputs", rec.Partition, moved, len(to))
	}
	value, err := cd.EncodePosition(pos)
	if err != nil {
		return stream.Record{}, err
	}
	id := hashRecord(string(rec.Key), value).bytes()
	headers := slices.DeleteFunc(slices.Clone(rec.Headers), func(h stream.Header) bool { return h.Key == HeaderSkipped })
	for i := range headers {
		if headers[i].Key == "ce_id" {
			headers[i].Value = hex.AppendEncode(nil, id[:])
		}
	}
	return stream.Record{
		Topic: rec.Topic, Partition: rec.Partition, Key: rec.Key, Value: value,
		Headers: append(headers, stream.Header{Key: HeaderSkipped, Value: []byte(by)}),
	}, nil
}
