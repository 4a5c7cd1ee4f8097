package integration_test

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// everyBroker asks all brokers one by one until each answers as is wanted. What
// a controller has acknowledged they hear of one after the other, and a program
// may ask any of them.
func (w *world) everyBroker(knows string, req kmsg.Request, right func(kmsg.Response) bool) {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...))
	must(w.t, err)
	defer cl.Close()
	eventually(w.t, patience, "every broker knows: "+knows, func() (bool, string) {
		md, err := kadm.NewClient(cl).BrokerMetadata(w.t.Context())
		if err != nil {
			return false, err.Error()
		}
		for _, id := range md.Brokers.NodeIDs() {
			resp, err := cl.Broker(int(id)).RetriableRequest(w.t.Context(), req)
			if err != nil {
				return false, err.Error()
			}
			if !right(resp) {
				return false, fmt.Sprintf("broker %d does not", id)
			}
		}
		return len(md.Brokers) > 0, ""
	})
}

// everyTopic wants every broker to say the same of some topics.
func (w *world) everyTopic(knows string, topics []string, right func(kmsg.MetadataResponseTopic) bool) {
	w.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	w.everyBroker(knows, req, func(resp kmsg.Response) bool {
		got := resp.(*kmsg.MetadataResponse).Topics
		for _, t := range got {
			if !right(t) {
				return false
			}
		}
		return len(got) == len(topics)
	})
}

// deleted waits until no broker knows a topic any more.
func (w *world) deleted(topic string) {
	w.t.Helper()
	w.everyTopic(topic+" is deleted", []string{topic}, func(t kmsg.MetadataResponseTopic) bool {
		return t.ErrorCode == kerr.UnknownTopicOrPartition.Code
	})
}
