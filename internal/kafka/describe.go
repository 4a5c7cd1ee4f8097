package kafka

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

var _ stream.Describer = (*Log)(nil)

var _ stream.Identifier = (*Log)(nil)

// Identify implements stream.Identifier.
func (l *Log) Identify(ctx context.Context, topics ...string) (map[string]string, error) {
	resp, err := l.fresh(ctx, topics)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(topics))
	for _, t := range resp.Topics {
		if t.Topic != nil {
			out[*t.Topic] = hex.EncodeToString(t.TopicID[:])
		}
	}
	return out, nil
}

// fresh asks for the metadata of topics. Not from the client's cache: what is
// asked for is whether a topic is another.
func (l *Log) fresh(ctx context.Context, topics []string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, l.cl)
	if err != nil {
		return nil, wrap("describe topics", err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, wrap("describe topics", err)
		}
	}
	return resp, nil
}

// Describe implements stream.Describer. It needs the right to describe the
// topics and their configs.
func (l *Log) Describe(ctx context.Context, topics ...string) (map[string]stream.About, error) {
	resp, err := l.fresh(ctx, topics)
	if err != nil {
		return nil, err
	}
	configs, err := describe(ctx, kadm.NewClient(l.cl), topics)
	if err != nil {
		return nil, wrap("describe topics", err)
	}
	out := make(map[string]stream.About, len(topics))
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		kept, err := strconv.ParseInt(configs[*t.Topic]["delete.retention.ms"], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("describe topic %s: delete.retention.ms: %w", *t.Topic, err)
		}
		a := stream.About{ID: hex.EncodeToString(t.TopicID[:]), TombstonesKept: time.Duration(kept) * time.Millisecond}
		if resp.ClusterID != nil {
			a.Cluster = *resp.ClusterID
		}
		out[*t.Topic] = a
	}
	return out, nil
}
