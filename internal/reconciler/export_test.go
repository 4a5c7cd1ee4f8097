package reconciler

// EntryRoundTrip writes and reads an entry of a table.
func EntryRoundTrip(value []byte, chain string, clean bool) (size int, gotValue []byte, gotChain string, gotClean bool, err error) {
	raw, _ := appendEntry(nil, nil, entry{value: value, chain: chain, clean: clean})
	_, _, e, err := parseEntry(nil, nil, raw)
	return len(raw), e.value, e.chain, e.clean, err
}

// ParseEntry reads any bytes as an entry.
func ParseEntry(raw []byte) error {
	_, _, _, err := parseEntry(nil, nil, raw)
	return err
}

// RecordDigest is the digest of one state.
func RecordDigest(key string, value []byte) string { return hashRecord(key, value).String() }
