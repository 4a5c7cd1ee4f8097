package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/stream"
)

// visibleWithin is how long created topics may take to reach every broker.
const visibleWithin = 30 * time.Second

// awaitVisible waits until every broker knows every one of the topics and who
// leads its partitions. A controller acknowledges a creation before the brokers
// have heard of it; whoever starts next and asks another broker would be told
// that the topic does not exist.
func awaitVisible(ctx context.Context, cl *kgo.Client, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	for try := 0; ; try++ {
		missing, err := firstInvisible(ctx, cl, topics)
		if missing == "" && err == nil {
			return nil
		}
		if pause(ctx, try+1) != nil {
			if err != nil {
				return wrap("wait for created topics", err)
			}
			return fmt.Errorf("topic %s was created, but not every broker knows it after %v: %w", missing, visibleWithin, stream.ErrTransient)
		}
	}
}

// firstInvisible names a topic that some broker does not serve yet; "" for none.
func firstInvisible(ctx context.Context, cl *kgo.Client, topics []string) (string, error) {
	brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return "", err
	}
	for _, id := range brokers.NodeIDs() {
		req := kmsg.NewPtrMetadataRequest()
		for _, name := range topics {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, t)
		}
		resp, err := req.RequestWith(ctx, cl.Broker(int(id)))
		if err != nil {
			return "", err
		}
		for i, t := range resp.Topics {
			if !served(t) {
				return topics[min(i, len(topics)-1)], nil
			}
		}
	}
	return "", nil
}

func served(t kmsg.MetadataResponseTopic) bool {
	for _, p := range t.Partitions {
		if p.Leader < 0 || kerr.ErrorForCode(p.ErrorCode) != nil {
			return false
		}
	}
	return t.ErrorCode == 0 && len(t.Partitions) > 0
}
