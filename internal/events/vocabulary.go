package events

import "strings"

// Vocabulary is one provider's status words as data: what each word means for
// orders and for customers. It is part of the rules that a view depends on.
type Vocabulary struct {
	Provider Provider
	// Orders and Customers map the provider's raw word to its meaning. A word
	// that is not there is UNKNOWN: kept, counted, never deciding.
	Orders    map[string]Word
	Customers map[string]Word
	// FoldCase makes the look-up ignore ASCII case; the keys are upper-case then.
	FoldCase bool
	// PollOrders and PollCustomers say whether the provider's API can be asked
	// about one such subject.
	PollOrders    bool
	PollCustomers bool
	// Webhooks says whether signed webhooks are expected for orders: only then
	// can one be missing.
	Webhooks bool
	// AmountUnsigned marks a provider whose payer can change the amount
	// (Kanga): COMPLETED without an intent is amount_unverified.
	AmountUnsigned bool
	// Regressions lists the legal moves to a lower status, as from/to raw
	// words; "*" stands for any word.
	Regressions [][2]string
}

// Word is what one raw status word means.
type Word struct {
	Status Status
	// Cancelling and such notes are for documents and operators.
	Note string
	// Guess marks a meaning that the provider's documents do not state.
	Guess bool
}

// Meaning maps a raw word of a subject kind. ok is false for a word that is
// not in the vocabulary.
func (v Vocabulary) Meaning(kind SubjectKind, raw string) (Word, bool) {
	if v.FoldCase {
		raw = strings.ToUpper(raw)
	}
	words := v.Orders
	if kind == Customer {
		words = v.Customers
	}
	w, ok := words[raw]
	return w, ok
}

// Legal reports whether a move from one raw word to another of lower rank is
// one that the provider's documents allow.
func (v Vocabulary) Legal(from, to string) bool {
	for _, r := range v.Regressions {
		if (r[0] == "*" || r[0] == from) && (r[1] == "*" || r[1] == to) {
			return true
		}
	}
	return false
}
