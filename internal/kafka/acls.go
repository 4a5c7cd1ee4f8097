package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Resource is a kind of thing that rights are about, by the word of kafka-acls.
type Resource string

// The resources that the programs use.
const (
	ResourceTopic           Resource = "topic"
	ResourceGroup           Resource = "group"
	ResourceTransactionalID Resource = "transactional-id"
)

// ACL allows a principal one operation on a resource, from any host.
type ACL struct {
	Principal string // "User:name"
	Resource  Resource
	Name      string
	Prefixed  bool   // Name is the beginning of names
	Operation string // Read, Write, Create, Describe, DescribeConfigs, AlterConfigs
}

// String is one line for people.
func (a ACL) String() string {
	name := a.Name
	if a.Prefixed {
		name += "*"
	}
	return fmt.Sprintf("%s may %s %s %s", a.Principal, a.Operation, a.Resource, name)
}

// Command is how Kafka's own tool makes the ACL at a broker; credentials are not part
// of it (--command-config).
func (a ACL) Command(broker string) string {
	cmd := fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --allow-principal %s --operation %s --%s %s", broker, a.Principal, a.Operation, a.Resource, a.Name)
	if a.Prefixed {
		cmd += " --resource-pattern-type prefixed"
	}
	return cmd
}

func (a ACL) creation() (kmsg.CreateACLsRequestCreation, error) {
	c := kmsg.NewCreateACLsRequestCreation()
	resource, err := kmsg.ParseACLResourceType(strings.ReplaceAll(string(a.Resource), "-", "_"))
	if err != nil {
		return c, fmt.Errorf("acl %s: %w", a, err)
	}
	op, err := kmsg.ParseACLOperation(a.Operation)
	if err != nil {
		return c, fmt.Errorf("acl %s: %w", a, err)
	}
	c.ResourceType, c.ResourceName, c.Operation = resource, a.Name, op
	c.ResourcePatternType = kmsg.ACLResourcePatternTypeLiteral
	if a.Prefixed {
		c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
	}
	c.Principal, c.Host, c.PermissionType = a.Principal, "*", kmsg.ACLPermissionTypeAllow
	return c, nil
}

// ApplyACLs creates acls; creating what is there is no change. It takes nothing
// away.
func ApplyACLs(ctx context.Context, cfg Config, acls []ACL) error {
	req := kmsg.NewPtrCreateACLsRequest()
	for _, a := range acls {
		c, err := a.creation()
		if err != nil {
			return err
		}
		req.Creations = append(req.Creations, c)
	}
	cl, err := cfg.newClient("")
	if err != nil {
		return err
	}
	defer cl.Close()
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return wrap("create acls", err)
	}
	for i, r := range resp.Results {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return wrap("create acl: "+acls[i].String(), err)
		}
	}
	return nil
}

// MissingACLs are those of acls that no ACL of the cluster gives in so many
// words. A right that comes from a wildcard or from being a super user is not
// seen: it is listed as missing.
func MissingACLs(ctx context.Context, cfg Config, acls []ACL) ([]ACL, error) {
	there := map[ACL]bool{}
	err := withAdmin(cfg, func(adm *kadm.Client) error {
		all := kadm.NewACLs().AnyResource().Operations().Allow().AllowHosts().ResourcePatternType(kadm.ACLPatternAny)
		results, err := adm.DescribeACLs(ctx, all)
		if err != nil {
			return wrap("list acls", err)
		}
		for _, r := range results {
			if r.Err != nil {
				return wrap("list acls", r.Err)
			}
			for _, d := range r.Described {
				if d.Host != "*" || d.Permission != kmsg.ACLPermissionTypeAllow {
					continue
				}
				there[ACL{d.Principal, Resource(strings.ReplaceAll(strings.ToLower(d.Type.String()), "_", "-")), d.Name,
					d.Pattern == kadm.ACLPatternPrefixed, operationWord(d.Operation)}] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var missing []ACL
	for _, a := range acls {
		if !there[a] {
			missing = append(missing, a)
		}
	}
	return missing, nil
}

// operationWord is the word of kafka-acls: DESCRIBE_CONFIGS is DescribeConfigs.
func operationWord(op kmsg.ACLOperation) string {
	var b strings.Builder
	for _, part := range strings.Split(strings.ToLower(op.String()), "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}
