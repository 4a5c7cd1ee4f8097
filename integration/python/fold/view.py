"""docs/ORDER.md, sections 2 and 4: from rows to what is shown."""

from decimal import Decimal

from .tables import RANK, TERMINAL

FOUR = ("COMPLETED", "FAILED", "CANCELLED", "EXPIRED")


class View:
    """The rows of one subject, and what follows from them."""

    def __init__(self, rows, lane, settings, customer):
        self.rows, self.lane, self.settings, self.customer = rows, lane, settings, customer
        self.webhooks = [r for r in rows if r.kind == "webhook"]
        self.polls = [r for r in rows if r.kind == "poll"]
        self.answers = [r for r in self.polls if not r.word.startswith("!")]
        self.intents = [r for r in rows if r.kind == "intent"]
        self.known = [r for r in self.webhooks + self.answers if self.status(r) != "UNKNOWN"]
        self.status_word = self.rule = self.source = self.row = self.since = None

    def status(self, row):
        return self.lane.table.meaning(self.customer, row.word) or "UNKNOWN"

    @staticmethod
    def said(row):
        """When a row was last said: a webhook at its first sighting."""
        return row.last if row.kind == "poll" else row.first

    def times(self, status):
        """Every moment at which a status was said."""
        out = []
        for r in self.known:
            if self.status(r) == status:
                out += [r.first, r.last] if r.kind == "poll" else [r.first]
        return sorted(out)

    def first(self, status):
        return self.times(status)[0][0]

    def last(self, status):
        return self.times(status)[-1][0]

    def rows_that_say(self, status):
        return [r for r in self.known if self.status(r) == status]

    def polled(self, test):
        return [r for r in self.answers if self.status(r) != "UNKNOWN" and test(self.status(r))]

    # The decision.

    def decide(self):
        if self.rows[0].kind == "forget":
            self.settle("UNKNOWN", "forgotten", since=self.rows[0].first[0])
        elif self.customer:
            self.customer_latest()
        elif self.times("REFUNDED"):
            self.by_first("REFUNDED", "refunded")
        else:
            said = [t for t in FOUR if self.times(t)]
            if said:
                self.settled(said)
            else:
                self.open_order()
        return self

    def settle(self, status, rule, row=None, since=None):
        self.status_word, self.rule, self.row, self.since = status, rule, row, since
        self.source = row.kind if row else None

    def by_first(self, status, rule):
        row = min(self.rows_that_say(status), key=lambda r: r.first)
        self.settle(status, rule, row, self.first(status))

    def settled(self, said):
        """Rules 3 to 7."""
        clashes = []
        if len(said) == 1:
            stands = said[0]
            self.by_first(stands, "terminal")
        else:
            stands = next((t for t in said if self.outlasts(t, said)), None)
            if stands:
                row = max(self.rows_that_say(stands), key=self.said)
                since = max([self.first(stands)] + [self.last(o) for o in said if o != stands])
                self.settle(stands, "terminals_resolved", row, since)
            else:
                clashes = [(self.first(t), t) for t in said]
                self.settle("DISPUTED", "terminals_disputed", since=sorted(clashes)[1][0])
        if stands:
            limit = self.last(stands) + self.settings.confirm
            against = [p for p in self.polled(lambda s: s not in TERMINAL) if p.last[0] > limit]
            if against:
                since = max(limit, min(p.first[0] for p in against))
                clashes = [(since, None)]
                self.settle("DISPUTED", "terminal_contradicted", since=since)
        if self.status_word == "COMPLETED":
            unmet, compared = self.unmet()
            if unmet:
                clashes = [(at, None) for at, _ in unmet]
                self.settle("DISPUTED", "amount_mismatch", since=min(at for at, _ in unmet))
            elif self.lane.table.payer_amount and not compared:
                self.rule = "amount_unverified"
        if self.status_word == "DISPUTED":
            self.operator(clashes)

    def outlasts(self, status, said):
        polls = [p.last[0] for p in self.rows_that_say(status) if p.kind == "poll"]
        return bool(polls) and all(max(polls) > self.last(o) + self.settings.confirm for o in said if o != status)

    def operator(self, clashes):
        decisions = [r for r in self.rows if r.kind == "decision"]
        if not decisions:
            return
        d = max(decisions, key=lambda r: r.last)
        if d.last[0] < self.since:
            return
        other = [at for at, supports in clashes if supports != d.word]
        later = [at for at in other if at > d.last[0]]
        if later:
            self.since = min(later)
            return
        known = max([self.since] + other)
        self.settle(d.word, "operator_decision", d, d.first[0] if d.first[0] >= known else d.last[0])

    def open_order(self):
        polls = self.polled(lambda s: True)
        candidates = []
        after = None
        if polls:
            p = max(polls, key=lambda r: r.last)
            candidates.append((self.status(p), p.last, "latest_poll", p))
            after = p.last[0] - self.settings.margin
        for w in self.webhooks:
            if self.status(w) != "UNKNOWN" and (after is None or w.first[0] > after):
                candidates.append((self.status(w), w.first, "webhook" if after is None else "webhook_after_poll", w))
        if self.intents:
            candidates.append(self.intended())
        # Highest rank, then later said, then the smaller name.
        candidates.sort(key=lambda c: c[0])
        self.choose(candidates, lambda c: (RANK[c[0]], c[1]))

    def customer_latest(self):
        candidates = [(self.status(r), self.said(r), "customer_latest", r) for r in self.known]
        if not candidates and self.intents:
            candidates = [self.intended()]
        candidates.sort(key=lambda c: c[0])
        self.choose(candidates, lambda c: (c[1], RANK[c[0]]))

    def intended(self):
        i = min(self.intents, key=lambda r: r.first)
        return ("CREATED", i.first, "intent", i)

    def choose(self, candidates, order):
        if not candidates:
            self.settle("UNKNOWN", "no_known_status", since=min(r.first for r in self.rows)[0])
            return
        status, said, rule, row = max(candidates, key=order)  # the first of equals, by name
        since = said[0] if rule == "intent" else self.holds_since(status)
        self.settle(status, rule, row, since)

    def holds_since(self, status):
        own = self.times(status)
        since = own[0][0]
        for other in RANK:
            t = self.times(other)
            if other not in (status, "UNKNOWN") and t and t[-1] < own[-1]:
                since = max(since, t[-1][0])
        return since

    @property
    def terminal(self):
        if self.rule == "forgotten":
            return True
        return self.status_word == "CANCELLED" if self.customer else self.status_word in TERMINAL

    def stale_since(self):
        gave_up = [p.last for p in self.polls if p.word == "!gave_up"]
        if self.terminal or not gave_up:
            return None
        spoken = [w.first for w in self.webhooks] + [p.last for p in self.answers]
        spoken += [r.last for r in self.rows if r.kind == "overflow" and r.word == "poll"]
        return None if any(s > max(gave_up) for s in spoken) else max(gave_up)[0]

    # Facts and amounts.

    def shown(self, row, with_intents=True):
        sources = [row.facts] if row is not None and row.kind in ("webhook", "poll") else []
        for rows in (self.answers, self.webhooks):
            sources += [r.facts for r in sorted(rows, key=self.said, reverse=True)]
        if with_intents:
            sources += [i.facts for i in self.intents]
        out = {}
        for f in sources:
            for amount, unit in (("fiat_amount", "fiat_currency"), ("crypto_amount", "crypto_asset")):
                if amount in out:
                    continue
                if amount in f and (unit not in out or out[unit] == f.get(unit)):
                    out[amount] = f[amount]
                    if unit in f:
                        out[unit] = f[unit]
                elif unit in f:
                    out.setdefault(unit, f[unit])
            for k, v in f.items():
                if k not in ("fiat_amount", "fiat_currency", "crypto_amount", "crypto_asset"):
                    out.setdefault(k, v)
        return out

    def unmet(self):
        """(since when, type) of each expectation that is not met, and whether any
        amount could be compared."""
        done = sorted(self.rows_that_say("COMPLETED"), key=lambda r: r.first)
        if done:
            seen = [(done[0].first[0], self.shown(done[0], False))] + [(r.first[0], r.facts) for r in done]
        else:
            polls = self.polled(lambda s: True)
            p = max(polls, key=lambda r: r.last) if polls else None
            seen = [(p.first[0] if p else 0, self.shown(p, False))]
        out, compared = [], False
        for i in self.intents:
            for at, facts in seen:
                kinds, some = differences(i.facts, facts, self.lane.table.payer_amount)
                out += [(max(at, i.first[0]), kind) for kind in kinds]
                compared = compared or some
        return out, compared


def differences(want, seen, payers):
    """Section 4: only what both sides state is compared; where the amounts are the
    payer's, one whose unit a side leaves out verifies nothing."""
    kinds, compared = [], False
    for amount, unit in (("fiat_amount", "fiat_currency"), ("crypto_amount", "crypto_asset")):
        both = amount in want and amount in seen
        units = not payers or (unit in want and unit in seen)
        compared = compared or (both and units)
        if unit in want and unit in seen and want[unit] != seen[unit]:
            kinds.append("ASSET_MISMATCH")
        elif both and Decimal(want[amount]) != Decimal(seen[amount]):
            kinds.append("AMOUNT_MISMATCH")
    least = "crypto_receive_min_amount"
    if least in want and "crypto_amount" in seen:
        compared = compared or not payers or ("crypto_asset" in want and "crypto_asset" in seen)
        if Decimal(seen["crypto_amount"]) < Decimal(want[least]):
            kinds.append("AMOUNT_MISMATCH")
    if "crypto_network" in want and "crypto_network" in seen and want["crypto_network"].lower() != seen["crypto_network"].lower():
        kinds.append("ASSET_MISMATCH")
    if "side" in want and "side" in seen and want["side"] != seen["side"]:
        kinds.append("ASSET_MISMATCH")
    return kinds, compared
