"""python -m jobs.forget on the real stack: one of two people who share a picture leaves every place, the other none."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from jobs.forget import INDICES, TOPICS
from producers._instagram_live import state_file
from settings import settings
from stack import moto
from tests.e2e.conftest import Document, Pipeline
from tests.producers.conftest import records
from udfs.providers.clients import s3_client
from udfs.providers.ledger import Content, Ledger, person

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

NOW = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
DAY = NOW[:10]
# "ann" and "anna_b" begin as "anna" does, or the other way round; "carl" was forgotten before.
ANNA, OTHERS = "anna", ("ben", "ann", "anna_b", "anna.b")


class Picture:
    """A picture of this test alone, since all runs of this stack share their pictures."""

    def __init__(self, prefix: str, what: str) -> None:
        self.content = b"\xff\xd8\xff" + f"{prefix}{what}".encode()
        self.hash = sha256(self.content).hexdigest()
        self.key = f"images/{self.hash[:2]}/{self.hash}.jpg"

    def told(self, name: str, post: str = "p1") -> Document:
        """The record, document or line of it as a picture of this person."""
        return {
            "username": name, "post_id": post, "bucket": settings().s3_bucket, "s3_path": self.key,
            "content_hash": self.hash, "media_type": "image", "taken_at": NOW,
        }  # fmt: skip


class Gathered:
    """What a background check keeps of people, put into each place by hand."""

    def __init__(self, pipeline: Pipeline, ledger: Path) -> None:
        self.pipeline = pipeline
        self.ledger = ledger
        self.s3 = s3_client(settings().s3_endpoint, settings().aws_region)
        self.folder = settings().state_dir / "instagram" / pipeline.prefix.rstrip(".")
        self.objects: set[str] = set()
        pictures = {
            what: Picture(pipeline.prefix, what) for what in ("index", "topic", "archive", "both", "gone", "bens")
        }
        self.own = {pictures[what].key for what in ("index", "topic", "archive", "gone")}
        self.others = {pictures[what].key for what in ("both", "bens")}
        for picture in pictures.values():
            self.put(picture.key, picture.content)
        self.topics(pictures)
        self.archives(pictures)
        self.indices(pictures)
        self.kept_records()
        self.caches()

    def put(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=settings().s3_bucket, Key=key, Body=content)
        self.objects.add(key)

    def topics(self, pictures: dict[str, Picture]) -> None:
        told = [
            *(pictures[what].told(ANNA) for what in ("index", "topic", "both", "gone")),
            pictures["both"].told("ben"),
            pictures["bens"].told("ben"),
            pictures["gone"].told("carl"),
        ]
        records_of = [(one["username"].encode(), json.dumps(one | {"timestamp": NOW}).encode()) for one in told]
        self.pipeline.produce("user_post_images", [*records_of, (b"carl", None)])
        for topic in TOPICS[:2]:
            sent = [(name.encode(), json.dumps({"username": name}).encode()) for name in (ANNA, *OTHERS)]
            self.pipeline.produce(topic, sent)

    def archives(self, pictures: dict[str, Picture]) -> None:
        def lines(*documents: Document) -> bytes:
            return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in documents)

        self.checks = f"background/{self.pipeline.prefix}checks/date={DAY}/part-0"
        self.images = f"background/{self.pipeline.prefix}images/date={DAY}/part-0"
        people = [{"username": name, "bio": "I know anna", "version": 1} for name in (ANNA, *OTHERS, ANNA)]
        self.put(self.checks, lines(*people))
        self.put(f"{self.checks}-1", lines(people[0]))
        self.put(self.images, lines(pictures["archive"].told(ANNA), pictures["bens"].told("ben")))

    def index(self, index: str, identity: str, document: Document) -> None:
        self.pipeline.elasticsearch.index(index=self.pipeline.prefix + index, id=identity, document=document)

    def indices(self, pictures: dict[str, Picture]) -> None:
        for name in (ANNA, *OTHERS):
            self.index("background_checks", name, {"username": name, "status": "ok", "updated_at": NOW})
            for month in ("2026-01-01", "2026-02-01"):
                document = {"username": name, "period_start": f"{month}T00:00:00Z", "posts": 1, "updated_at": NOW}
                self.index("background_captions", f"{name}_{month}", document)
        for what, name in [("index", ANNA), ("both", ANNA), ("both", "ben"), ("bens", "ben")]:
            told = pictures[what].told(name)
            self.index("background_images", f"{name}_{told['post_id']}_{told['content_hash']}", told)

    def kept_records(self) -> None:
        """Of each two documents the second is not about the person, or not of a background check."""
        prefix = self.pipeline.prefix
        letters: list[tuple[str, str | None, str]] = [
            ("user_basic_info", ANNA, "{"),
            ("user_basic_info", "ben", '{"username": "ben", "bio": "anna"'),
            ("user_post_images", None, '{"username": "@Anna", "post_id": '),
            ("user_post_images", None, '{"username": "anna.b", "post_id": '),
            ("user_posts_description", "@anna", "\ufffd"),
            ("wiki_recentchange", ANNA, '{"username": "anna"'),
        ]
        for offset, (topic, key, text) in enumerate(letters):
            document = {
                "topic": prefix + topic, "partition": 0, "offset": offset, "record_time": NOW, "record_key": key,
                "record_text": text, "job": "background_check",
            }  # fmt: skip
            value = base64.b64encode(text.encode()).decode()
            letter = document | {"record_value": value, "reason": "not_json", "detail": "…", "rejected_at": NOW}
            self.index("dead_letters", str(offset), letter)
            self.index("late_events", str(offset), document | {"event_time": NOW, "watermark": NOW, "late_seconds": 1})
        refused: list[tuple[str, str, str | None]] = [
            ("background_checks", ANNA, '{"username":"anna","bio":"…"}'),
            ("background_checks", "ben", '{"username":"ben","bio":"anna"}'),
            ("background_images", "anna_p1_0a", None),
            ("background_images", "ann_p1_0a", None),
            ("background_captions", "x", '{"username":"anna"'),
            ("wiki_edits", ANNA, '{"username":"anna"}'),
        ]
        for number, (index, identity, source) in enumerate(refused):
            document = {
                "index": prefix + index, "id": identity, "operation": "index", "error_type": "mapper", "reason": "…",
                "status": 400, "source": source, "source_bytes": 1, "time": NOW,
            }  # fmt: skip
            self.index("rejected_documents", str(number), document)

    def caches(self) -> None:
        ledger = Ledger(self.ledger)
        for content, people in (("own", {ANNA}), ("both", {ANNA, "ben"}), ("bens", {"ben"})):
            asked = [Content(content, 1, {person(name) for name in people})]
            ledger.claim("aws", "sentiment", asked, max_units=10, seconds=60)
            ledger.answer("aws", "sentiment", {content: {}})
        ledger.close()
        self.folder.mkdir(parents=True)
        for name in (ANNA, *OTHERS):
            state_file(self.folder, name).write_text("{}", encoding="utf-8")

    def forget(self, *arguments: str) -> dict[str, int]:
        """Run the command; the numbers of its table by place."""
        environment = {"CROWDPULSE_ENRICH_LEDGER": str(self.ledger)}
        done = self.pipeline.python("jobs.forget", *arguments, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = [[cell.strip() for cell in line.split("│")] for line in done.stdout.split("\n") if line.count("│") >= 4]
        return {row[1]: int(row[2]) for row in rows if row[2].isdigit()}

    def lines(self, key: str) -> list[Document]:
        content = self.s3.get_object(Bucket=settings().s3_bucket, Key=key)["Body"].read()
        return [json.loads(line) for line in content.splitlines()]

    def pictures_left(self) -> set[str]:
        """Which of this test's pictures are there."""
        return {
            key
            for key in self.own | self.others
            if "Contents" in self.s3.list_objects_v2(Bucket=settings().s3_bucket, Prefix=key)
        }

    def state(self) -> dict[str, Any]:
        """All that is in all places, to compare."""
        self.pipeline.elasticsearch.indices.refresh(index=f"{self.pipeline.prefix}*")
        indices = (*INDICES, "dead_letters", "late_events", "rejected_documents")
        return {
            "documents": {index: self.pipeline.documents(index) for index in indices},
            "lines": {key: self.lines(key) for key in sorted(self.objects) if key.startswith("background/")},
            "pictures": self.pictures_left(),
            "files": {file.name for file in self.folder.iterdir()},
            "records": {topic: len(records(self.pipeline.prefix + topic)) for topic in TOPICS},
        }

    def close(self) -> None:
        for key in self.objects:
            self.s3.delete_object(Bucket=settings().s3_bucket, Key=key)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def gathered(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gathered]:
    for name, value in moto.credentials().items():
        monkeypatch.setenv(name, value)
    moto.create_bucket()
    run = Gathered(pipeline, tmp_path / "ledger.sqlite")
    yield run
    run.close()


def test_one_person_leaves_every_place_and_the_others_none(gathered: Gathered) -> None:
    before = gathered.state()

    would = gathered.forget(ANNA, "--dry-run")
    assert gathered.state() == before

    removed = gathered.forget(f"@{ANNA.upper()}", "--yes", "--wait", "0")

    assert removed == would
    assert removed == {
        "Kafka: tombstones sent": 3,
        "S3: pictures": 4,
        "S3: archive of checks": 3,
        "S3: archive of images": 1,
        "index background_checks": 1,
        "index background_captions": 2,
        "index background_images": 2,
        "index dead_letters": 3,
        "index late_events": 3,
        "index rejected_documents": 3,
        "enrichment ledger": 2,
        "how far the producer gathered": 1,
    }
    after = gathered.state()
    for index in INDICES:
        others = {one: told for one, told in before["documents"][index].items() if told["username"] != ANNA}
        assert after["documents"][index] == others
    for index in ("dead_letters", "late_events", "rejected_documents"):
        assert set(after["documents"][index]) == {"1", "3", "5"}
    assert [line["username"] for line in after["lines"][gathered.checks]] == list(OTHERS)
    assert after["lines"][f"{gathered.checks}-1"] == [{}]
    assert [line["username"] for line in after["lines"][gathered.images]] == ["ben"]
    assert after["pictures"] == gathered.others
    assert after["files"] == {f"{name}.json" for name in OTHERS}
    for topic in TOPICS:
        told = [value for key, value in records(gathered.pipeline.prefix + topic) if key == ANNA.encode()]
        assert told[-1] is None
        assert after["records"][topic] == before["records"][topic] + 1
    ledger = Ledger(gathered.ledger)
    assert ledger.forgotten_at(ANNA) is not None
    assert ledger.forgotten_at("ben") is None
    known = {content: ledger.state("aws", "sentiment", content) is not None for content in ("own", "both", "bens")}
    ledger.close()
    assert known == {"own": False, "both": True, "bens": True}

    assert gathered.forget(ANNA, "--yes", "--wait", "0") == dict.fromkeys(removed, 0) | {"Kafka: tombstones sent": 3}
    again = gathered.state()
    assert again["records"] != after["records"]  # the tombstones
    assert again | {"records": None} == after | {"records": None}


def test_two_who_share_a_picture_are_forgotten_together_with_it(gathered: Gathered) -> None:
    removed = gathered.forget(ANNA, "ben", "--yes", "--wait", "0")

    assert removed["S3: pictures"] == 6
    assert gathered.pictures_left() == set()


def test_documents_that_are_too_old_go_and_young_ones_stay(gathered: Gathered) -> None:
    old = (datetime.now(UTC) - timedelta(days=settings().background_retention_days, hours=1)).isoformat()
    pipeline = gathered.pipeline
    for index, identity, field in [
        ("background_checks", ANNA, "updated_at"),
        ("background_captions", f"{ANNA}_2026-01-01", "updated_at"),
        ("background_images", f"{ANNA}_p1_{Picture(pipeline.prefix, 'index').hash}", "taken_at"),
        ("dead_letters", "0", "record_time"),
        ("dead_letters", "5", "record_time"),  # of a Wikipedia topic: not a person's
        ("rejected_documents", "0", "time"),
    ]:
        pipeline.elasticsearch.update(index=pipeline.prefix + index, id=identity, doc={field: old})
    before = {index: pipeline.count(index) for index in (*INDICES, "dead_letters", "late_events", "rejected_documents")}

    removed = gathered.forget("--expired", "--yes")

    assert {index: before[index] - pipeline.count(index) for index in before} == {
        "background_checks": 1,
        "background_captions": 1,
        "background_images": 1,
        "dead_letters": 1,
        "late_events": 0,
        "rejected_documents": 1,
    }
    assert removed["S3: archive of checks"] == removed["enrichment ledger"] == 0
    assert gathered.pictures_left() == gathered.own | gathered.others
