"""Hostile records at the entry of every job, on the real stack: each is used, late, or one dead letter; no job ends.

Generated records with one to three things in them changed (tests/hostile.py): other types, nulls, huge numbers, times
of the year 1, half surrogate pairs, fields that are gone or doubled. First records from outside, then those that jobs
write for other jobs, which on an open stack anybody can write as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

import pytest

from jobs.replay import messages_of
from producers import synthetic_posts, synthetic_wikimedia
from producers._instagram_records import records
from producers._wikimedia_streams import STREAMS
from producers.synthetic_instagram import person, told
from tests.e2e.conftest import Document, Pipeline
from tests.hostile import changed

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

WIKIMEDIA = (
    "recentchange", "revision-create", "revision-score", "mediawiki.page_revert_risk_prediction_change.v1",
    "mediawiki.page_outlink_topic_prediction_change.v1", "mediawiki.revision-visibility-change",
    "mediawiki.page_change.v1", "page-create", "page-delete", "page-move",
)  # fmt: skip
FROM_OUTSIDE = ("wiki_edits", "wiki_intent", "wiki_pages", "social_posts", "background_check", "moderation")
FROM_JOBS = {"wiki_users": "judged_revisions", "social_metrics": "scored_posts"}
GOOD, HOSTILE = 12, 120  # of each topic

Place = tuple[str, int, int]  # topic, partition, offset
Identity = tuple[Any, ...]


def generated() -> dict[str, list[bytes]]:
    """By topic: the values that producers send."""
    began = datetime.now(UTC) - timedelta(hours=1)
    found: dict[str, list[bytes]] = {}
    for event in synthetic_wikimedia.events(WIKIMEDIA, seed=5, start=began, limit=6000, duplicates=0):
        values = found.setdefault(STREAMS[event.stream].topic, [])
        if event.kind == "event" and len(values) < GOOD:
            values.append(event.value)
    posts = synthetic_posts.events(seed=5, start=began, odd=0, corrections=0)
    found["social_media"] = [post.value for post in islice(posts, GOOD)]
    for number in range(2):
        people = [person(f"hostile_{number}", 5)]
        for record in records(told(people, began - timedelta(days=60), began), None, lambda _said: None):
            found.setdefault(record.topic, []).append(record.value)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found["chat_messages"] = [
        json.dumps(
            {
                "message_id": f"message-{number}", "room": "hall", "user_name": f"user {number}",
                "text": f"You are number {number}, you idiot", "server_time": now, "client_time": now,
            }
        ).encode()
        for number in range(GOOD)
    ]  # fmt: skip
    found["moderation_feedback"] = [
        json.dumps(
            {
                "feedback_id": f"feedback-{number}", "kind": "verdict", "verdict": "overturn", "moderator": "mo",
                "message_id": f"message-{number}", "room": "hall", "user_name": f"user {number}", "decision": "flag",
                "strike_points": 1000, "message_time": now, "server_time": now, "minutes": None, "is_sampled": False,
            }
        ).encode()
        for number in range(GOOD)
    ]  # fmt: skip
    return found


def spoilt(values: list[bytes], chance: Random) -> list[bytes]:
    """The values, and hostile ones made of them; what stands for a record of its own keeps its bytes apart."""
    made = []
    for _ in range(HOSTILE):
        value = json.loads(chance.choice(values))
        for _ in range(chance.randint(1, 3)):
            value = changed(value, chance)
        made.append(json.dumps(value).encode())
    return [*values, *made]


def send(pipeline: Pipeline, topic: str, values: list[bytes]) -> dict[Place, bytes]:
    """Send them, each with a key of its own as a place; returns the places."""
    places = pipeline.produce(topic, [(b"key %d" % number, value) for number, value in enumerate(values)])
    return {(topic, *place): value for place, value in zip(places, values, strict=True)}


def kept(pipeline: Pipeline, topic: str) -> list[Place]:
    """The places that a topic of kept records tells of."""
    letters = map(json.loads, messages_of(pipeline.prefix + topic))
    return [(one["topic"].removeprefix(pipeline.prefix), one["partition"], one["offset"]) for one in letters]


def text(value: object) -> object:
    """A text as Java reads it, which has no half surrogate pairs."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value


def of_edit(event: Document) -> Identity | None:
    is_edit = event["type"] in ("edit", "new") and event["meta"].get("domain") != "canary"
    return (event["wiki"], event["revision"]["new"]) if is_edit else None


def of_post(post: Document) -> Identity | None:
    return (post["post_id"],)


def of_message(message: Document) -> Identity | None:
    return message["room"], message["message_id"]


def of_person(record: Document) -> Identity | None:
    return (record["username"],)


def of_act(event: Document) -> Identity | None:
    return (event["database"], event["page_id"]) if event["meta"].get("domain") != "canary" else None


# Of these topics each usable record makes, or goes into, one document: its index, the columns of its key, and how the
# record tells them (None: it makes none).
DOCUMENTS: dict[str, tuple[str, tuple[str, ...], Callable[[Document], Identity | None]]] = {
    "wiki_recentchange": ("wiki_edits", ("wiki", "revision_id"), of_edit),
    "wiki_page_create": ("wiki_pages", ("wiki", "page_id"), of_act),
    "wiki_page_delete": ("wiki_pages", ("wiki", "page_id"), of_act),
    "wiki_page_move": ("wiki_pages", ("wiki", "page_id"), of_act),
    "social_media": ("social_posts", ("post_id",), of_post),
    "chat_messages": ("moderation_messages", ("room", "message_id"), of_message),
    "user_basic_info": ("background_checks", ("username",), of_person),
    "user_posts_description": ("background_captions", ("username",), of_person),
}


def lost(pipeline: Pipeline, sent: dict[Place, bytes], dead: set[Place]) -> Iterable[tuple[Place, bytes]]:
    """Records that are neither a dead letter nor in the document that they should be in."""
    for topic, (index, key, identity) in DOCUMENTS.items():
        there = {tuple(one[name] for name in key) for one in pipeline.documents(index).values()}
        for place, value in sent.items():
            if place[0] != topic or place in dead:
                continue
            expected = identity(json.loads(value))
            if expected is not None and tuple(map(text, expected)) not in there:
                yield place, value


def test_each_hostile_record_is_used_late_or_one_dead_letter(pipeline: Pipeline) -> None:
    chance = Random(5)
    sent: dict[Place, bytes] = {}
    good: set[Place] = set()
    for topic, values in generated().items():
        places = send(pipeline, topic, spoilt(values, chance))
        sent |= places
        good |= set(islice(places, len(values)))
    pipeline.run(*FROM_OUTSIDE)  # they end well, or this raises
    for topic in FROM_JOBS.values():
        written = [message for message in messages_of(pipeline.prefix + topic) if message]
        assert len(written) >= GOOD
        sent |= send(pipeline, topic, spoilt(written[: 5 * GOOD], chance)[len(written[: 5 * GOOD]) :])
    pipeline.run(*FROM_JOBS)

    letters = kept(pipeline, "dead_letters")
    assert len(letters) > len(sent) / 10
    assert len(set(letters)) == len(letters)
    assert set(letters) <= sent.keys()
    assert not set(letters) & good
    assert list(lost(pipeline, sent, set(letters)))[:3] == []

    for topic in ("dead_letters", "late_events"):
        written = [message for message in messages_of(pipeline.prefix + topic) if message]
        if written:
            sent |= send(pipeline, topic, spoilt(written, chance)[len(written) :])
    pipeline.run("kept_records")

    indexed = [
        (one["topic"].removeprefix(pipeline.prefix), one["partition"], one["offset"])
        for one in pipeline.documents("dead_letters").values()
    ]
    assert set(indexed) >= set(letters)
    assert pipeline.count("rejected_documents") == 0
