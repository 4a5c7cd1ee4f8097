package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Members counts the members of a group; a group that does not exist has none.
func Members(ctx context.Context, cfg Config, group string) (n int, err error) {
	err = withAdmin(cfg, func(adm *kadm.Client) error {
		groups, err := adm.DescribeGroups(ctx, group)
		if err != nil {
			return wrap("describe group "+group, err)
		}
		g := groups[group]
		n = len(g.Members)
		return wrap("describe group "+group, g.Err)
	})
	return n, err
}
