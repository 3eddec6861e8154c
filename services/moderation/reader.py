"""Reads the chat's topics from Kafka, first what is there of the history, then what comes.

No consumer group: each process of the service reads all partitions, and begins again with the history.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from connections import kafka_options
from services.chat_log import ChatLog, NotWritten
from services.moderation.chat import DECISIONS, FEEDBACK, MESSAGES, POLICIES, Record
from settings import settings

POLL_MS = 250
AGAIN_SECONDS = 1.0
ALIVE_SECONDS = 5.0  # without a record, not even a tick, for so long: Kafka is away

logger = logging.getLogger(__name__)


class Reader(threading.Thread):
    """Hands records to `deliver`, in the order of each partition, until `stop`.

    It goes on through failures of Kafka from where it was; any other ends the process with exit code 1. Its `log`
    writes, as soon as Kafka has answered once.
    """

    def __init__(self, deliver: Callable[[list[Record]], None], since: int) -> None:
        """`deliver` returns when the records are taken in; `since`: Unix milliseconds of the oldest that is wanted."""
        super().__init__(name="moderation-reader", daemon=True)
        self.log: ChatLog | None = None
        self.has_history = False
        self._deliver, self._since = deliver, since
        self._positions: dict[Any, int] = {}
        self._last_read = 0.0
        self._stopping = threading.Event()

    @property
    def is_alive_now(self) -> bool:
        """Whether Kafka answers: this process's own ticks come back by it."""
        seconds = max(ALIVE_SECONDS, 4 * settings().chat_tick_ms / 1000)
        return self.log is not None and time.monotonic() - self._last_read < seconds

    def run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                self.log = self.log or ChatLog(settings().prefix)
                self._read()
            except (KafkaError, NotWritten, OSError) as error:
                if str(error) != said:
                    logger.error("Kafka cannot be read, it is tried again: %s", error)
                said = str(error)
                self._stopping.wait(AGAIN_SECONDS)
            except Exception:
                if not self._stopping.is_set():
                    logger.exception("The chat's topics cannot be read, the service ends:")
                    os._exit(1)  # rather than live on deaf: a new process reads all again

    def stop(self) -> None:
        """End the thread; waits for it and until Kafka has what was sent."""
        self._stopping.set()
        self.join(timeout=None if self.log else 1)  # where Kafka never answered, it may still be waiting for that
        if self.log:
            self.log.close()

    def _read(self) -> None:
        consumer: Any = KafkaConsumer(
            **kafka_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            max_poll_records=2000,
            reconnect_backoff_max_ms=1000,
        )
        try:
            partitions = [
                TopicPartition(settings().prefix + topic, number)
                for topic in (POLICIES, MESSAGES, DECISIONS, FEEDBACK)
                for number in sorted(_numbers(consumer, settings().prefix + topic))
            ]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            for partition, offset in self._begin(consumer, partitions, ends).items():
                consumer.seek(partition, offset)
            while not self._stopping.is_set():
                found = consumer.poll(timeout_ms=POLL_MS)
                if found:
                    self._last_read = time.monotonic()
                    self._take(found)
                if not self.has_history:
                    self.has_history = all(consumer.position(each) >= ends[each] for each in partitions)
        finally:
            consumer.close()

    def _begin(self, consumer: Any, partitions: list[Any], ends: dict[Any, int]) -> dict[Any, int]:
        """Where to read on, or at first where the history begins; policies are read wholly."""
        if self._positions:
            return self._positions
        first = consumer.beginning_offsets(partitions)
        timed = {each: self._since for each in partitions if not each.topic.endswith(POLICIES)}
        found = consumer.offsets_for_times(timed)
        begin = {each: found[each].offset if found.get(each) else ends[each] for each in timed}
        self._positions = {each: begin.get(each, first[each]) for each in partitions}
        return self._positions

    def _take(self, found: dict[Any, list[Any]]) -> None:
        prefix = len(settings().prefix)
        records = [
            Record(partition.topic[prefix:], partition.partition, record.timestamp, record.value)
            for partition, records in found.items()
            for record in records
            if record.value
        ]
        if records:
            self._deliver(records)
        for partition, of_partition in found.items():
            self._positions[partition] = of_partition[-1].offset + 1


def _numbers(consumer: Any, topic: str) -> set[int]:
    numbers: set[int] | None = consumer.partitions_for_topic(topic)
    if not numbers:
        raise NotWritten(f"There is no topic {topic}: `python -m stack up` creates it.")
    return numbers
