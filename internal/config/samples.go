package config

import (
	"slices"
	"strings"
)

// published are secrets that anyone can read: in the providers' documents, in
// well-known examples, and in our own test vectors.
var published = []string{
	"8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F", // Kanga TPG API, test call signing
	"V7JM4R4361E80SfSEEffxlhJb2C1d",                                    // Kanga TPG API, sample key
	"11qq22ww",                                                         // Koinal Checkout REST API
	"kado-test-private-key",                                            // our Kado vectors
	"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",                           // Standard Webhooks
	"It's a Secret to Everybody",                                       // GitHub's webhook documentation
	"0123456789abcdef", "0123456789abcdef0123456789abcdef",
	"00112233445566778899aabbccddeeff",
}

func isPublished(s string) bool {
	return slices.ContainsFunc(published, func(p string) bool { return strings.EqualFold(p, s) })
}

// placeholders are compared without case, dashes, underscores, dots and spaces.
var placeholders = []string{
	"changeme", "changeit", "replaceme", "secret", "mysecret", "topsecret", "password", "passw0rd", "example",
	"default", "test", "testsecret", "testtesttesttest", "todo", "none", "null", "dummy", "foobar", "placeholder",
	"yoursecret", "yoursecrethere", "yourkey", "yourkeyhere", "yourtoken", "yourtokenhere", "yourapikey",
	"webhooksecret", "insertsecrethere", "currentsecret", "previoussecret", "[redacted]",
}

// isPlaceholder: a word people leave in place, such a word repeated with
// digits behind it, something in angle brackets, or one byte over and over.
func isPlaceholder(s string) bool {
	word := strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(s))
	word = strings.TrimRight(word, "0123456789!")
	switch {
	case strings.Trim(s, s[:1]) == "":
		return true
	case strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">"):
		return true
	case strings.HasPrefix(word, "changeme"), strings.HasPrefix(word, "replaceme"):
		return true
	}
	return slices.Contains(placeholders, word)
}
