package events

import (
	"errors"
	"strings"
)

// Amount is a plain decimal: an optional minus, digits, and optionally a point
// with digits, as "0.010" or "-3". The digits are those of the source; "" means
// absent, which is not zero. Compare amounts as decimals, never as strings.
type Amount string

// ErrAmount is returned for a literal that is not a decimal number or is too
// large to be an amount of money.
var ErrAmount = errors.New("not a decimal amount")

// maxDigits bounds an amount. 18-decimal tokens with a 20-digit supply need
// 38; JSON numbers with an exponent may spell a few more.
const maxDigits = 80

// ParseAmount reads the literal of a JSON number or a decimal string (digits,
// point, exponent) and returns it as a plain decimal with every digit kept:
// "1E2" is "100", "1e-7" is "0.0000001", "0.010" stays. A plus sign, blanks,
// NaN, hexadecimal and numbers of more than 80 digits are ErrAmount.
func ParseAmount(literal string) (Amount, error) {
	s, neg := strings.CutPrefix(literal, "-")
	mant, expText, hasExp := cutExponent(s)
	whole, frac, hasPoint := strings.Cut(mant, ".")
	if !digits(whole) || (hasPoint && !digits(frac)) {
		return "", ErrAmount
	}
	exp := 0
	if hasExp {
		var ok bool
		if exp, ok = smallInt(expText); !ok {
			return "", ErrAmount
		}
	}
	all := whole + frac
	point := len(whole) + exp
	if len(all) > maxDigits || point > maxDigits || point < -maxDigits {
		return "", ErrAmount
	}
	switch {
	case point <= 0:
		all = strings.Repeat("0", 1-point) + all
		point = 1
	case point > len(all):
		all += strings.Repeat("0", point-len(all))
	}
	head, tail := strings.TrimLeft(all[:point], "0"), all[point:]
	if head == "" {
		head = "0"
	}
	if len(head)+len(tail) > maxDigits {
		return "", ErrAmount
	}
	out := head
	if tail != "" {
		out += "." + tail
	}
	if neg && strings.Trim(out, "0.") != "" {
		out = "-" + out
	}
	return Amount(out), nil
}

// Valid reports whether a is a plain decimal as ParseAmount returns it.
func (a Amount) Valid() bool {
	p, err := ParseAmount(string(a))
	return err == nil && p == a
}

func cutExponent(s string) (mant, exp string, found bool) {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// smallInt reads an exponent of at most four digits; more cannot be money.
func smallInt(s string) (int, bool) {
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	if !digits(s) || len(s) > 4 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}
