package reconciler

// EntryRoundTrip writes and reads an entry of a table.
func EntryRoundTrip(value []byte, chain string, clean bool) (size int, gotValue []byte, gotChain string, gotClean bool, err error) {
	raw := appendEntry(nil, entry{value, chain, clean})
	e, err := parseEntry(raw)
	return len(raw), e.value, e.chain, e.clean, err
}

// ParseEntry reads any bytes as an entry.
func ParseEntry(raw []byte) error {
	_, err := parseEntry(raw)
	return err
}
