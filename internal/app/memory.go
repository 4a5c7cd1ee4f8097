package app

import (
	"os"
	"runtime/debug"
)

// reserveGrowth is how far, in percent of the reserve and what lives beside it,
// the heap may grow between two collections. With the default reserve it is
// 16 MiB, as much as an ingest without one allows itself under load.
const reserveGrowth = 12

// reserve takes n bytes of memory and touches every page of them, so that the
// process is as large at its start as it will be under load: an operator sees
// at once what it needs, and a flood of large bodies adds little to it. The
// collector is told to let the heap grow by a few percent of that instead of
// doubling it, unless GOGC is set. It is for a process of one program: keep the
// result alive with runtime.KeepAlive for as long as it runs.
func reserve(n int64) []byte {
	if n <= 0 {
		return nil
	}
	b := make([]byte, n)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(reserveGrowth)
	}
	return b
}
