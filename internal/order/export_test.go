package order

// The comparisons by pointer, for the test that holds them equal to the ones by
// value.
var (
	CompareRows      = compareRows
	CompareSightings = compareSightings
)
