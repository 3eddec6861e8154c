"""The loops written by hand: each makes documents of generated events, and only such as its index takes."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Any

import pytest

from bench.loads import LOADS
from bench.plain.__main__ import maker
from bench.plain._loop import Windows, Writer, seconds_of, time_of
from settings import ROOT

TEMPLATES = ROOT / "kibana" / "index_templates"
KEPT = {
    "topic": "t", "partition": 0, "offset": 7, "record_time": "2026-01-01T00:00:00Z", "job": "j",
    "record_key": b64encode(b"key").decode(), "record_value": b64encode(b"a record").decode(),
}  # fmt: skip
LETTER = KEPT | {"reason": "r", "detail": "d", "rejected_at": "2026-01-01T00:00:01Z"}
LATE = KEPT | {"event_time": "2026-01-01T00:00:00Z", "watermark": "2026-01-01T00:00:05Z"}
LABELS = {
    "cyberbullying": lambda text: "gender" if "you" in text else "not_cyberbullying",
    "toxicity": lambda text: "toxic" if "you" in text else "not_toxic",
    "sentiment": lambda text: "positive",
    "removal": lambda text: "kept",
}


class InMemory(Writer):
    """Keeps what would be written."""

    def __init__(self) -> None:
        self.written: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)

    def index(self, index: str, identity: str, document: dict[str, Any]) -> None:
        self.written[index][identity] = json.loads(json.dumps(document))

    def update(self, index: str, identity: str, fields: dict[str, Any]) -> None:
        if identity in self.written[index]:
            self.written[index][identity] |= fields


def run(job: str, records: list[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What a loop writes, of (topic, event) in the order of their coming."""
    writer = InMemory()
    loop = maker(job, LABELS)(writer)
    newest = 0.0
    for topic, event in records:
        newest = max(newest, seconds_of(time_of(event, loop.time)))
        loop.take(topic, dict(event), newest)
    loop.take(topic, dict(event), newest + 2 * 3600)  # told twice, when all windows are over
    return dict(writer.written)


@cache
def generated(job: str, count: int = 800) -> list[tuple[str, dict[str, Any]]]:
    """Generated events of what a job reads."""
    messages = islice(LOADS[job].made(count), count)
    return [(message.topic, json.loads(message.value)) for message in messages]


def fields_of(index: str) -> set[str]:
    """The fields that an index takes: its mapping is strict."""
    mapping = json.loads((TEMPLATES / f"{index}.json").read_text(encoding="utf-8"))["template"]["mappings"]
    assert mapping["dynamic"] == "strict"
    return set(mapping["properties"])


def revisions() -> list[tuple[str, dict[str, Any]]]:
    """What the loop of wiki_intent makes, as wiki_users reads it."""
    documents = run("wiki_intent", generated("wiki_intent"))["wiki_intent"].values()
    return [("judged_revisions", one) for one in documents]


def scored() -> list[tuple[str, dict[str, Any]]]:
    """What the loop of social_posts makes, as social_metrics reads it."""
    posts = run("social_posts", generated("social_posts"))["social_posts"].values()
    return [("scored_posts", one) for one in posts]


CASES: dict[str, tuple[Callable[[], list[tuple[str, dict[str, Any]]]], set[str]]] = {
    "kept_records": (
        lambda: [("dead_letters", dict(LETTER)), ("late_events", dict(LATE))], {"dead_letters", "late_events"}
    ),
    "wiki_edits": (lambda: generated("wiki_edits"), {"wiki_edits", "wiki_activity"}),
    "wiki_intent": (lambda: generated("wiki_intent"), {"wiki_intent", "wiki_intent_by_wiki"}),
    "wiki_users": (revisions, {"wiki_disagreement"}),
    "wiki_pages": (lambda: generated("wiki_pages"), {"wiki_pages", "wiki_page_rates"}),
    "social_posts": (lambda: generated("social_posts"), {"social_posts"}),
    "social_metrics": (scored, {"social_metrics", "social_hashtags", "social_locations", "social_agreement"}),
    "background_check": (lambda: generated("background_check"), {"background_checks", "background_captions"}),
    "moderation": (
        lambda: generated("moderation"), {"moderation_messages", "moderation_users", "moderation_metrics"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("job", CASES)
def test_a_loop_writes_what_its_indices_take(job: str) -> None:
    records, least = CASES[job]
    written = run(job, records())
    assert set(written) >= least
    for index, documents in written.items():
        unknown = {field for document in documents.values() for field in document} - fields_of(index)
        assert not unknown, f"{index} does not take {unknown}"


def test_every_job_of_the_demo_has_a_loop() -> None:
    assert set(CASES) == set(LOADS)


def test_windows_hop_and_close_once() -> None:
    windows = Windows(list, 60, 20)
    for items in windows.of(65, "a"):
        items.append(65)
    assert [(start, end, of["a"]) for start, end, of in windows.closed(100)] == [(20, 80, [65]), (40, 100, [65])]
    assert [start for start, _, _ in windows.closed(1000)] == [60]
    assert not list(windows.closed(1000))
