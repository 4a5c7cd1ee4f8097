"""docs/ORDER.md, section 3: which types are open."""

from .tables import RANK, TERMINAL
from .view import FOUR


def later(rows, t):
    """Whether any of the rows was said later than t."""
    return any(s[0] > t for r in rows for s in (r.first, r.last) if s)


def open_types(v):
    if v.rule == "forgotten":
        return []
    found = {
        "ILLEGAL_TRANSITION": illegal_transition(v),
        "DUPLICATE_CONFLICT": len(v.intents) > 1,
        "UNKNOWN_STATUS": unknown_status(v),
        "STUCK": stuck(v),
        "FUTURE_EVIDENCE": future_evidence(v),
    }
    if not v.customer:
        unmet = {kind for _, kind in v.unmet()[0]} if v.status_word not in TERMINAL else set()
        hashes = {r.facts["tx_hash"] for r in v.rows if "tx_hash" in r.facts}
        found |= {
            "MISSING_WEBHOOK": missing_webhook(v),
            "STATUS_CONFLICT": status_conflict(v),
            "LATE_AFTER_TERMINAL": late_after_terminal(v),
            "AMOUNT_MISMATCH": "AMOUNT_MISMATCH" in unmet,
            "ASSET_MISMATCH": "ASSET_MISMATCH" in unmet,
            "TX_HASH_MISMATCH": len(hashes) > 1,
            "UNCONFIRMED": unconfirmed(v),
        }
    return sorted(k for k, is_open in found.items() if is_open)


def ends(v):
    return [t for t in (*FOUR, "REFUNDED") if v.times(t)]


def terminal_polls(v):
    return v.polled(lambda s: s in TERMINAL)


def missing_webhook(v):
    if not v.lane.webhooks:
        return False
    seen = max(s[0] for r in v.rows for s in (r.first, r.last) if s)
    for t in ends(v):
        polls = [p.first[0] for p in v.rows_that_say(t) if p.kind == "poll"]
        if polls and not any(r.kind == "webhook" for r in v.rows_that_say(t)) and seen >= min(polls) + v.settings.missing:
            return True
    return False


def status_conflict(v):
    said = [t for t in FOUR if v.times(t)]
    if len(said) > 1 and v.status_word not in TERMINAL:
        return True
    if v.times("REFUNDED"):
        back = [p.last[0] for p in v.rows_that_say("REFUNDED") if p.kind == "poll"]
        for t in said:
            polls = [p.last[0] for p in v.rows_that_say(t) if p.kind == "poll"]
            if polls and max(polls) > v.first("REFUNDED") + v.settings.margin and max(back, default=0) <= max(polls):
                return True
    if ends(v):
        settled = min(v.first(t) for t in ends(v))
        for p in v.polled(lambda s: s not in TERMINAL):
            if p.last[0] > settled + v.settings.margin and not later(terminal_polls(v), p.last[0]) and v.rule != "operator_decision":
                return True
    for w in v.webhooks:
        data = v.lane.table.meaning(v.customer, w.facts.get("status_in_data", "")) or "UNKNOWN"
        own = v.status(w)
        if data not in ("UNKNOWN", own) and TERMINAL & {own, data} and not later(v.polled(lambda s: True), w.first[0]):
            return True
    return False


def illegal_transition(v):
    for high in v.known:
        up = RANK[v.status(high)]
        settled = v.status(high) == "CANCELLED" if v.customer else v.status(high) in TERMINAL
        if settled or up == 0:
            continue
        began = high.first[0] + (v.settings.margin if high.kind == "webhook" else 0)
        for low in v.polled(lambda s: 0 < RANK[s] < up):
            if low.last[0] <= began or v.lane.table.may_go_down(high.word, low.word):
                continue
            if RANK[v.status_word] >= up:
                if v.rule == "operator_decision":
                    continue
                rows = v.rows_that_say(v.status_word)
                if rows and later([max(rows, key=v.said)], low.last[0]):
                    continue
            return True
    return False


def late_after_terminal(v):
    if not ends(v):
        return False
    settled = min(v.first(t) for t in ends(v))
    return any(
        w.kind == "webhook" and v.status(w) not in TERMINAL and w.first[0] > settled + v.settings.margin and not later(terminal_polls(v), w.first[0])
        for w in v.known
    )


def unknown_status(v):
    if any(r.kind == "overflow" for r in v.rows):
        return True
    rows = v.rows_that_say(v.status_word) if v.status_word != "UNKNOWN" else []
    for r in v.webhooks + v.answers:
        if r.word and v.lane.table.meaning(v.customer, r.word) is None and not later(rows, v.said(r)[0]):
            return True
    return False


def stuck(v):
    for p in v.polled(lambda s: s not in TERMINAL):
        if v.customer and v.status(p) == "CREATED":
            continue
        others = [s[0] for r in v.webhooks + v.answers if r.word not in ("", p.word) for s in (r.first, r.last) if s]
        since = max([p.first[0]] + [t for t in others if t < p.last[0]])
        if p.last[0] - since >= v.settings.stuck and not any(t > p.last[0] for t in others):
            return True
    return False


def unconfirmed(v):
    missed = [p.last[0] for p in v.polls if p.word == "!not_found"]
    named = [w.first[0] for w in v.webhooks]
    return bool(missed and named) and max(missed) >= min(named) and not later(v.answers, max(missed))


def future_evidence(v):
    return any(r.kind == "future" and not later(v.rows, r.last[0]) for r in v.rows)
