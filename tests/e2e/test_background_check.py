"""Background checks on the real stack: the demo's people, and AWS played by a server of ours while Flink is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.synthetic_instagram import DEMO_USERS
from settings import settings
from stack import flink, jobs
from tests.aws_server import AwsServer
from tests.e2e.conftest import Document, Pipeline
from udfs.providers.clients import s3_client

pytestmark = pytest.mark.stack

SUE, GUS, PIA, TOM, WILMA = DEMO_USERS
SECRET = "hush-hush-hush-hush-hush-hush-hush-hush!"  # noqa: S105 (nobody's)
AWS = {f"CROWDPULSE_ENRICH_{task}": "aws" for task in ("SENTIMENT", "KEY_PHRASES", "TOXICITY", "LANGUAGE", "IMAGES")}


@pytest.fixture
def checks(pipeline: Pipeline, tmp_path: Path) -> Pipeline:
    """A run with a ledger of its own."""
    pipeline.environment["CROWDPULSE_ENRICH_LEDGER"] = str(tmp_path / "ledger.sqlite")
    return pipeline


@pytest.fixture
def aws() -> Iterator[AwsServer]:
    """Comprehend and Rekognition, which take half a second a request, so that there is time to kill in."""
    with AwsServer({"action": "delay", "seconds": 0.5}) as server:
        yield server


def gather(run: Pipeline, *arguments: str) -> None:
    done = run.python("producers.instagram", "--kafka-wait-seconds", "20", *arguments)
    assert done.returncode == 0, done.stderr


def archived(run: Pipeline, what: str) -> list[Document]:
    """The lines that the job has committed to S3."""
    s3 = s3_client(settings().s3_endpoint, settings().aws_region)
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=settings().s3_bucket, Prefix=f"background/{run.prefix}{what}/date="
    )
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    bodies = [s3.get_object(Bucket=settings().s3_bucket, Key=key)["Body"].read().decode() for key in keys]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def newest(states: list[Document]) -> dict[str, Document]:
    return {
        state["username"]: state
        for state in sorted(states, key=lambda state: (_time(state["updated_at"]), state["version"]))
    }


def like_the_index(document: Document) -> Document:
    """Without the partition's column, which is not in the file, and with times as Elasticsearch has them."""
    return {name: _time(value) for name, value in document.items()}


def _time(value: Any) -> Any:
    """`2026-01-02T12:00:00Z` with three digits after the second."""
    if isinstance(value, str) and len(value) >= 20 and value[10] == "T" and value.endswith("Z"):
        seconds, _, fraction = value[:-1].partition(".")
        return f"{seconds}.{fraction.ljust(3, '0')}Z"
    return value


def assert_archive_is_index(run: Pipeline) -> None:
    checks = {document["username"]: document for document in run.documents("background_checks").values()}
    assert {name: like_the_index(state) for name, state in newest(archived(run, "checks")).items()} == checks
    pictures = archived(run, "images")
    index = run.documents("background_images")
    assert len(pictures) == len(index)
    key = ("username", "post_id", "content_hash")
    assert {"_".join(row[part] for part in key): like_the_index(row) for row in pictures} == index


def test_the_demos_people_are_told_apart(checks: Pipeline) -> None:
    gather(checks)
    checks.run("background_check")

    people = {document["username"]: document for document in checks.documents("background_checks").values()}
    assert set(people) == set(DEMO_USERS)
    assert (people[PIA]["status"], people[PIA]["score"], people[PIA]["posts"]) == ("private", None, 0)
    assert people[PIA]["missing"] == ["posts: the profile is private"]
    assert people[TOM]["images"] == 0
    assert "images: none" in people[TOM]["missing"]
    assert people[TOM]["captions"] > 0
    assert people[WILMA]["captions"] > 0
    assert people[WILMA]["present_keywords"] == []
    assert {keyword["theme"] for keyword in people[GUS]["present_keywords"]} >= {"weapons", "alcohol", "drugs"}
    assert people[GUS]["score"] > 80 > people[SUE]["score"]
    captions = checks.documents("background_captions").values()
    assert {name: sum(month["captions"] for month in captions if month["username"] == name) for name in people} == {
        name: person["captions"] for name, person in people.items()
    }
    assert_archive_is_index(checks)
    assert checks.count("dead_letters") == checks.count("rejected_documents") == 0


def test_other_names_are_all_it_takes_and_hostile_ones_are_refused(checks: Pipeline) -> None:
    gather(checks, "--user", "Some.Hiker", "@other_cook", "--max-posts", "5")
    for name in ("../../etc/passwd", "$(rm -rf .)", "a'; DROP TABLE users;--", "x" * 300):
        refused = checks.python("producers.instagram", f"--user={name}")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    checks.run("background_check")

    assert {document["username"] for document in checks.documents("background_checks").values()} == {
        "some.hiker", "other_cook",
    }  # fmt: skip


def test_what_aws_judges_is_sent_once_though_flink_is_killed(
    checks: Pipeline, aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather(checks, "--user", SUE, GUS, TOM)
    endpoint = {"CROWDPULSE_AWS_ENDPOINT": aws.address, "CROWDPULSE_BOUNDED_MODE": "latest-offset"}
    job = jobs.submit(
        "background_check", prefix=checks.prefix, fresh=True, environment=checks.environment | AWS | endpoint
    ).job_id
    checks.wait_for("some answers", lambda: sum(aws.counts["requests"].values()) > 10)
    flink.kill_taskmanager()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST0001")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    flink.start_taskmanager()
    jobs.wait(job, seconds=480)

    counts = aws.counts
    assert counts["received"]
    for operation, contents in counts["received"].items():
        assert set(contents.values()) == {1}, operation
    assert_archive_is_index(checks)
    images = list(checks.documents("background_images").values())
    captions = list(checks.documents("background_captions").values())
    # What was under way when the workers were killed is said, all else is judged.
    assert {image["unscored_reason"] for image in images} <= {None, "interrupted"}
    assert sum(image["unscored_reason"] is None for image in images) > len(images) / 2
    assert any(image["labels"] for image in images)
    assert sum(month["captions"] for month in captions) > sum(month["unscored_captions"] for month in captions)
    for file in [*(settings().state_dir / "logs").iterdir(), Path(checks.environment["CROWDPULSE_ENRICH_LEDGER"])]:
        assert SECRET.encode() not in file.read_bytes(), file
