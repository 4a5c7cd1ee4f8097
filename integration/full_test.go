package integration_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"rampstream/internal/config"
	"rampstream/internal/providers/simulator"
)

// diskFull: the files of a broker can grow no more, as on a disk without room, so
// that no segment of a log can be begun; then those of a second one. The first costs nothing,
// with the second gone an answer is an honest 503 and the reconciler commits
// nothing. When there is room again everything goes on: what was acknowledged is
// there, whole and once.
func diskFull(t *testing.T, p platform) {
	if !p.real() {
		t.Skip("the embedded broker has no disk")
	}
	n := controlled(t)
	w := newWorld(t, p, options{faults: simulator.DefaultFaults(), change: func(c *config.Config) { c.Ingest.ProduceDeadline = produceDeadline }})
	soon := "200"
	_, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.ms", Value: &soon}}, w.topics().Intent, w.topics().StatusCheck)
	must(t, err)
	ingest, poller, reconciler := w.startAll()
	placed := make(chan error, 1)
	go func() { placed <- w.place(t.Context(), 60, 6, 12*time.Second) }()
	eventually(t, patience, "records flow", func() (bool, string) {
		ends := w.ends(w.topics().Intent)[w.topics().Intent]
		for _, end := range ends {
			if end == 0 {
				return false, fmt.Sprint(ends)
			}
		}
		return true, ""
	})

	more := w.load() // a segment is begun only for a record
	n.full("2")
	n.full("3")
	refused := 0
	eventually(t, patience, "ingest says 503", func() (bool, string) {
		a := w.intend(fmt.Sprintf("meanwhile-%d", refused))
		switch a.Status {
		case http.StatusOK: // what was on its way may still be acknowledged
			return false, "200"
		case http.StatusServiceUnavailable:
			refused++
		default:
			t.Fatalf("without room: %d %s, want 503", a.Status, a.Body)
		}
		return refused >= 3, fmt.Sprintf("%d refused", refused)
	})
	n.start("2")
	n.start("3")
	must(t, <-placed)
	more()
	ingest.ready()
	poller.ready()
	reconciler = w.supervised(reconciler)
	w.agree()
	w.finish([]*process{ingest}, []*process{poller}, reconciler)
}

// full lets no file of a node grow beyond what its own output needs to say so,
// and waits until it has met that. The node gives up by itself.
func (n *nodes) full(id string) {
	n.t.Helper()
	said, err := n.do("log", id)
	must(n.t, err)
	limit := strconv.Itoa(len(said) + 1<<20) // an index is ten times as long
	n.harmed[id] = "start"
	out, err := exec.CommandContext(n.t.Context(), "prlimit", "--pid", n.pid(id), "--fsize="+limit+":").CombinedOutput()
	if err != nil {
		n.t.Fatalf("prlimit of node %s: %v\n%s", id, err, out)
	}
	eventually(n.t, patience, "node "+id+" meets a full disk", func() (bool, string) {
		status, err := n.do("status")
		return err == nil && strings.Contains(status, id+" down"), status
	})
	said, err = n.do("log", id)
	must(n.t, err)
	i := strings.Index(said, "File too large")
	if i < 0 {
		n.t.Fatalf("node %s ended, and not by what was done to it\n%s", id, tail(said))
	}
	n.t.Logf("node %s: no file above %s bytes: %s", id, limit, said[strings.LastIndex(said[:i], "\n")+1:i+len("File too large")])
}

// pid is the process of a node.
func (n *nodes) pid(id string) string {
	n.t.Helper()
	status, err := n.do("status")
	must(n.t, err)
	for line := range strings.Lines(status) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == id {
			return strings.TrimPrefix(f[2], "pid=")
		}
	}
	n.t.Fatalf("node %s does not run\n%s", id, status)
	return ""
}
