package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFrame is more than any broker takes.
const maxFrame = 128 << 20

// link is one connection of a client and the one that goes on to the broker.
// A request that is held keeps the second open when the first is gone.
type link struct {
	p                *Proxy
	client, upstream net.Conn
	once             sync.Once
	cut              chan struct{} // closed with the client's connection

	mu      sync.Mutex
	pending map[int32]pending
	halted  bool // nothing more is passed on
	held    sync.WaitGroup
}

// pending is a request that waits for its answer.
type pending struct {
	key     kmsg.Key
	version int16
	rule    *Rule  // nil for none
	trimmed []byte // what was forwarded in place of the request
}

// header is what stands in front of every request.
type header struct {
	key         kmsg.Key
	version     int16
	correlation int32
	client      string
	body        []byte // after the header, for decoding
}

func contains(s, part string) bool { return strings.Contains(s, part) }

// again is how long a trimmed request that was refused waits to be sent again.
const again = 20 * time.Millisecond

// close ends the client's side. The broker's ends when nothing is held.
func (l *link) close() {
	l.once.Do(func() {
		close(l.cut)
		_ = l.client.Close()
		go func() {
			l.held.Wait()
			_ = l.upstream.Close()
		}()
	})
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, errors.New("proxy: no frame of Kafka")
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

func parseHeader(frame []byte) (h header, ok bool) {
	b := frame[4:]
	if len(b) < 10 {
		return header{}, false
	}
	h.key, h.version = kmsg.Key(binary.BigEndian.Uint16(b)), int16(binary.BigEndian.Uint16(b[2:]))
	h.correlation = int32(binary.BigEndian.Uint32(b[4:]))
	n := int16(binary.BigEndian.Uint16(b[8:]))
	b = b[10:]
	if n >= 0 {
		if len(b) < int(n) {
			return header{}, false
		}
		h.client, b = string(b[:n]), b[n:]
	}
	h.body = b
	return h, true
}

// decode reads the body, nil where that is not possible.
func (h header) decode() kmsg.Request {
	req := kmsg.RequestForKey(int16(h.key))
	if req == nil {
		return nil
	}
	req.SetVersion(h.version)
	body := h.body
	if req.IsFlexible() {
		body = skipTags(body)
	}
	if req.ReadFrom(body) != nil {
		return nil
	}
	return req
}

// skipTags passes over the tagged fields of a header.
func skipTags(b []byte) []byte {
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return nil
	}
	b = b[n:]
	for range count {
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return nil
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || uint64(len(b)-n-m) < size {
			return nil
		}
		b = b[n+m+int(size):]
	}
	return b
}

// ruleFor is the first rule that a request falls under, nil for none.
func (l *link) ruleFor(h header) *Rule {
	l.p.mu.Lock()
	rules := l.p.rules
	l.p.mu.Unlock()
	for _, r := range rules {
		if r.take(h.key, h.client, h.decode) {
			return r
		}
	}
	return nil
}

// latency is what the next frame waits.
func (l *link) latency() time.Duration {
	l.p.mu.Lock()
	latency := l.p.latency
	l.p.mu.Unlock()
	if latency == nil {
		return 0
	}
	return latency()
}

// requests passes them on, until the client's side ends.
func (l *link) requests() {
	defer l.close()
	for {
		frame, err := readFrame(l.client)
		if err != nil {
			return
		}
		h, ok := parseHeader(frame)
		if !ok {
			return
		}
		if l.isHalted() {
			l.swallow(l.client)
			return
		}
		rule, wait := l.ruleFor(h), l.latency()
		if rule != nil {
			wait += rule.Delay
		}
		if wait > 0 && !l.sleep(wait) {
			if rule != nil && rule.Hold { // its client has gone before
				rule.through()
				rule.after.Done()
			}
			return
		}
		switch {
		case rule == nil:
		case rule.Lose:
			return
		case rule.Trim != nil:
			if frame = trim(h, rule.Trim, frame); frame == nil {
				l.halt(rule)
				return
			}
		case rule.HaltBefore:
			l.halt(rule)
			return
		case rule.Hold:
			l.hold(rule, h, frame)
			return
		case rule.Answer != nil:
			// Answers come in the order of requests.
			if resp := rule.Answer(h.decode()); resp != nil && l.answeredAll() {
				resp.SetVersion(h.version)
				if _, err := l.client.Write(respond(h, resp)); err != nil {
					return
				}
				continue
			}
			rule = nil
		}
		if !l.forward(h, rule, frame) {
			return
		}
	}
}

func (l *link) isHalted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.halted
}

// halt passes nothing more on. It returns when the client is gone.
func (l *link) halt(rule *Rule) {
	l.stand(rule)
	l.swallow(l.client)
}

// stand passes nothing more on: the client is where the rule wants it.
func (l *link) stand(rule *Rule) {
	l.mu.Lock()
	l.halted = true
	l.mu.Unlock()
	rule.reach()
}

// sendAgain sends a trimmed request again, which is still pending.
func (l *link) sendAgain(was pending) bool {
	if !l.sleep(again) {
		return false
	}
	_, err := l.upstream.Write(was.trimmed)
	return err == nil
}

// swallow reads to the end.
func (l *link) swallow(from net.Conn) { _, _ = io.Copy(io.Discard, from) }

// trim is the request as change leaves it, nil if it leaves nothing.
func trim(h header, change func(kmsg.Request) bool, frame []byte) []byte {
	req := h.decode()
	if req == nil || !change(req) {
		return nil
	}
	head := len(frame) - len(h.body) // and the tagged fields of the header, which is flexible when the body is
	if req.IsFlexible() {
		head = len(frame) - len(skipTags(h.body))
	}
	out := req.AppendTo(bytes.Clone(frame[:head]))
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}

// answeredAll waits until no request waits for its answer.
func (l *link) answeredAll() bool {
	for {
		l.mu.Lock()
		n := len(l.pending)
		l.mu.Unlock()
		if n == 0 {
			return true
		}
		if !l.sleep(time.Millisecond) {
			return false
		}
	}
}

// forward sends a request on. One without an answer (acks=0) is not waited for.
func (l *link) forward(h header, rule *Rule, frame []byte) bool {
	l.mu.Lock()
	l.pending[h.correlation] = pending{h.key, h.version, rule, nil}
	if rule != nil && rule.Trim != nil {
		l.pending[h.correlation] = pending{h.key, h.version, rule, frame}
	}
	l.mu.Unlock()
	_, err := l.upstream.Write(frame)
	return err == nil
}

// hold keeps a request, cuts the client off and lets it through at Release.
func (l *link) hold(rule *Rule, h header, frame []byte) {
	l.held.Add(1)
	gate := rule.gate()
	l.p.wg.Go(func() {
		defer l.held.Done()
		defer rule.after.Done()
		select {
		case <-gate:
		case <-l.p.ctx.Done():
			rule.through()
			return
		}
		rule.through()
		if !l.forward(h, rule, frame) {
			rule.answered(-2)
			return
		}
		// The answer is read by answers, which tells the rule; give it time.
		deadline := time.After(10 * time.Second)
		for {
			l.mu.Lock()
			_, waits := l.pending[h.correlation]
			l.mu.Unlock()
			if !waits {
				return
			}
			select {
			case <-deadline:
				rule.answered(-3)
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
}

// answers passes them back, until the broker's side ends.
func (l *link) answers() {
	defer l.close()
	for {
		frame, err := readFrame(l.upstream)
		if err != nil || len(frame) < 8 {
			return
		}
		correlation := int32(binary.BigEndian.Uint32(frame[4:]))
		l.mu.Lock()
		was, known := l.pending[correlation]
		l.mu.Unlock()
		if !known {
			return
		}
		done := func() { l.settle(correlation) }
		if was.rule != nil && was.rule.Hold {
			was.rule.answered(codeOf(was, frame))
			done()
			continue
		}
		if was.trimmed != nil && codeOf(was, frame) > 0 {
			if !l.sendAgain(was) {
				return
			}
			continue
		}
		done()
		if was.rule != nil && was.rule.HaltAfter && was.rule.halts(was, frame) {
			was.rule.answered(codeOf(was, frame))
			l.stand(was.rule)
			l.swallow(l.upstream)
			return
		}
		if l.isHalted() {
			continue
		}
		if was.rule != nil && was.rule.Drop {
			l.close()
			continue
		}
		if was.rule != nil && was.rule.Mute {
			continue
		}
		if frame, err = l.edit(was, frame); err != nil {
			return
		}
		// With the client gone go on reading: something may be held, and when
		// nothing is, the broker's side ends.
		if wait := l.latency(); wait > 0 && !l.sleep(wait) {
			continue
		}
		l.give(was, frame)
	}
}

// give passes an answer on, and tells a rule that waits for one without an error.
func (l *link) give(was pending, frame []byte) {
	good := was.rule != nil && !was.rule.HaltAfter && codeOf(was, frame) <= 0
	if good {
		was.rule.pass()
	}
	if _, err := l.client.Write(frame); err != nil {
		l.close()
	}
	if good {
		was.rule.reach()
	}
}

// settle forgets a request that was answered.
func (l *link) settle(correlation int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, correlation)
}

// halts reports whether an answer is the one to keep.
func (r *Rule) halts(was pending, frame []byte) bool {
	if r.When == nil {
		return codeOf(was, frame) <= 0
	}
	resp, err := decodeAnswer(was, frame)
	return err == nil && r.When(resp)
}

// sleep waits, unless the connection ends first.
func (l *link) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.cut:
		return false
	}
}
