package reconciler

import "encoding/binary"

// Hexadecimal digits, eight at a time in the bytes of a word: a state has some
// twenty digests, and each is packed and unpacked with every change of it.

const (
	ones    = 0x0101010101010101
	nibbles = 0x0f * ones
)

// digits are the eight lower-case digits of x.
func digits(x uint32) uint64 {
	v := uint64(x)
	v = (v<<16 | v) & 0x0000ffff0000ffff
	v = (v<<8 | v) & 0x00ff00ff00ff00ff
	v = (v<<4 | v) & nibbles
	letter := (v + 6*ones) >> 4 & ones // 1 for 10 to 15
	return v + '0'*ones + letter*('a'-'9'-1)
}

// undigits is the inverse of digits; of other bytes it is any number.
func undigits(text uint64) uint32 {
	v := text&nibbles + (text>>6&ones)*9
	v = (v>>4 | v) & 0x00ff00ff00ff00ff
	v = (v>>8 | v) & 0x0000ffff0000ffff
	return uint32(v>>16 | v)
}

// appendHex writes raw, whose length is a multiple of four, as digits.
func appendHex(b, raw []byte) []byte {
	for ; len(raw) >= 4; raw = raw[4:] {
		b = binary.BigEndian.AppendUint64(b, digits(binary.BigEndian.Uint32(raw)))
	}
	return b
}

// unhex reads 32 lower-case digits; hex.Decode would take upper case too, which
// would come back as another text.
func unhex(to *[hexDigest / 2]byte, text []byte) bool {
	text = text[:hexDigest]
	var other uint64
	for i := 0; i < len(to); i += 4 {
		eight := binary.BigEndian.Uint64(text[2*i:])
		x := undigits(eight)
		other |= digits(x) ^ eight
		binary.BigEndian.PutUint32(to[i:], x)
	}
	return other == 0
}
