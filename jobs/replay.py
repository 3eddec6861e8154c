"""Sends kept records again to the topic that they came from: dead letters after a fix, late events into a new run.

    python -m jobs.replay dead_letters --topic wiki_recentchange --dry-run      what there is, by reason
    python -m jobs.replay dead_letters --topic wiki_recentchange                the same bytes, after the job was mended
    python -m jobs.replay dead_letters --topic wiki_recentchange --export F     to mend the records themselves …
    python -m jobs.replay dead_letters --topic wiki_recentchange --repaired F   … and send them as F has them now

Bytes and key are those of the record, so it reaches the partition of its page. The header `crowdpulse-replay` holds the
coordinates of the first attempt. What a job has made of a record overwrites itself on a second replay, since documents
have stable ids. A late event that is sent again is still late for a job whose watermark has passed it; it is counted by
one that starts anew (`python -m stack submit JOB --fresh`).
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from settings import settings

BROKER_WAIT_MS = 15_000
MAX_REQUEST_BYTES = 8 * 1024 * 1024


class InputError(Exception):
    """Something that the user can mend; the message says how."""


@dataclass(frozen=True)
class KeptRecord:
    """A record as it was kept: where it was, its bytes, and why it was kept."""

    topic: str
    partition: int
    offset: int
    kept_at: datetime
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None

    @property
    def coordinates(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def parse(message: bytes) -> KeptRecord | None:
    """A message of `dead_letters` or `late_events`; None for one that is neither."""
    try:
        fields = json.loads(message)
        kept_at = datetime.fromisoformat(fields.get("rejected_at") or fields["record_time"])
        return KeptRecord(
            topic=fields["topic"],
            partition=int(fields["partition"]),
            offset=int(fields["offset"]),
            kept_at=kept_at if kept_at.tzinfo else kept_at.replace(tzinfo=UTC),
            reason=fields.get("reason") or f"late in {fields['job']}",
            detail=fields.get("detail") or "",
            key=_decoded(fields.get("record_key")),
            value=_decoded(fields.get("record_value")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return None


def chosen(
    messages: Iterable[bytes],
    topic: str,
    since: datetime | None = None,
    reason: str | None = None,
    *,
    alike_once: bool = True,
) -> Iterator[KeptRecord]:
    """The records of `topic` kept since then and for that reason, each once, in the order of their first places.

    `alike_once`: one of those with the same key and bytes. A replay that fails keeps the same bytes again, at a new
    place; without this the next replay would send twice as many, and so on. To mend records, each place is wanted: two
    that were cut down to the same bytes were two. Meanwhile they are in a temporary file, for a month of them need not
    fit into memory.
    """
    with closing(sqlite3.connect("")) as waiting:
        waiting.execute("CREATE TABLE records (identity PRIMARY KEY, partition, offset, message)")
        waiting.execute("CREATE INDEX places ON records (partition, offset)")
        for message in messages:
            record = parse(message)
            if (
                record
                and record.topic == topic
                and (since is None or record.kept_at >= since)
                and reason in (None, record.reason)
            ):
                identity = (
                    sha256(repr((record.key, record.value)).encode()).digest() if alike_once else record.coordinates
                )
                row = (identity, record.partition, record.offset, message)
                waiting.execute("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)", row)
        for (message,) in waiting.execute("SELECT message FROM records ORDER BY partition, offset"):
            if record := parse(message):
                yield record


def exported(record: KeptRecord) -> dict[str, object]:
    """A record as a line to edit: its value is text where it is UTF-8, else base64."""
    line: dict[str, object] = {
        "topic": record.topic, "partition": record.partition, "offset": record.offset,
        "reason": record.reason, "detail": record.detail,
        "key_base64": base64.b64encode(record.key).decode() if record.key is not None else None,
    }  # fmt: skip
    try:
        return line | {"value": record.value.decode() if record.value is not None else None}
    except UnicodeDecodeError:
        return line | {"value_base64": base64.b64encode(record.value or b"").decode()}


def repaired(path: Path, topic: str) -> list[KeptRecord]:
    """The records of an exported and edited file. Raises InputError that names the line which cannot be read."""
    records = []
    # Not splitlines(), which also splits at U+2028, U+2029 and U+0085 inside a value.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            if fields["topic"] != topic:
                raise ValueError(f"it is of topic {fields['topic']}")
            if "value" in fields:
                value = None if fields["value"] is None else fields["value"].encode()
            else:
                value = base64.b64decode(fields["value_base64"])
            records.append(
                KeptRecord(
                    topic,
                    fields["partition"],
                    fields["offset"],
                    datetime.now(UTC),
                    fields["reason"],
                    "",
                    _decoded(fields.get("key_base64")),
                    value,
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"Line {number} of {path} is no record that --export wrote: {error}.") from None
    return records


def messages_of(topic: str) -> Iterator[bytes]:
    """All messages that the topic holds now."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings().kafka_bootstrap_servers, bootstrap_timeout_ms=BROKER_WAIT_MS, group_id=None
    )
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise InputError(f"Kafka has no topic {topic}. Is CROWDPULSE_PREFIX right?")
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for batch in consumer.poll(timeout_ms=1000).values():
                yield from (message.value for message in batch if message.value is not None)
    finally:
        consumer.close()


def send(records: Iterable[KeptRecord]) -> int:
    """Sends each record to its topic and waits until Kafka has it; returns how many."""
    producer = KafkaProducer(
        bootstrap_servers=settings().kafka_bootstrap_servers,
        bootstrap_timeout_ms=BROKER_WAIT_MS,
        acks="all",
        max_request_size=MAX_REQUEST_BYTES,
    )
    try:
        sent = [
            producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                headers=[("crowdpulse-replay", record.coordinates.encode())],
            )
            for record in records
        ]
        for each in sent:
            each.get(timeout=60)
        return len(sent)
    finally:
        producer.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kept", choices=["dead_letters", "late_events"], help="which kept records")
    parser.add_argument("--topic", required=True, help="the topic that they came from and go back to")
    parser.add_argument("--since", type=_time, help="only those kept since this ISO time (UTC where no zone is given)")
    parser.add_argument("--reason", help="only those kept for this reason, for example wrong_type")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say what would be sent")
    what.add_argument("--export", type=Path, metavar="F", help="write them as JSON lines to edit; send nothing")
    what.add_argument("--repaired", type=Path, metavar="F", help="send the records of an exported file as they are now")
    options = parser.parse_args(arguments)
    if options.repaired and (options.since or options.reason):
        parser.error("--since and --reason are not with --repaired: remove lines of the file instead")

    console = Console(stderr=True)
    topic = settings().prefix + options.topic.removeprefix(settings().prefix)
    try:
        if options.repaired:
            records = repaired(options.repaired, topic)
        else:
            messages = messages_of(settings().prefix + options.kept)
            alike_once = options.export is None
            records = list(chosen(messages, topic, options.since, options.reason, alike_once=alike_once))
        console.print(_summary(records, options.kept, topic))
        if options.dry_run:
            console.print(f"Dry run: {len(records)} records would be sent to {topic}.")
        elif options.export:
            lines = (json.dumps(exported(record), ensure_ascii=False) + "\n" for record in records)
            options.export.write_text("".join(lines), encoding="utf-8")
            console.print(f"Wrote {len(records)} records to {options.export}. Edit it, then send it with --repaired.")
        else:
            console.print(f"Sent {send(records)} records to {topic}.")
    except (InputError, OSError) as error:
        console.print(str(error))
        return 2
    except KafkaError as error:
        console.print(f"Kafka at {settings().kafka_bootstrap_servers} did not answer: {error}. Is the stack up?")
        return 1
    return 0


def _summary(records: list[KeptRecord], kept: str, topic: str) -> Table:
    table = Table("reason", "records", "example", title=f"{kept} of {topic}")
    examples = {record.reason: record for record in records}
    for reason, number in Counter(record.reason for record in records).most_common():
        example = examples[reason]
        table.add_row(reason, str(number), f"{example.coordinates} {example.detail}")
    return table


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO time such as 2026-01-31T12:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
