"""What the loops share: the consumer, the writer of documents, and windows in dicts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from elasticsearch import BadRequestError, ConflictError, Elasticsearch, NotFoundError
from kafka import KafkaConsumer

from connections import kafka_options
from services.elasticsearch import elasticsearch_client

QUIET_MS = 5_000  # a topic that is at its end

Event = dict[str, Any]


class Loop(Protocol):
    """A job's work, event by event."""

    topics: tuple[str, ...]
    time: str  # the field of an event's time; a dot leads into an object

    def take(self, topic: str, event: Event, now: float) -> None:
        """Do all that follows from one event; `now` is the time up to which all partitions have come."""


class Writer:
    """Writes documents one by one."""

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self.documents = 0
        self._client, self._prefix = client, prefix

    def index(self, index: str, identity: str, document: Event) -> None:
        """Write a document under an id."""
        self._client.index(index=f"{self._prefix}{index}", id=identity, document=document)
        self.documents += 1

    def update(self, index: str, identity: str, fields: Event) -> None:
        """Change fields of a document, if it is there."""
        try:
            self._client.update(index=f"{self._prefix}{index}", id=identity, doc=fields)
        except NotFoundError:
            return


class Windows:
    """Windows of `size` seconds, every `step` seconds, in dicts: what `make` begins, by window and key."""

    def __init__(self, make: Callable[[], Any], size: int, step: int | None = None) -> None:
        self._make, self._size, self._step = make, size, step or size
        self._open: dict[int, dict[Any, Any]] = {}

    def of(self, at: float, key: Any) -> Iterator[Any]:
        """What stands for this key in each window that holds the time."""
        last = int(at) // self._step * self._step
        for start in range(last, last - self._size, -self._step):
            window = self._open.setdefault(start, {})
            if key not in window:
                window[key] = self._make()
            yield window[key]

    def closed(self, now: float) -> Iterator[tuple[int, int, dict[Any, Any]]]:
        """Start, end and contents of the windows that end before `now`; they are forgotten."""
        for start in sorted(start for start in self._open if start + self._size <= now):
            yield start, start + self._size, self._open.pop(start)


def time_of(event: Event, path: str) -> str:
    """The value at a path: a dot leads into an object. Raises KeyError and TypeError."""
    found: Any = event
    for name in path.split("."):
        found = found[name]
    return str(found)


def seconds_of(text: str) -> float:
    """An ISO time as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def iso(seconds: float) -> str:
    """Seconds since 1970 as an ISO time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def consume(make: Callable[[Writer], Loop], prefix: str, limit: float) -> dict[str, float]:
    """Run a loop over its topics for so many seconds, or to their end; returns events, seconds and documents.

    The time up to which all partitions have come is that of the slowest of them.
    """
    client = elasticsearch_client()
    writer = Writer(client, prefix)
    loop = make(writer)
    consumer = KafkaConsumer(
        *(prefix + topic for topic in loop.topics),
        **kafka_options(),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        consumer_timeout_ms=QUIET_MS,
    )
    events, began, ended = 0, 0.0, 0.0
    newest: dict[tuple[str, int], float] = {}
    for record in consumer:
        began = began or time.monotonic()
        events += 1
        try:
            event = json.loads(record.value)
            place = record.topic, record.partition
            newest[place] = max(newest.get(place, 0.0), seconds_of(time_of(event, loop.time)))
            loop.take(record.topic.removeprefix(prefix), event, min(newest.values()))
        except (ValueError, KeyError, TypeError, AttributeError, BadRequestError, ConflictError):
            continue  # a malformed record
        finally:
            ended = time.monotonic()
        if ended - began > limit:
            break
    consumer.close()
    client.close()
    return {"events": events, "seconds": ended - began, "documents": writer.documents}
