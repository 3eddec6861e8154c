"""Health of a producer: `python docker/growing.py TOPIC` exits 0 if the topic has grown since the last look."""

from __future__ import annotations

import sys
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from connections import kafka_options
from settings import settings

LAST_LOOK = Path("/tmp/records")  # noqa: S108 (the container's own)


def records(topic: str) -> int:
    """How many records were ever written to a topic, over all partitions. Raises KafkaError."""
    name = settings().prefix + topic
    consumer = KafkaConsumer(**kafka_options(), request_timeout_ms=10_000)
    try:
        partitions = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
        return sum(consumer.end_offsets(partitions).values()) if partitions else 0
    finally:
        consumer.close()


def main() -> int:
    before = int(LAST_LOOK.read_text()) if LAST_LOOK.exists() else 0
    try:
        now = records(sys.argv[1])
    except KafkaError as error:
        print(f"Kafka does not answer: {error}")
        return 1
    LAST_LOOK.write_text(str(now))
    print(f"{sys.argv[1]} has {now} records, and had {before} at the last look.")
    return 0 if now > before else 1


if __name__ == "__main__":
    sys.exit(main())
