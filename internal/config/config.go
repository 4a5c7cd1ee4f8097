// Package config reads the one configuration that all programs share and says
// everything that is wrong with it at once.
//
// Four layers, the later wins: defaults, a YAML file, RAMP_... environment
// variables, explicit overrides (flags). A key that does not exist is a fault,
// in every layer, because a mistyped security setting must not pass for its
// default. Nothing here talks to a network, and no text that leaves this
// package quotes a secret.
package config

import (
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// Config is the effective configuration. Build it with Load or Default; the
// zero value is not valid. It is read-only after Load and may then be shared
// between goroutines.
type Config struct {
	Kafka      Kafka               `koanf:"kafka" yaml:"kafka"`
	Registry   Registry            `koanf:"registry" yaml:"registry"`
	Topics     Topics              `koanf:"topics" yaml:"topics"`
	Ingest     Ingest              `koanf:"ingest" yaml:"ingest"`
	Poller     Poller              `koanf:"poller" yaml:"poller"`
	Reconciler Reconciler          `koanf:"reconciler" yaml:"reconciler"`
	Rules      Rules               `koanf:"rules" yaml:"rules"`
	DeadLetter DeadLetter          `koanf:"dead_letter" yaml:"dead_letter"`
	Log        Log                 `koanf:"log" yaml:"log"`
	Accounts   []providers.Account `koanf:"accounts" yaml:"accounts,omitempty"`

	// deferred are faults of files and references that only matter to the
	// programs that use the field: ingest runs without the API keys.
	deferred []fault
	noFile   bool // Load was given none
}

// Kafka says how to reach the brokers.
type Kafka struct {
	// Brokers are host:port of any brokers of the cluster.
	Brokers []string `koanf:"brokers" yaml:"brokers"`
	// Properties are client properties by Kafka's own names
	// (security.protocol, sasl.mechanism, ssl.truststore.location, ...);
	// internal/kafka refuses those it does not know.
	Properties map[string]string `koanf:"properties" yaml:"properties,omitempty"`
}

// Registry says how to reach the schema registry (Confluent's REST API).
type Registry struct {
	URL string `koanf:"url" yaml:"url"`
	// Properties are by Confluent's own names (basic.auth.user.info, ...).
	Properties map[string]string `koanf:"properties" yaml:"properties,omitempty"`
}

// Topics names and sizes the topics.
type Topics struct {
	Prefix     string     `koanf:"prefix" yaml:"prefix"`
	Partitions int32      `koanf:"partitions" yaml:"partitions"`   // of every co-partitioned topic; never raised later
	Replicas   int16      `koanf:"replication" yaml:"replication"` // used by rampctl topics apply
	Override   TopicNames `koanf:"names" yaml:"names,omitempty"`
}

// TopicNames overrides the whole name of single topics, prefix included; ""
// keeps prefix and default name.
type TopicNames struct {
	Webhook            string `koanf:"webhook" yaml:"webhook,omitempty"`
	Intent             string `koanf:"intent" yaml:"intent,omitempty"`
	StatusCheck        string `koanf:"status_check" yaml:"status_check,omitempty"`
	OrderState         string `koanf:"order_state" yaml:"order_state,omitempty"`
	CustomerState      string `koanf:"customer_state" yaml:"customer_state,omitempty"`
	Transition         string `koanf:"transition" yaml:"transition,omitempty"`
	Discrepancy        string `koanf:"discrepancy" yaml:"discrepancy,omitempty"`
	CheckSchedule      string `koanf:"check_schedule" yaml:"check_schedule,omitempty"`
	LaneState          string `koanf:"lane_state" yaml:"lane_state,omitempty"`
	ReconcilerPosition string `koanf:"reconciler_position" yaml:"reconciler_position,omitempty"`
	DeadLetter         string `koanf:"dead_letter" yaml:"dead_letter,omitempty"`
}

// Names gives the effective name of every topic.
func (t Topics) Names() stream.Topics {
	n := stream.DefaultTopics(t.Prefix)
	for _, o := range []struct {
		to   *string
		name string
	}{
		{&n.Webhook, t.Override.Webhook},
		{&n.Intent, t.Override.Intent},
		{&n.StatusCheck, t.Override.StatusCheck},
		{&n.OrderState, t.Override.OrderState},
		{&n.CustomerState, t.Override.CustomerState},
		{&n.Transition, t.Override.Transition},
		{&n.Discrepancy, t.Override.Discrepancy},
		{&n.CheckSchedule, t.Override.CheckSchedule},
		{&n.LaneState, t.Override.LaneState},
		{&n.ReconcilerPosition, t.Override.ReconcilerPosition},
		{&n.DeadLetter, t.Override.DeadLetter},
	} {
		if o.name != "" {
			*o.to = o.name
		}
	}
	return n
}

// Ingest configures the program that receives deliveries and intents.
type Ingest struct {
	Listen      string `koanf:"listen" yaml:"listen"`
	AdminListen string `koanf:"admin_listen" yaml:"admin_listen"`
	// PublicURL is what providers call, without the route: Kado signs its
	// path. It is never taken from a request.
	PublicURL string `koanf:"public_url" yaml:"public_url"`
	// TrustedProxies are the networks of the proxies in front of ingest, as
	// 10.0.0.0/8: for accounts with webhook.allow_from they say whom they speak
	// for, in X-Forwarded-For.
	TrustedProxies []string `koanf:"trusted_proxies" yaml:"trusted_proxies,omitempty"`
	Tokens         []Token  `koanf:"tokens" yaml:"tokens,omitempty"`
	// ProduceDeadline bounds the wait for Kafka's acknowledgement; after it
	// the answer is 503.
	ProduceDeadline time.Duration `koanf:"produce_deadline" yaml:"produce_deadline"`
	MaxBody         Size          `koanf:"max_body" yaml:"max_body"`
	// MemoryReserve is taken at the start and never used: it makes the collector
	// run seldom and the process's memory the same under attack as at rest. 0
	// takes none; the process is small then and doubles under attack.
	MemoryReserve  Size          `koanf:"memory_reserve" yaml:"memory_reserve"`
	MaxInFlight    int           `koanf:"max_in_flight" yaml:"max_in_flight"`     // requests; over it 503
	MaxConnections int           `koanf:"max_connections" yaml:"max_connections"` // of the public listener
	Drain          time.Duration `koanf:"drain" yaml:"drain"`                     // after SIGTERM
	TLS            TLS           `koanf:"tls" yaml:"tls,omitempty"`
	Hint           Hint          `koanf:"hint" yaml:"hint"`
}

// Token is a bearer token of the intents API and the accounts it may write to.
type Token struct {
	Name      string           `koanf:"name" yaml:"name"`
	Token     providers.Secret `koanf:"token" yaml:"token,omitempty"`
	TokenFile string           `koanf:"token_file" yaml:"token_file,omitempty"`
	Accounts  []events.Lane    `koanf:"accounts" yaml:"accounts"` // "provider/account"
}

// TLS names the server's certificate; without it ingest speaks plain HTTP/1.1.
type TLS struct {
	CertFile string `koanf:"cert_file" yaml:"cert_file,omitempty"`
	KeyFile  string `koanf:"key_file" yaml:"key_file,omitempty"`
}

// Hint bounds what unsigned deliveries may cause.
type Hint struct {
	PerOrder time.Duration `koanf:"per_order" yaml:"per_order"` // at most one hint an order in this time
	Rate     float64       `koanf:"rate" yaml:"rate"`           // hints a second and account
	Burst    int           `koanf:"burst" yaml:"burst"`
}

// Poller configures the program that asks the providers.
type Poller struct {
	Group       string `koanf:"group" yaml:"group"`
	InstanceID  string `koanf:"instance_id" yaml:"instance_id"`
	AdminListen string `koanf:"admin_listen" yaml:"admin_listen"`
	// Concurrency is how many calls a lane without nonces has at once.
	Concurrency int           `koanf:"concurrency" yaml:"concurrency"`
	CallTimeout time.Duration `koanf:"call_timeout" yaml:"call_timeout"` // of one call to a provider
	// SessionTimeout is how long a silent member keeps its lanes.
	SessionTimeout time.Duration `koanf:"session_timeout" yaml:"session_timeout"`
	// LeaveOnStop gives the lanes up at SIGTERM. Otherwise they wait for the
	// instance, at most SessionTimeout, and nobody else is disturbed.
	LeaveOnStop bool          `koanf:"leave_on_stop" yaml:"leave_on_stop"`
	Drain       time.Duration `koanf:"drain" yaml:"drain"` // calls in flight at SIGTERM
}

// Guarantee names how the reconciler writes.
type Guarantee string

// The two guarantees. With at least once the state is as right; the transition
// log may repeat itself and the digest check of the restore is off.
const (
	ExactlyOnce Guarantee = "exactly_once"
	AtLeastOnce Guarantee = "at_least_once"
)

// Reconciler configures the program that joins the evidence.
type Reconciler struct {
	Group      string `koanf:"group" yaml:"group"`
	InstanceID string `koanf:"instance_id" yaml:"instance_id"`
	// TransactionalID defaults to "<group>-<instance_id>". It must be the same
	// after a restart, or the old producer is not fenced.
	TransactionalID string    `koanf:"transactional_id" yaml:"transactional_id"`
	AdminListen     string    `koanf:"admin_listen" yaml:"admin_listen"`
	Guarantee       Guarantee `koanf:"guarantee" yaml:"guarantee"`
	// MaxBatch and MaxBatchBytes end a batch, which is one transaction: in input
	// records, and in bytes of their keys and values. More make fewer
	// transactions when behind, and cost memory (about 10 KB a subject) and time
	// until a rebalance can go on. With AtLeastOnce MaxBatch is at most 5,000: a start
	// writes anew what one batch may have left half written.
	MaxBatch      int  `koanf:"max_batch" yaml:"max_batch"`
	MaxBatchBytes Size `koanf:"max_batch_bytes" yaml:"max_batch_bytes"`
	// CommitInterval is the time between two transactions under load, on average
	// and unless a batch is full; after a quiet time what comes is committed at once,
	// 25 times before the interval counts. Every transaction costs the brokers a marker in each partition and
	// the producer one of its 32,767 epochs. 0 commits what each poll returns.
	CommitInterval time.Duration `koanf:"commit_interval" yaml:"commit_interval"`
	// Compression of what is written: none, snappy, lz4 or zstd.
	Compression string `koanf:"compression" yaml:"compression"`
	// Joiners is how many goroutines join a batch side by side, each the records of
	// its partitions; 0 is one a processor, at most 8.
	Joiners int `koanf:"joiners" yaml:"joiners"`
	// GCPercent is GOGC of the process unless the environment sets that: how far
	// the heap may grow between two collections, in percent of what lives. The
	// states are not in this heap.
	GCPercent          int           `koanf:"gc_percent" yaml:"gc_percent"`
	TransactionTimeout time.Duration `koanf:"transaction_timeout" yaml:"transaction_timeout"`
	// SessionTimeout is how long a silent member keeps its partitions.
	SessionTimeout time.Duration `koanf:"session_timeout" yaml:"session_timeout"`
	// BelieveOrigin takes the append time of a copied record (redriven,
	// mirrored) from its ramp_origin_appended_at header where that is earlier.
	// Whoever may write the input topics may write the header.
	BelieveOrigin bool `koanf:"believe_origin" yaml:"believe_origin"`
	// LeaveOnStop gives the partitions up at SIGTERM. Otherwise they wait for the
	// instance, at most SessionTimeout, and nobody else is disturbed.
	LeaveOnStop bool `koanf:"leave_on_stop" yaml:"leave_on_stop"`
	// CheckpointDir is a folder of this instance's own in which it keeps its states
	// for the next start, every CheckpointInterval and at SIGTERM; "" keeps none.
	// The disk may be lost at any time: Kafka is the truth.
	CheckpointDir      string        `koanf:"checkpoint_dir" yaml:"checkpoint_dir"`
	CheckpointInterval time.Duration `koanf:"checkpoint_interval" yaml:"checkpoint_interval"`
	// Store is where the states are while the program runs: StoreMemory or
	// StorePebble. StoreDir is the folder of the latter, this instance's own, which
	// is emptied at every start; StoreCache is the memory for what was read from it.
	Store      string `koanf:"store" yaml:"store"`
	StoreDir   string `koanf:"store_dir" yaml:"store_dir"`
	StoreCache Size   `koanf:"store_cache" yaml:"store_cache"`
}

// The stores of the reconciler.
const (
	StoreMemory = "memory"
	StorePebble = "pebble"
)

// Rules are the settings that the view of the evidence reads. They are part of
// rules_version: a change shows as transitions with reason rule_change.
type Rules struct {
	// Generation ranks the rules of this configuration. Raise it to go back to
	// rules that were left behind. All states are viewed again then.
	Generation             int64           `koanf:"generation" yaml:"generation"`
	Margin                 time.Duration   `koanf:"margin" yaml:"margin"`
	Confirm                time.Duration   `koanf:"confirm" yaml:"confirm"`
	MinInterval            time.Duration   `koanf:"min_interval" yaml:"min_interval"`
	MaxInterval            time.Duration   `koanf:"max_interval" yaml:"max_interval"`
	Horizon                time.Duration   `koanf:"horizon" yaml:"horizon"` // after it an order is no longer asked about
	MissingWebhook         time.Duration   `koanf:"missing_webhook" yaml:"missing_webhook"`
	Stuck                  time.Duration   `koanf:"stuck" yaml:"stuck"`
	ConfirmationsCompleted []time.Duration `koanf:"confirmations_completed" yaml:"confirmations_completed"` // after a COMPLETED
	ConfirmationsOther     []time.Duration `koanf:"confirmations_other" yaml:"confirmations_other"`         // after any other terminal word
}

// DeadLetter says what a dead letter may keep.
type DeadLetter struct {
	// RawBodies keeps the bytes of unusable HTTP bodies, which may hold
	// personal data, instead of digest, length and known key names.
	RawBodies bool `koanf:"raw_bodies" yaml:"raw_bodies"`
}

// Log configures what the programs write to stderr.
type Log struct {
	Level  string `koanf:"level" yaml:"level"`   // debug, info, warn, error
	Format string `koanf:"format" yaml:"format"` // json, text
}

// Default is the configuration before any layer. It is not valid by itself:
// brokers, registry, accounts and instance ids have no safe default.
func Default() Config {
	return Config{
		Topics: Topics{Prefix: "ramp.", Partitions: 12, Replicas: 3},
		Ingest: Ingest{
			Listen: ":8080", AdminListen: "127.0.0.1:9090",
			ProduceDeadline: 8 * time.Second, // below the 10 s that the shortest documented senders wait
			MaxBody:         256 << 10,
			MemoryReserve:   128 << 20,
			MaxInFlight:     512,
			MaxConnections:  4096,
			Drain:           25 * time.Second, // below the 30 s grace period of Kubernetes
			Hint:            Hint{PerOrder: time.Minute, Rate: 10, Burst: 100},
		},
		Poller: Poller{
			Group: "ramp-poller", AdminListen: "127.0.0.1:9091",
			Concurrency: 8, CallTimeout: 15 * time.Second, SessionTimeout: 45 * time.Second, Drain: 25 * time.Second,
		},
		Reconciler: Reconciler{
			Group: "ramp-reconciler", AdminListen: "127.0.0.1:9092",
			CheckpointInterval: 5 * time.Minute, Store: StoreMemory, StoreCache: 256 << 20,
			Guarantee: ExactlyOnce, MaxBatch: 5000, MaxBatchBytes: 32 << 20, CommitInterval: 100 * time.Millisecond,
			Compression: "snappy", GCPercent: 200, TransactionTimeout: 30 * time.Second, SessionTimeout: 45 * time.Second,
		},
		Rules: Rules{
			Margin: 5 * time.Second, Confirm: 10 * time.Minute,
			MinInterval: 30 * time.Second, MaxInterval: time.Hour, Horizon: 720 * time.Hour,
			MissingWebhook: 10 * time.Minute, Stuck: 24 * time.Hour,
			ConfirmationsCompleted: []time.Duration{15 * time.Minute},
			ConfirmationsOther:     []time.Duration{15 * time.Minute, time.Hour, 24 * time.Hour, 72 * time.Hour},
		},
		Log: Log{Level: "info", Format: "json"},
	}
}

// Lanes lists the configured accounts as lanes, in the order of the file.
func (c Config) Lanes() []events.Lane {
	lanes := make([]events.Lane, 0, len(c.Accounts))
	for _, a := range c.Accounts {
		lanes = append(lanes, events.LaneOf(a.Provider, a.Account))
	}
	return lanes
}

// WebhookURL is the public URL of an account's route: webhook.url where it is
// written, else ingest.public_url and the route, else "".
func (c Config) WebhookURL(a providers.Account) string {
	if a.Webhook.URL != "" || c.Ingest.PublicURL == "" {
		return a.Webhook.URL
	}
	return strings.TrimSuffix(c.Ingest.PublicURL, "/") + "/v1/webhooks/" + string(a.Provider) + "/" + string(a.Account)
}
