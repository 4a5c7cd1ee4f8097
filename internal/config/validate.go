package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// The programs whose faults Validate reports.
const (
	ForIngest     = "ingest"
	ForPoller     = "poller"
	ForReconciler = "reconciler"
	ForRampctl    = "rampctl" // Kafka, registry, topics, rules: no secrets
	ForAll        = "all"     // rampctl config validate, and the demo
)

// Validate reports as one *Error every fault that keeps program from running,
// or nil. ps are the providers that exist; each judges its accounts' settings.
// Sections and secrets of the other programs are not looked at: ingest runs
// without API keys, and the reconciler without any secret.
func (c Config) Validate(program string, ps []providers.Provider, pol providers.Policy) error {
	all := faults(slices.Clone(c.deferred))
	c.checkKafka(&all)
	c.checkTopics(&all)
	c.checkIngest(&all, pol)
	c.checkPoller(&all)
	c.checkReconciler(&all)
	c.checkRules(&all)
	all.check(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", "must be debug, info, warn or error", c.Log.Level)
	all.check(c.Log.Format == "json" || c.Log.Format == "text", "log.format", "must be json or text", c.Log.Format)
	c.checkAccounts(&all, ps, pol)
	c.checkSecrets(&all, pol)

	var mine faults
	for i, f := range all {
		// What follows from an unreadable file or variable is noise.
		if concerns(program, f.path) && !shadowed(c.deferred, f, i) {
			mine = append(mine, f)
		}
	}
	err := mine.err()
	if e, ok := err.(*Error); ok && c.noFile { //nolint:errorlint // made in the line above
		e.Note = "no configuration file was read: name one with -config (rampctl: -c, or rampstream.yaml in this folder) or in " + EnvFile
	}
	return err
}

// shadowed: the i-th fault only repeats what a missing file or variable means.
func shadowed(deferred []fault, f fault, i int) bool {
	if i < len(deferred) {
		return false
	}
	return slices.ContainsFunc(deferred, func(d fault) bool {
		base := strings.TrimSuffix(d.path, "_file")
		if j := strings.Index(base, "_files["); j >= 0 {
			base = base[:j] + "s"
		}
		return f.path == base || strings.HasPrefix(f.path, base+"[") || strings.HasPrefix(base, f.path+"[")
	})
}

// foreign names the sections that a program does not use.
var foreign = map[string]*regexp.Regexp{
	ForIngest:     regexp.MustCompile(`^(poller|reconciler)\.|^accounts\[\d+\]\.(api|poll)\b`),
	ForPoller:     regexp.MustCompile(`^(ingest|reconciler)\.|^accounts\[\d+\]\.webhook\b`),
	ForReconciler: regexp.MustCompile(`^(ingest|poller)\.|^accounts\[\d+\]\.(api|poll|webhook)\b`),
	ForRampctl:    regexp.MustCompile(`^(ingest|poller|reconciler|accounts)\b`),
}

func concerns(program, path string) bool {
	re := foreign[program]
	return re == nil || !re.MatchString(path)
}

func (c Config) checkKafka(fs *faults) {
	fs.check(len(c.Kafka.Brokers) > 0, "kafka.brokers", "at least one host:port is required", "none")
	for i, b := range c.Kafka.Brokers {
		fs.check(hostPort(b, true), at("kafka.brokers", i), "must be host:port", b)
	}
	fs.check(c.Registry.URL != "", "registry.url", "is required", "none")
	if c.Registry.URL != "" {
		checkURL(fs, "registry.url", c.Registry.URL, "credentials belong into registry.properties, basic.auth.user.info")
	}
}

// topicName is Kafka's rule.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (c Config) checkTopics(fs *faults) {
	t := c.Topics
	fs.check(t.Partitions >= 1 && t.Partitions <= 1000, "topics.partitions", "must be 1 to 1000", t.Partitions)
	fs.check(t.Replicas >= 1 && t.Replicas <= 15, "topics.replication", "must be 1 to 15", t.Replicas)
	seen := map[string]bool{}
	for _, name := range t.Names().All() {
		fs.check(topicName.MatchString(name) && name != "." && name != "..", "topics", "a name must be 1-249 of [a-zA-Z0-9._-]", name)
		fs.check(!seen[name], "topics.names", "two topics have one name", name)
		seen[name] = true
	}
}

func (c Config) checkIngest(fs *faults, pol providers.Policy) {
	in := c.Ingest
	checkListeners(fs, "ingest", in.Listen, in.AdminListen)
	if in.PublicURL != "" {
		checkURL(fs, "ingest.public_url", in.PublicURL, "must not hold credentials")
		fs.check(pol.Demo || strings.HasPrefix(in.PublicURL, "https://"), "ingest.public_url", "must be https://", in.PublicURL)
	}
	checkNetworks(fs, "ingest.trusted_proxies", in.TrustedProxies)
	between(fs, "ingest.produce_deadline", in.ProduceDeadline, 100*time.Millisecond, 15*time.Second)
	fs.check(in.MemoryReserve <= 1<<30, "ingest.memory_reserve", "must be at most 1GiB", in.MemoryReserve)
	fs.check(in.MaxBody >= 1<<10 && in.MaxBody <= 1<<20, "ingest.max_body", "must be 1KiB to 1MiB", in.MaxBody)
	fs.check(in.MaxInFlight >= 1 && in.MaxInFlight <= 100_000, "ingest.max_in_flight", "must be 1 to 100000", in.MaxInFlight)
	fs.check(in.MaxConnections >= 1 && in.MaxConnections <= 1_000_000, "ingest.max_connections", "must be 1 to 1000000", in.MaxConnections)
	between(fs, "ingest.drain", in.Drain, 0, 10*time.Minute)
	fs.check((in.TLS.CertFile == "") == (in.TLS.KeyFile == ""), "ingest.tls", "cert_file and key_file come together", "one of them")
	between(fs, "ingest.hint.per_order", in.Hint.PerOrder, 0, 24*time.Hour)
	fs.check(in.Hint.Rate > 0 && in.Hint.Rate <= 10_000, "ingest.hint.rate", "must be above 0 and at most 10000", in.Hint.Rate)
	fs.check(in.Hint.Burst >= 1 && in.Hint.Burst <= 100_000, "ingest.hint.burst", "must be 1 to 100000", in.Hint.Burst)
	c.checkTokens(fs)
}

func (c Config) checkTokens(fs *faults) {
	lanes, names := c.Lanes(), map[string]bool{}
	for i, t := range c.Ingest.Tokens {
		path := at("ingest.tokens", i)
		fs.check(events.ValidPart(t.Name), path+".name", "must be 1-128 of [A-Za-z0-9._:-]", t.Name)
		fs.check(!names[t.Name], path+".name", "is the name of another token", t.Name)
		names[t.Name] = true
		fs.check(t.Token != "", path+".token", "token or token_file is required", t.Token)
		fs.check(len(t.Accounts) > 0, path+".accounts", "at least one provider/account is required", "none")
		for j, lane := range t.Accounts {
			fs.check(slices.Contains(lanes, lane), at(path+".accounts", j), "is no configured provider/account", string(lane))
		}
	}
}

func (c Config) checkPoller(fs *faults) {
	p := c.Poller
	checkListeners(fs, "poller", "", p.AdminListen)
	checkGroup(fs, "poller", p.Group)
	checkInstance(fs, "poller.instance_id", p.InstanceID)
	fs.check(p.Concurrency >= 1 && p.Concurrency <= 1000, "poller.concurrency", "must be 1 to 1000", p.Concurrency)
	between(fs, "poller.call_timeout", p.CallTimeout, time.Second, 2*time.Minute)
	between(fs, "poller.session_timeout", p.SessionTimeout, minSession, maxSession)
	// A call begins at the latest when two thirds of the session have passed
	// without a heartbeat. It must end before the next owner's first call.
	fs.check(p.CallTimeout <= p.SessionTimeout/3, "poller.call_timeout", "must be at most a third of poller.session_timeout", p.CallTimeout)
	between(fs, "poller.drain", p.Drain, 0, 10*time.Minute)
	fs.check(p.Group != c.Reconciler.Group, "poller.group", "must differ from reconciler.group", p.Group)
}

func (c Config) checkReconciler(fs *faults) {
	r := c.Reconciler
	checkListeners(fs, "reconciler", "", r.AdminListen)
	checkGroup(fs, "reconciler", r.Group)
	fs.check(r.Guarantee == ExactlyOnce || r.Guarantee == AtLeastOnce, "reconciler.guarantee", "must be exactly_once or at_least_once", string(r.Guarantee))
	if r.Guarantee == ExactlyOnce || r.InstanceID != "" {
		checkInstance(fs, "reconciler.instance_id", r.InstanceID)
	}
	fs.check(len(r.TransactionalID) <= 249, "reconciler.transactional_id", "must be at most 249 bytes", r.TransactionalID)
	fs.check(r.MaxBatch >= 1 && r.MaxBatch <= 50_000, "reconciler.max_batch", "must be 1 to 50000", r.MaxBatch)
	// What a start writes anew there is bounded by a batch of that size.
	fs.check(r.Guarantee != AtLeastOnce || r.MaxBatch <= 5000, "reconciler.max_batch", "must be at most 5000 with guarantee: at_least_once", r.MaxBatch)
	fs.check(r.MaxBatchBytes >= 1<<20 && r.MaxBatchBytes <= 64<<20, "reconciler.max_batch_bytes", "must be 1MiB to 64MiB", r.MaxBatchBytes)
	between(fs, "reconciler.commit_interval", r.CommitInterval, 0, 5*time.Second)
	fs.check(slices.Contains([]string{"none", "snappy", "lz4", "zstd"}, r.Compression), "reconciler.compression", "must be none, snappy, lz4 or zstd", r.Compression)
	fs.check(r.Joiners >= 0 && r.Joiners <= 64, "reconciler.joiners", "must be 0 to 64", r.Joiners)
	fs.check(r.GCPercent >= 10 && r.GCPercent <= 10_000, "reconciler.gc_percent", "must be 10 to 10000", r.GCPercent)
	between(fs, "reconciler.session_timeout", r.SessionTimeout, minSession, maxSession)
	// Below the session timeout, so that a dead member's transaction never
	// outlives its membership.
	between(fs, "reconciler.transaction_timeout", r.TransactionTimeout, time.Second, max(time.Second, r.SessionTimeout-time.Millisecond))
	// A checkpoint is used only if the digest of the position proves it.
	fs.check(r.CheckpointDir == "" || r.Guarantee == ExactlyOnce, "reconciler.checkpoint_dir", "needs exactly_once", r.CheckpointDir)
	fs.check(r.CheckpointDir == "" || filepath.IsAbs(r.CheckpointDir), "reconciler.checkpoint_dir", "must be an absolute path", r.CheckpointDir)
	fs.check(r.Store == StoreMemory || r.Store == StorePebble, "reconciler.store", "must be memory or pebble", r.Store)
	fs.check(r.Store != StorePebble || filepath.IsAbs(r.StoreDir), "reconciler.store_dir", "must be an absolute path with the store pebble", r.StoreDir)
	fs.check(r.StoreCache >= 1<<20, "reconciler.store_cache", "must be at least 1MiB", int64(r.StoreCache))
	between(fs, "reconciler.checkpoint_interval", r.CheckpointInterval, time.Second, 24*time.Hour)
}

// The bounds of a session timeout are the defaults of brokers:
// group.min.session.timeout.ms and group.max.session.timeout.ms.
const (
	minSession = 6 * time.Second
	maxSession = 30 * time.Minute
)

func (c Config) checkRules(fs *faults) {
	r := c.Rules
	fs.check(r.Generation >= 0, "rules.generation", "must not be negative", r.Generation)
	between(fs, "rules.margin", r.Margin, time.Millisecond, 5*time.Minute)
	between(fs, "rules.confirm", r.Confirm, r.Margin, 24*time.Hour)
	between(fs, "rules.min_interval", r.MinInterval, time.Second, 24*time.Hour)
	between(fs, "rules.max_interval", r.MaxInterval, r.MinInterval, 30*24*time.Hour)
	between(fs, "rules.horizon", r.Horizon, r.MaxInterval, 10*365*24*time.Hour)
	between(fs, "rules.missing_webhook", r.MissingWebhook, time.Second, r.Horizon)
	between(fs, "rules.stuck", r.Stuck, time.Second, r.Horizon)
	ascending(fs, "rules.confirmations_completed", r.ConfirmationsCompleted)
	ascending(fs, "rules.confirmations_other", r.ConfirmationsOther)
}

// Networks are the networks of a list that Validate has passed.
func Networks(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// checkNetworks wants networks, and not all of them: a list that holds
// everybody is a mistake in a list that keeps somebody out.
func checkNetworks(fs *faults, path string, list []string) {
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		fs.check(err == nil && p == p.Masked() && p.Bits() > 0 && !p.Addr().Is4In6(), at(path, i), "must be a network such as 192.0.2.0/24, or 192.0.2.7/32", s)
	}
}

func ascending(fs *faults, path string, ds []time.Duration) {
	last := time.Duration(0)
	for i, d := range ds {
		fs.check(d > last, at(path, i), "must be later than the one before it", d)
		last = d
	}
}

func checkGroup(fs *faults, section, group string) {
	fs.check(events.ValidPart(group), section+".group", "must be 1-128 of [A-Za-z0-9._:-]", group)
}

// checkInstance: a random default would make every restart a stranger, whom
// nothing fences and whose lanes wait out the session timeout.
func checkInstance(fs *faults, path, id string) {
	fs.check(events.ValidPart(id), path, "must be set, different for every instance and the same after a restart (a StatefulSet's pod name); 1-128 of [A-Za-z0-9._:-]", id)
}

func checkListeners(fs *faults, section, listen, admin string) {
	if section == "ingest" {
		fs.check(hostPort(listen, false), section+".listen", "must be [host]:port", listen)
		fs.check(listen != admin || strings.HasSuffix(listen, ":0"), section+".admin_listen", "must differ from listen", admin)
	}
	fs.check(hostPort(admin, false), section+".admin_listen", "must be [host]:port", admin)
}

func hostPort(s string, needHost bool) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || needHost && host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && (n > 0 || !needHost)
}

// checkURL never quotes the URL: what is wrong with it may be a password in it.
func checkURL(fs *faults, path, s, ifUser string) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		fs.add(path, "must be an http:// or https:// URL")
	case u.User != nil:
		fs.add(path, "%s", ifUser)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		fs.add(path, "must have no query and no fragment")
	}
}

func between(fs *faults, path string, d, low, high time.Duration) {
	fs.check(d >= low && d <= high, path, "must be "+low.String()+" to "+high.String(), d)
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
