package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"rampstream/internal/stream"
)

// rivalWait is how long a fenced session looks for who fenced it: the other
// process gets the transactional id first and joins the group a moment later.
const rivalWait = 2 * time.Second

// named adds to an error of class ErrFenced who has our place in the group now,
// and who we are: two processes with one id are a mistake of deployment, and
// whoever reads one of their logs must find the other.
func (s *session) named(err error) error {
	if !errors.Is(err, stream.ErrFenced) || s.InstanceID == "" || s.cl == nil {
		return err
	}
	host, herr := os.Hostname()
	if herr != nil {
		host = "unknown"
	}
	ctx, cancel := context.WithTimeout(context.Background(), rivalWait)
	defer cancel()
	return fmt.Errorf("%w; instance %s of group %s: this process is on host %s, pid %d; %s", err, s.InstanceID, s.Group, host, os.Getpid(), s.rival(ctx))
}

// rival describes the member that holds our instance id, when it is another.
func (s *session) rival(ctx context.Context) string {
	ours, _ := s.cl.GroupMetadata()
	adm := kadm.NewClient(s.log.cl)
	for {
		groups, err := adm.DescribeGroups(ctx, s.Group)
		if err == nil {
			for _, m := range groups[s.Group].Members {
				if m.InstanceID != nil && *m.InstanceID == s.InstanceID && m.MemberID != ours {
					return fmt.Sprintf("the id is held by member %s, client %s at %s", m.MemberID, m.ClientID, m.ClientHost)
				}
			}
		}
		select {
		case <-ctx.Done():
			return "no other member holds the id: the other process has not joined yet, or there is none and the brokers took this one for dead"
		case <-time.After(100 * time.Millisecond):
		}
	}
}
