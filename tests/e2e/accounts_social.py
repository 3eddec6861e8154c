"""What the indices of social posts hold against a recount of the records in Kafka (tests/e2e/recount_social.py).

The end-to-end tests and the fault tests account for every record with it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pandas as pd
from kafka import KafkaConsumer, TopicPartition

from connections import kafka_options
from settings import settings
from tests.e2e import recount_social as recount
from tests.e2e.conftest import Document, Pipeline

PARTITIONS = 4  # of scored_posts, by stack/topics.yaml
Place = tuple[int, int]  # partition and offset


class Scored(NamedTuple):
    """A record of `scored_posts`."""

    place: Place
    post_id: str
    likes: int | None
    views: int | None
    text: str


def scored_posts(pipeline: Pipeline) -> list[Scored]:
    """The committed records of `scored_posts`, each partition's in its order."""
    consumer = KafkaConsumer(**kafka_options(), group_id=None, isolation_level="read_committed")
    topic = pipeline.prefix + "scored_posts"
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
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


def letters_of(pipeline: Pipeline, topic: str) -> dict[Place, Document]:
    """The documents of `dead_letters` that tell of a topic's records, by partition and offset."""
    letters = pipeline.documents("dead_letters").values()
    return {(one["partition"], one["offset"]): one for one in letters if one["topic"] == pipeline.prefix + topic}


def late_events_of(pipeline: Pipeline, job: str) -> dict[tuple[str, int, int], Document]:
    """The documents of `late_events` of a job, by topic (without prefix), partition and offset."""
    return {
        (one["topic"].removeprefix(pipeline.prefix), one["partition"], one["offset"]): one
        for one in pipeline.documents("late_events").values()
        if one["job"] == job
    }


def assert_dead_letters(pipeline: Pipeline, values: Sequence[bytes], places: Sequence[Place]) -> list[bool]:
    """The unusable records, and no others, are dead letters with their bytes; says of each record if it is usable."""
    now = datetime.now(UTC)
    problems = [recount.problem(value, now) for value in values]
    broken = {
        place: (problem, value) for place, problem, value in zip(places, problems, values, strict=True) if problem
    }
    pipeline.wait_for("all dead letters", lambda: letters_of(pipeline, "social_media").keys() >= broken.keys())
    assert {
        place: (letter["reason"], base64.b64decode(letter["record_value"]))
        for place, letter in letters_of(pipeline, "social_media").items()
    } == broken
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

    def late_events() -> dict[Place, Document]:
        return {place[1:]: event for place, event in late_events_of(pipeline, "social_metrics").items()}

    pipeline.wait_for("all late events", lambda: late_events().keys() >= due)
    told = late_events()
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
    pipeline: Pipeline,
    values: Sequence[bytes],
    places: Sequence[Place],
    closed: datetime | None = None,
    *,
    maybe_empty: Collection[str] = ("social_alerts",),
    viral_engagements: Sequence[int] | None = None,
    seconds: float = 90,
) -> None:
    """All indices are what a recount of the records gives; of a stream that goes on, the windows that are `closed`.

    `viral_engagements` has the setting by which each record was judged, where it was changed on the way; `seconds` is
    how long what is still to come is waited for.
    """
    usable = assert_dead_letters(pipeline, values, places)
    versions = recount.versions(
        (value for value, is_usable in zip(values, usable, strict=True) if is_usable),
        viral_engagements and [rule for rule, is_usable in zip(viral_engagements, usable, strict=True) if is_usable],
    )
    pipeline.wait_for("all posts scored", lambda: len(scored_posts(pipeline)) >= len(versions), seconds)
    found = scored_posts(pipeline)
    scored_at = assert_each_scored_once(
        found, versions, [place for place, is_usable in zip(places, usable, strict=True) if is_usable]
    )
    posts = recount.latest(versions)
    pipeline.wait_for("all posts", lambda: pipeline.count("social_posts") >= len(posts), seconds)
    assert differences(pipeline.documents("social_posts"), posts)[:10] == []
    late = late_versions(pipeline, found, versions, scored_at, exactly=closed is None)
    last = recount.iso(closed) if closed else "9999"
    for index, rows in recount.documents(versions.drop(index=list(late))).items():
        expected = {key: row for key, row in rows.items() if row["window_end"] <= last}
        assert expected or index in maybe_empty
        assert_index_is(pipeline, index, expected, last, seconds)
    assert pipeline.count("rejected_documents") == 0


def assert_index_is(
    pipeline: Pipeline, index: str, expected: Mapping[Any, Document], last: str, seconds: float
) -> None:
    """Of the windows that end by `last` (ISO 8601), the index holds just the expected documents."""

    def closed_windows() -> dict[Any, Document]:
        documents = [one for one in pipeline.documents(index).values() if one["window_end"] <= last]
        return recount.by_key(index, documents)

    pipeline.wait_for(
        f"{len(expected)} documents in {index}",
        lambda: pipeline.count(index) >= len(expected) and len(closed_windows()) >= len(expected),
        seconds,
    )
    assert differences(closed_windows(), expected)[:10] == [], index
