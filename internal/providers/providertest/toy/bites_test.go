package toy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"

	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/providers/providertest"
	"rampstream/internal/providers/providertest/toy"
)

// flawEnv names the flaw that TestFlawed builds into the toy.
const flawEnv = "TOY_FLAW"

// A flaw is one thing that a provider can do wrong, and where the suite must
// notice it.
type flaw struct {
	where  string // the part of the suite that notices it
	parse  func(providers.Delivery, events.Webhook, error) (events.Webhook, error)
	before func(providers.Delivery) providers.Delivery
	check  func(providers.Question, providers.Answer, error) (providers.Answer, error)
	valid  func([]string) []string
	words  map[string]events.Word
}

var errLeak = errors.New("order of " + providertest.CanaryEmail)

// sound is no flaw: what the others are compared with.
const sound = "is sound"

var flaws = map[string]flaw{
	sound: {},
	"takes any signature": {where: "signed/v1/every_bit", parse: func(d providers.Delivery, w events.Webhook, err error) (events.Webhook, error) {
		if err != nil && d.Header["Toy-Signature"] != nil {
			return events.Webhook{
				Key: events.Key{Provider: toy.Name, Account: "shop", ID: providertest.CanaryID}, EventID: events.EventID(events.Digest(string(d.Body))),
				ObservedAt: d.ReceivedAt, Trust: events.TrustSigned, StatusRaw: "paid", Status: events.StatusCompleted, Scheme: "v1",
				BodyDigest: providers.BodyDigest(d.Body),
			}, nil
		}
		return w, err
	}},
	"event id of the time": {where: "signed/v1/replay", parse: func(d providers.Delivery, w events.Webhook, err error) (events.Webhook, error) {
		if err == nil {
			w.EventID = events.EventID(events.Digest(fmt.Sprint(d.ReceivedAt)))
		}
		return w, err
	}},
	"reads the first of two headers": {where: "signed/v1/headers", before: func(d providers.Delivery) providers.Delivery {
		d.Header = maps.Clone(d.Header)
		if v := d.Header["Toy-Signature"]; len(v) > 1 {
			d.Header["Toy-Signature"] = v[:1]
		}
		return d
	}},
	"ignores the clock": {where: "signed/v1/clock", parse: func(_ providers.Delivery, w events.Webhook, err error) (events.Webhook, error) {
		if w.HintReason == "stale" {
			w.Trust, w.HintReason, w.Scheme = events.TrustSigned, "", "v1"
		}
		return w, err
	}},
	"quotes the body": {where: "signed/v1/bodies", parse: func(_ providers.Delivery, w events.Webhook, err error) (events.Webhook, error) {
		if err != nil {
			return w, providers.Refuse(providers.ErrMalformed, "unknown_shape", errLeak.Error())
		}
		return w, err
	}},
	"keeps the customer": {where: "signed/v1/words", parse: func(_ providers.Delivery, w events.Webhook, err error) (events.Webhook, error) {
		if err == nil {
			w.Facts.CustomerRef = providertest.CanaryEmail
		}
		return w, err
	}},
	"believes the body's account": {where: "signed/v1/accounts", parse: func(_ providers.Delivery, w events.Webhook, err error) (events.Webhook, error) {
		if err == nil {
			w.Key.Account = "other"
		}
		return w, err
	}},
	"hints with a status": {where: "hinted/unconfigured/only_the_subject", parse: func(_ providers.Delivery, w events.Webhook, err error) (events.Webhook, error) {
		if w.HintReason == "unconfigured" {
			w.StatusRaw = "paid"
		}
		return w, err
	}},
	"guesses a word":      {where: "signed/v1/unknown_word", words: map[string]events.Word{providertest.UnknownWord: {Status: events.StatusCompleted}}},
	"takes blank secrets": {where: "secret", valid: func([]string) []string { return nil }},
	"answers anybody's": {where: "call/order/failures", check: func(q providers.Question, _ providers.Answer, _ error) (providers.Answer, error) {
		return providers.Answer{Key: q.Key, StatusRaw: "paid"}, nil
	}},
	"names the address": {where: "call/order/network", check: func(_ providers.Question, a providers.Answer, err error) (providers.Answer, error) {
		if err != nil {
			err = &providers.CallError{Outcome: events.OutcomeUnreachable, Op: "toy order", Err: errLeak}
		}
		return a, err
	}},
	"every failure is not found": {where: "call/order/every_status", check: func(_ providers.Question, a providers.Answer, err error) (providers.Answer, error) {
		if err != nil {
			err = &providers.CallError{Outcome: events.OutcomeNotFound, Op: "toy order"}
		}
		return a, err
	}},
}

type flawed struct {
	flaw
	parser  providers.WebhookParser
	checker providers.Checker
}

func (f flawed) ParseWebhook(d providers.Delivery) (events.Webhook, error) {
	if f.before != nil {
		d = f.before(d)
	}
	w, err := f.parser.ParseWebhook(d)
	if f.parse != nil {
		return f.parse(d, w, err)
	}
	return w, err
}

func (f flawed) debug() (providers.WebhookDebugger, bool) {
	d, ok := f.parser.(providers.WebhookDebugger)
	return d, ok
}

func (f flawed) SignWebhook(body []byte, at events.Millis) (map[string][]string, error) {
	if d, ok := f.debug(); ok {
		return d.SignWebhook(body, at)
	}
	return nil, errLeak
}

func (f flawed) ExplainWebhook(d providers.Delivery, path string) []providers.Step {
	if dbg, ok := f.debug(); ok {
		return dbg.ExplainWebhook(d, path)
	}
	return nil
}

func (f flawed) Check(ctx context.Context, q providers.Question) (providers.Answer, error) {
	a, err := f.checker.Check(ctx, q)
	if f.check != nil {
		return f.check(q, a, err)
	}
	return a, err
}

// provider is the toy with the flaw.
func (f flaw) provider() providers.Provider {
	p := toy.Provider
	if f.valid != nil {
		p.Validate = func(a providers.Account, pol providers.Policy) []string {
			return f.valid(toy.Provider.Validate(a, pol))
		}
	}
	p.Vocabulary = func(a providers.Account) events.Vocabulary {
		v := toy.Provider.Vocabulary(a)
		maps.Copy(v.Orders, f.words)
		return v
	}
	p.Open = func(a providers.Account, env providers.Env) (providers.Capabilities, error) {
		caps, err := toy.Provider.Open(a, env)
		if err != nil {
			return caps, err
		}
		wrapped := flawed{f, caps.Webhook, caps.Orders}
		caps.Webhook = wrapped
		if caps.Orders != nil {
			caps.Orders = wrapped
		}
		return caps, nil
	}
	return p
}

// TestFlawed runs the suite on a toy with one flaw. It is not for people: see
// TestSuite_bites.
func TestFlawed(t *testing.T) {
	f, ok := flaws[os.Getenv(flawEnv)]
	if !ok {
		t.Skip("no flaw is asked for")
	}
	s := subject()
	s.Provider = f.provider()
	s.Calls = []providertest.Call{callOf(s.Provider)}
	providertest.Run(t, s)
}

// A suite that never fails proves nothing: each flaw must be noticed, and where.
func TestSuite_bites(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the suite once for each flaw")
	}
	for name, f := range flaws {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFlawed$/"+f.where)
			cmd.Env = append(os.Environ(), flawEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if name == sound {
				if err != nil {
					t.Errorf("the suite fails the toy itself: %v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestFlawed/"+f.where) {
				t.Errorf("%s does not notice a provider that %s:\n%s", f.where, name, out)
			}
		})
	}
}
