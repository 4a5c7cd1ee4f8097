"""docs/ORDER.md, section 1: from records to rows of evidence."""

import hashlib
from dataclasses import dataclass, field

FACTS = (
    "fiat_amount fiat_currency crypto_amount crypto_asset crypto_network crypto_receive_min_amount side tx_hash customer_id "
    "merchant_ref customer_ref external_id status_in_data funds_taken provider_created_at kyc_level docs_uploaded "
    "verification_status wallet_status wallet_id"
).split()
WORDS, MEANINGS = 64, 4


class Unsupported(Exception):
    """A history whose rows cannot be told from the documents: which of several
    are kept depends on a hash that they do not define."""


@dataclass
class Row:
    kind: str
    word: str = ""
    listed: bool = False
    facts: dict = field(default_factory=dict)
    first: tuple = ()  # (time, event id, topic, partition, offset)
    last: tuple = ()
    operator: str = ""


def facts_of(record):
    """The stated facts of a record; null and empty are not stated."""
    out = {k: record[k] for k in FACTS if record.get(k) not in (None, "")}
    if record.get("wallet_accounts"):
        out["wallet_accounts"] = accounts(record)
    return out


def accounts(record):
    """The wallet accounts of a record in a form that compares."""
    return sorted(tuple((k, a[k] or None) for k in ("id", "network", "coin", "symbol", "address")) for a in record["wallet_accounts"])


def shorten(word):
    if len(word.encode()) <= 64:
        return word
    return hashed(word)


def hashed(word):
    # The length of the hash is not documented; only equality matters here.
    return "sha256:" + hashlib.sha256(word.encode()).hexdigest()


@dataclass
class Said:
    """One input record that is evidence."""

    source: str
    word: str
    listed: bool
    facts: dict
    at: tuple
    future: bool
    revision: int = 0
    operator: str = ""
    content: tuple = ()


def read(kind, record, where, appended, margin):
    """What a record says; None for one that is no evidence."""
    at = record["observed_at"]
    future = appended is not None and at > appended + margin
    sighting = (appended + margin if future else at, record["event_id"], *where)
    facts = facts_of(record)
    if kind == "webhook":
        if record["trust"] != "SIGNED":
            return None
        return Said("webhook", shorten(record["status_raw"] or ""), record["status"] != "UNKNOWN", facts, sighting, future)
    if kind == "status-check":
        if record["outcome"] != "ok":
            if record["cause"] == "hint":
                return None
            return Said("poll", "!" + record["outcome"], True, {}, sighting, future)
        raw = record["status_raw"] or ""
        word = hashed(raw) if raw.startswith("!") else shorten(raw)
        return Said("poll", word, record["status"] != "UNKNOWN", facts, sighting, future)
    if record["kind"] == "EXPECT":
        revision = record["revision"] or 0
        return Said("intent", "", False, facts, sighting, future, revision, content=tuple(sorted(facts.items(), key=str)))
    content = (record["decision"] or "", record["operator"] or "", record["reason"] or "")
    if record["kind"] == "DECIDE":
        return Said("decision", content[0], False, {}, sighting, future, operator=content[1], content=content)
    return Said("forget", "", False, {}, sighting, False, operator=content[1], content=content)


def latest(sightings):
    """The latest by time and event id; of copies of one event, the smallest
    coordinates count."""
    top = max(s[:2] for s in sightings)
    return min(s for s in sightings if s[:2] == top)


def rows_of(said):
    """The rows of everything that was said about one subject."""
    forgets = [s for s in said if s.source == "forget"]
    if forgets:
        f = min(forgets, key=lambda s: s.at)
        return [Row("forget", first=f.at, operator=f.operator)]
    rows = []
    for source in ("webhook", "poll"):
        for listed in (False, True):
            rows += worded(source, listed, [s for s in said if s.source == source and s.listed == listed])
    intents = [s for s in said if s.source == "intent"]
    highest = max((s.revision for s in intents), default=0)
    by_content = group([s for s in intents if s.revision == highest], lambda s: s.content)
    if len(by_content) > MEANINGS:
        raise Unsupported("more contents of an intent than are kept")
    rows += [Row("intent", first=min(s.at for s in same), facts=same[0].facts) for same in by_content.values()]
    decisions = group([s for s in said if s.source == "decision"], lambda s: s.content)
    if len(decisions) > WORDS:
        raise Unsupported("more decisions than are kept")
    rows += [Row("decision", same[0].word, first=min(s.at for s in same), last=latest([s.at for s in same]), operator=same[0].operator)
             for same in decisions.values()]
    for source in ("webhook", "poll", "intent", "decision"):
        ahead = [s.at for s in said if s.source == source and s.future]
        if ahead:
            rows.append(Row("future", source, first=min(ahead), last=latest(ahead)))
    return rows


def worded(source, listed, said):
    """The rows of one source's words, within the bounds."""
    by_word = group(said, lambda s: s.word)
    kept = sorted(by_word, key=str.encode)[:WORDS]
    rows = []
    for word in kept:
        same = by_word[word]
        if source == "poll":
            last = latest([s.at for s in same])
            facts = next(s.facts for s in same if s.at == last)
            rows.append(Row("poll", word, listed, facts, min(s.at for s in same), last))
            continue
        meanings = group(same, lambda s: str(sorted(s.facts.items(), key=str)))
        if len(meanings) > MEANINGS:
            raise Unsupported("more meanings of a word than are kept")
        rows += [Row("webhook", word, listed, m[0].facts, min(s.at for s in m)) for m in meanings.values()]
    dropped = [s.at for w in by_word if w not in kept for s in by_word[w]]
    if dropped:
        rows.append(Row("overflow", source, first=min(dropped), last=latest(dropped) if source == "poll" else ()))
    return rows


def group(items, key):
    out = {}
    for i in items:
        out.setdefault(key(i), []).append(i)
    return out
