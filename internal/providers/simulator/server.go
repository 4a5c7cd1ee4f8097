package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rampstream/internal/events"
)

// trap is where a redirect points: nobody who holds credentials may come here.
const trap = "/trap"

// maxBody bounds a request's body; Kado's identity documents are the largest.
const maxBody = 16 << 20

// call is one request while it is served, with the world locked.
type call struct {
	a     *account
	r     *http.Request
	path  string // without the account's prefix
	body  []byte
	now   time.Time
	log   *Call
	limit answer // what FaultRateLimited makes of the answer
	drawn bool   // the fault is decided
	fault Fault
	form  int // which form of the fault
}

// answer is what a dialect says, before faults.
type answer struct {
	status int
	header http.Header
	body   []byte
	class  Class
}

func jsonAnswer(status int, class Class, v any) answer {
	b, err := marshal(v)
	if err != nil { // only values of this package come here
		return answer{status: http.StatusInternalServerError, class: class}
	}
	return answer{status: status, class: class, body: b}
}

// marshal is compact JSON without the HTML escapes that no JavaScript sender makes.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

// ServeHTTP answers one call as the provider would, then lets a fault at it.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	c, ans := a.take(r, body)
	defer a.done(c)
	a.write(w, c, ans)
}

// take logs and answers a call.
func (a *account) take(r *http.Request, body []byte) (*call, answer) {
	world := a.w
	world.mu.Lock()
	defer world.mu.Unlock()
	now := world.now()
	c := &call{a: a, r: r, path: r.URL.Path, body: body, now: now}
	c.log = &Call{Start: now, Method: r.Method, Path: r.URL.Path, Overlap: a.inflight}
	if a.inflight > 0 {
		world.stats.Overlaps++
	}
	a.inflight++
	a.calls = keep(append(a.calls, c.log), world.opt.Keep)
	ans := a.answer(c)
	c.log.Class, c.log.HTTPStatus = ans.class, ans.status
	if ans.class != ClassOK && ans.class != ClassNotFound {
		c.fault = ""
	} else if !c.drawn && c.path != trap {
		c.draw("op " + c.log.Op)
	}
	c.log.Fault = c.fault
	if c.fault != "" {
		world.stats.Injected[c.fault]++
	}
	c.log.RetryAfter = asked(ans.header, now)
	if c.fault == FaultRateLimited {
		c.limit = c.tooMany()
		c.log.RetryAfter = asked(c.limit.header, now)
	}
	return c, ans
}

func (a *account) answer(c *call) answer {
	if c.path == trap {
		a.w.stats.RedirectsFollowed++
		c.log.Op = "trap"
		return answer{status: http.StatusTeapot, class: ClassBadRequest}
	}
	if a.refusals > 0 {
		a.refusals--
		return a.overBudget(a.refuseFor)
	}
	if !a.window.take(c.now) {
		return a.overBudget("1")
	}
	path, ok := strings.CutPrefix(c.path, a.prefix)
	if !ok {
		return answer{status: http.StatusNotFound, class: ClassBadRequest}
	}
	c.path = path
	return a.dialect.serve(c)
}

func (a *account) overBudget(retryAfter string) answer {
	ans := a.dialect.overBudget(retryAfter)
	ans.class = ClassRateLimited
	return ans
}

// done closes a call's entry in the log. It runs for cut connections too.
func (a *account) done(c *call) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.inflight--
	c.log.End = a.w.now()
	a.w.stats.Calls[c.log.Class]++
	if c.log.NonceViolation {
		a.w.stats.NonceViolations++
	}
}

// draw decides the fault of a call from what it is about and how often that
// was asked.
func (c *call) draw(about string) {
	c.drawn = true
	n := c.a.asked[about]
	c.a.asked[about]++
	d := dice{c.a.w.opt.Seed, string(c.a.lane) + " call " + about}
	u := d.rng("fault", n).Float64()
	for _, f := range c.a.w.opt.Faults.apiFaults() {
		if u -= f.p; u < 0 {
			c.fault, c.form = f.fault, d.below("form", n, 1<<16)
			return
		}
	}
}

// find gives the subject that a status question is about, nil when there is
// none. A swapped answer is about another one.
func (c *call) find(kind events.SubjectKind, id string) *subject {
	c.log.Subject = id
	c.draw(kind.String() + " " + id)
	s := c.a.subjects[events.Key{Provider: c.a.provider, Account: c.a.name, Kind: kind, ID: id}]
	if c.fault != FaultSwapped {
		return s
	}
	if other := c.swap(s); other != nil {
		return other
	}
	c.fault = ""
	return s
}

// swap picks another subject of the same kind; nil when there is none, or the
// provider's answers cannot be told apart.
func (c *call) swap(s *subject) *subject {
	if s == nil || c.a.provider == "kanga" && !c.a.w.opt.Faults.SwapUnbound {
		return nil
	}
	n := len(c.a.placed)
	for i := range n {
		other := c.a.placed[(c.form+i)%n]
		if other != s && other.kind == s.kind && other.stages[other.current(c.now)].word != "" {
			return other
		}
	}
	return nil
}

// state is the stage that the API states now.
func (c *call) state(s *subject) stage {
	st := s.stages[s.current(c.now)]
	if st.weird {
		s.countWeird()
	}
	if s.tampered && !s.amtSeen && st.word != "" {
		s.amtSeen = true
		c.a.w.stats.Injected[FaultTampered]++
	}
	return st
}

// retryAfters are forms of Retry-After that are seen: seconds, none, absurd.
// A far date is left out, since it is honoured for a day.
var retryAfters = [...]string{"1", "1", "2", "", "0", "-5", "soon", "date"}

// tooMany is a 429 in one of its forms.
func (c *call) tooMany() answer {
	ra := retryAfters[c.form%len(retryAfters)]
	if ra == "date" {
		ra = c.now.Add(2 * time.Second).UTC().Format(http.TimeFormat)
	}
	return c.a.dialect.overBudget(ra)
}

// asked reads a Retry-After as a number of seconds or a date; anything else
// asks for nothing.
func asked(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil {
		return max(time.Duration(n)*time.Second, 0)
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// write sends an answer, or what the fault makes of it.
func (a *account) write(w http.ResponseWriter, c *call, ans answer) {
	switch c.fault {
	case FaultRateLimited:
		plain(w, c.limit)
	case FaultServerError:
		plain(w, answer{status: [...]int{500, 502, 503}[c.form%3], body: []byte(`{"message":"unavailable"}`)})
	case FaultSlow:
		rest(c.r, a.w.speed.SlowCall)
		plain(w, ans)
	case FaultReset:
		reset(w)
	case FaultHalfBody:
		half(w, ans)
	case FaultHTML:
		html(w, 200, "<html><body>Service busy. Contact "+a.w.canaries["email"]+"</body></html>")
	case FaultFailInside:
		plain(w, a.dialect.failInside())
	case FaultRedirect:
		w.Header().Set("Location", trap)
		w.WriteHeader([...]int{301, 302, 307, 308}[c.form%4])
	case FaultHuge:
		huge(w)
	case FaultDrip:
		drip(w, c.r)
	default:
		plain(w, ans)
	}
}

func plain(w http.ResponseWriter, ans answer) {
	for k, v := range ans.header {
		w.Header()[k] = v
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(ans.status)
	_, _ = w.Write(ans.body)
}

func html(w http.ResponseWriter, status int, page string) {
	plain(w, answer{status: status, header: http.Header{"Content-Type": {"text/html"}}, body: []byte(page)})
}

// rest waits for d or until the caller goes.
func rest(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.Context().Done():
	case <-t.C:
	}
}

// reset closes the connection so that the caller sees RST, not an end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder: cut is all there is
	}
	var tcp *net.TCPConn
	if t, ok := conn.(*net.TCPConn); ok {
		tcp = t
	}
	if tcp != nil {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// half promises the whole body and cuts in its middle.
func half(w http.ResponseWriter, ans answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(ans.body)+1))
	w.WriteHeader(ans.status)
	_, _ = w.Write(ans.body[:len(ans.body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// huge sends 8 MiB of one JSON string, eight times what a caller should read.
func huge(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, err := io.WriteString(w, `{"data":"`)
	chunk := []byte(strings.Repeat("0123456789abcdef", 4096))
	for range (8 << 20) / len(chunk) {
		if err != nil {
			return
		}
		_, err = w.Write(chunk)
	}
	_, _ = io.WriteString(w, `"}`)
}

// drip sends a space now and then until the caller gives up.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, " "); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		rest(r, 100*time.Millisecond)
	}
}

// decode reads a JSON object; numbers stay literals.
func decode(body []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
