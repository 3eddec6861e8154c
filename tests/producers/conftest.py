"""Topics of a test's own, and what they hold."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from connections import kafka_options
from settings import settings
from stack import kafka


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Topics of this test's own."""
    own = f"test-{uuid.uuid4().hex[:8]}."
    kafka.create_topics(own)
    monkeypatch.setenv("CROWDPULSE_PREFIX", own)
    settings.cache_clear()
    yield own
    kafka.delete_topics(own)
    monkeypatch.undo()
    settings.cache_clear()


Record = tuple[bytes | None, bytes]  # key and value


def partitions(topic: str) -> list[list[Record]]:
    """All that a topic holds now: the records of each partition in their order."""
    consumer = KafkaConsumer(**kafka_options(), max_partition_fetch_bytes=4 << 20)
    try:
        assigned = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(assigned)
        consumer.seek_to_beginning(*assigned)
        ends = consumer.end_offsets(assigned)
        found: dict[Any, list[Record]] = defaultdict(list)
        deadline = time.monotonic() + 30
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            assert time.monotonic() < deadline, f"{topic} could not be read within 30 s"
            for partition, batch in consumer.poll(timeout_ms=500).items():
                found[partition] += [(record.key, record.value) for record in batch]
        return [found[partition] for partition in assigned]
    finally:
        consumer.close()


def records(topic: str) -> list[Record]:
    """All that a topic holds now, each partition in its order."""
    return [record for partition in partitions(topic) for record in partition]
