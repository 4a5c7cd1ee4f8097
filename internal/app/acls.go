package app

import (
	"rampstream/internal/config"
	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// Principals name who runs what, each as "User:name"; an empty one is left out.
type Principals struct {
	Ingest, Poller, Reconciler string
	// Operator runs rampctl with all that it can do; Viewer reads: it runs
	// rampctl's questions and consumes the topics, in groups of its own.
	Operator, Viewer string
	// Merchant produces intents by itself.
	Merchant string
}

// ACLs are the rights that each principal needs, and no more: an integration
// test takes each of the programs' away and sees them refuse to start.
func ACLs(cfg config.Config, who Principals) []kafka.ACL {
	t := cfg.Topics.Names()
	// Who writes by key looks at the counts of what must be co-partitioned.
	counted := append(t.CoPartitioned(), t.CheckSchedule, t.LaneState)
	r := rights{}
	r.topics(who.Ingest, nil, []string{t.Webhook, t.Intent, t.DeadLetter}, counted)

	r.topics(who.Poller, []string{t.CheckSchedule, t.LaneState}, []string{t.StatusCheck, t.LaneState, t.DeadLetter}, counted)
	r.add(who.Poller, kafka.ResourceGroup, cfg.Poller.Group, false, "Read")

	own := []string{t.OrderState, t.CustomerState, t.ReconcilerPosition}
	r.topics(who.Reconciler, append(t.Inputs(), own...), append(own, t.Transition, t.Discrepancy, t.CheckSchedule, t.DeadLetter), counted)
	r.add(who.Reconciler, kafka.ResourceGroup, cfg.Reconciler.Group, false, "Read")
	if cfg.Reconciler.CheckpointDir != "" { // for how long they keep tombstones
		r.add(who.Reconciler, kafka.ResourceTopic, t.OrderState, false, "DescribeConfigs")
		r.add(who.Reconciler, kafka.ResourceTopic, t.CustomerState, false, "DescribeConfigs")
	}
	if cfg.Reconciler.Guarantee == config.ExactlyOnce {
		id, prefixed := cfg.Reconciler.TransactionalID, false
		// The default has the instance in it, and each instance another one.
		if own := cfg.Reconciler.Group + "-"; id == "" || id == own+cfg.Reconciler.InstanceID {
			id, prefixed = own, true
		}
		r.add(who.Reconciler, kafka.ResourceTransactionalID, id, prefixed, "Write")
	}

	r.topics(who.Viewer, t.All(), nil, nil)
	r.topics(who.Merchant, nil, []string{t.Intent}, nil)
	r.operator(who.Operator, t)
	return r.acls
}

// rights collects ACLs. Read and Write imply Describe.
type rights struct{ acls []kafka.ACL }

func (r *rights) add(who string, res kafka.Resource, name string, prefixed bool, ops ...string) {
	for _, op := range ops {
		if who != "" {
			r.acls = append(r.acls, kafka.ACL{Principal: who, Resource: res, Name: name, Prefixed: prefixed, Operation: op})
		}
	}
}

func (r *rights) topics(who string, read, write, describe []string) {
	implied := map[string]bool{}
	for _, t := range read {
		r.add(who, kafka.ResourceTopic, t, false, "Read")
		implied[t] = true
	}
	for _, t := range write {
		r.add(who, kafka.ResourceTopic, t, false, "Write")
		implied[t] = true
	}
	for _, t := range describe {
		if !implied[t] {
			r.add(who, kafka.ResourceTopic, t, false, "Describe")
		}
	}
}

// operator: topics plan, apply and check; every question; orders forget and
// decide, and redrive.
func (r *rights) operator(who string, t stream.Topics) {
	r.topics(who, t.All(), t.Inputs(), nil)
	for _, name := range t.All() {
		r.add(who, kafka.ResourceTopic, name, false, "Create", "DescribeConfigs", "AlterConfigs")
	}
}
