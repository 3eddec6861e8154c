"""Generated social posts from the producer to Elasticsearch, on the real stack: all indices against a recount.

The recount (tests/e2e/recount_social.py) is of the same records. What is late follows from their order by partition.

    CROWDPULSE_TEST_POSTS=200000 .venv/bin/python -m pytest tests/e2e/test_social_posts.py
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, pairwise
from pathlib import Path

import pytest

from producers.synthetic_posts import MALFORMED_KINDS, events
from settings import settings
from stack import flink, jobs
from tests.e2e import recount_social as recount
from tests.e2e.accounts_social import assert_recount_holds, scored_posts
from tests.e2e.conftest import Pipeline, restarts

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


def key_of(value: bytes) -> bytes | None:
    """The user, as far as the record tells one."""
    try:
        user = json.loads(value)["user_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return user.encode() if isinstance(user, str) else None


def as_records(values: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
    return [(key_of(value), value) for value in values]


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

    assert_recount_holds(pipeline, values, places, seconds=SECONDS)
    # The recount's own reading of what is unusable, against what the generator says that it made.
    problems = [problem for problem in (recount.problem(value, datetime.now(UTC)) for value in values) if problem]
    assert problems == list(islice(cycle(REASONS[kind] for kind in MALFORMED_KINDS), len(problems)))


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

    assert_recount_holds(pipeline, values + closing, places, closed, seconds=SECONDS)
