"""Removes people from everything that a background check keeps of them: topics, indices, S3, caches.

    python -m jobs.forget NAME…                 asks first; --yes does not ask
    python -m jobs.forget NAME… --dry-run       says what there is and changes nothing
    python -m jobs.forget --expired --yes       removes what is older than it may be kept, of everybody; for cron

First a tombstone goes to each topic, so that a running job drops the person too. What it had under way may still be
written: so all is gone through again for --wait seconds, and until nothing more is found. Running it again is safe.
What it cannot remove it says; docs/privacy.md has the whole of it. How long what is kept:
CROWDPULSE_BACKGROUND_RETENTION_DAYS.

Exit code 0: done. 1: something could not be reached; the table says what was done and what was not. 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch
from elasticsearch.helpers import bulk, scan
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError
from rich.console import Console
from rich.table import Table

from connections import kafka_options
from producers._command_line import InputError, stop_on_signals, whole_number
from producers._instagram_live import folder_of_states
from producers._usernames import username
from services.elasticsearch import elasticsearch_client
from settings import settings
from stack import moto
from udfs.providers.clients import s3_client
from udfs.providers.ledger import Ledger, person

TOPICS = ("user_basic_info", "user_posts_description", "user_post_images")
INDICES = ("background_checks", "background_captions", "background_images")
ARCHIVES = ("checks", "images")
KEPT = ("dead_letters", "late_events")
REJECTED = "rejected_documents"
PICTURES = "S3: pictures"
LEDGER = "enrichment ledger"
GATHERED = "how far the producer gathered"

BROKER_WAIT_MS = 15_000
SILENCE_SECONDS = 60.0
PASS_SECONDS = 10.0
EXTRA_SECONDS = 60.0
CHUNK = 1000
EMPTY = b"{}"  # Flink's JSON format reads it as a row of nulls; it stops at a line of blanks
# A job that restarts wants the files that it committed last as long as it wrote them.
YOUNG = timedelta(days=1)

_PICTURE = re.compile(r"images/(?P<two>[0-9a-f]{2})/(?P<hash>(?P=two)[0-9a-f]{62})\.(jpg|png|webp)")
_DATE = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/")

Fields = dict[str, Any]


UNREACHABLE = (KafkaError, ApiError, TransportError, ClientError, BotoCoreError, sqlite3.Error, OSError)


class Left(Exception):
    """Something is left as it is on purpose; the message says why."""


class Report:
    """What was removed where, what could not be, and why."""

    def __init__(self) -> None:
        self.removed: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.notes: dict[str, None] = {}

    @contextmanager
    def step(self, *places: str) -> Iterator[None]:
        """What is done for these places; when a store cannot be reached, the reason is kept and the run goes on."""
        for place in places:
            self.removed.setdefault(place, 0)
        try:
            yield
        except (Left, *UNREACHABLE) as error:
            self.failed |= dict.fromkeys(places, _reason(error))
        else:
            for place in places:
                self.failed.pop(place, None)

    def note(self, sentence: str) -> None:
        self.notes[sentence] = None

    def table(self, title: str, heading: str) -> Table:
        table = Table(title=title)
        table.add_column("where", no_wrap=True)
        table.add_column(heading, no_wrap=True, justify="right")
        table.add_column("not done, because")
        for place, number in self.removed.items():
            table.add_row(place, str(number), self.failed.get(place, ""))
        return table


class Object(NamedTuple):
    """A version of an object of the bucket; `version` is None where the bucket keeps none."""

    key: str
    version: str | None
    newest: bool
    modified: datetime


class Bucket:
    """The bucket of the settings."""

    def __init__(self, report: Report) -> None:
        self.name = settings().s3_bucket
        self._report = report

    def objects(self, prefix: str) -> Iterator[Object]:
        """The objects under a prefix, with their older versions."""
        if self._versioned:
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix):
                for found in page.get("Versions", []):
                    yield Object(found["Key"], found["VersionId"], found["IsLatest"], found["LastModified"])
        else:
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for found in page.get("Contents", []):
                    yield Object(found["Key"], None, True, found["LastModified"])

    def delete(self, found: Object) -> None:
        self._client.delete_object(Bucket=self.name, Key=found.key, **_version(found.version))

    def read(self, found: Object) -> bytes:
        """The content; empty for an object that is gone meanwhile."""
        answer = self._get(found)
        return bytes(answer["Body"].read()) if answer else b""

    def remove_lines(self, found: Object, names: Collection[str]) -> int:
        """Take people's lines out of an object; how many those were."""
        if not found.newest:
            lines = len(without(self.read(found), names)[1])
            if lines:
                self.delete(found)
            return lines
        for _attempt in range(5):
            if (answer := self._get(found)) is None:
                return 0
            content, lines_out = without(answer["Body"].read(), names)
            if not lines_out:
                return 0
            try:
                new = self._client.put_object(
                    Bucket=self.name,
                    Key=found.key,
                    Body=content,
                    ContentType=answer["ContentType"],
                    Metadata=answer["Metadata"],
                    IfMatch=answer["ETag"],
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "PreconditionFailed":
                    continue  # another run changed it; what that one took out must not come back
                raise
            if found.version not in (None, new.get("VersionId", "null")):
                self.delete(found)
            return len(lines_out)
        raise OSError(f"{found.key} is changed all the time; run this alone")

    def uploads(self, prefix: str) -> int:
        """How many files under a prefix are being written."""
        try:
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
            return sum(len(page.get("Uploads", [])) for page in pages)
        except ClientError as error:
            return self._not_allowed(error, "Whether a job is just writing to S3 could not be seen")

    @cached_property
    def _client(self) -> Any:
        return s3_client(settings().s3_endpoint, settings().aws_region)

    @cached_property
    def _versioned(self) -> bool:
        try:
            return "Status" in self._client.get_bucket_versioning(Bucket=self.name)
        except ClientError as error:
            return bool(
                self._not_allowed(error, "Whether the bucket keeps older versions of objects could not be seen")
            )

    def _get(self, found: Object) -> Fields | None:
        try:
            answer: Fields = self._client.get_object(Bucket=self.name, Key=found.key, **_version(found.version))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion", "404"):
                return None
            raise
        return answer

    def _not_allowed(self, error: ClientError, what: str) -> int:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise error
        self._report.note(f"{what}: these credentials may not ask ({error.operation_name}).")
        return 0


class Pictures:
    """Which pictures were told to be whose, in a temporary file: a topic of them need not fit into memory."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self.elsewhere: set[str] = set()
        self._told = sqlite3.connect("")
        self._told.execute("CREATE TABLE told (person, hash, key, PRIMARY KEY (person, hash, key)) WITHOUT ROWID")
        self._told.execute("CREATE INDEX hashes ON told (hash)")

    def add(self, fields: Fields, bucket: str, whose: str | None = None) -> None:
        """A picture as a record, document or line tells of it; of `names` those that are not ours are `elsewhere`."""
        found = _PICTURE.fullmatch(str(fields.get("s3_path")))
        who = str(whose or fields.get("username")).lower().removeprefix("@")
        if found and fields.get("bucket") == bucket and fields.get("content_hash") == found["hash"]:
            self._told.execute("INSERT OR IGNORE INTO told VALUES (?, ?, ?)", (who, found["hash"], found[0]))
        elif fields.get("s3_path") and who in self._names:
            self.elsewhere.add(f"{fields.get('bucket')}/{fields.get('s3_path')}")

    def forget(self, whose: str) -> None:
        self._told.execute("DELETE FROM told WHERE person = ?", (whose,))

    def only_theirs(self) -> dict[str, set[str]]:
        """The keys of the pictures, by hash, that were told of `names` and of nobody else."""
        marks = ", ".join("?" * len(self._names))
        found: dict[str, set[str]] = {}
        for digest, key in self._told.execute(
            f"SELECT hash, key FROM told WHERE person IN ({marks})"
            f" AND hash NOT IN (SELECT hash FROM told WHERE person NOT IN ({marks}))",
            [*self._names, *self._names],
        ):
            found.setdefault(digest, set()).add(key)
        return found

    def close(self) -> None:
        self._told.close()


def without(content: bytes, names: Collection[str]) -> tuple[bytes, list[Fields]]:
    """JSON lines without those of these people, and what these held.

    The content stays as long as it was, by blanks at its end; of nothing else `{}` is left. For a Flink job that starts
    from a checkpoint, or a savepoint, compares the length of the files that it committed last with what it had written
    (S3Committer.commitAfterRecovery), and fails when they differ.
    """
    if not any(f'"{name}"'.encode() in content for name in names):
        return content, []
    kept, taken = [], []
    for line in content.splitlines(keepends=True):
        fields = _fields(line)
        if fields.get("username") in names:
            taken.append(fields)
        else:
            kept.append(line)
    if not taken:
        return content, []
    left = b"".join(kept).rstrip() or EMPTY
    return left.ljust(len(content) - 1) + b"\n", taken


def tombstones(names: Iterable[str]) -> datetime:
    """Send a tombstone of each person to each topic; returns a time before all of them. Raises KafkaError."""
    producer = KafkaProducer(
        **kafka_options(),
        bootstrap_timeout_ms=BROKER_WAIT_MS,
        max_block_ms=BROKER_WAIT_MS,
        acks="all",
    )
    try:
        sent = [
            producer.send(settings().prefix + topic, key=name.encode(), value=None)
            for name in names
            for topic in TOPICS
        ]
        first = min(future.get(timeout=60).timestamp for future in sent)
    finally:
        producer.close(timeout=10)
    return datetime.fromtimestamp((first - 1) / 1000, UTC)


def read_pictures(pictures: Pictures, names: Collection[str], bucket: str, console: Console) -> None:
    """What user_post_images holds now of everybody's pictures: without what is before a tombstone, but of these people
    all. Raises KafkaError."""
    topic = settings().prefix + TOPICS[2]
    with console.status(f"Reading {topic} …") as status:
        for number, (key, value) in enumerate(_records(topic), start=1):
            if value is not None:
                fields = _fields(value)
                whose = fields.get("username") or (key or b"").decode("utf-8", "replace")
                pictures.add(fields, bucket, whose)
            elif key is not None and (whose := key.decode("utf-8", "replace")) not in names:
                pictures.forget(whose)
            if number % 10_000 == 0:
                status.update(f"Reading {topic}: {number:,} records …")


def _records(topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    consumer = KafkaConsumer(**kafka_options(), bootstrap_timeout_ms=BROKER_WAIT_MS, group_id=None)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        if not partitions:
            raise UnknownTopicOrPartitionError(topic)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        heard_at = time.monotonic()
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            if found := consumer.poll(timeout_ms=1000):
                for batch in found.values():
                    yield from ((record.key, record.value) for record in batch)
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS:
                raise KafkaTimeoutError(f"nothing more of {topic} came for {SILENCE_SECONDS:g} s")
    finally:
        consumer.close()


class Documents:
    """The indices of Elasticsearch under the prefix of the settings."""

    def __init__(self, dry_run: bool) -> None:
        self._client: Elasticsearch = elasticsearch_client(timeout_seconds=60)
        self._dry_run = dry_run

    def delete(self, index: str, query: Fields) -> int:
        """Delete what the query finds, or only count it; how much that was. 0 for a missing index."""
        if self._dry_run:
            where: Fields = {"index": settings().prefix + index, "ignore_unavailable": True, "allow_no_indices": True}
            self._client.indices.refresh(**where)
            return int(self._client.count(**where, query=query)["count"])
        # One by one and not by delete_by_query, which is of a module that an Elasticsearch may lack.
        hits = self._scan(index, query, [])
        actions = ({"_op_type": "delete", "_index": hit["_index"], "_id": hit["_id"]} for hit in hits)
        deleted, _ = bulk(self._client, actions, refresh=True, ignore_status=404, stats_only=True)
        return int(deleted)

    def pictures_of(self, names: Collection[str]) -> Iterator[Fields]:
        """What background_images says of these people's pictures."""
        fields = ["username", "content_hash", "bucket", "s3_path"]
        for hit in self._scan("background_images", {"terms": {"username": list(names)}}, fields):
            yield hit["_source"]

    def used_by_others(self, hashes: Sequence[str], names: Collection[str]) -> set[str]:
        """Which of these pictures documents of other people tell of."""
        found = set()
        for start in range(0, len(hashes), CHUNK):
            query = {
                "bool": {
                    "filter": {"terms": {"content_hash": hashes[start : start + CHUNK]}},
                    "must_not": {"terms": {"username": list(names)}},
                }
            }
            found |= {
                hit["_source"]["content_hash"] for hit in self._scan("background_images", query, ["content_hash"])
            }
        return found

    def delete_kept(self, index: str, names: Collection[str]) -> int:
        """Delete the records of these people that no job could use: by their key, or by the username in them."""
        keys = [key for name in names for key in (name, f"@{name}")]
        texts = [{"match_phrase": {"record_text": name}} for name in names]
        query: Fields = {
            "bool": {
                "filter": {"terms": {"topic": [settings().prefix + topic for topic in TOPICS]}},
                "should": [{"terms": {"record_key": keys}}, *texts],
                "minimum_should_match": 1,
            }
        }
        named = _named(names)
        hits = self._scan(index, query, ["record_key", "record_text"])
        ids = [
            hit["_id"]
            for hit in hits
            if hit["_source"].get("record_key") in keys or named.search(hit["_source"].get("record_text") or "")
        ]
        return self._delete_ids(index, ids)

    def delete_rejected(self, names: Collection[str]) -> int:
        """Delete the documents of these people that Elasticsearch refused: by the username in them, or by their id."""
        named = _named(names)
        ids = re.compile(rf"({'|'.join(map(re.escape, names))})(_.*)?")
        hits = self._scan(REJECTED, _of_our_indices(), ["id", "source"])
        return self._delete_ids(
            REJECTED,
            [
                hit["_id"]
                for hit in hits
                if (named.search(hit["_source"]["source"]) if hit["_source"].get("source") else None)
                or (not hit["_source"].get("source") and ids.fullmatch(hit["_source"].get("id") or ""))
            ],
        )

    def close(self) -> None:
        self._client.close()

    def _scan(self, index: str, query: Fields, fields: list[str]) -> Iterator[Fields]:
        name = settings().prefix + index
        self._client.indices.refresh(index=name, ignore_unavailable=True, allow_no_indices=True)
        body = {"query": query, "_source": fields}
        yield from scan(self._client, index=name, query=body, ignore_unavailable=True, allow_no_indices=True)

    def _delete_ids(self, index: str, ids: Sequence[str]) -> int:
        chunks = (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
        return sum(self.delete(index, {"ids": {"values": chunk}}) for chunk in chunks)


class Forgetting:
    """One run for these people."""

    def __init__(
        self, names: Sequence[str], report: Report, bucket: Bucket, documents: Documents, dry_run: bool
    ) -> None:
        self._names = names
        self._report = report
        self._bucket = bucket
        self._documents = documents
        self._dry_run = dry_run
        self._pictures = Pictures(names)
        self._at = datetime.now(UTC)
        self._unread = "not yet"
        self._clean: set[Object] = set()
        self._gone: set[str] = set()

    def begin(self, console: Console) -> None:
        """Tombstones, then what the topic of pictures holds, which no pass changes."""
        place = "Kafka: tombstones sent"
        with self._report.step(place):
            if not self._dry_run:
                self._at = tombstones(self._names)
            self._report.removed[place] = len(self._names) * len(TOPICS)
        with self._report.step(PICTURES):
            read_pictures(self._pictures, self._names, self._bucket.name, console)
        self._unread = self._report.failed.get(PICTURES, "")

    def once(self) -> int:
        """Go through all places; how much was found there."""
        before = self._report.removed.total()
        archived = self._archived()
        self._remove_pictures()
        for archive, found in archived.items():
            with self._report.step(_place(archive)):
                self._leave_if_pictures_stay(archive)
                if not self._dry_run:
                    self._report.removed[_place(archive)] += sum(
                        self._bucket.remove_lines(one, self._names) for one in found
                    )
        for index in INDICES:
            with self._report.step(f"index {index}"):
                self._leave_if_pictures_stay(index)
                deleted = self._documents.delete(index, {"terms": {"username": self._names}})
                self._report.removed[f"index {index}"] += deleted
        for index in KEPT:
            with self._report.step(f"index {index}"):
                self._report.removed[f"index {index}"] += self._documents.delete_kept(index, self._names)
        with self._report.step(f"index {REJECTED}"):
            self._report.removed[f"index {REJECTED}"] += self._documents.delete_rejected(self._names)
        with self._report.step(LEDGER):
            self._report.removed[LEDGER] += forget_in_ledger(self._names, self._at, self._dry_run)
        with self._report.step(GATHERED):
            self._report.removed[GATHERED] += forget_gathered(self._names, self._dry_run)
        return self._report.removed.total() - before

    def end(self) -> None:
        """Say what a running job has in S3 that nobody can read yet."""
        with self._report.step():
            under_way = sum(self._bucket.uploads(_folder(archive)) for archive in ARCHIVES)
            under_way += sum(
                _temporary(one.key) for archive in ARCHIVES for one in self._bucket.objects(_folder(archive))
            )
            if under_way:
                self._report.note(
                    f"{under_way} files of the archive are just being written, or were left by a job that was killed;"
                    " nobody can read them yet. Run this once more in two minutes, when the job has written them."
                )
        if self._pictures.elsewhere:
            examples = ", ".join(ascii(place[:120]) for place in sorted(self._pictures.elsewhere)[:3])
            self._report.note(
                f"{len(self._pictures.elsewhere)} pictures were told to be elsewhere than under images/ of the bucket"
                f" {self._bucket.name}, for example {examples}. They were left: look there yourself."
            )
        self._pictures.close()

    def _archived(self) -> dict[str, list[Object]]:
        """The objects of each archive with lines of these people; tells `_pictures` which pictures these name."""
        archived: dict[str, list[Object]] = {}
        for archive in ARCHIVES:
            with self._report.step(_place(archive)):
                found = []
                for one in self._bucket.objects(_folder(archive)):
                    if one in self._clean or _temporary(one.key):
                        continue
                    lines = without(self._bucket.read(one), self._names)[1]
                    for line in lines:
                        self._pictures.add(line, self._bucket.name)
                    if lines:
                        found.append(one)
                    else:
                        self._clean.add(one)
                    if self._dry_run:
                        self._report.removed[_place(archive)] += len(lines)
                archived[archive] = found
        return archived

    def _remove_pictures(self) -> None:
        with self._report.step(PICTURES):
            if self._unread:
                raise Left(f"whose else they are is told in {TOPICS[2]}, which was not read: {self._unread}")
            for fields in self._documents.pictures_of(self._names):
                self._pictures.add(fields, self._bucket.name)
            own = self._pictures.only_theirs()
            shared = self._documents.used_by_others(list(own), self._names)
            for key in sorted({key for digest in own.keys() - shared for key in own[digest]} - self._gone):
                versions = list(self._bucket.objects(key))
                for version in versions:
                    if not self._dry_run:
                        self._bucket.delete(version)
                self._report.removed[PICTURES] += bool(versions)
                self._gone.add(key)

    def _leave_if_pictures_stay(self, place: str) -> None:
        """What tells of pictures stays while these do, so that the next run finds them."""
        if "images" in place and PICTURES in self._report.failed:
            raise Left("it tells the next run which pictures there are")


def forget_in_ledger(names: Iterable[str], at: datetime, dry_run: bool) -> int:
    """Have the ledger forget what was told of these people up to `at`; how many texts and pictures of theirs it knew.

    Raises sqlite3.Error and OSError.
    """
    people = [person(name) for name in names]
    marks = ", ".join("?" * len(people))
    known = _counted(f"SELECT COUNT(*) FROM links WHERE person IN ({marks})", people)
    if not dry_run:
        with closing(Ledger(settings().enrich_ledger)) as ledger:
            for name in names:
                ledger.forget(name, at)
    return known


def forget_gathered(names: Collection[str], dry_run: bool) -> int:
    """Delete the producer's files about these people; how many those were. Raises OSError."""
    theirs = re.compile(rf"({'|'.join(map(re.escape, names))})\.(json|\d+\.tmp)")
    return _unlink((file for file in _files(folder_of_states()) if theirs.fullmatch(file.name)), dry_run)


def expire(report: Report, bucket: Bucket, documents: Documents, dry_run: bool, now: datetime) -> None:
    """Remove, of all people, what is older than it may be kept at this time."""
    before = now - timedelta(days=settings().background_retention_days)
    ours = {"terms": {"topic": [settings().prefix + topic for topic in TOPICS]}}
    aged: list[tuple[str, str, list[Fields]]] = [
        ("background_checks", "updated_at", []),
        ("background_captions", "updated_at", []),
        ("background_images", "taken_at", []),
        *((index, "record_time", [ours]) for index in KEPT),
        (REJECTED, "time", [_of_our_indices()]),
    ]
    for index, field, filters in aged:
        with report.step(f"index {index}"):
            old = {"range": {field: {"lt": before.isoformat()}}}
            report.removed[f"index {index}"] += documents.delete(index, {"bool": {"filter": [old, *filters]}})
    for place, folder in [(PICTURES, "images/"), *((_place(archive), _folder(archive)) for archive in ARCHIVES)]:
        with report.step(place):
            for found in bucket.objects(folder):
                if _expired(found, before, now):
                    report.removed[place] += 1
                    if not dry_run:
                        bucket.delete(found)
    with report.step(LEDGER):
        report.removed[LEDGER] = expire_ledger(before, dry_run)
    with report.step(GATHERED):
        old_files = (file for file in _files(folder_of_states()) if file.stat().st_mtime < before.timestamp())
        report.removed[GATHERED] = _unlink(old_files, dry_run)


def expire_ledger(before: datetime, dry_run: bool) -> int:
    """Delete the answers that were asked for before this time; how many. Raises sqlite3.Error and OSError."""
    if dry_run or not settings().enrich_ledger.exists():
        return _counted("SELECT COUNT(*) FROM answers WHERE written < ?", [before.timestamp()])
    with closing(Ledger(settings().enrich_ledger)) as ledger:
        return ledger.expire(before)


def _expired(found: Object, before: datetime, now: datetime) -> bool:
    """A picture by the time of its storing. A file of the archive by the day in its path, since taking out a person
    writes it anew; but a job that restarts may still want what is younger than a day."""
    day = _DATE.search(found.key)
    if day is None or _temporary(found.key):
        return found.modified < before
    return date.fromisoformat(day[1]) < before.date() and found.modified < now - YOUNG


def _counted(query: str, values: Sequence[object]) -> int:
    """A number that the ledger answers with; 0 where there is no ledger yet. Raises sqlite3.Error."""
    file = settings().enrich_ledger
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
        return int(ledger.execute(query, values).fetchone()[0])


def _unlink(files: Iterable[Path], dry_run: bool) -> int:
    number = 0
    for file in files:
        number += 1
        if not dry_run:
            file.unlink(missing_ok=True)
    return number


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []


def _folder(archive: str) -> str:
    return f"background/{settings().prefix}{archive}/"


def _place(archive: str) -> str:
    return f"S3: archive of {archive}"


def _temporary(key: str) -> bool:
    """Whether Flink keeps the beginning of a file there that it has not finished."""
    return key.rpartition("/")[2].startswith("_") and "_tmp_" in key


def _version(version: str | None) -> dict[str, str]:
    return {} if version is None else {"VersionId": version}


def _named(names: Iterable[str]) -> re.Pattern[str]:
    """Finds the username of one of these people as a field of JSON, broken JSON too."""
    return re.compile(rf'"username"\s*:\s*"@?({"|".join(map(re.escape, names))})"', re.IGNORECASE)


def _of_our_indices() -> Fields:
    return {"terms": {"index": [settings().prefix + index for index in INDICES]}}


def _fields(line: bytes) -> Fields:
    """A JSON object; empty for what is none."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _reason(error: Exception) -> str:
    """Why a store did not do it, without what it answered, which may repeat what is personal or secret."""
    chosen = settings()
    match error:
        case Left():
            return f"left: {error}"
        case KafkaError():
            return f"Kafka at {chosen.kafka_bootstrap_servers} did not do it ({type(error).__name__})"
        case ApiError():
            return f"Elasticsearch answered {error.status_code} ({error.error})"
        case TransportError():
            return f"Elasticsearch did not answer ({type(error).__name__})"
        case ClientError():
            code = error.response["Error"]["Code"]
            return f"S3 answered {code} to {error.operation_name} on the bucket {chosen.s3_bucket}"
        case NoCredentialsError() | PartialCredentialsError() | ProfileNotFound():
            return f"boto3 finds no credentials for S3 ({type(error).__name__}): set AWS_PROFILE, or take a role"
        case BotoCoreError():
            return f"S3 at {chosen.s3_endpoint or 'AWS'} did not answer ({type(error).__name__})"
        case sqlite3.Error():
            return f"{chosen.enrich_ledger} could not be changed ({error})"
        case _:
            return str(error)


STAYS = """\
What no command can take out, and when it ends:
- Kafka: earlier records of a person, in these topics and, broken ones, in dead_letters: until their retention.
- Flink: the job's state, and its checkpoints, hold what came before a tombstone for as long as the retention says, and
  count it no more. Savepoints hold it until you delete them: delete those you keep.
- Copies that you made: backups, exports, snapshots, the files of instaloader or of --output, other machines' ledgers.
- What other people wrote about the person is theirs and stays."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.forget", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="USERNAME", help="whom to forget, with or without @")
    parser.add_argument("--expired", action="store_true", help="remove what is older than the retention, of everybody")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can answer")
    parser.add_argument("--dry-run", action="store_true", help="only count what would be removed")
    parser.add_argument(
        "--wait",
        type=whole_number,
        default=90,
        metavar="SECONDS",
        help="look again for so long, since a running job may still write (default: 90; 0 where no job runs)",
    )
    options = parser.parse_args(arguments)
    if bool(options.names) == options.expired:
        parser.error("Give usernames, or --expired without any.")
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    try:
        names = list(dict.fromkeys(map(username, options.names)))
    except InputError as error:
        console.print(str(error), soft_wrap=True)
        return 2
    days = settings().background_retention_days
    whom = f"what is older than {days} days" if options.expired else ", ".join(names)
    if not (options.yes or options.dry_run):
        if not sys.stdin.isatty():
            console.print("Nobody is there to be asked: give --yes, or --dry-run to see what there is.")
            return 2
        if not _agreed(f"Remove {whom} for good? [y/N] "):
            console.print("Nothing was changed.")
            return 0

    stop_on_signals()
    for name, value in moto.credentials().items():
        os.environ.setdefault(name, value)
    report = Report()
    bucket, documents = Bucket(report), Documents(options.dry_run)
    try:
        if options.expired:
            expire(report, bucket, documents, options.dry_run, datetime.now(UTC))
        else:
            forget(Forgetting(names, report, bucket, documents, options.dry_run), console, options)
    except KeyboardInterrupt:
        report.failed["the rest"] = "stopped"
        report.note("It was stopped before its end.")
    finally:
        documents.close()

    out = Console(markup=False, emoji=False, highlight=False)
    title = f"{'Dry run: ' if options.dry_run else ''}{whom}"
    out.print(report.table(title, "would be removed" if options.dry_run else "removed"))
    for sentence in report.notes:
        out.print(sentence, soft_wrap=True)
    if names:
        out.print(STAYS, soft_wrap=True)
    if report.failed:
        out.print(
            "Not all could be done. Run it again, which does no harm, when what is missing answers.", soft_wrap=True
        )
        return 1
    return 0


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


def forget(run: Forgetting, console: Console, options: argparse.Namespace) -> None:
    """Pass after pass until the time is over and a pass finds nothing."""
    run.begin(console)
    until = time.monotonic() + (0 if options.dry_run else options.wait)
    with console.status("Looking for what a running job still writes …"):
        while True:
            found = run.once()
            now = time.monotonic()
            if options.dry_run or (now >= until and not found) or now >= until + EXTRA_SECONDS:
                break
            if now < until:
                time.sleep(min(PASS_SECONDS, until - now))
    run.end()


if __name__ == "__main__":
    sys.exit(main())
