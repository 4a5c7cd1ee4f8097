package simulator

import (
	"crypto/tls"
	"time"

	"rampstream/internal/events"
)

// Options configure a World. The zero value is a world without faults, on the
// real clock, at DefaultSpeed, listening on free loopback ports.
type Options struct {
	Seed   uint64
	Faults Faults
	// Now is the clock of the providers; nil means time.Now. Waiting uses
	// timers, so a clock that only a test moves is noticed within 50 ms.
	Now func() time.Time
	// Speed is how fast provider time passes; a zero field takes its default.
	Speed Speed
	// Listen names the address an account's server binds, by lane
	// ("kado/acme"); default 127.0.0.1:0.
	Listen map[events.Lane]string
	// TLS serves HTTPS with this configuration; nil serves HTTP. An expired or
	// foreign certificate in it is how a caller's refusal is tested.
	TLS *tls.Config
	// Budget is how many calls a second an account answers before it says 429,
	// with a burst of as many; 0 means no limit.
	Budget float64
	// PageSize is how many rows a list answers with when the caller does not
	// say; default 50.
	PageSize int
	// Keep bounds the call log and the delivery archive of each account;
	// default 100,000 entries, the oldest go first.
	Keep int
}

// Speed is how fast provider time passes. Real orders take minutes to days.
type Speed struct {
	Stage    time.Duration // mean time an order stays in one state; default 200 ms
	Retry    time.Duration // first repeat of a webhook not answered with 200, doubled each time; default 100 ms
	Retries  int           // repeats before such a webhook is given up; default 5
	Delay    time.Duration // mean of a delay fault; default 2 x Stage
	SlowCall time.Duration // how long a slow answer takes; default 300 ms
	// KangaRetry scales Kanga's documented repeats after 15 min, 1 h and 6 h;
	// default 1/9000, which makes them 100 ms, 400 ms and 2.4 s.
	KangaRetry float64
	TokenLife  time.Duration // life of Zumo's and Kuna's access tokens; default 1 min
	// Patience is how long a webhook's answer is waited for; default 5 s.
	Patience time.Duration
}

func (s Speed) withDefaults() Speed {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&s.Stage, 200*time.Millisecond)
	set(&s.Retry, 100*time.Millisecond)
	set(&s.Delay, 2*s.Stage)
	set(&s.SlowCall, 300*time.Millisecond)
	set(&s.TokenLife, time.Minute)
	set(&s.Patience, 5*time.Second)
	if s.Retries <= 0 {
		s.Retries = 5
	}
	if s.KangaRetry <= 0 {
		s.KangaRetry = 1.0 / 9000
	}
	return s
}

// KadoCreds is one Kado organisation.
type KadoCreds struct {
	PublicKey     string
	APISecret     string // the private key that signs calls
	WebhookSecret string // signs webhooks; "" means APISecret does
	WidgetID      string
}

// KangaCreds is one Kanga shop. APIKey is public by design.
type KangaCreds struct {
	APIKey string
	Secret string
}

// KoinalCreds is one Koinal merchant.
type KoinalCreds struct {
	MerchantCode      int64
	CustomerReference string // "" accepts any
	Secret            string
	CallbackSecret    string
	// Reading is which reading of the callback signature Koinal uses: "a" is
	// SHA-256(body+secret), the default; "b" HMAC-SHA256(secret, body+secret);
	// "c" HMAC-SHA256(secret, body).
	Reading string
	// Header carries the signature; default Signature.
	Header string
	// Paths are placeholders, since the document lost them.
	Paths KoinalPaths
}

// KoinalPaths are the paths of Koinal's calls; a field that is "" takes its
// default: /quote, /order, /order/{id}/status.
type KoinalPaths struct {
	Quote, Order string
	Status       string // with {id} where the order's id stands
}

func (p KoinalPaths) withDefaults() KoinalPaths {
	if p.Quote == "" {
		p.Quote = "/quote"
	}
	if p.Order == "" {
		p.Order = "/order"
	}
	if p.Status == "" {
		p.Status = "/order/{id}/status"
	}
	return p
}

// ZumoCreds is one Zumo app.
type ZumoCreds struct {
	AppID     string
	AppSecret string
	// Signing signs webhooks; nil sends them unsigned, since the document names
	// no algorithm.
	Signing *ZumoSigning
}

// ZumoSigning is one guess at what X-SIGNATURE holds: a MAC of the raw body.
type ZumoSigning struct {
	Secret    string
	Algorithm string // hmac-sha256 (default) or hmac-sha512
	Encoding  string // hex (default) or base64
	Header    string // default X-SIGNATURE
	Prefix    string // e.g. "sha256="
}

// KunaCreds is one KunaCore institution. Either the login or the API key works.
type KunaCreds struct {
	MerchantID string
	Login      string
	Password   string
	APIKey     string
}
