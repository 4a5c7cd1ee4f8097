package kado

import (
	"math"
	"strconv"
	"strings"

	"rampstream/internal/providers/jsonx"
)

// maxWork bounds what the numbers of one document cost, in units of some 150
// ns. The canonical form is needed before the sender is known: without a bound,
// 256 KiB of "5e-324" would buy a forger a second of our time. A document of
// some hundred numbers is far below, and whole numbers of up to 15 digits,
// which are their own canonical form, are free.
const maxWork = 5_000

// The units of a number whose conversion is fast, of one that needs big
// arithmetic, and beyond them of each byte of the latter.
const (
	workFast   = 5
	workBig    = 60
	bytesAUnit = 4
)

func (w *writer) number(v jsonx.Value) {
	if w.work > maxWork {
		return // refused whatever follows
	}
	literal := v.Digits()
	if plain(literal) {
		w.out = append(w.out, literal...)
		return
	}
	w.work += workFast
	if costly(literal) {
		w.work += workBig + len(literal)/bytesAUnit
	}
	if w.work > maxWork {
		return
	}
	start := len(w.out)
	f, _ := strconv.ParseFloat(literal, 64) // beyond the range it is infinite, as in JSON.parse
	w.out = appendNumber(w.out, f)
	if !sameDecimal(literal, string(w.out[start:])) {
		w.lossy = true
	}
}

// plain reports whether a literal is a whole number that binary64 holds and
// that is written as it is: up to 15 digits, and no minus zero.
func plain(literal string) bool {
	digits := strings.TrimPrefix(literal, "-")
	if len(digits) > 15 || literal == "-0" {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

// costly reports whether a literal has more digits than 64 bits hold or an
// exponent that needs big arithmetic.
func costly(literal string) bool {
	mantissa, exponent := literal, ""
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		mantissa, exponent = literal[:i], strings.TrimLeft(literal[i+1:], "+-0")
	}
	// 20 bytes: 19 digits and a point; the sign may take one digit's place.
	return len(mantissa) > 20 || len(exponent) > 2 || (len(exponent) == 2 && exponent > "30")
}

// appendNumber is Number::toString of ECMAScript for radix 10, and "null" for
// what JSON has no number for.
func appendNumber(out []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return append(out, "null"...)
	case f == 0: // minus zero too
		return append(out, '0')
	case f < 0:
		out = append(out, '-')
		f = -f
	}
	// The shortest digits that read back as f, as "d.ddde+xx": both languages
	// ask for the same ones, only the layout differs.
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	digits := strings.Replace(mantissa, ".", "", 1)
	e, _ := strconv.Atoi(exponent)
	return layout(out, digits, e+1)
}

// layout places the point after n digits, by the cases of the specification,
// whose letters these are: k digits, value 0.digits * 10^n.
func layout(out []byte, digits string, n int) []byte {
	k := len(digits)
	switch {
	case k <= n && n <= 21:
		out = append(out, digits...)
		return append(out, strings.Repeat("0", n-k)...)
	case 0 < n && n <= 21:
		out = append(out, digits[:n]...)
		out = append(out, '.')
		return append(out, digits[n:]...)
	case -6 < n && n <= 0:
		out = append(out, "0."...)
		out = append(out, strings.Repeat("0", -n)...)
		return append(out, digits...)
	}
	out = append(out, digits[0])
	if k > 1 {
		out = append(out, '.')
		out = append(out, digits[1:]...)
	}
	out = append(out, 'e')
	if n > 0 {
		out = append(out, '+')
	}
	return strconv.AppendInt(out, int64(n-1), 10)
}

// sameDecimal reports whether two literals are one decimal value. "null" is
// no value and differs from every literal.
func sameDecimal(a, b string) bool {
	if a == b {
		return true
	}
	x, xok := decimal(a)
	y, yok := decimal(b)
	return xok && yok && x == y
}

// scientific is a decimal value in its one normal form: no zero at either end
// of digits, value 0.digits * 10^point; zero is the zero value.
type scientific struct {
	negative bool
	digits   string
	point    int64
}

func decimal(literal string) (scientific, bool) {
	s, negative := strings.CutPrefix(literal, "-")
	mantissa, exponent := s, "0"
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	if strings.Trim(all, "0123456789") != "" {
		return scientific{}, false
	}
	significant := strings.TrimLeft(all, "0")
	if significant == "" {
		return scientific{}, true
	}
	e, err := strconv.ParseInt(exponent, 10, 32)
	if err != nil { // no float64 has such an exponent, so none equals this
		return scientific{}, false
	}
	point := int64(len(whole)) - int64(len(all)-len(significant)) + e
	return scientific{negative, strings.TrimRight(significant, "0"), point}, true
}
