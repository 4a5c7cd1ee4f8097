"""Reads topics to their ends with librdkafka and prints one line a partition:
topic, partition, records and the SHA-256 of offsets, keys and values.

usage: read_digests.py BROKERS read_committed|read_uncommitted TOPIC...
"""

import hashlib
import struct
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

IDLE_SECONDS = 60


def add(digest, data):
    """Length, -1 for null, and bytes."""
    digest.update(struct.pack(">i", -1 if data is None else len(data)))
    if data is not None:
        digest.update(data)


def main(brokers, isolation, topics):
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "unused",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        known = consumer.list_topics(timeout=IDLE_SECONDS).topics
        parts = [(t, n) for t in topics for n in sorted(known[t].partitions)]
        consumer.assign([TopicPartition(t, n, 0) for t, n in parts])
        digests = {p: hashlib.sha256() for p in parts}
        counts = dict.fromkeys(parts, 0)
        left = set(parts)
        while left:
            message = consumer.poll(IDLE_SECONDS)
            if message is None:
                raise TimeoutError(f"{len(left)} partitions not read to their ends")
            part = (message.topic(), message.partition())
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                left.discard(part)
                continue
            digests[part].update(struct.pack(">q", message.offset()))
            add(digests[part], message.key())
            add(digests[part], message.value())
            counts[part] += 1
        for topic, number in parts:
            print(topic, number, counts[topic, number], digests[topic, number].hexdigest())
    finally:
        consumer.close()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
