package simulator

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"
)

// dice draws values that depend on nothing but the seed, the subject and the
// name of the question: asking more questions, or asking in another order,
// changes no answer.
type dice struct {
	seed    uint64
	subject string
}

func (d dice) rng(question string, n int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(d.subject))
	h.Write([]byte{0})
	h.Write([]byte(question))
	h.Write([]byte{0})
	h.Write([]byte(strconv.Itoa(n)))
	return rand.New(rand.NewPCG(d.seed, h.Sum64()))
}

// chance reports whether something of probability p happens.
func (d dice) chance(question string, n int, p float64) bool {
	return p > 0 && d.rng(question, n).Float64() < p
}

// below gives a number in [0, max).
func (d dice) below(question string, n, max int) int { return d.rng(question, n).IntN(max) }

// around gives a duration of mean, give or take half.
func (d dice) around(question string, n int, mean time.Duration) time.Duration {
	return time.Duration(float64(mean) * (0.5 + d.rng(question, n).Float64()))
}

// hex gives n lower-case hexadecimal digits.
func (d dice) hex(question string, n int) string {
	r := d.rng(question, 0)
	b := make([]byte, (n+1)/2)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)[:n]
}

// uuid gives a random-looking version 4 UUID.
func (d dice) uuid(question string) string {
	h := d.hex(question, 32)
	return fmt.Sprintf("%s-%s-4%s-%c%s-%s", h[:8], h[8:12], h[13:16], "89ab"[d.below(question, 1, 4)], h[17:20], h[20:])
}
