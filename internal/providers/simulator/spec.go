package simulator

import (
	"time"

	"rampstream/internal/events"
)

// Fate is how an order or customer ends. Which fates exist is the provider's
// matter; see Fates.
type Fate string

// The fates. The zero Fate is drawn from the seed.
const (
	FateDrawn     Fate = ""
	FateCompleted Fate = "completed"
	FateFailed    Fate = "failed"
	FateUnpaid    Fate = "unpaid"    // the payer never pays: the order ends where it began, or as the provider ends such orders
	FateCancelled Fate = "cancelled" // Kanga passes CANCELLING
	FateExpired   Fate = "expired"
	FateRefunded  Fate = "refunded"
	FateHeld      Fate = "held"      // completed after on-hold detours (Kuna)
	FateUnsettled Fate = "unsettled" // completed after a transfer of unknown outcome (Kado)
	FateAbsent    Fate = "absent"    // the payer never opens the redirect: the API never knows the id (Kanga)
)

// Money is an amount as a decimal literal, and what it is an amount of.
type Money struct {
	Amount   string
	Currency string
}

// OrderSpec is what an order is about. Every field is optional; what is empty
// is drawn from the seed.
type OrderSpec struct {
	// ID is the order's id in the provider's own form; for Kanga the
	// transactionKey that the merchant chose.
	ID string
	// Fiat is what the customer pays or receives, Crypto the other side. Kanga
	// has one amount only, in the settlement currency: Crypto, or Fiat where
	// Crypto is empty.
	Fiat    Money
	Crypto  Money
	Network string
	Side    string // "buy" (default) or "sell"
	// CustomerRef is the merchant's own reference of the customer; ExternalID
	// its reference of the order, where the provider keeps one.
	CustomerRef string
	ExternalID  string
	Fate        Fate
	// Unannounced orders are not known to the merchant: it states no intent.
	Unannounced bool
}

// CustomerSpec is a customer to be.
type CustomerSpec struct {
	ID          string
	CustomerRef string
	Fate        Fate // completed, failed, unpaid (no progress) or cancelled
	Unannounced bool
}

// Truth is what the provider's API says, or will say, about one subject in the end.
type Truth struct {
	Key events.Key
	// Raw is the last word as the API states it; "" when the API does not know
	// the id. Joined or made up here, since the API has no one word: Kado's
	// "payment+transfer"; a Kuna customer's wallet status if it is not Active,
	// else "verification+wallet"; Zumo's created and provisioned.
	Raw string
	// Final is what Raw means, by this package's own table.
	Final events.Status
	// Fate is what was planned, FateDrawn resolved.
	Fate Fate
	// NowRaw and Now are what the API says at this moment.
	NowRaw string
	Now    events.Status
	// Settled reports whether Raw is already the API's word; SettledAt is when
	// it becomes so, by the clock of the world.
	Settled   bool
	SettledAt time.Time
	PlacedAt  time.Time
	// Fiat and Crypto are the amounts as the API states them, an Amount "" is
	// not stated: Kanga has Crypto only, its settlement amount; Kuna states the
	// amount of the target only. IntendedFiat and IntendedCrypto are what the
	// merchant asked for.
	Fiat, Crypto                 Money
	IntendedFiat, IntendedCrypto Money
	Network                      string
	Side                         string
	TxHash                       string
	CustomerRef                  string
	// Tampered is true when the payer changed the amount (Kanga).
	Tampered bool
	// KnownToMerchant is false for an order that no intent announces.
	KnownToMerchant bool
	// Synced is Zumo's flag, as PUT by us.
	Synced bool
	// Denied is the word that a validly signed webhook claims and the API never
	// states; "" when there is none.
	Denied string
	// Contradicted is true when a webhook claims the end before the API does.
	Contradicted bool
}
