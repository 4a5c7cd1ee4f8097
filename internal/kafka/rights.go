package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// mayUse asks the cluster what this principal may do to topics and refuses one
// that lacks the operation. Without it a missing right shows at the first
// record, which for a dead letter may be weeks later. A broker that does not
// say is taken to allow.
func mayUse(ctx context.Context, cl *kgo.Client, op kmsg.ACLOperation, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return wrap("look up rights", err)
	}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !kerr.IsRetriable(err) {
			return topicError(*t.Topic, err)
		}
		if ops := t.AuthorizedOperations; t.ErrorCode == 0 && ops != math.MinInt32 && ops&(1<<op) == 0 {
			return fmt.Errorf("topic %s: this principal has no right to %s: %w", *t.Topic, op, Classify(kerr.TopicAuthorizationFailed))
		}
	}
	return nil
}

// unauthorized are the codes of a missing right.
var unauthorized = map[*kerr.Error]bool{
	kerr.TopicAuthorizationFailed: true, kerr.GroupAuthorizationFailed: true,
	kerr.ClusterAuthorizationFailed: true, kerr.TransactionalIDAuthorizationFailed: true,
}

// refusedRight is a missing right with the way to mend it.
func refusedRight(err error) error {
	return fmt.Errorf("%w: a right is missing, rampctl acls plan lists all that the programs need: %w", stream.ErrRefused, err)
}

// metadata is the client's, but names the topic that may not be looked at: the
// client's own error does not.
func metadata(ctx context.Context, adm *kadm.Client, topics []string) (kadm.Metadata, error) {
	md, err := adm.Metadata(ctx, topics...)
	var auth *kadm.AuthError
	if !errors.As(err, &auth) {
		return md, wrap("look up topics", err)
	}
	for _, name := range topics {
		if _, one := adm.Metadata(ctx, name); errors.As(one, &auth) {
			return kadm.Metadata{}, topicError(name, one)
		}
	}
	return kadm.Metadata{}, wrap("look up topics", err)
}
