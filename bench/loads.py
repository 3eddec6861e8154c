"""The load of each job: generated events of one seed in the topics that it reads, the last of them of now.

What a job reads that another one writes is made by that other one, which is run over generated events first.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from connections import confluent_kafka_options
from producers import synthetic_instagram, synthetic_posts, synthetic_wikimedia
from producers._instagram_records import records
from producers._wikimedia_streams import NAMES, STREAMS
from producers.chat import conversation

SEED = 7
POSTS_OF_A_PERSON = 50
CHAT_RATE = 500
CHAT_ROOMS = 64
CHAT_USERS = 8000


class Message(NamedTuple):
    """A record for Kafka."""

    topic: str
    key: bytes | None
    value: bytes


def wikimedia(*streams: str, **shares: float) -> Callable[[int], Iterator[Message]]:
    """Events of these streams of Wikimedia; `shares` of late and malformed ones."""

    def made(count: int) -> Iterator[Message]:
        start = datetime.now(UTC) - timedelta(seconds=count / synthetic_wikimedia.NOMINAL_RATE)
        told = synthetic_wikimedia.events(
            [NAMES[stream] for stream in streams], seed=SEED, start=start, limit=count, oversized_bytes=2000, **shares
        )
        for event in told:
            yield Message(STREAMS[event.stream].topic, event.key, event.value)

    return made


def posts(count: int, users: int = synthetic_posts.USERS) -> Iterator[Message]:
    """Social posts of so many users."""
    start = datetime.now(UTC) - timedelta(seconds=count / synthetic_posts.NOMINAL_RATE)
    for post in synthetic_posts.events(seed=SEED, start=start, limit=count, users=users):
        yield Message("social_media", post.key, post.value)


def people(count: int) -> Iterator[Message]:
    """Instagram profiles and posts without pictures: who labels those is another program, or AWS."""
    now = datetime.now(UTC)
    names = (f"bench_{number}" for number in range(max(count // POSTS_OF_A_PERSON, 1)))
    found = synthetic_instagram.told(
        [synthetic_instagram.person(name, SEED) for name in names], now - timedelta(days=365), now
    )
    for record in itertools.islice(records(found, None, lambda _said: None), count):
        yield Message(record.topic, record.key, record.value)


def chat(count: int) -> Iterator[Message]:
    """Chat messages as they would come at `CHAT_RATE` a second."""
    rooms = tuple(f"room-{number}" for number in range(CHAT_ROOMS))
    draw = Random(SEED)
    began = datetime.now(UTC) - timedelta(seconds=count / CHAT_RATE)
    said = conversation(SEED, rooms, CHAT_USERS, abusive=0.03, spam=0.03, flood=0.02)
    for number, one in enumerate(itertools.islice(said, count)):
        at = (began + timedelta(seconds=number / CHAT_RATE)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        identity = str(uuid.UUID(int=draw.getrandbits(128), version=4))
        message = {"message_id": identity, **one._asdict(), "client_time": at, "server_time": at}
        yield Message("chat_messages", one.room.encode(), orjson.dumps(message))


class Load(NamedTuple):
    """What a job reads: topics, how they are made, and which other job (`by`) makes them of that."""

    topics: tuple[str, ...]
    made: Callable[[int], Iterator[Message]]
    by: str = ""


_REVISIONS = ("revision-create", "recentchange", "revision-score", "revert-risk", "outlink-topics", "visibility-change")
LOADS = {
    "kept_records": Load(
        ("dead_letters", "late_events"), wikimedia("recentchange", malformed=0.5, late=0.5), "wiki_edits"
    ),
    "wiki_edits": Load(
        ("wiki_recentchange", "wiki_visibility_change"), wikimedia("recentchange", "visibility-change")
    ),
    "wiki_intent": Load(
        tuple(STREAMS[NAMES[stream]].topic for stream in _REVISIONS), wikimedia(*_REVISIONS)
    ),
    "wiki_users": Load(("judged_revisions",), wikimedia(*_REVISIONS), "wiki_intent"),
    "wiki_pages": Load(
        ("wiki_page_create", "wiki_page_delete", "wiki_page_move", "wiki_page_change"),
        wikimedia("page-create", "page-delete", "page-move", "page_change"),
    ),
    "social_posts": Load(("social_media",), posts),
    "social_metrics": Load(("scored_posts",), posts, "social_posts"),
    "background_check": Load(("user_basic_info", "user_posts_description"), people),
    "moderation": Load(("chat_messages",), chat),
}  # fmt: skip


def client() -> Producer:
    """A producer that puts keys where Kafka's own clients and kafka-python do."""
    return Producer(
        {
            **confluent_kafka_options(),
            "linger.ms": 50,
            "queue.buffering.max.messages": 200_000,
            "partitioner": "murmur2_random",
        }
    )


def send(prefix: str, messages: Iterable[Message]) -> None:
    """Send them as fast as it goes, and wait until Kafka has them. Raises RuntimeError when it does not take them."""
    refused: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error:
            refused.append(str(error))

    producer = client()
    for number, message in enumerate(messages):
        while True:
            try:
                producer.produce(prefix + message.topic, key=message.key, value=message.value, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120) or refused:
        raise RuntimeError(f"Kafka did not take all of the load: {refused[:1] or 'no answer'}.")


def count(prefix: str, topics: Iterable[str]) -> int:
    """How many records the topics hold, the markers of transactions counted too."""
    consumer = Consumer({**confluent_kafka_options(), "group.id": f"{prefix}count"})
    total = 0
    try:
        for topic in topics:
            name = prefix + topic
            for partition in consumer.list_topics(name, timeout=30).topics[name].partitions:
                low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=30)
                total += high - low
    finally:
        consumer.close()
    return total
