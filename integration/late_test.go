package integration_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/integration/proxy"
)

// lateEnds: requests to end a transaction arrive after the client has given
// their connection up, ended the transaction by another one, and begun the next.
func lateEnds(t *testing.T, p platform)     { late(t, p, kmsg.EndTxn, false) }
func lateProduces(t *testing.T, p platform) { late(t, p, kmsg.Produce, false) }

// lateEndsOld is lateEnds by the protocol before transaction.version 2, in which
// nothing tells an old request from a new one.
func lateEndsOld(t *testing.T, p platform) { late(t, p, kmsg.EndTxn, true) }

func late(t *testing.T, p platform, key kmsg.Key, old bool) {
	x := throughProxy(t, p, old)
	held, refused := 0, map[string]int{}
	for x.busy() {
		rule := &proxy.Rule{Key: key, Client: reconcilerClient, Hold: true, Times: 1 + int(x.dice()*3)}
		x.proxy.Add(rule)
		// Until some are held, and then until the next transactions are under way.
		eventually(t, 20*time.Second, "a request is held", func() (bool, string) { return rule.Held() > 0 || !x.busy(), "" })
		pause(t.Context(), time.Duration(100+x.dice()*700)*time.Millisecond)
		for _, code := range rule.Release() {
			held++
			name := "none"
			if err := kerr.TypedErrorForCode(code); err != nil {
				name = err.Message
			}
			refused[name]++
		}
	}
	x.end(old)
	x.hits("a request was let through late", held, 8)
	t.Logf("the brokers answered them %v", refused)
}
