"""The seeded stream of the fault tests: Wikipedia, social posts, chat and Instagram, told in one order."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from producers import synthetic_posts, synthetic_wikimedia
from producers._instagram_records import records
from producers._wikimedia_streams import STREAMS
from producers.chat import conversation
from producers.synthetic_instagram import person, told

CHAT = "chat_messages"
WIKIMEDIA = (
    "recentchange", "revision-create", "revision-score", "mediawiki.page_revert_risk_prediction_change.v1",
    "mediawiki.page_outlink_topic_prediction_change.v1", "mediawiki.revision-visibility-change",
    "mediawiki.page_change.v1", "page-create", "page-delete", "page-move",
)  # fmt: skip
ROOMS = ("trains", "music", "cooking", "garden", "cinema")
# Whose turn it is, again and again: Wikipedia, posts, chat, Instagram.
TURNS = "wpwcwwpwcwwpwcwpwwpi"
LATE, MALFORMED, COPIES = 0.004, 0.004, 0.004


class Told(NamedTuple):
    """A record to be sent. `is_usable`: no job has to make a dead letter of it. A chat message is its JSON's fields."""

    topic: str
    key: bytes | None
    value: bytes
    is_usable: bool = True
    message: dict[str, Any] | None = None


class Story:
    """What is told follows from seed, turns and when it begins, but for the times of posts: they are the clock's.

    Wikipedia's time begins two hours ago and passes 50 events a second, however fast it is sent.
    """

    def __init__(self, seed: int, turns: str = TURNS) -> None:
        began = datetime.now(UTC).replace(microsecond=0)
        self._random = Random(f"faults {seed}")
        self._turns = itertools.cycle(turns)
        self._parts = {
            "w": self._wikipedia(seed, began - timedelta(hours=2)),
            "p": self._posts(seed, began),
            "c": self._chat(seed),
            "i": self._instagram(seed, began),
        }

    def take(self, count: int) -> Iterator[Told]:
        """The next `count` records."""
        for turn in itertools.islice(self._turns, count):
            yield next(self._parts[turn])

    @staticmethod
    def _wikipedia(seed: int, start: datetime) -> Iterator[Told]:
        events = synthetic_wikimedia.events(
            WIKIMEDIA, seed=seed, start=start, duplicates=COPIES, late=LATE, malformed=MALFORMED
        )
        for event in events:
            if event.kind == "canary":  # Wikimedia's heartbeat, which no producer passes on
                continue
            # Who does not read the field that is spoilt can use the record: only the readers of edits read them all.
            if event.kind == "malformed" and event.stream != "recentchange" and _is_object(event.value):
                continue
            yield Told(STREAMS[event.stream].topic, event.key, event.value, event.kind != "malformed")

    @staticmethod
    def _posts(seed: int, start: datetime) -> Iterator[Told]:
        posts = synthetic_posts.events(
            seed=seed, start=start, clock=time.time, duplicates=COPIES, late=LATE, malformed=MALFORMED
        )
        for post in posts:
            yield Told("social_media", post.key, post.value, post.kind != "malformed")

    def _chat(self, seed: int) -> Iterator[Told]:
        for said in conversation(seed, ROOMS, users=400, abusive=0.05, spam=0.01, flood=0.01):
            yield Told(CHAT, None, b"", message=said.message())
            if self._random.random() < MALFORMED:
                yield Told(CHAT, said.room.encode(), b"no message", is_usable=False)

    @staticmethod
    def _instagram(seed: int, until: datetime) -> Iterator[Told]:
        for number in itertools.count():
            people = [person(f"fault_{seed}_{number}", seed)]
            for record in records(told(people, until - timedelta(days=365), until), None, lambda _said: None):
                yield Told(record.topic, record.key, record.value)


def _is_object(value: bytes) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


def poisoned(told: Iterator[Told]) -> Iterator[Told]:
    """After each four records a fifth that no job can use: the last good one, spoiled in one of five ways.

    A record with two faults would be told by the one that is found first.
    """
    ways: Iterator[Callable[[bytes], bytes]] = itertools.cycle(
        [
            lambda value: value[:-10],
            lambda value: b"[" + value + b"]",
            lambda value: value[:-2] + b'\xff"}',
            lambda _value: b"<html>",
            lambda _value: b"null",
        ]
    )
    good: Told | None = None
    for number, record in enumerate(told):
        yield record
        good = record if record.is_usable else good
        if good and number % 4 == 3:
            spoiled = next(ways)(good.value or b'{"message_id": "x"}')
            yield Told(good.topic, good.key or b"x", spoiled, is_usable=False)


def with_wrong_clocks(told: Iterator[Told]) -> Iterator[Told]:
    """Of ten posts one is an hour ahead and one an hour behind, as by the clocks of two bad producers.

    A post from more than five minutes ahead is no post yet: it is a dead letter.
    """
    shifts = itertools.cycle([timedelta(hours=1), *[timedelta()] * 4, timedelta(hours=-1), *[timedelta()] * 4])
    for record in told:
        if record.topic != "social_media" or not record.is_usable or not (shift := next(shifts)):
            yield record
            continue
        post = json.loads(record.value)
        shifted = datetime.fromisoformat(post["timestamp"]) + shift
        value = json.dumps(post | {"timestamp": shifted.isoformat()}).encode()
        yield record._replace(value=value, is_usable=shift < timedelta())
