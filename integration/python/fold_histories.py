"""Derives the states of histories that a Go test made, and compares: the same
fold as fold_states.py, over histories that no provider would make.

stdin: a line {"settings", "tables", "ranks", "terminal"}, then a line for each
subject: {"key", "seed", "said": [{"kind", "where", "appended", "record"}],
"state"}. Records and states are as rampctl shows them, times in RFC 3339.

Exit code 0: equal. 3: a state differs; each is a line on stdout, the sum the last.
"""

import datetime
import json
import sys

from fold import tables
from fold.derive import accounts, derive
from fold.evidence import Unsupported, read


def numbers(record):
    """The record with its times in milliseconds."""
    for k, v in record.items():
        if k.endswith("_at") and v is not None:
            at = datetime.datetime.fromisoformat(v.replace("Z", "+00:00")) - datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
            record[k] = at // datetime.timedelta(milliseconds=1)
    return record


def main(lines):
    head = json.loads(next(lines))
    tables.RANK.update(head["ranks"])
    tables.TERMINAL.update(head["terminal"])
    settings = tables.Settings(**head["settings"])
    lanes = {
        name: tables.Lane(tables.Table(t["orders"], t["customers"], [tuple(r) for r in t["legal"]], t["payer_amount"], False), t["webhooks"])
        for name, t in head["tables"].items()
    }
    total = {"states": 0, "different": 0, "undefined_by_the_documents": 0, "rules": {}, "open": {}}
    for line in lines:
        subject = json.loads(line)
        key, have = subject["key"], numbers(subject["state"])
        said = [read(s["kind"], numbers(s["record"]), tuple(s["where"]), s["appended"], settings.margin) for s in subject["said"]]
        try:
            want = derive([s for s in said if s], lanes["/".join(key.split("/")[:2])], settings, "/customer/" in key)
        except Unsupported:
            total["undefined_by_the_documents"] += 1
            continue
        if "wallet_accounts" in have:
            have["wallet_accounts"] = accounts(have)
        total["states"] += 1
        total["rules"][have["decided_by"]] = total["rules"].get(have["decided_by"], 0) + 1
        for kind in have["open_discrepancies"]:
            total["open"][kind] = total["open"].get(kind, 0) + 1
        for column, value in want.items():
            if have[column] != value and not (column == "status_raw" and str(value).startswith("sha256:")):
                total["different"] += 1
                print(json.dumps({"seed": subject["seed"], "key": key, "column": column, "state": have[column], "derived": value}))
                break
    print(json.dumps(total))
    return 3 if total["different"] else 0


if __name__ == "__main__":
    sys.exit(main(iter(sys.stdin)))
