"""Reads topics with librdkafka, read committed, and decodes every value with
fastavro by the writer's schema from the registry. Prints counts as JSON.

usage: read_all.py BROKERS REGISTRY_URL TOPIC...
"""

import io
import json
import struct
import sys
import urllib.request

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

IDLE_SECONDS = 60


def main(brokers, registry, topics):
    schemas = {}

    def decode(value):
        magic, number = struct.unpack(">bI", value[:5])
        if magic != 0:
            raise ValueError("no schema id in front")
        if number not in schemas:
            with urllib.request.urlopen(f"{registry}/schemas/ids/{number}", timeout=IDLE_SECONDS) as answer:
                schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        body = io.BytesIO(value[5:])
        record = fastavro.schemaless_reader(body, schemas[number])
        if body.read(1):
            raise ValueError("bytes after the value")
        return record

    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "unused",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        known = consumer.list_topics(timeout=IDLE_SECONDS).topics
        parts = [TopicPartition(t, n, 0) for t in topics for n in known[t].partitions]
        consumer.assign(parts)
        counts = {t: {"records": 0, "tombstones": 0, "decoded": 0} for t in topics}
        left = {(p.topic, p.partition) for p in parts}
        while left:
            message = consumer.poll(IDLE_SECONDS)
            if message is None:
                raise TimeoutError(f"{len(left)} partitions not read to their ends")
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                left.discard((message.topic(), message.partition()))
                continue
            count = counts[message.topic()]
            count["records"] += 1
            if message.value() is None:
                count["tombstones"] += 1
            elif not message.topic().endswith("dead-letter.v1"):
                record = decode(message.value())
                if "key" in record and record["key"] != message.key().decode() and not message.topic().endswith("discrepancy.v1"):
                    raise ValueError(f"{message.topic()}: the record key is not the key of the value")
                count["decoded"] += 1
        print(json.dumps(counts))
    finally:
        consumer.close()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
