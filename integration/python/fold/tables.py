"""The providers' tables, read from docs/lifecycles.md, and the settings, read
from what `rampctl config print` shows."""

import re
from dataclasses import dataclass, field

RANK = {}
TERMINAL = set()


@dataclass
class Table:
    """What a provider's words mean."""

    orders: dict = field(default_factory=dict)
    customers: dict = field(default_factory=dict)
    legal: list = field(default_factory=list)
    payer_amount: bool = False
    fold_case: bool = False
    webhooks: str = "no"

    def meaning(self, customer, word):
        """The status of a word, None for one that is not in the table."""
        words = self.customers if customer else self.orders
        return words.get(word.upper() if self.fold_case else word)

    def may_go_down(self, high, low):
        return any(a in ("*", high) and b in ("*", low) for a, b in self.legal)


def read_tables(path):
    """Tables by provider. Fills RANK and TERMINAL."""
    tables, table, words = {}, None, None
    for line in open(path, encoding="utf-8"):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        code = [c.strip("`") for c in cells]
        if line.startswith("## "):
            table = tables[line[3:].strip()] = Table()
        elif line.startswith("Orders:"):
            words = table.orders
        elif line.startswith("Customers:"):
            words = table.customers
        elif line.startswith("Legal moves down:"):
            table.legal = re.findall(r"`([^`]*)` to `([^`]*)`", line)
        elif line.startswith("| `") and table is None:
            RANK[code[0]] = 0 if code[1] == "-" else int(code[1])
            if code[2] == "yes":
                TERMINAL.add(code[0])
        elif line.startswith("| `"):
            words[code[0]] = code[1]
        elif line.startswith("| signed webhooks about orders"):
            table.webhooks = cells[1]
        elif line.startswith("| the payer can change"):
            table.payer_amount = cells[1] == "yes"
        elif line.startswith("| case of words matters"):
            table.fold_case = cells[1] == "no"
    if not RANK or not all(t.orders or t.customers for t in tables.values()):
        raise ValueError(f"{path} has not the form that this reader knows")
    return tables


UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def millis(text):
    """A duration such as 1h30m0s in milliseconds."""
    parts = re.findall(r"(\d+)(ms|s|m|h)", str(text))
    if not parts or "".join(n + u for n, u in parts) != str(text):
        raise ValueError(f"duration {text!r}")
    return sum(int(n) * UNITS[u] for n, u in parts)


@dataclass
class Settings:
    margin: int
    confirm: int
    missing: int
    stuck: int


@dataclass
class Lane:
    """The rules of one account."""

    table: Table
    webhooks: bool


def read_config(config, tables):
    """Settings, and rules by lane, of a printed configuration."""
    rules = config["rules"]
    settings = Settings(*(millis(rules[k]) for k in ("margin", "confirm", "missing_webhook", "stuck")))
    lanes = {}
    for account in config["accounts"]:
        table = tables[account["provider"]]
        added = (account.get("api") or {}).get("statuses") or {}
        if added:
            added = {(w.upper() if table.fold_case else w): s for w, s in added.items()}
            # docs/providers/kuna.md: a word with a "+" is a customer's.
            customers = {w: s for w, s in added.items() if account["provider"] == "kuna" and "+" in w}
            orders = {w: s for w, s in added.items() if w not in customers}
            table = Table(**{**vars(table), "orders": {**table.orders, **orders}, "customers": {**table.customers, **customers}})
        signed = (account.get("webhook") or {}).get("trust") != "hint"
        expected = table.webhooks == "yes" or (table.webhooks == "if configured" and signed)
        lanes[f"{account['provider']}/{account['account']}"] = Lane(table, expected)
    return settings, lanes
