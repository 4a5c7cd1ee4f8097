package events_test

import (
	"testing"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"

	"rampstream/internal/events"
)

func TestParseAmount(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"-0.00", "0.00"}, {"0.010", "0.010"}, {"00.5", "0.5"},
		{"1E2", "100"}, {"1e-7", "0.0000001"}, {"12.5e1", "125"}, {"1.25e1", "12.5"}, {"-3", "-3"},
		{"", ""}, {"+1", ""}, {" 1", ""}, {"1.", ""}, {".5", ""}, {"NaN", ""}, {"0x10", ""}, {"1e999999999", ""},
		{"1e", ""}, {"1e400", ""}, {"--1", ""}, {"1,5", ""}, {"\u0661", ""},
	} {
		got, err := events.ParseAmount(tc.in)
		if string(got) != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("ParseAmount(%q) = %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

// The digits of an amount are those of its literal: apd, which shares no code
// with ParseAmount, must agree on every literal that is accepted.
func TestParseAmount_equalsDecimalLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lit := rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "literal")
		got, err := events.ParseAmount(lit)
		if err != nil {
			return
		}
		want, _, err := apd.NewFromString(lit)
		if err != nil {
			t.Fatalf("apd refuses %q: %v", lit, err)
		}
		have, _, err := apd.NewFromString(string(got))
		if err != nil || have.Cmp(want) != 0 || !got.Valid() {
			t.Fatalf("ParseAmount(%q) = %q, want the value of %s", lit, got, want.Text('f'))
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"1", "-0.1", "1e-7", "9e9999", "1e-80", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := events.ParseAmount(s)
		if err != nil {
			if a != "" {
				t.Fatalf("ParseAmount(%q) = %q beside %v", s, a, err)
			}
			return
		}
		if !a.Valid() {
			t.Fatalf("ParseAmount(%q) = %q, which is not a plain decimal", s, a)
		}
	})
}

func TestKey_roundTrip(t *testing.T) {
	part := rapid.StringMatching(`[A-Za-z0-9._:-]{1,128}`)
	rapid.Check(t, func(t *rapid.T) {
		k := events.Key{
			Provider: events.Provider(part.Draw(t, "provider")), Account: events.Account(part.Draw(t, "account")),
			Kind: events.SubjectKind(rapid.IntRange(0, 1).Draw(t, "kind")), ID: part.Draw(t, "id"),
		}
		got, err := events.ParseKey(k.String())
		if err != nil || got != k {
			t.Fatalf("ParseKey(%q) = %+v, %v; want %+v", k, got, err, k)
		}
	})
}

func TestParseKey_refusesForgedParts(t *testing.T) {
	for _, s := range []string{"", "a", "a/b", "a/b/c/d", "a/b/client/d", "a//c", "a/b/", "a/b/c d", "a/b/customer/", "a/b/é", "a/b/customer/x/y"} {
		if k, err := events.ParseKey(s); err == nil || k != (events.Key{}) {
			t.Errorf("ParseKey(%q) = %+v, %v; want an error and the zero Key", s, k, err)
		}
	}
}

func TestCoordinates_roundTrip(t *testing.T) {
	s := events.Sighting{Topic: "ramp.status-check.v1", Partition: 7, Offset: 42}
	topic, p, o, ok := events.ParseCoordinates(s.Coordinates())
	if !ok || topic != s.Topic || p != s.Partition || o != s.Offset {
		t.Errorf("ParseCoordinates(%q) = %q, %d, %d, %v", s.Coordinates(), topic, p, o, ok)
	}
	for _, bad := range []string{"", "x", "x-1", "-1-2", "x-a-b"} {
		if _, _, _, ok := events.ParseCoordinates(bad); ok {
			t.Errorf("ParseCoordinates(%q) = ok", bad)
		}
	}
}

func TestStatus_words(t *testing.T) {
	for _, s := range events.Statuses() {
		if got, ok := events.ParseStatus(s.String()); !ok || got != s {
			t.Errorf("ParseStatus(%q) = %v, %v", s, got, ok)
		}
	}
	if s, ok := events.ParseStatus("completed"); ok || s != events.StatusUnknown {
		t.Errorf("ParseStatus(lower case) = %v, %v; want UNKNOWN, false", s, ok)
	}
}

func TestDigest_separatesParts(t *testing.T) {
	if events.Digest("User1", "1000") == events.Digest("User11", "000") {
		t.Error("Digest of different parts with one concatenation is equal")
	}
}
