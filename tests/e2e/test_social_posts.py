"""Generated social posts from the producer to Elasticsearch, on the real stack: all indices against a recount.

The recount (tests/e2e/recount_social.py) is of the same records. What is late follows from their order by partition.

    CROWDPULSE_TEST_POSTS=200000 .venv/bin/python -m pytest tests/e2e/test_social_posts.py
"""

from __future__ import annotations

import base64
import json
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from kafka import KafkaConsumer, TopicPartition

from producers.synthetic_posts import MALFORMED_KINDS, events
from settings import settings
from stack import flink, jobs
from tests.e2e import recount_social as recount
from tests.e2e.conftest import Document, Pipeline, restarts

POSTS = int(os.environ.get("CROWDPULSE_TEST_POSTS", "6000"))
MALFORMED = 0.005
SECONDS = 90 + POSTS // 1000  # to wait for what takes longer the more posts there are

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600 + POSTS // 100)]

# The reason that the dead letter of each kind of malformed record gives.
REASONS = {
    "not_json": "not_json", "truncated": "not_json", "empty": "empty_value", "invalid_utf8": "invalid_utf8",
    "array": "not_an_object", "oversized": "oversized", "missing_post_id": "missing_field",
    "null_user_id": "null_field", "wrong_type": "wrong_type", "unknown_platform": "unknown_platform",
    "empty_post_id": "out_of_range", "nonsense_time": "wrong_type", "future": "future_event_time",
}  # fmt: skip

Place = tuple[int, int]  # partition and offset


class Scored(NamedTuple):
    """A record of `scored_posts`."""

    place: Place
    post_id: str
    likes: int | None
    views: int | None
    text: str


def key_of(value: bytes) -> bytes | None:
    """The user, as far as the record tells one."""
    try:
        user = json.loads(value)["user_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return user.encode() if isinstance(user, str) else None


def as_records(values: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
    return [(key_of(value), value) for value in values]


def scored_posts(pipeline: Pipeline) -> list[Scored]:
    """The committed records of `scored_posts`, each partition's in its order."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings().kafka_bootstrap_servers, group_id=None, isolation_level="read_committed"
    )
    topic = pipeline.prefix + "scored_posts"
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    found = []
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for batch in consumer.poll(timeout_ms=1000).values():
            for message in batch:
                post = json.loads(message.value)
                place = message.partition, message.offset
                found.append(Scored(place, post["post_id"], post["likes"], post["views"], message.value.decode()))
    consumer.close()
    return sorted(found)


def differences(found: Mapping[Any, Document], expected: Mapping[Any, Document]) -> list[str]:
    """What is missing, too much or otherwise, document by document."""
    return [
        *(f"{key} is missing: {expected[key]}" for key in expected.keys() - found.keys()),
        *(f"{key} is too much: {found[key]}" for key in found.keys() - expected.keys()),
        *(
            f"{key}: {field} is {found[key].get(field)}, not {expected[key].get(field)}"
            for key in expected.keys() & found.keys()
            for field in expected[key].keys() | found[key].keys()
            if not same(found[key].get(field), expected[key].get(field))
        ),
    ]


def same(found: object, expected: object) -> bool:
    if isinstance(expected, float) and isinstance(found, int | float):
        return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    return found == expected


def assert_index_is(pipeline: Pipeline, index: str, expected: Mapping[Any, Document]) -> None:
    pipeline.wait_for(f"{len(expected)} documents in {index}", lambda: pipeline.count(index) >= len(expected), SECONDS)
    found = recount.by_key(index, list(pipeline.documents(index).values()))
    assert differences(found, expected)[:10] == [], index


def assert_dead_letters(pipeline: Pipeline, values: Sequence[bytes], places: Sequence[Place]) -> list[bool]:
    """The unusable records, and no others, are dead letters with their bytes; says of each record if it is usable."""
    now = datetime.now(UTC)
    problems = [recount.problem(value, now) for value in values]
    broken = {
        place: (problem, value) for place, problem, value in zip(places, problems, values, strict=True) if problem
    }
    pipeline.wait_for("all dead letters", lambda: pipeline.count("dead_letters") >= len(broken))
    letters = pipeline.documents("dead_letters").values()
    assert {letter["topic"] for letter in letters} == {pipeline.prefix + "social_media"}
    assert {
        (letter["partition"], letter["offset"]): (letter["reason"], base64.b64decode(letter["record_value"]))
        for letter in letters
    } == broken
    # The recount's own reading of what is unusable, against what the generator says that it made.
    assert [problem for problem in problems if problem] == list(
        islice(cycle(REASONS[kind] for kind in MALFORMED_KINDS), len(broken))
    )
    assert broken
    return [problem is None for problem in problems]


def assert_each_scored_once(found: Sequence[Scored], versions: pd.DataFrame, places: Sequence[Place]) -> list[Place]:
    """`scored_posts` has each version once, in the order of its partition; returns the place of each version."""
    expected = recount.plain(versions[["post_id", "likes", "views"]])
    order = sorted(range(len(places)), key=lambda number: places[number])
    assert [(post.place[0], post.post_id, post.likes, post.views) for post in found] == [
        (places[number][0], *expected[number].values()) for number in order
    ]
    scored_at = dict(zip(order, (post.place for post in found), strict=True))
    return [scored_at[number] for number in range(len(places))]


def late_versions(
    pipeline: Pipeline, found: Sequence[Scored], versions: pd.DataFrame, places: Sequence[Place], exactly: bool
) -> set[int]:
    """The numbers of the versions that `late_events` tells: all that are past the newest of their own partition.

    `exactly`: and no others. A partition that was idle may have more of them, past the watermark of the others.
    """
    delay = timedelta(seconds=settings().social_out_of_order_seconds)
    posted_at = dict(zip(places, versions["posted_at"], strict=True))
    newest: dict[int, datetime] = {}
    closed_up_to = {}
    for place in sorted(places):
        newest[place[0]] = max(newest.get(place[0], posted_at[place]), posted_at[place])
        closed_up_to[place] = newest[place[0]] - delay
    last_moment = {place: time.floor("min") + timedelta(seconds=59.999) for place, time in posted_at.items()}
    due = {place for place in places if last_moment[place] <= closed_up_to[place]}
    pipeline.wait_for("all late events", lambda: pipeline.count("late_events") >= len(due))
    told = {(event["partition"], event["offset"]): event for event in pipeline.documents("late_events").values()}
    assert due
    assert told.keys() == due if exactly else told.keys() >= due
    texts = {post.place: post.text for post in found}
    for place, event in told.items():
        watermark = datetime.fromisoformat(event["watermark"])
        assert watermark >= max(closed_up_to[place], last_moment[place])
        assert watermark == closed_up_to[place] or not exactly
        assert datetime.fromisoformat(event["event_time"]) == posted_at[place]
        assert event["late_seconds"] == (watermark - posted_at[place]) // timedelta(seconds=1)
        assert event["record_text"] == texts[place][:2000]
        assert (event["topic"], event["job"]) == (pipeline.prefix + "scored_posts", "social_metrics")
    return {number for number, place in enumerate(places) if place in told}


def assert_recount_holds(
    pipeline: Pipeline, values: Sequence[bytes], places: Sequence[Place], closed: datetime | None = None
) -> None:
    """All indices are what a recount of the records gives; of a stream that goes on, the windows that are `closed`."""
    usable = assert_dead_letters(pipeline, values, places)
    versions = recount.versions(value for value, is_usable in zip(values, usable, strict=True) if is_usable)
    found = scored_posts(pipeline)
    scored_at = assert_each_scored_once(
        found, versions, [place for place, is_usable in zip(places, usable, strict=True) if is_usable]
    )
    late = late_versions(pipeline, found, versions, scored_at, exactly=closed is None)

    assert differences(pipeline.documents("social_posts"), recount.latest(versions))[:10] == []
    for index, expected in recount.documents(versions.drop(index=list(late))).items():
        if closed:
            expected = {key: row for key, row in expected.items() if row["window_end"] <= recount.iso(closed)}
        assert expected or index == "social_alerts"
        assert_index_is(pipeline, index, expected)
    assert pipeline.count("rejected_documents") == 0


def test_all_indices_are_those_of_a_recount(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    generated = pipeline.python(
        "producers.posts", "--rate", "0", "--limit", str(POSTS), "--backfill", "1", "--seed", "7", "--late", "0.01",
        "--duplicates", "0.01", "--malformed", str(MALFORMED), "--odd", "0.01", "--output", str(file),
    )  # fmt: skip
    assert generated.returncode == 0, generated.stderr
    values = file.read_bytes().split(b"\n")[:-1]

    places = pipeline.produce("social_media", as_records(values))
    for job in ("social_posts", "social_metrics", "kept_records"):
        pipeline.run(job)

    assert_recount_holds(pipeline, values, places)


def story(posts: int, began: datetime) -> list[bytes]:
    """Records of one hour."""
    return [
        post.value
        for post in events(
            seed=7, start=began, rate=posts / 3600, limit=posts, late=0.01, duplicates=0.01, malformed=MALFORMED,
            odd=0.01, now=datetime.now(UTC),
        )
    ]  # fmt: skip


def closing_posts(posted_at: datetime) -> list[bytes]:
    """A post of this time by each of many users, so that each partition gets one and all windows before it close."""
    post = {"platform": "Twitter", "timestamp": recount.iso(posted_at), "text": "That was it."}
    return [
        json.dumps(post | {"post_id": f"closing-{number}", "user_id": f"closing-{number}"}).encode()
        for number in range(32)
    ]


def test_the_recount_holds_after_the_taskmanager_was_killed(pipeline: Pipeline) -> None:
    began = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2, minutes=30)
    end = began + timedelta(hours=2, minutes=10)
    values = story(POSTS, began)
    third = len(values) // 3
    places = pipeline.produce("social_media", as_records(values[:third]))
    ids = [pipeline.start("social_posts")]
    pipeline.wait_for("the first commit", lambda: bool(scored_posts(pipeline)))
    ids += [pipeline.start("social_metrics"), pipeline.start("kept_records")]
    pipeline.wait_for("first windows", lambda: pipeline.count("social_metrics") > 0, SECONDS)
    checkpoints = [jobs.latest_checkpoint(job) for job in ids]
    pipeline.wait_for(
        "a checkpoint of each job after its first documents",
        lambda: all(jobs.latest_checkpoint(job) not in (None, old) for job, old in zip(ids, checkpoints, strict=True)),
    )

    def flow() -> None:
        cuts = [third, *range(2 * third, len(values), max(1, third // 20)), len(values)]
        for first, last in pairwise(cuts):
            places.extend(pipeline.produce("social_media", as_records(values[first:last])))
            time.sleep(0.3)

    scored = len(scored_posts(pipeline))
    flowing = threading.Thread(target=flow)
    flowing.start()
    # What social_metrics has then read since its last checkpoint, it will read again.
    pipeline.wait_for("a commit amid the flow", lambda: len(scored_posts(pipeline)) > scored, SECONDS)
    flink.kill_taskmanager()
    flink.start_taskmanager()
    flowing.join()
    pipeline.wait_for("the jobs run again", lambda: all(restarts(job) and jobs.state(job) == "RUNNING" for job in ids))
    closing = closing_posts(end)
    places += pipeline.produce("social_media", as_records(closing))
    closed = end - timedelta(seconds=settings().social_out_of_order_seconds)
    last_hours = recount.iso(end - timedelta(minutes=21))
    pipeline.wait_for(
        "the last hours that have posts",
        lambda: any(user["window_end"] > last_hours for user in pipeline.documents("social_influencers").values()),
        SECONDS,
    )

    assert_recount_holds(pipeline, values + closing, places, closed)
