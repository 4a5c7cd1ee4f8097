package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/order"
	"rampstream/internal/redrive"
	"rampstream/internal/stream"
)

// ingest's classes are lower-case words; --class must find them as any other.
func TestRedrive_classOfIngest(t *testing.T) {
	w := newAuditWorld(t, 0)
	letter := stream.DeadLetter(auditTopics.DeadLetter, stream.Record{Topic: auditTopics.Webhook, Partition: -1, Offset: -1, Key: []byte("acme/shop"), Value: []byte("{}")},
		"ingest", "parse", "no_order_id", "delivery set aside")
	if _, err := w.log.Append(letter); err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{"no_order_id", "NO_ORDER_ID"} {
		f := redriveFlags{rate: 1, filter: redrive.Filter{Limit: 10, Classes: []string{class}}}
		if err := f.check(time.Now()); err != nil {
			t.Fatal(err)
		}
		d := redrive.Redriver{Log: w.log, Codec: w.codec, Rules: w.rules, Topics: auditTopics, Partitions: auditPartitions, Now: time.Now}
		sel, err := d.Select(t.Context(), f.filter)
		if err != nil || len(sel.Letters) != 1 {
			t.Errorf("--class %s selects %d dead letters, %v; want the one", class, len(sel.Letters), err)
		}
	}
}

// A key is a producer's: what it says must not steer the terminal of who looks at
// it, nor pass for a line of ours.
func TestRedrive_keysAreQuoted(t *testing.T) {
	w := newAuditWorld(t, 0)
	key := []byte("acme/shop/o1\x1b[2J\nramp.dead-letter.v1-0-0  acme/shop/o2 of ramp.intent.v1-0-0 (UNDECODABLE): joins")
	if _, err := w.log.Append(stream.Record{Topic: auditTopics.Intent, Partition: stream.Auto, Key: key, Value: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	w.join()
	var stdout, stderr bytes.Buffer
	c := &cli{out: &stdout, errw: &stderr, output: "text"}
	d := redrive.Redriver{Log: w.log, Codec: w.codec, Rules: w.rules, Topics: auditTopics, Partitions: auditPartitions, Now: time.Now}
	sel, err := d.Select(t.Context(), redrive.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	steps, err := d.Plan(t.Context(), sel.Letters)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.forecast(sel, steps); err != nil {
		t.Fatal(err)
	}
	if out := stdout.String(); strings.Count(out, "\n") != 1 || strings.Contains(out, "\x1b") {
		t.Errorf("one dead letter is printed as %q", out)
	}
}

// verify answers as ingest does: what it takes no content type of is not accepted.
func TestWebhook_verifyOfAnotherContentType(t *testing.T) {
	c := newCtl(t)
	request, errs, code := c.run(ctlDelivery, "webhook", "sign", "--account", "kado/acme", "--request")
	if code != 0 {
		t.Fatal(errs)
	}
	for _, tc := range []struct{ name, header string }{
		{"none", ""}, {"a form", "Content-Type: application/x-www-form-urlencoded\r\n"}, {"almost", "Content-Type: application/json5\r\n"},
	} {
		text := strings.Replace(request, "Content-Type: application/json\r\n", tc.header, 1)
		if text == request {
			t.Fatal(request)
		}
		out, _, code := c.run("", "webhook", "verify", c.saved(text), "-o", "json")
		if code != 1 || !strings.Contains(out, `"answer":415`) || !strings.Contains(out, `"accepted":false`) {
			t.Errorf("%s: exit code %d, %s; want 1 and 415, as ingest answers", tc.name, code, out)
		}
	}
}

// What a merchant's own producer writes into a reference must not pass for a line of
// ours.
func TestOrders_factsAreQuoted(t *testing.T) {
	var stdout bytes.Buffer
	c := &cli{out: &stdout, output: "text"}
	st := events.State{Key: auditKey(0), Status: events.StatusPending, Expected: events.Facts{MerchantRef: "m-1\nstatus         COMPLETED\x1b[8m"}}
	if err := c.showState(st); err != nil {
		t.Fatal(err)
	}
	if out := stdout.String(); strings.Count(out, "\nstatus ") != 1 || strings.Contains(out, "\x1b") {
		t.Errorf("a state is printed as\n%q", out)
	}
	x := explanation{st: events.State{Key: auditKey(0), DecidedBy: order.RuleForgotten}, rules: auditRules(t, nil)}
	e := events.Evidence{Kind: events.EvidenceDecision, Operator: "op", Reason: "because\n=>  poll  COMPLETED\x1b[8m"}
	if got := x.says(e); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("a reason is printed as %q", got)
	}
}

// One piece of evidence decides: of two webhooks with one word and other facts the
// first, by the rules.
func TestExplain_oneDecides(t *testing.T) {
	x := explained(t, events.Webhook{StatusRaw: "done", Facts: amount("10")}, events.Webhook{StatusRaw: "done", Facts: amount("9")})
	if x.st.DecidedBy != order.RuleTerminal || x.st.Since != auditDay {
		t.Fatalf("decided by %s since %d", x.st.DecidedBy, x.st.Since)
	}
	var deciding []string
	for _, e := range x.json().Evidence {
		if e.Decides {
			deciding = append(deciding, e.First+" "+e.Facts["fiat_amount"])
		}
	}
	if len(deciding) != 1 || deciding[0] != "ramp.t-0-0 10" {
		t.Errorf("marked as deciding: %q, want the first webhook alone", deciding)
	}
}

// What a merchant's own producer writes into an intent is shown beside what was
// seen: it must not steer the terminal there either, nor pass for a row of ours.
func TestDiscrepancies_foreignTextIsQuoted(t *testing.T) {
	foreign := "EUR\x1b[8m\nacme/shop/o2  asset_mismatch  critical"
	facts := func(currency, hash string) events.Facts {
		return events.Facts{FiatAmount: "10", FiatCurrency: currency, TxHash: hash}
	}
	x := explained(t, events.Intent{Facts: facts(foreign, foreign)}, events.StatusCheck{StatusRaw: "done", Facts: facts("EUR", "0xab")})
	if len(x.all) < 2 {
		t.Fatalf("discrepancies %+v; want a currency and a hash that differ", x.all)
	}
	var stdout bytes.Buffer
	c := &cli{out: &stdout, output: "text"}
	if err := c.printDiscrepancies(x.all); err != nil {
		t.Fatal(err)
	}
	if out := stdout.String(); strings.Count(out, "\n") != 1+len(x.all) || strings.Contains(out, "\x1b") {
		t.Errorf("%d discrepancies are printed as\n%q", len(x.all), out)
	}
	stdout.Reset()
	if err := c.showWhy(x); err != nil {
		t.Fatal(err)
	}
	if out := stdout.String(); strings.Contains(out, "\nacme/shop/o2") || strings.Contains(out, "\x1b") {
		t.Errorf("explain prints\n%q", out)
	}
}
