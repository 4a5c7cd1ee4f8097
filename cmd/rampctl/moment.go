package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment is the time that a --since or --until names: a duration before now
// (24h, 7d) or an instant in RFC 3339. "" is the zero time.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	days, isDays := strings.CutSuffix(text, "d")
	if n, err := strconv.ParseUint(days, 10, 16); isDays && err == nil {
		return now.AddDate(0, 0, -int(n)), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("takes a duration (24h, 7d) or an instant in RFC 3339, 2026-01-31T10:00:00Z (got %q)", text)
	}
	return t, nil
}
