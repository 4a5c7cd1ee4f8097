package simulator

// Fault names one thing that can go wrong, as Stats counts it.
type Fault string

// Faults of webhooks.
const (
	FaultLost         Fault = "webhook_lost"          // never sent
	FaultDuplicate    Fault = "webhook_duplicate"     // sent again after it was acknowledged
	FaultDelayed      Fault = "webhook_delayed"       // sent late
	FaultReordered    Fault = "webhook_reordered"     // arrived after a later one
	FaultContradict   Fault = "webhook_contradict"    // claimed an end that the API denies for a while
	FaultDeny         Fault = "webhook_deny"          // claimed an end that never comes
	FaultStale        Fault = "webhook_stale"         // validly signed an hour ago (Kado)
	FaultBadSignature Fault = "webhook_bad_signature" // forged: must be answered 401
	FaultForged       Fault = "webhook_forged"        // unsigned, about an order that does not exist
	FaultOddForm      Fault = "webhook_odd_form"      // same canonical form, other bytes (Kado)
	FaultTypeConflict Fault = "webhook_type_conflict" // type says one thing, data another (Kado)
)

// Faults of orders.
const (
	FaultUnknownWord Fault = "unknown_word" // a status word that no document has
	FaultTampered    Fault = "tampered"     // the payer changed the amount (Kanga)
)

// Faults of API answers.
const (
	FaultRateLimited Fault = "api_rate_limited" // 429 with one of several forms of Retry-After
	FaultServerError Fault = "api_server_error" // 500, 502 or 503
	FaultSlow        Fault = "api_slow"         // answered late
	FaultReset       Fault = "api_reset"        // served, then the connection is reset
	FaultHalfBody    Fault = "api_half_body"    // served, then cut in the middle
	FaultHTML        Fault = "api_html"         // 200 with a page of a proxy
	FaultFailInside  Fault = "api_fail_inside"  // 200 with a failure in the body
	FaultRedirect    Fault = "api_redirect"     // to a place that counts who comes
	FaultHuge        Fault = "api_huge"         // a body that does not end for 8 MiB
	FaultDrip        Fault = "api_drip"         // a byte at a time until the caller gives up
	FaultSwapped     Fault = "api_swapped"      // the answer about another order
)

// FaultNames lists every fault, in the order of documents.
func FaultNames() []Fault {
	return []Fault{
		FaultLost, FaultDuplicate, FaultDelayed, FaultReordered, FaultContradict, FaultDeny, FaultStale,
		FaultBadSignature, FaultForged, FaultOddForm, FaultTypeConflict, FaultUnknownWord, FaultTampered,
		FaultRateLimited, FaultServerError, FaultSlow, FaultReset, FaultHalfBody, FaultHTML, FaultFailInside,
		FaultRedirect, FaultHuge, FaultDrip, FaultSwapped,
	}
}

// Faults are probabilities, 0 to 1. A fault that a provider cannot have is
// skipped there: nothing unsigned can have a bad signature.
type Faults struct {
	// For each webhook.
	Lose, Duplicate, Delay, Reorder, Stale, BadSignature, OddForm, TypeConflict float64
	// For each order.
	Contradict, Deny, Forge, UnknownWord, Tamper float64
	// For each call; at most one happens to a call.
	RateLimit, ServerError, Slow, Reset, HalfBody, HTML, FailInside, Redirect, Huge, Drip, Swap float64
	// SwapUnbound admits swapped answers where the answer does not echo the id
	// (Kanga): nobody can tell those from true ones but by the amount.
	SwapUnbound bool
}

// NoFaults is a world in which nothing goes wrong.
func NoFaults() Faults { return Faults{} }

// DefaultFaults is a bad night: every fault that a correct system survives
// within seconds. Deny and Drip are not in it: a denied claim is DISPUTED until
// the confirmation time has passed, and a drip costs a whole call timeout.
func DefaultFaults() Faults {
	return Faults{
		Lose: 0.10, Duplicate: 0.10, Delay: 0.10, Reorder: 0.08, Stale: 0.03, BadSignature: 0.05,
		OddForm: 0.10, TypeConflict: 0.02,
		Contradict: 0.05, Forge: 0.03, UnknownWord: 0.05, Tamper: 0.05,
		RateLimit: 0.010, ServerError: 0.020, Slow: 0.010, Reset: 0.010, HalfBody: 0.010, HTML: 0.010,
		FailInside: 0.010, Redirect: 0.005, Huge: 0.002, Swap: 0.005,
	}
}

// apiFaults pairs the faults of calls with their probabilities, in the order
// in which one draw chooses among them.
func (f Faults) apiFaults() []struct {
	fault Fault
	p     float64
} {
	return []struct {
		fault Fault
		p     float64
	}{
		{FaultRateLimited, f.RateLimit},
		{FaultServerError, f.ServerError},
		{FaultSlow, f.Slow},
		{FaultReset, f.Reset},
		{FaultHalfBody, f.HalfBody},
		{FaultHTML, f.HTML},
		{FaultFailInside, f.FailInside},
		{FaultRedirect, f.Redirect},
		{FaultHuge, f.Huge},
		{FaultDrip, f.Drip},
		{FaultSwapped, f.Swap},
	}
}
