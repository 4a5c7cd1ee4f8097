package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"rampstream/internal/stream"
)

// Members counts the members of a group; a group that does not exist has none.
func Members(ctx context.Context, cfg Config, group string) (n int, err error) {
	err = withAdmin(cfg, func(adm *kadm.Client) error {
		groups, err := adm.DescribeGroups(ctx, group)
		if err != nil {
			return wrap("describe group "+group, err)
		}
		g := groups[group]
		if errors.Is(g.Err, kerr.GroupIDNotFound) { // brokers from 4.0 on
			return isGone(ctx, adm, group)
		}
		n = len(g.Members)
		return wrap("describe group "+group, g.Err)
	})
	return n, err
}

// isGone is nil for a group that does not exist. One of another protocol is not
// found either by who asks for members, and may have some.
func isGone(ctx context.Context, adm *kadm.Client, group string) error {
	all, err := adm.ListGroups(ctx)
	if err != nil {
		return wrap("list groups", err)
	}
	if _, there := all[group]; there {
		return fmt.Errorf("group %s is one of another protocol, its members cannot be counted: %w", group, stream.ErrRefused)
	}
	return nil
}
