// Package checkpoint keeps tables in local files, so that a restart need not
// read them from the network. A file is a head, which the caller makes, and
// entries of a key and a value.
//
// It promises:
//
//   - A file is whole or not there: it is written beside its place, synced, and
//     renamed; then its folder is synced.
//   - A file that was cut off, extended, or changed by one bit, or whose parts were
//     swapped, is ErrDamaged: every block has a checksum over its bytes and its
//     number, and the last one counts the entries.
//   - Reading takes no more memory than a block, whatever the bytes claim.
//   - One process has a folder at a time. Files are for their owner alone.
//
// It does not know what it keeps, nor whether that is out of date: that is the
// caller's to judge from the head.
package checkpoint
