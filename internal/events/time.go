package events

import "time"

// Millis is an instant in milliseconds since the Unix epoch, UTC. 0 is absent.
// It is what timestamp-millis carries, and comparable without a location.
type Millis int64

// At is the instant of t, cut to the millisecond.
func At(t time.Time) Millis {
	if t.IsZero() {
		return 0
	}
	return Millis(t.UnixMilli())
}

// Time is the instant in UTC; the zero time when m is absent.
func (m Millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}

// Add moves m by d, cut to the millisecond. An absent instant stays absent.
func (m Millis) Add(d time.Duration) Millis {
	if m == 0 {
		return 0
	}
	return m + Millis(d/time.Millisecond)
}

// Sub is the time from o to m; 0 when either is absent.
func (m Millis) Sub(o Millis) time.Duration {
	if m == 0 || o == 0 {
		return 0
	}
	return time.Duration(m-o) * time.Millisecond
}
