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

// Describe implements stream.Describer. It needs the right to describe the
// topics and their configs.
func (l *Log) Describe(ctx context.Context, topics ...string) (map[string]stream.About, error) {
	// Not from the client's cache: what is asked for is whether a topic is another.
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
	configs, err := describe(ctx, kadm.NewClient(l.cl), topics)
	if err != nil {
		return nil, wrap("describe topics", err)
	}
	out := make(map[string]stream.About, len(topics))
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, wrap("describe topics", err)
		}
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
