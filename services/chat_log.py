"""The one way in which the chat is written to Kafka: `chat_messages`, `moderation_feedback`, and the time.

Jobs reckon in event time, which goes on only with records. So every writer sends ticks, records with neither key nor
value, to each partition that it has not written to for a while: they tell nothing but their timestamp.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.partitioner.default import murmur2
from kafka.serializer import SerializeWrapper

from connections import kafka_options
from settings import settings

MESSAGES = "chat_messages"
FEEDBACK = "moderation_feedback"
MAX_RECORD_BYTES = 2 * 1024 * 1024 - 4096  # what the topics take (stack/topics.yaml), less what a batch adds
ACKNOWLEDGED_SECONDS = 20
PACE_WHEN_AHEAD = 0.9  # of a clock that is ahead of the machine's, which was put back: it goes on, and they meet again
LAST_TICK_SECONDS = 5  # how long `close` waits for what Kafka need not have

Record = dict[str, Any]


class NotWritten(Exception):
    """Kafka is away, lacks a topic, or has not taken a record; the message says what to do."""


class _Partition:
    """A partition and its clock: under the lock, the order of times is the order of records."""

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.lock = threading.Lock()
        self._milliseconds = 0.0  # of the last record
        self.written = 0.0  # when, by time.monotonic()
        self.tick: Any = None  # kafka-python's future of the last one
        self.ticked = 0.0  # when

    @property
    def milliseconds(self) -> int:
        """Unix time of the last record."""
        return int(self._milliseconds)

    def now(self, at_least: int = 0) -> int:
        """Unix milliseconds, of the next record: never less than of the last one. Call it under the lock.

        It is the machine's clock. When that is put back, time goes on nevertheless, since else nothing would be
        decided until the clock has caught up.
        """
        now = time.monotonic()
        gone_on = self._milliseconds + (now - self.written) * 1000 * PACE_WHEN_AHEAD
        self._milliseconds = max(gone_on, time.time_ns() / 1_000_000, at_least)
        self.written = now
        return self.milliseconds


class ChatLog:
    """Writes messages and feedback, each with its `server_time`; thread-safe. Ticks begin at once.

    A record's Kafka timestamp is its `server_time`, and within a partition neither falls: writes are idempotent, so
    a retry changes no order. The partition is the one that Kafka's clients choose for the key.
    """

    def __init__(self, prefix: str, tick_ms: int | None = None) -> None:
        """Connect to Kafka; `tick_ms` defaults to the setting chat_tick_ms.

        Raises NotWritten when no broker answers within 10 s or a topic is not there.
        """
        self._servers = settings().kafka_bootstrap_servers
        self._tick_seconds = (tick_ms or settings().chat_tick_ms) / 1000
        self._topics = {topic: prefix + topic for topic in (MESSAGES, FEEDBACK)}
        try:
            self._producer, numbers = self._connected(wait_seconds=10)
        except KafkaError as error:
            raise NotWritten(
                f"No Kafka at {self._servers}, or no topics {' and '.join(self._topics.values())} there"
                f" ({type(error).__name__}: {error}). `make up` starts the one and creates the others."
            ) from None
        self._partitions = {
            topic: [_Partition(self._topics[topic], number) for number in numbers[topic]] for topic in self._topics
        }
        # Each record that Kafka has not acknowledged yet: until when it may, its future, and how that fails.
        self._waiting: deque[tuple[float, Future[Record], Callable[[str], None]]] = deque()
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
        """Wait until Kafka has everything; what it has not taken after 20 s has failed.

        Before it ends it waits for chat_out_of_order_ms and tells the time once more: else the last messages would not
        be decided until somebody writes again. When Kafka is away it goes without.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        self._ticker.join()
        with suppress(KafkaError):
            self._producer.flush(timeout=ACKNOWLEDGED_SECONDS)
            self._tick_for_the_last()
        _abandon(self._producer)

    def _tick_for_the_last(self) -> None:
        """Raises KafkaError when Kafka is away."""
        partitions = self._all_partitions()
        later = settings().chat_out_of_order_ms + 1
        time.sleep(max(max(each.written for each in partitions) + later / 1000 - time.monotonic(), 0))
        due = max(each.milliseconds for each in partitions) + later  # in all of them: jobs go by the slowest
        for partition in partitions:
            with partition.lock:
                self._send_tick(partition, partition.now(at_least=due))
        self._producer.flush(timeout=LAST_TICK_SECONDS)

    def _connected(self, wait_seconds: float) -> tuple[Any, dict[str, list[int]]]:
        """A producer that knows both topics, so that no send waits for them, and the topics' partitions."""
        producer = KafkaProducer(
            **kafka_options(),
            bootstrap_timeout_ms=int(wait_seconds * 1000),
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
        try:
            return producer, {topic: sorted(producer.partitions_for(name)) for topic, name in self._topics.items()}
        except KafkaError:
            producer.close(timeout=0)
            raise

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

        def failed(error: BaseException | str) -> None:
            reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
            _settle(
                future.set_exception,
                NotWritten(
                    f"Kafka at {self._servers} has not taken a record for {partition.topic} ({reason}). Is it up? Send"
                    " it again with the same message_id."
                ),
            )

        try:
            with partition.lock:
                milliseconds = partition.now()
                record, value = record_at(_iso(milliseconds))
                sent = self._producer.send(
                    partition.topic, value, key, partition=partition.number, timestamp_ms=milliseconds
                )
                self._waiting.append((time.monotonic() + ACKNOWLEDGED_SECONDS, future, failed))
        except KafkaError as error:
            failed(error)
        except ValueError as error:
            future.set_exception(error)
        else:
            sent.add_callback(lambda _place: _settle(future.set_result, record))
            sent.add_errback(failed)
        return future

    def _tick(self) -> None:
        partitions = self._all_partitions()
        while True:
            due = min(partition.written for partition in partitions) + self._tick_seconds
            if self._closing.wait(max(due - time.monotonic(), 0.001)):
                return
            if self._fail_overdue(time.monotonic()):
                self._connect_anew()
            for partition in partitions:
                with partition.lock:
                    if time.monotonic() - partition.written < self._tick_seconds:
                        continue
                    milliseconds = partition.now()
                    if partition.tick and not partition.tick.is_done:
                        continue  # Kafka is away: one that waits is enough
                    try:
                        partition.tick = self._send_tick(partition, milliseconds)
                        partition.ticked = partition.written
                    except (KafkaError, ValueError):  # the topic is away: those who send messages hear of it
                        partition.tick = None

    def _send_tick(self, partition: _Partition, milliseconds: int) -> Any:
        return self._producer.send(partition.topic, None, b"", partition=partition.number, timestamp_ms=milliseconds)

    def _fail_overdue(self, now: float) -> bool:
        """Fail what has waited too long, and say whether anything had: kafka-python does not always do so."""
        overdue = any(
            each.tick and not each.tick.is_done and now - each.ticked > ACKNOWLEDGED_SECONDS
            for each in self._all_partitions()
        )
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            _deadline, future, failed = self._waiting.popleft()
            overdue = overdue or not future.done() or future.exception() is not None
            failed(f"no answer within {ACKNOWLEDGED_SECONDS} s")
        return overdue

    def _connect_anew(self) -> None:
        """Take another producer, when Kafka answers: one that gave up records may never send again (kafka-python 3.0).

        What still waits in the old one fails.
        """
        try:
            producer, _numbers = self._connected(wait_seconds=1)
        except (KafkaError, OSError):
            return
        with ExitStack() as nobody_sends:
            for partition in self._all_partitions():
                nobody_sends.enter_context(partition.lock)
                partition.tick = None
            old, self._producer = self._producer, producer
            _abandon(old)
            while self._waiting:  # else they would be a reason to connect anew once more
                _deadline, _future, failed = self._waiting.popleft()
                failed("the connection was given up")

    def _all_partitions(self) -> list[_Partition]:
        return [partition for partitions in self._partitions.values() for partition in partitions]


def _abandon(producer: Any) -> None:
    """End a producer and fail what waits in it, which `close` leaves waiting when it cannot flush."""
    with suppress(KafkaTimeoutError):
        producer.close(timeout=0)
    producer._sender.force_close()
    producer._sender.join(timeout=5)


def _settle(outcome: Callable[[Any], None], value: object) -> None:
    """Settle a future, but for one that is settled: an answer may come when its time is over."""
    with suppress(InvalidStateError):
        outcome(value)


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
