"""The one way in which the chat is written to Kafka: `chat_messages`, `moderation_feedback`, and the time.

Jobs reckon in event time, which goes on only with records. So every writer sends ticks, records with neither key nor
value, to each partition that it has not written to for a while: they tell nothing but their timestamp.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.partitioner.default import murmur2
from kafka.serializer import SerializeWrapper

from settings import settings

MESSAGES = "chat_messages"
FEEDBACK = "moderation_feedback"
MAX_RECORD_BYTES = 2 * 1024 * 1024 - 4096  # what the topics take (stack/topics.yaml), less what a batch adds
ACKNOWLEDGED_SECONDS = 20

Record = dict[str, Any]


class NotWritten(Exception):
    """Kafka is away, lacks a topic, or has not taken a record; the message says what to do."""


class _Partition:
    """A partition and its clock: under the lock, the order of times is the order of records."""

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.lock = threading.Lock()
        self.milliseconds = 0  # of the last record
        self.written = 0.0  # when, by time.monotonic()
        self.tick: Any = None  # kafka-python's future of the last one

    def now(self) -> int:
        """Unix milliseconds that never fall, also when the clock of the machine is put back. Call it under the lock."""
        self.milliseconds = max(self.milliseconds, time.time_ns() // 1_000_000)
        self.written = time.monotonic()
        return self.milliseconds


class ChatLog:
    """Writes messages and feedback, each with its `server_time`; thread-safe. Ticks begin at once.

    A record's Kafka timestamp is its `server_time`, and within a partition neither falls: writes are idempotent, so
    a retry changes no order. The partition is the one that Kafka's clients choose for the key.
    """

    def __init__(self, bootstrap_servers: str, prefix: str, tick_ms: int | None = None) -> None:
        """Connect to Kafka; `tick_ms` defaults to the setting chat_tick_ms.

        Raises NotWritten when no broker answers within 10 s or a topic is not there.
        """
        self._servers = bootstrap_servers
        self._tick_seconds = (tick_ms or settings().chat_tick_ms) / 1000
        self._producer: Any = None
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=bootstrap_servers,
                bootstrap_timeout_ms=10_000,
                max_block_ms=5_000,  # how long it looks for a topic
                allow_auto_create_topics=False,
                acks="all",
                enable_idempotence=True,
                linger_ms=3,
                request_timeout_ms=ACKNOWLEDGED_SECONDS * 500,
                delivery_timeout_ms=ACKNOWLEDGED_SECONDS * 1000,
                reconnect_backoff_max_ms=1_000,
                max_request_size=2 * 1024 * 1024,
                # It refuses a record with neither key nor value, but looks before it serialises: b"" becomes no key.
                key_serializer=SerializeWrapper(lambda key: key or None),
            )
            self._partitions = {
                topic: [_Partition(prefix + topic, number) for number in sorted(self._numbers(prefix + topic))]
                for topic in (MESSAGES, FEEDBACK)
            }
        except KafkaError as error:
            if self._producer:
                self._producer.close(timeout=0)
            raise NotWritten(
                f"No Kafka at {bootstrap_servers}, or no topics {prefix}{MESSAGES} and {prefix}{FEEDBACK} there"
                f" ({type(error).__name__}: {error}). `make up` starts the one and creates the others."
            ) from None
        self._closing = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="chat-log-ticks", daemon=True)
        self._ticker.start()

    def send_message(self, message: Mapping[str, Any]) -> Future[Record]:
        """Write a message, without `server_time`, under its room.

        The future holds the record as written once Kafka has it. It fails with NotWritten when Kafka does not take it
        within 20 s; the record may be there nevertheless, so whoever sends it again keeps its message_id. It fails
        with ValueError for text that is no Unicode (a lone surrogate).
        """
        return self._send(MESSAGES, message, str(message["room"]))

    def send_feedback(self, feedback: Mapping[str, Any]) -> Future[Record]:
        """Write feedback, without `server_time`, under its user_name. The future is as that of a message."""
        return self._send(FEEDBACK, feedback, str(feedback["user_name"]))

    def send_raw(self, key: bytes, value: bytes) -> Future[Record]:
        """Write bytes that are no message to chat_messages as they are: the job makes them a dead letter.

        The future holds {"server_time": …}, the time in Kafka. `value` has at most MAX_RECORD_BYTES.
        """

        def as_it_is(server_time: str) -> tuple[Record, bytes]:
            return {"server_time": server_time}, value

        return self._append(MESSAGES, key, as_it_is)

    def close(self) -> None:
        """Wait until Kafka has everything; what it has not taken after 20 s has failed."""
        self._closing.set()
        self._ticker.join()
        with suppress(KafkaTimeoutError):
            self._producer.close(timeout=ACKNOWLEDGED_SECONDS + 5)

    def _numbers(self, topic: str) -> set[int]:
        numbers: set[int] = self._producer.partitions_for(topic)
        return numbers

    def _send(self, topic: str, fields: Mapping[str, Any], key: str) -> Future[Record]:
        def with_time(server_time: str) -> tuple[Record, bytes]:
            record = {**fields, "server_time": server_time}
            return record, json.dumps(record, ensure_ascii=False).encode()

        return self._append(topic, key.encode(errors="replace"), with_time)

    def _append(self, topic: str, key: bytes, record_at: Callable[[str], tuple[Record, bytes]]) -> Future[Record]:
        partitions = self._partitions[topic]
        partition = partitions[(murmur2(key) & 0x7FFFFFFF) % len(partitions)]
        future: Future[Record] = Future()
        future.set_running_or_notify_cancel()  # what is on its way to Kafka cannot be called back

        def failed(error: BaseException) -> None:
            future.set_exception(
                NotWritten(
                    f"Kafka at {self._servers} has not taken a record for {partition.topic} within"
                    f" {ACKNOWLEDGED_SECONDS} s ({type(error).__name__}: {error}). Is it up? Send it again with the"
                    " same message_id."
                )
            )

        try:
            with partition.lock:
                milliseconds = partition.now()
                record, value = record_at(_iso(milliseconds))
                sent = self._producer.send(
                    partition.topic, value, key, partition=partition.number, timestamp_ms=milliseconds
                )
        except KafkaError as error:
            failed(error)
        except ValueError as error:
            future.set_exception(error)
        else:
            sent.add_callback(lambda _place: future.set_result(record))
            sent.add_errback(failed)
        return future

    def _tick(self) -> None:
        partitions = [partition for topic in self._partitions.values() for partition in topic]
        while True:
            due = min(partition.written for partition in partitions) + self._tick_seconds
            if self._closing.wait(max(due - time.monotonic(), 0.001)):
                return
            for partition in partitions:
                with partition.lock:
                    if time.monotonic() - partition.written < self._tick_seconds:
                        continue
                    milliseconds = partition.now()
                    if partition.tick and not partition.tick.is_done:
                        continue  # Kafka is away: one that waits is enough
                    try:
                        partition.tick = self._producer.send(
                            partition.topic, None, b"", partition=partition.number, timestamp_ms=milliseconds
                        )
                    except (KafkaError, ValueError):  # the topic is away: those who send messages hear of it
                        partition.tick = None


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
