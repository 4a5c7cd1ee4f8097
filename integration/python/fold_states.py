"""Derives every state again from the input topics, in Python, and compares with
the state topics: what the documents say must be what the programs write.

usage: rampctl -c FILE config print | python fold_states.py BROKERS REGISTRY_URL [LIFECYCLES.md]

Exit code 0: equal. 3: a state differs; each difference is a line of JSON on
stdout, the sum the last one.
"""

import io
import json
import pathlib
import struct
import sys
import urllib.request

import fastavro
import yaml
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, TopicPartition

from fold.derive import accounts, derive
from fold.evidence import Unsupported, read
from fold.tables import read_config, read_tables

IDLE_SECONDS = 60
INPUTS = ("webhook", "intent", "status-check")


def murmur2(data):
    """The hash of Kafka's Java client, as docs/CONTRACT.md asks for."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    for i in range(0, len(data) - len(data) % 4, 4):
        k = struct.unpack_from("<I", data, i)[0] * m & mask
        h = h * m & mask ^ (k ^ k >> 24) * m & mask
    rest = data[len(data) - len(data) % 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


class Topics:
    """Reads topics to their present ends, and decodes values."""

    def __init__(self, brokers, registry):
        self.registry, self.schemas = registry, {}
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": "unused", "isolation.level": "read_committed",
                                  "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest",
                                  "fetch.wait.max.ms": 20, "enable.metrics.push": False})

    def read(self, topic):
        parts = [TopicPartition(topic, n, 0) for n in self.consumer.list_topics(topic, timeout=IDLE_SECONDS).topics[topic].partitions]
        if not parts:
            raise ValueError(f"no topic {topic}")
        self.consumer.assign(parts)
        left, out = {p.partition for p in parts}, []
        while left:
            message = self.consumer.poll(IDLE_SECONDS)
            if message is None:
                raise TimeoutError(f"{topic}: {len(left)} partitions not read to their ends")
            if not message.error():
                out.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                raise KafkaException(message.error())
        self.count = len(parts)
        return out

    def latest(self, topic):
        return {m.key().decode(): m.value() for m in self.read(topic)}

    def decode(self, value, name):
        """The record in a value; ValueError for another record or no record."""
        if value is None or len(value) < 5 or value[0] != 0:
            raise ValueError("not framed")
        number = struct.unpack(">I", value[1:5])[0]
        if number not in self.schemas:
            with urllib.request.urlopen(f"{self.registry}/schemas/ids/{number}", timeout=IDLE_SECONDS) as answer:
                self.schemas[number] = fastavro.parse_schema(plain(json.loads(json.load(answer)["schema"])))
        schema = self.schemas[number]
        if schema["name"] != f"rampstream.v1.{name}":
            raise ValueError("another record")
        body = io.BytesIO(value[5:])
        record = fastavro.schemaless_reader(body, schema)
        if body.read(1):
            raise ValueError("bytes after the value")
        return record


def plain(schema):
    """The schema without logical types: times stay numbers."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k != "logicalType"}
    return [plain(s) for s in schema] if isinstance(schema, list) else schema


def positions(topics, name):
    out = {}
    for value in topics.latest(name).values():
        if value is not None:
            p = topics.decode(value, "ReconcilerPosition")
            out[p["partition"]] = {i["topic"]: i["next_offset"] for i in p["inputs"]}
    return out


def set_aside(topics, name):
    """Inputs that decode and were set aside all the same, for what they would
    have had written: docs/CONTRACT.md, the dead-letter topic."""
    out = set()
    for m in topics.read(name):
        h = {k: v.decode() for k, v in m.headers() or [] if k.startswith("__connect.errors.") and v is not None}
        if "__connect.errors.topic" in h:
            out.add((h["__connect.errors.topic"], int(h.get("__connect.errors.partition", -1)), int(h.get("__connect.errors.offset", -1))))
    return out


def appended(message, believe):
    """The append time by a broker's clock; None where it is not known."""
    stamp, at = message.timestamp()
    at = at if stamp == TIMESTAMP_LOG_APPEND_TIME else None
    origin = dict(message.headers() or []).get("ramp_origin_appended_at", b"") if believe else b""
    if origin.isdigit() and int(origin) > 0:
        return int(origin) if at is None else min(at, int(origin))
    return at


def histories(topics, names, position, after, margin, believe):
    """What was said about each subject below the reconciler's position, and the
    subjects about which it has read something since."""
    aside, out, moving = set_aside(topics, names["dead-letter"]), {}, set()
    record = {"webhook": "Webhook", "intent": "Intent", "status-check": "StatusCheck"}
    for kind in INPUTS:
        topic = names[kind]
        for m in topics.read(topic):
            where = (topic, m.partition(), m.offset())
            if m.offset() >= position.get(m.partition(), {}).get(topic, 0):
                if m.offset() < after.get(m.partition(), {}).get(topic, 0):
                    moving.add(m.key().decode())
                continue
            if where in aside:
                continue
            try:
                value = topics.decode(m.value(), record[kind])
            except (ValueError, EOFError, IndexError):
                continue
            key = m.key().decode()
            if value["key"] != key or (murmur2(m.key()) & 0x7FFFFFFF) % topics.count != m.partition():
                continue
            said = read(kind, value, where, appended(m, believe), margin)
            if said is not None:
                out.setdefault(key, []).append(said)
    return out, moving


def compare(topics, kind, states, said, moving, lanes, settings, total):
    customer = kind == "CustomerState"
    states = {k: v for k, v in states.items() if v is not None}
    keys = {k for k in said if ("/customer/" in k) == customer}
    for key in sorted(keys | states.keys()):
        if key in moving:
            total["moving"] += 1
            continue
        lane = lanes.get("/".join(key.split("/")[:2]))
        if lane is None:
            total["not_configured"] += 1
            continue
        if key not in states or key not in keys:
            differs(total, key, "(state)", key in states, key in keys)
            continue
        have = topics.decode(states[key], kind)
        try:
            want = derive(said[key], lane, settings, customer)
        except Unsupported:
            total["undefined_by_the_documents"] += 1
            continue
        if customer:
            have["wallet_accounts"] = accounts(have)
        total["customers" if customer else "orders"] += 1
        total["statuses"][have["status"]] = total["statuses"].get(have["status"], 0) + 1
        total["rules"][have["decided_by"]] = total["rules"].get(have["decided_by"], 0) + 1
        for column, value in want.items():
            if have[column] != value:
                differs(total, key, column, have[column], value)


def differs(total, key, column, state, derived):
    total["different"] += 1
    print(json.dumps({"key": key, "column": column, "state": state, "derived": derived}))


def main(brokers, registry, lifecycles, config):
    settings, lanes = read_config(config, read_tables(lifecycles))
    prefix = config["topics"]["prefix"]
    names = {k: prefix + k + ".v1" for k in (*INPUTS, "order-state", "customer-state", "reconciler-position", "dead-letter")}
    for k, v in (config["topics"].get("names") or {}).items():
        names[k.replace("_", "-")] = v or names.get(k.replace("_", "-"))
    topics = Topics(brokers, registry)
    try:
        total = {"orders": 0, "customers": 0, "different": 0, "moving": 0, "undefined_by_the_documents": 0, "not_configured": 0,
                 "statuses": {}, "rules": {}}
        before = positions(topics, names["reconciler-position"])
        states = {kind: topics.latest(names[topic]) for kind, topic in (("OrderState", "order-state"), ("CustomerState", "customer-state"))}
        after = positions(topics, names["reconciler-position"])
        said, moving = histories(topics, names, before, after, settings.margin, (config.get("reconciler") or {}).get("believe_origin", False))
        for kind, latest in states.items():
            compare(topics, kind, latest, said, moving, lanes, settings, total)
    finally:
        topics.consumer.close()
    print(json.dumps(total))
    return 3 if total["different"] else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    default = pathlib.Path(__file__).resolve().parents[2] / "docs" / "lifecycles.md"
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else default, yaml.safe_load(sys.stdin)))
