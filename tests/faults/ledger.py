"""What was sent, and that Kafka has it: the fault tests' side of the accounts."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from concurrent.futures import Future
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from connections import kafka_options
from services.chat_log import ChatLog, NotWritten
from stack import kafka
from tests.faults.story import CHAT, Told

Place = tuple[int, int]  # partition and offset
SECONDS = 180  # for Kafka to come back and take what waits


class Stored(NamedTuple):
    """A record of a topic."""

    place: Place
    milliseconds: int
    value: bytes | None


class Ledger:
    """Sends, and remembers of each record the bytes and whether a job can use them; of the chat, the messages.

    Chat messages go by the chat's own log; what it could not write is sent again under its id, as clients do.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.sent: defaultdict[str, Counter[bytes]] = defaultdict(Counter)
        self.broken: defaultdict[str, set[bytes]] = defaultdict(set)
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}
        self.may_repeat = {CHAT}  # topics that are written at least once
        self._producer = KafkaProducer(
            **kafka_options(),
            acks="all",
            enable_idempotence=True,
            linger_ms=20,
            delivery_timeout_ms=SECONDS * 1000,
            max_block_ms=SECONDS * 1000,
            max_request_size=4 << 20,
            compression_type="gzip",
        )
        self._acknowledged: list[Any] = []
        self._chat = ChatLog(prefix)
        self._said: list[tuple[Told, Future[dict[str, Any]]]] = []

    @property
    def count(self) -> int:
        """How many records were sent."""
        return sum(map(Counter.total, self.sent.values())) + len(self.messages)

    def note(self, record: Told) -> None:
        """Remember a record that somebody else sends."""
        self.sent[record.topic][record.value] += 1
        if not record.is_usable:
            self.broken[record.topic].add(record.value)

    def note_message(self, message: dict[str, Any]) -> None:
        """Remember a chat message that somebody else sends."""
        self.messages[message["room"], message["message_id"]] = message

    def send(self, record: Told) -> None:
        """Send a record; Kafka has it after `flush`."""
        if record.message is not None:
            self.note_message(record.message)
        else:
            self.note(record)
        if record.topic == CHAT:
            self._said.append((record, self._say(record)))
            return
        self._acknowledged.append(self._producer.send(self.prefix + record.topic, key=record.key, value=record.value))

    def flush(self) -> None:
        """Wait until Kafka has all. Raises NotWritten and kafka-python's errors after three minutes."""
        deadline = time.monotonic() + SECONDS
        while self._said:
            again = []
            for record, future in self._said:
                try:
                    future.result(60)
                except NotWritten:
                    if time.monotonic() > deadline:
                        raise
                    again.append(record)
            self._said = [(record, self._say(record)) for record in again]
        for acknowledged in self._acknowledged:
            acknowledged.get(timeout=max(1, deadline - time.monotonic()))
        self._acknowledged.clear()

    def _say(self, record: Told) -> Future[dict[str, Any]]:
        if record.message is not None:
            return self._chat.send_message(record.message)
        return self._chat.send_raw(record.key or b"", record.value)

    def close(self) -> None:
        self._chat.close()
        self._producer.close(timeout=10)


class Topics:
    """All records of the run's topics, each read once; with `committed`, only those of transactions that count."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._partitions = {topic.name: topic.partitions for topic in kafka.topics()}
        self._read: dict[str, list[Stored]] = {}
        self._next: dict[TopicPartition, int] = {}

    def records(self, topic: str, *, committed: bool = False) -> list[Stored]:
        """The records so far, those of a partition in their order."""
        found = self._read.setdefault(topic, [])
        consumer = KafkaConsumer(
            **kafka_options(),
            group_id=None,
            isolation_level="read_committed" if committed else "read_uncommitted",
            max_partition_fetch_bytes=4 << 20,
        )
        try:
            name = self._prefix + topic
            partitions = [TopicPartition(name, number) for number in range(self._partitions[topic])]
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, self._next.get(partition, 0))
            ends = consumer.end_offsets(partitions)
            while any(consumer.position(partition) < ends[partition] for partition in partitions):
                for partition, batch in consumer.poll(timeout_ms=500).items():
                    found += [Stored((partition.partition, one.offset), one.timestamp, one.value) for one in batch]
            self._next |= {partition: consumer.position(partition) for partition in partitions}
        finally:
            consumer.close()
        return found
