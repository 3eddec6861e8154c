"""jobs/forget.py without the stack: S3 at a moto server, the ledger in a file. The whole: tests/e2e/test_forget.py."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

import jobs.forget
from jobs.forget import Bucket, Documents, Pictures, Report, expire, forget_gathered, forget_in_ledger, main, without
from producers._instagram_live import folder_of_states
from settings import settings
from udfs.providers.clients import s3_client
from udfs.providers.ledger import Content, Ledger, person

BUCKET = "pictures"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an empty bucket, which is that of the settings; no Kafka and no Elasticsearch answer."""
    values = {
        "CROWDPULSE_S3_ENDPOINT": moto,
        "CROWDPULSE_S3_BUCKET": BUCKET,
        "CROWDPULSE_PREFIX": "own.",
        "CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "CROWDPULSE_ELASTICSEARCH_HOSTS": "http://127.0.0.1:9",
        "CROWDPULSE_ENRICH_LEDGER": str(tmp_path / "ledger.sqlite"),
        "CROWDPULSE_STATE_DIR": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(jobs.forget, "BROKER_WAIT_MS", 300)
    settings.cache_clear()
    client = s3_client(moto, "eu-west-1")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield client
    for version in [*versions(client), *client.list_object_versions(Bucket=BUCKET).get("DeleteMarkers", [])]:
        client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    client.delete_bucket(Bucket=BUCKET)
    monkeypatch.undo()
    settings.cache_clear()


def versions(client: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.list_object_versions(Bucket=BUCKET).get("Versions", [])
    return found


def put(client: Any, key: str, content: bytes) -> str:
    client.put_object(Bucket=BUCKET, Key=key, Body=content, ContentType="text/plain")
    return key


def keys(client: Any) -> set[str]:
    return {found["Key"] for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def everything(client: Any) -> bytes:
    """The content of all versions of all objects."""
    return b"".join(
        client.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
        for one in versions(client)
    )


def lines(*names: str, **fields: object) -> bytes:
    return b"".join(json.dumps({"username": name} | fields, separators=(",", ":")).encode() + b"\n" for name in names)


def picture(content: bytes) -> tuple[str, str]:
    """Its key and its hash."""
    digest = sha256(content).hexdigest()
    return f"images/{digest[:2]}/{digest}.jpg", digest


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (lines("anna"), [{}]),
        (lines("anna", "anna"), [{}]),
        (lines("anna", "ben"), ["ben"]),
        (lines("ben", "anna"), ["ben"]),
        (lines("ben", "anna", "cleo", "anna", "dan"), ["ben", "cleo", "dan"]),
        (lines("anna.b", "anna_", "ann", "nna", "anna"), ["anna.b", "anna_", "ann", "nna"]),  # only parts of a name
        (lines("ben", bio='"anna" {"username":"anna"}') + lines("anna"), ["ben"]),  # told by another person
        (lines("ben", username_of="anna"), ["ben"]),
        (lines("ben") + b'{"username":"anna"\n', ["ben", None]),  # no JSON: whose it is cannot be known
        (lines("ben") + lines("anna")[:-1], ["ben"]),
        (b"", []),
    ],
)
def test_lines_of_a_person_go_and_the_file_keeps_its_length(content: bytes, kept: list[Any]) -> None:
    left, _ = without(content, ["anna"])

    def username_of(line: bytes) -> Any:
        try:
            return json.loads(line).get("username", {})
        except ValueError:
            return None

    assert [username_of(line) for line in left.splitlines()] == kept
    assert len(left) == len(content)
    assert without(left, ["anna"]) == (left, [])


@pytest.mark.parametrize("versioned", [False, True])
def test_no_version_of_a_file_keeps_the_line(s3: Any, versioned: bool) -> None:
    key = put(s3, "background/own.checks/date=2026-01-01/part-0", lines("anna", "ben"))
    if versioned:
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        put(s3, key, lines("anna", "ben", "anna"))
        put(s3, key, lines("ben"))  # an older version has the line, the newest has not
        put(s3, f"{key}1", lines("anna", "ben"))
    bucket = Bucket(Report())

    for found in list(bucket.objects("background/")):
        bucket.remove_lines(found, ["anna"])

    assert b"anna" not in everything(s3)
    newest = s3.get_object(Bucket=BUCKET, Key=key)
    assert (newest["Body"].read().rstrip(), newest["ContentType"]) == (lines("ben").rstrip(), "text/plain")
    assert keys(s3) == ({key, f"{key}1"} if versioned else {key})


def test_what_another_run_takes_out_meanwhile_does_not_come_back(s3: Any) -> None:
    key = put(s3, "background/own.checks/date=2026-01-01/part-0", lines("anna", "ben", "cleo"))

    class Overtaken(Bucket):
        def _get(self, found: Any) -> Any:
            answer = super()._get(found)
            Bucket(Report()).remove_lines(found, ["ben"])
            return answer

    (found,) = Bucket(Report()).objects(key)

    assert Overtaken(Report()).remove_lines(found, ["anna"]) == 1
    assert everything(s3).rstrip() == lines("cleo").rstrip()


@pytest.mark.parametrize(("names", "theirs"), [(["anna"], {"own", "gone"}), (["anna", "ben"], {"own", "gone", "both"})])
def test_only_pictures_of_the_person_and_of_nobody_else_are_theirs(names: list[str], theirs: set[str]) -> None:
    told = Pictures(names)
    pictures = {what: picture(what.encode()) for what in ("own", "both", "gone", "other")}

    def tell(name: str, what: str, bucket: str = BUCKET, **other: object) -> None:
        key, digest = pictures[what]
        told.add({"username": name, "bucket": bucket, "s3_path": key, "content_hash": digest} | other, BUCKET)

    for name, what in [("anna", "own"), ("@Anna", "both"), ("anna", "gone"), ("ben", "both"), ("cleo", "gone")]:
        tell(name, what)
    told.forget("cleo")
    # What a record says is not believed: these would delete what is no picture, or another one.
    tell("anna", "other", s3_path="background/own.checks/part-0")
    tell("anna", "other", s3_path="images/../state")
    tell("anna", "other", s3_path=pictures["both"][0])
    tell("anna", "other", s3_path=None, content_hash=5)
    tell("anna", "other", bucket="elsewhere")
    tell("cleo", "other", bucket="elsewhere")

    assert told.only_theirs() == {pictures[what][1]: {pictures[what][0]} for what in theirs}
    assert len(told.elsewhere) == 4
    told.close()


def ask(ledger: Ledger, content: str, *names: str) -> None:
    people = {person(name) for name in names}
    ledger.claim("aws", "sentiment", [Content(content, 1, people)], max_units=100, seconds=60)
    ledger.answer("aws", "sentiment", {content: {"label": "neutral"}})


@pytest.mark.usefixtures("s3")
def test_the_ledger_forgets_a_person_and_what_only_theirs_was() -> None:
    file = settings().enrich_ledger
    assert forget_in_ledger(["anna"], NOW, dry_run=True) == 0
    assert not file.exists()
    ledger = Ledger(file)
    ask(ledger, "own", "anna")
    ask(ledger, "shared", "anna", "ben")

    assert forget_in_ledger(["anna"], NOW, dry_run=True) == 2
    assert ledger.forgotten_at("anna") is None
    assert forget_in_ledger(["anna", "cleo"], NOW, dry_run=False) == 2
    assert forget_in_ledger(["anna"], NOW, dry_run=False) == 0

    assert ledger.state("aws", "sentiment", "own") is None
    assert ledger.state("aws", "sentiment", "shared") is not None
    assert (ledger.forgotten_at("anna"), ledger.forgotten_at("ben")) == (NOW, None)
    ledger.close()


@pytest.mark.usefixtures("s3")
def test_files_of_the_producer_go_by_the_whole_name() -> None:
    folder = folder_of_states()
    folder.mkdir(parents=True)
    names = ["a.b.json", "a.b.123.tmp", "a.json", "a.b.c.json", "a_b.json", "axb.json", "a.b.c.123.tmp"]
    for name in names:
        (folder / name).write_text("{}")

    assert forget_gathered(["a.b"], dry_run=True) == 2
    assert len(list(folder.iterdir())) == len(names)
    assert forget_gathered(["a.b"], dry_run=False) == 2
    assert {file.name for file in folder.iterdir()} == set(names) - {"a.b.json", "a.b.123.tmp"}


def removed(printed: str) -> dict[str, int]:
    """The table's numbers by place."""
    rows = [[cell.strip() for cell in line.split("│")] for line in printed.split("\n") if line.count("│") >= 4]
    return {row[1]: int(row[2]) for row in rows if row[2].isdigit()}


def test_without_kafka_and_elasticsearch_the_rest_is_done_and_said(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    key, digest = picture(b"own")
    put(s3, key, b"own")
    checks = put(s3, "background/own.checks/date=2026-01-01/part-0", lines("anna", "ben"))
    told = {"bucket": BUCKET, "s3_path": key, "content_hash": digest}
    put(s3, "background/own.images/date=2026-01-01/part-0", lines("anna", **told))
    put(s3, "background/other.checks/date=2026-01-01/part-0", lines("anna"))
    temporary = put(s3, "background/own.checks/date=2026-01-01/_part-1_tmp_0a", lines("anna"))
    s3.create_multipart_upload(Bucket=BUCKET, Key="background/own.checks/date=2026-01-01/part-1")
    before = everything(s3)

    assert main(["anna", "--dry-run"]) == 1
    assert removed(capsys.readouterr().out)["S3: archive of checks"] == 1
    assert everything(s3) == before
    assert not settings().enrich_ledger.exists()

    assert main(["@Anna", "--yes", "--wait", "0"]) == 1

    printed = capsys.readouterr().out
    assert removed(printed)["S3: archive of checks"] == 1
    assert removed(printed)["Kafka: tombstones sent"] == 0
    assert "Kafka at" in printed
    assert "2 files of the archive are just being written" in printed
    assert b"anna" not in s3.get_object(Bucket=BUCKET, Key=checks)["Body"].read()
    # Whose else the picture is cannot be known now; what tells of it stays for the next run.
    assert everything(s3).count(b"anna") == 3
    assert {key, temporary} <= keys(s3)
    with closing(Ledger(settings().enrich_ledger)) as ledger:
        assert ledger.forgotten_at("anna") is not None


def test_what_a_job_writes_meanwhile_goes_too(
    s3: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.forget, "PASS_SECONDS", 0.2)
    key = "background/own.checks/date=2026-01-01/part-0"
    written = threading.Timer(2, put, (s3, key, lines("anna", "ben")))
    written.start()

    assert main(["anna", "--yes", "--wait", "5"]) == 1

    written.join()
    assert b"anna" not in everything(s3)
    assert removed(capsys.readouterr().out)["S3: archive of checks"] == 1


def test_what_is_older_than_it_may_be_kept_goes(s3: Any) -> None:
    days = timedelta(days=settings().background_retention_days)
    later = NOW + days + timedelta(hours=1)
    old_day, new_day = ((later - days + timedelta(days=n)).date() for n in (-1, 0))
    kept = {
        put(s3, f"background/own.checks/date={new_day}/part-0", lines("anna")),
        put(s3, f"background/other.checks/date={old_day}/part-0", lines("anna")),
        put(s3, "code/x.zip", b"x"),
    }
    put(s3, f"background/own.images/date={old_day}/part-0", lines("anna"))
    put(s3, f"background/own.checks/date={new_day}/_part-0_tmp_0a", lines("anna"))
    put(s3, picture(b"own")[0], b"own")
    with closing(Ledger(settings().enrich_ledger)) as ledger:
        ask(ledger, "own", "anna")

    def run(now: datetime, dry_run: bool = False) -> Report:
        report = Report()
        documents = Documents(dry_run)
        expire(report, Bucket(report), documents, dry_run, now)
        documents.close()
        return report

    before = keys(s3)
    assert run(later, dry_run=True).removed.total() == 4
    assert run(NOW).removed.total() == 0  # the day in a path may be long ago, but the file was just written
    assert keys(s3) == before

    report = run(later)

    assert keys(s3) == kept
    assert report.removed.total() == 4
    assert set(report.failed) == {place for place in report.removed if place.startswith("index ")}
    with closing(Ledger(settings().enrich_ledger)) as ledger:
        assert ledger.state("aws", "sentiment", "own") is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["../../etc/passwd", "--yes"], "no Instagram username"),
        (["anna;rm -rf /", "--yes"], "no Instagram username"),
        (["a' OR 1=1 --", "--yes"], "no Instagram username"),
        (["anna", "*", "--yes"], "no Instagram username"),
        (["a" * 300, "--yes"], "(300 characters)"),
        (["", "--yes"], "no Instagram username"),
        (["anna"], "give --yes"),
        (["--expired"], "give --yes"),
        ([], "Give usernames"),
        (["anna", "--expired"], "without any"),
        (["anna", "--wait", "-1"], "whole number"),
    ],
)
@pytest.mark.usefixtures("s3")
def test_wrong_arguments_change_nothing(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("y\n"))
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert not settings().enrich_ledger.exists()


@pytest.mark.parametrize("answer", ["n", "", "anna"])
@pytest.mark.usefixtures("s3")
def test_who_does_not_agree_changes_nothing(
    answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer + "\n"))

    assert main(["anna"]) == 0
    assert "Nothing was changed" in capsys.readouterr().err
    assert not settings().enrich_ledger.exists()


@pytest.mark.usefixtures("s3")
def test_a_ledger_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    settings().enrich_ledger.write_bytes(b"no SQLite file " * 100)

    with pytest.raises(sqlite3.DatabaseError):
        forget_in_ledger(["anna"], NOW, dry_run=False)
    assert main(["anna", "--yes", "--wait", "0"]) == 1
    assert "could not be" in capsys.readouterr().out
