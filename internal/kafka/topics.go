package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"rampstream/internal/stream"
)

// ChangeKind says what a Change does.
type ChangeKind uint8

// The kinds of change. The zero kind is one that ApplyTopics will not make.
const (
	ChangeRefused ChangeKind = iota // a person must act; Text says how
	ChangeCreate                    // the topic is missing
	ChangeConfig                    // one config differs
)

// String is the word for plans.
func (k ChangeKind) String() string {
	switch k {
	case ChangeCreate:
		return "create"
	case ChangeConfig:
		return "config"
	case ChangeRefused:
		return "refused"
	default:
		return "unknown"
	}
}

// Change is one difference between a topic and its spec.
type Change struct {
	Topic string
	Kind  ChangeKind
	Spec  TopicSpec // of ChangeCreate
	// Key, From and To are those of ChangeConfig; From is "" where the broker
	// does not show the key.
	Key, From, To string
	Text          string // one sentence for people
}

// String is Text.
func (c Change) String() string { return c.Text }

// PlanTopics compares the cluster with specs and returns what differs, in the
// order of specs; nothing when all is well. It changes nothing.
func PlanTopics(ctx context.Context, cfg Config, specs []TopicSpec) ([]Change, error) {
	var changes []Change
	err := withAdmin(cfg, func(adm *kadm.Client) error {
		var err error
		changes, err = planTopics(ctx, adm, specs)
		return err
	})
	return changes, err
}

func withAdmin(cfg Config, fn func(*kadm.Client) error) error {
	cl, err := cfg.newClient("")
	if err != nil {
		return err
	}
	defer cl.Close()
	return fn(kadm.NewClient(cl))
}

func planTopics(ctx context.Context, adm *kadm.Client, specs []TopicSpec) ([]Change, error) {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	md, err := metadata(ctx, adm, names)
	if err != nil {
		return nil, err
	}
	var there []string
	for _, n := range names {
		if t := md.Topics[n]; t.Err == nil && len(t.Partitions) > 0 {
			there = append(there, n)
		}
	}
	configs, err := describe(ctx, adm, there)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, s := range specs {
		t, ok := md.Topics[s.Name]
		switch {
		case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			changes = append(changes, create(s))
		case t.Err != nil:
			return nil, wrap("topic "+s.Name, t.Err)
		default:
			changes = append(changes, compareLayout(s, t)...)
			changes = append(changes, compareConfigs(s, configs[s.Name])...)
		}
	}
	return changes, nil
}

// describe gives the effective configs of topics.
func describe(ctx context.Context, adm *kadm.Client, topics []string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	if len(topics) == 0 {
		return out, nil
	}
	rcs, err := adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, wrap("describe topic configs", err)
	}
	for _, rc := range rcs {
		if rc.Err != nil {
			return nil, wrap("describe configs of "+rc.Name, rc.Err)
		}
		out[rc.Name] = map[string]string{}
		for _, c := range rc.Configs {
			out[rc.Name][c.Key] = c.MaybeValue()
		}
	}
	return out, nil
}

// TopicConfigs gives the effective configs of topics, by Kafka's own names.
func TopicConfigs(ctx context.Context, cfg Config, topics ...string) (out map[string]map[string]string, err error) {
	err = withAdmin(cfg, func(adm *kadm.Client) error {
		out, err = describe(ctx, adm, topics)
		return err
	})
	return out, err
}

func create(s TopicSpec) Change {
	return Change{Topic: s.Name, Kind: ChangeCreate, Spec: s,
		Text: fmt.Sprintf("create %s: %d partitions, replication %d, %s", s.Name, s.Partitions, s.Replication, configText(s.Configs))}
}

func configText(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, k := range sortedKeys(m) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, " ")
}

// compareLayout refuses what no request can repair.
func compareLayout(s TopicSpec, t kadm.TopicDetail) []Change {
	var changes []Change
	if n := int32(len(t.Partitions)); n != s.Partitions {
		changes = append(changes, Change{Topic: s.Name, Kind: ChangeRefused, Text: fmt.Sprintf(
			"%s has %d partitions, want %d: adding partitions would send a key's later records elsewhere, so set topics.partitions to %d if all topics agree, or make topics of another prefix",
			s.Name, n, s.Partitions, n)})
	}
	if s.Replication > 0 {
		changes = append(changes, compareReplicas(s, t.Partitions)...)
	}
	return changes
}

// compareReplicas looks at every partition: a reassignment may have left a single
// one with fewer copies.
func compareReplicas(s TopicSpec, ps kadm.PartitionDetails) []Change {
	number := func(p kadm.PartitionDetail) int { return len(p.Replicas) }
	sorted := ps.Sorted()
	odd := slices.IndexFunc(sorted, func(p kadm.PartitionDetail) bool { return number(p) != int(s.Replication) })
	if odd < 0 {
		return nil
	}
	n := number(sorted[odd])
	text := fmt.Sprintf("%s has %d replicas, want %d: use kafka-reassign-partitions.sh, or set topics.replication to %d", s.Name, n, s.Replication, n)
	if slices.ContainsFunc(sorted, func(p kadm.PartitionDetail) bool { return number(p) != n }) {
		text = fmt.Sprintf("partition %d of %s has %d replicas, want %d: use kafka-reassign-partitions.sh", sorted[odd].Partition, s.Name, n, s.Replication)
	}
	return []Change{{Topic: s.Name, Kind: ChangeRefused, Text: text}}
}

// compareConfigs looks at effective values: a default of the broker that is
// already right is not written, because any write of min.insync.replicas, even
// of the same value, clears a broker's eligible leader replicas.
func compareConfigs(s TopicSpec, have map[string]string) []Change {
	var changes []Change
	for _, k := range sortedKeys(s.Configs) {
		if want, got := s.Configs[k], have[k]; !sameConfig(want, got) && !(s.History && k == "retention.ms" && longer(got, want)) {
			changes = append(changes, Change{Topic: s.Name, Kind: ChangeConfig, Key: k, From: got, To: want,
				Text: fmt.Sprintf("set %s of %s from %q to %q%s", k, s.Name, got, want, configNote[k])})
		}
	}
	return changes
}

// longer reports whether a retention keeps records for longer than another; -1
// keeps them for ever. To shorten it would remove evidence that exists nowhere else.
func longer(got, want string) bool {
	g, gerr := strconv.ParseInt(got, 10, 64)
	w, werr := strconv.ParseInt(want, 10, 64)
	return gerr == nil && werr == nil && (g == -1 || w >= 0 && g > w)
}

// sameConfig compares lists such as cleanup.policy as sets.
func sameConfig(a, b string) bool {
	if a == b {
		return true
	}
	as, bs := strings.Split(a, ","), strings.Split(b, ",")
	slices.Sort(as)
	slices.Sort(bs)
	return slices.Equal(as, bs)
}

var configNote = map[string]string{
	"message.timestamp.type": " (until then our own clocks are trusted without a referee; records already there keep their timestamps)",
	"min.insync.replicas":    " (until then an acknowledged record may have only one copy)",
}

// ApplyTopics makes the changes of a plan, and only those. With a refused change
// among them it makes none and returns ErrRefused. A topic that exists by now is
// left as it is. It returns when every broker serves what was created.
func ApplyTopics(ctx context.Context, cfg Config, changes []Change) error {
	for _, c := range changes {
		if c.Kind != ChangeCreate && c.Kind != ChangeConfig {
			return fmt.Errorf("%s: %w", c.Text, stream.ErrRefused)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	cl, err := cfg.newClient("")
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := apply(ctx, kadm.NewClient(cl), changes); err != nil {
		return err
	}
	var created []string
	for _, c := range changes {
		if c.Kind == ChangeCreate {
			created = append(created, c.Topic)
		}
	}
	return awaitVisible(ctx, cl, created)
}

// apply creates topics and alters the configs of each topic in one request.
func apply(ctx context.Context, adm *kadm.Client, changes []Change) error {
	alter := map[string][]kadm.AlterConfig{}
	for _, c := range changes {
		if c.Kind == ChangeConfig {
			alter[c.Topic] = append(alter[c.Topic], kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Key, Value: kadm.StringPtr(c.To)})
			continue
		}
		if err := createTopic(ctx, adm, c.Spec); err != nil {
			return err
		}
	}
	for _, topic := range sortedKeys(alter) {
		if err := alterTopic(ctx, adm, topic, alter[topic]); err != nil {
			return err
		}
	}
	return nil
}

func createTopic(ctx context.Context, adm *kadm.Client, s TopicSpec) error {
	configs := make(map[string]*string, len(s.Configs))
	for k, v := range s.Configs {
		configs[k] = kadm.StringPtr(v)
	}
	_, err := adm.CreateTopic(ctx, s.Partitions, s.Replication, configs, s.Name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil // another one was faster; the next plan shows what differs
	}
	return wrap("create topic "+s.Name, err)
}

func alterTopic(ctx context.Context, adm *kadm.Client, topic string, configs []kadm.AlterConfig) error {
	rs, err := adm.AlterTopicConfigs(ctx, configs, topic)
	if err != nil {
		return wrap("alter topic "+topic, err)
	}
	for _, r := range rs {
		if r.Err != nil {
			return wrap("alter topic "+topic, fmt.Errorf("%w (%s)", r.Err, r.ErrMessage))
		}
	}
	return nil
}

// CheckTopics returns one sentence for each difference that PlanTopics finds.
func CheckTopics(ctx context.Context, cfg Config, specs []TopicSpec) ([]string, error) {
	changes, err := PlanTopics(ctx, cfg, specs)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, c := range changes {
		problems = append(problems, c.Text)
	}
	return problems, nil
}

// CheckPartitions compares what topics have with the configured count: keys are
// placed by it, so a program that believes another count would look for records
// where they are not. A difference, or a topic that is missing, is ErrRefused.
func CheckPartitions(ctx context.Context, cfg Config, topics []string, want int32) error {
	return withAdmin(cfg, func(adm *kadm.Client) error { return checkPartitions(ctx, adm, topics, want) })
}

// CheckVisiblePartitions is CheckPartitions for who only reads, and perhaps not
// every topic: one that may not be described is left out.
func CheckVisiblePartitions(ctx context.Context, cfg Config, topics []string, want int32) error {
	return withAdmin(cfg, func(adm *kadm.Client) error {
		var auth *kadm.AuthError
		if _, err := adm.Metadata(ctx, topics...); errors.As(err, &auth) {
			topics = slices.DeleteFunc(slices.Clone(topics), func(name string) bool {
				_, err := adm.Metadata(ctx, name)
				return errors.As(err, &auth)
			})
		}
		if len(topics) == 0 {
			return nil // asked for none, the broker would list all
		}
		return checkPartitions(ctx, adm, topics, want)
	})
}

func checkPartitions(ctx context.Context, adm *kadm.Client, topics []string, want int32) error {
	md, err := metadata(ctx, adm, topics)
	if err != nil {
		return err
	}
	for _, name := range topics {
		t, ok := md.Topics[name]
		if !ok {
			t.Err = kerr.UnknownTopicOrPartition
		}
		if t.Err != nil {
			return topicError(name, t.Err)
		}
		if n := len(t.Partitions); n != int(want) {
			return fmt.Errorf("topic %s has %d partitions, topics.partitions says %d: set topics.partitions to what the topics have: %w", name, n, want, stream.ErrRefused)
		}
	}
	return nil
}
