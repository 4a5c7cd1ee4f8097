"""The columns of a state, from what was said about its subject."""

from .discrepancies import open_types
from .evidence import FACTS, accounts, rows_of
from .view import View

ORDER_FACTS = [f for f in FACTS if f not in ("kyc_level", "docs_uploaded", "verification_status", "wallet_status")]
CUSTOMER_FACTS = "customer_id customer_ref external_id status_in_data provider_created_at kyc_level docs_uploaded verification_status wallet_status wallet_id".split()
EXPECTED = "fiat_amount fiat_currency crypto_amount crypto_asset crypto_network crypto_receive_min_amount side customer_id merchant_ref customer_ref external_id".split()

__all__ = ["accounts", "derive"]


def derive(said, lane, settings, customer):
    """What the columns of a state should say."""
    v = View(rows_of(said), lane, settings, customer).decide()
    seen = [s[0] for r in v.rows for s in (r.first, r.last) if s]
    out = {
        "status": v.status_word, "status_raw": v.row.word or None if v.row else None, "decided_by": v.rule, "decided_source": v.source,
        "terminal": v.terminal, "since_at": v.since, "first_seen_at": min(seen), "last_seen_at": max(seen),
        "stale_since_at": v.stale_since(), "open_discrepancies": open_types(v),
    }
    forgotten = v.rule == "forgotten"
    facts = {} if forgotten else v.shown(v.row)
    for name in CUSTOMER_FACTS if customer else ORDER_FACTS:
        out[name] = facts.get(name)
    # Of several intents of one revision the smallest hash is shown, which the
    # documents do not define.
    if len(v.intents) > 1:
        said_without = v.shown(v.row, False)
        return {k: x for k, x in out.items() if k not in FACTS or k in said_without}
    for name in ("customer_id", "customer_ref", "external_id") if customer else EXPECTED:
        out["expected_" + name] = v.intents[0].facts.get(name) if v.intents else None
    if customer:
        out["wallet_accounts"] = facts.get("wallet_accounts", [])
    return out
