package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rampstream/internal/config"
)

const hostileHead = "POST " + kadoPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Timestamp: 1700000000000\r\nX-Public-Key: x\r\nX-Signature: " +
	"00000000000000000000000000000000000000000000000000000000000000ff\r\n"

// attacks are single requests and the answers that they may get. Only answers
// that the documents name are among them.
var attacks = []struct {
	name, request string
	answers       []int
}{
	{"two lengths", hostileHead + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", []int{400}},
	{"a length and chunks", hostileHead + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hostileHead + "Content-Length: 2\r\n\r\n{}", []int{400, 401}},
	{"a bare line feed in a chunk", hostileHead + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", []int{400}},
	{"two encodings", hostileHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{400, 501}},
	{"a folded header", hostileHead + "X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", []int{400, 401}},
	{"gzip", hostileHead + "Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", []int{415}},
	{"no media type", strings.Replace(hostileHead, "Content-Type: application/json\r\n", "", 1) + "Content-Length: 2\r\n\r\n{}", []int{415}},
	{"a long header", hostileHead + "X-Pad: " + strings.Repeat("x", 40<<10) + "\r\nContent-Length: 2\r\n\r\n{}", []int{431}},
	{"an unclean path", strings.Replace(hostileHead, kadoPath, "/v1//webhooks/kado/../kado/demo", 1) + "Content-Length: 2\r\n\r\n{}", []int{404}},
	{"no HTTP", strings.Repeat("\x16\x03\x01\x02\x00", 20) + "\r\n\r\n", []int{400, 0}},
	{"forged", hostileHead + "Content-Length: 2\r\n\r\n{}", []int{401}},
}

// slow is how many connections drip at once.
const slow = 2000

// attempts are how often the attack is made while good traffic seems to wait for
// it: a machine that stands still spoils one of them, a fault all.
const attempts = 3

// hostile: requests that no provider sends, many and long ones, beside good
// traffic. Nothing of them is published, memory stays bounded, and the good
// traffic hardly notices.
func hostile(t *testing.T, p platform) {
	// A broker that takes long is not what is looked at here.
	w := newWorld(t, p, options{change: func(c *config.Config) { c.Ingest.ProduceDeadline = 15 * time.Second }})
	ingest := w.start("ingest", "a")
	ingest.ready()
	w.good(200, nil) // warm up
	rest, files := ingest.memory("VmRSS"), ingest.files()
	for n := 1; ; n++ {
		before := w.good(600, nil)
		during := w.attacked()
		t.Logf("good traffic: p50 %v, p99 %v before; p50 %v, p99 %v of %d beside the attack, %.1f times", before.p50, before.p99, during.p50, during.p99, during.n, float64(during.p99)/float64(before.p99))
		// Five times where the machine has nothing else to do. Half a second where
		// it has: what must not happen is that good traffic waits for bad.
		limit := max(5*before.p99, 500*time.Millisecond)
		if during.p99 <= limit {
			break
		}
		if n == attempts {
			t.Errorf("p99 of good traffic was %v beside the attack, want at most %v (%v before), %d times in a row", during.p99, limit, before.p99, n)
			break
		}
	}

	peak := ingest.memory("VmHWM")
	const most = 300 << 10 // KiB
	if peak > most {
		t.Errorf("ingest held %d MiB at most, want at most %d", peak>>10, most>>10)
	}
	t.Logf("memory: %d MiB after warming up, %d MiB at most, %.2f times", rest>>10, peak>>10, float64(peak)/float64(rest))
	eventually(t, patience, "files are closed", func() (bool, string) {
		n := ingest.files()
		return n <= files+8, fmt.Sprintf("%d open, %d before", n, files)
	})
	if n := w.count(w.topics().Webhook) + w.count(w.topics().DeadLetter); n != 0 {
		t.Errorf("%d records of forged deliveries", n)
	}
	ingest.ready()
	ingest.stop()
}

// stoodStill is how long a request may take of which the server had nothing to
// wait for: it gives up one whose head does not come for five seconds, and that
// may be our doing.
const stoodStill = 4 * time.Second

// attacked makes all attacks at once and says how good traffic fared meanwhile.
func (w *world) attacked() latencies {
	w.t.Helper()
	over := make(chan struct{})
	var wg sync.WaitGroup
	flood := time.Now().Add(3 * time.Second)
	for _, a := range attacks {
		wg.Go(func() {
			for range paced(flood) {
				start := time.Now()
				got := w.raw(a.request, "", 0)
				if !slices.Contains(a.answers, got) && (got != 0 || time.Since(start) < stoodStill) {
					w.t.Errorf("%s: answer %d, want one of %v", a.name, got, a.answers)
					return
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() { w.endless(flood, "Content-Length: 1073741824\r\n\r\n", strings.Repeat("x", 64<<10)) })
		wg.Go(func() {
			w.endless(flood, "Transfer-Encoding: chunked\r\n\r\n", "10000\r\n"+strings.Repeat("x", 64<<10)+"\r\n")
		})
	}
	for range slow / 2 {
		wg.Go(func() { w.raw(strings.Replace(hostileHead, "Host", "X-Slow: ", 1), "x", time.Second) })
		wg.Go(func() { w.raw(hostileHead+"Content-Length: 1000\r\n\r\n", "x", time.Second) })
	}
	go func() { wg.Wait(); close(over) }()
	return w.good(0, over)
}

// paced yields a hundred times a second, once and then until a time: the
// attackers share the machine with what they attack.
func paced(until time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for now := range tick.C {
			if !yield(now) || !now.Before(until) {
				return
			}
		}
	}
}

// latencies are those of good requests.
type latencies struct {
	n        int
	p50, p99 time.Duration
}

// good sends n good requests one after the other, some hundred a second, or as
// many as come before until is closed.
func (w *world) good(n int, until <-chan struct{}) latencies {
	w.t.Helper()
	var took []time.Duration
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for i := 0; until != nil || i < n; i++ {
		select {
		case <-until:
			until, n = nil, 0
			continue
		case <-tick.C:
		}
		a := w.intend(fmt.Sprintf("good-%d", i))
		if a.Status != http.StatusOK {
			w.t.Fatalf("a good request: %d %s", a.Status, a.Body)
		}
		took = append(took, a.Took)
	}
	if len(took) == 0 {
		w.t.Fatal("no good request was made")
	}
	slices.Sort(took)
	return latencies{len(took), took[len(took)/2], took[len(took)*99/100]}
}

// raw writes a request, then drips pieces until the server has had enough, and
// returns the status of the first answer; 0 for none.
func (w *world) raw(request, drip string, every time.Duration) int {
	c, err := net.Dial("tcp", strings.TrimPrefix(w.ingest, "http://"))
	if err != nil {
		w.t.Errorf("dial: %v", err)
		return 0
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	answered := make(chan int, 1)
	go func() { answered <- firstStatus(c) }()
	if _, err := io.WriteString(c, request); err != nil || drip == "" {
		return <-answered
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case status := <-answered:
			return status
		case <-tick.C:
			_, _ = io.WriteString(c, drip)
		}
	}
}

func firstStatus(c net.Conn) int {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// endless sends bodies without an end, one after the other until a time. Each
// must be cut soon and with 413.
func (w *world) endless(until time.Time, head, piece string) {
	for range paced(until) {
		start := time.Now()
		answer, sent, err := w.pour(hostileHead+head, piece)
		if err == nil && (answer == 0 || answer == http.StatusBadRequest) && time.Since(start) > stoodStill {
			continue
		}
		if err != nil || answer != http.StatusRequestEntityTooLarge && answer != http.StatusServiceUnavailable {
			w.t.Errorf("an endless body was answered %d, %v; want 413", answer, err)
			return
		}
		if sent > 64<<20 {
			w.t.Errorf("an endless body was cut after %d MiB", sent>>20)
		}
	}
}

// pour sends pieces until the server takes no more, or for 1 GiB.
func (w *world) pour(head, piece string) (answer, sent int, err error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(w.ingest, "http://"))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	answered := make(chan int, 1)
	go func() { answered <- firstStatus(c) }()
	_, werr := io.WriteString(c, head)
	for werr == nil && sent < 1<<30 {
		var n int
		n, werr = io.WriteString(c, piece)
		sent += n
	}
	return <-answered, sent, nil
}

// memory reads a field of /proc/PID/status, in KiB.
func (p *process) memory(field string) int {
	p.w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	must(p.w.t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			must(p.w.t, err)
			return n
		}
	}
	p.w.t.Fatalf("no %s in /proc", field)
	return 0
}

// files is how many files and sockets a process has open.
func (p *process) files() int {
	p.w.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	must(p.w.t, err)
	return len(entries)
}
