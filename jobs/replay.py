"""Sends kept records again to the topic that they came from: dead letters after a fix, late events into a new run.

    python -m jobs.replay dead_letters --topic wiki_recentchange --dry-run      what there is, by reason
    python -m jobs.replay dead_letters --topic wiki_recentchange                the same bytes, after the job was mended
    python -m jobs.replay dead_letters --topic wiki_recentchange --export F     to mend the records themselves …
    python -m jobs.replay dead_letters --topic wiki_recentchange --repaired F   … and send them as F has them now

Bytes and key are those of the record, so it reaches the partition of its page. Records with the same key and bytes are
sent once, but exported each. The header `crowdpulse-replay` holds the coordinates of the first attempt. What a job has
made of a record overwrites itself on a second replay, since documents have stable ids. A late event that is sent again
is still late for a job whose watermark has passed it; it is counted by one that starts anew (`python -m stack submit
JOB --fresh`).
"""

from __future__ import annotations

import argparse
import base64
import json
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from rich.console import Console
from rich.table import Table

from connections import kafka_options
from settings import settings

BROKER_WAIT_MS = 15_000
SILENCE_SECONDS = 60.0
BATCH_RECORDS = 1000
BATCH_BYTES = 32 * 1024 * 1024
MAX_REQUEST_BYTES = 8 * 1024 * 1024

FIRST_PLACE = """\
INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (identity) DO UPDATE
SET partition = excluded.partition, offset = excluded.offset, message = excluded.message
WHERE (excluded.partition, excluded.offset) < (records.partition, records.offset)
"""


class InputError(Exception):
    """Something that the user can mend; the message says how."""


class SendError(Exception):
    """Kafka did not take a record; the message says which, why, and how many it took before."""


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
        partition, offset = int(fields["partition"]), int(fields["offset"])
        if not 0 <= min(partition, offset) <= max(partition, offset) < 2**63:
            return None
        kept_at = datetime.fromisoformat(fields.get("rejected_at") or fields["record_time"])
        topic, reason = fields["topic"], fields.get("reason") or f"late in {fields['job']}"
        detail = fields.get("detail") or ""
        (topic + reason + detail).encode()  # text, and no half of a character
        return KeptRecord(
            topic=topic,
            partition=partition,
            offset=offset,
            kept_at=kept_at if kept_at.tzinfo else kept_at.replace(tzinfo=UTC),
            reason=reason,
            detail=detail,
            key=_decoded(fields.get("record_key")),
            value=_decoded(fields.get("record_value")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
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
    waiting = sqlite3.connect("")
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
            identity = sha256(repr((record.key, record.value)).encode()).digest() if alike_once else record.coordinates
            row = (identity, record.partition, record.offset, message)
            waiting.execute(FIRST_PLACE, row)  # the topic has partitions: the first place need not be read first
    return _in_order(waiting)


def _in_order(waiting: sqlite3.Connection) -> Iterator[KeptRecord]:
    with closing(waiting):
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


class Tally:
    """Records, which it counts by reason as they pass."""

    def __init__(self, records: Iterable[KeptRecord]) -> None:
        self.count = 0
        self._records = records
        self._reasons: dict[str, tuple[int, str]] = {}

    def __iter__(self) -> Iterator[KeptRecord]:
        for record in self._records:
            self.count += 1
            number, _ = self._reasons.get(record.reason, (0, ""))
            self._reasons[record.reason] = (number + 1, f"{record.coordinates} {record.detail}")
            yield record

    def table(self, title: str) -> Table:
        table = Table("reason", "records", "example", title=title)
        for reason, (number, example) in sorted(self._reasons.items(), key=lambda item: -item[1][0]):
            table.add_row(reason, str(number), example)
        return table


def repaired(path: Path, topic: str) -> list[KeptRecord]:
    """The records of an exported and edited file. Raises InputError that names the line which cannot be read."""
    records = []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 from byte {error.start} on: save it as UTF-8.") from None
    # Not splitlines(), which also splits at U+2028, U+2029 and U+0085 inside a value.
    for number, line in enumerate(text.split("\n"), start=1):
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
                    int(fields["partition"]),
                    int(fields["offset"]),
                    datetime.now(UTC),
                    str(fields["reason"]),
                    "",
                    _decoded(fields.get("key_base64")),
                    value,
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"Line {number} of {path} is no record that --export wrote: {error}.") from None
    return records


def messages_of(topic: str, silence_seconds: float = SILENCE_SECONDS) -> Iterator[bytes]:
    """All messages that the topic holds now.

    Raises InputError when there is no such topic, KafkaTimeoutError when nothing comes for `silence_seconds`.
    """
    consumer = KafkaConsumer(**kafka_options(), bootstrap_timeout_ms=BROKER_WAIT_MS, group_id=None)
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise InputError(f"Kafka has no topic {topic}. Is CROWDPULSE_PREFIX right?")
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        heard_at = time.monotonic()
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            if found := consumer.poll(timeout_ms=1000):
                for batch in found.values():
                    yield from (message.value for message in batch if message.value is not None)
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > silence_seconds:
                raise KafkaTimeoutError(f"nothing more of {topic} came for {silence_seconds:g} s")
    finally:
        consumer.close()


def batches(records: Iterable[KeptRecord]) -> Iterator[list[KeptRecord]]:
    """The same records in lists of at most BATCH_RECORDS, which end as soon as they hold BATCH_BYTES."""
    batch: list[KeptRecord] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.value or b"")
        if len(batch) >= BATCH_RECORDS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def send(records: Iterable[KeptRecord]) -> int:
    """Sends each record to its topic and waits, batch after batch, until Kafka has it; returns how many.

    Raises SendError that names the record which Kafka did not take. The client itself bounds nothing of what is under
    way, hence the batches.
    """
    producer = KafkaProducer(
        **kafka_options(),
        bootstrap_timeout_ms=BROKER_WAIT_MS,
        acks="all",
        max_request_size=MAX_REQUEST_BYTES,
    )
    sent = 0
    try:
        for batch in batches(records):
            under_way = []
            for record in batch:
                with _sending(record, sent):
                    headers = [("crowdpulse-replay", record.coordinates.encode())]
                    future = producer.send(record.topic, value=record.value, key=record.key, headers=headers)
                    under_way.append((record, future))
            for record, future in under_way:
                with _sending(record, sent):
                    future.get(timeout=60)
                sent += 1
        return sent
    finally:
        producer.close(timeout=10)


@contextmanager
def _sending(record: KeptRecord, sent: int) -> Iterator[None]:
    try:
        yield
    except MessageSizeTooLargeError:
        what = (
            f"{record.coordinates} is too long for {record.topic} ({len(record.value or b''):,} bytes): shorten it, or"
            " leave it out, in the file of --export and send that with --repaired."
        )
    except KafkaError as error:
        what = (
            f"Kafka at {settings().kafka_bootstrap_servers} did not take {record.coordinates} ({error}). Is the stack"
            f" up, and is there a topic {record.topic}?"
        )
    else:
        return
    raise SendError(f"{what} At least {sent} records were sent before; to send them again does no harm.")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kept", choices=["dead_letters", "late_events"], help="which kept records")
    parser.add_argument("--topic", required=True, help="the topic that they came from and go back to")
    parser.add_argument(
        "--since", type=iso_time, help="only those kept since this ISO time (UTC where no zone is given)"
    )
    parser.add_argument("--reason", help="only those kept for this reason, for example wrong_type")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say what would be sent")
    what.add_argument("--export", type=Path, metavar="F", help="write them as JSON lines to edit; send nothing")
    what.add_argument("--repaired", type=Path, metavar="F", help="send the records of an exported file as they are now")
    options = parser.parse_args(arguments)
    if options.repaired and (options.since or options.reason):
        parser.error("--since and --reason are not with --repaired: remove lines of the file instead")

    console = Console(stderr=True, markup=False, emoji=False)  # details quote records, brackets and all
    topic = settings().prefix + options.topic.removeprefix(settings().prefix)
    try:
        if options.repaired:
            records = Tally(repaired(options.repaired, topic))
        else:
            messages = messages_of(settings().prefix + options.kept)
            alike_once = options.export is None
            records = Tally(chosen(messages, topic, options.since, options.reason, alike_once=alike_once))
        if options.dry_run:
            for _ in records:
                pass
            done = f"Dry run: {records.count} records would be sent to {topic}."
        elif options.export:
            with options.export.open("w", encoding="utf-8") as file:
                for record in records:
                    file.write(json.dumps(exported(record), ensure_ascii=False) + "\n")
            done = f"Wrote {records.count} records to {options.export}. Edit it, then send it with --repaired."
        else:
            done = f"Sent {send(records)} records to {topic}."
        console.print(records.table(f"{options.kept} of {topic}"))
        console.print(done)
    except (InputError, OSError, sqlite3.Error) as error:
        console.print(str(error))
        return 2
    except SendError as error:
        console.print(str(error))
        return 1
    except KafkaError as error:
        console.print(f"Kafka at {settings().kafka_bootstrap_servers} did not answer: {error}. Is the stack up?")
        return 1
    return 0


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def iso_time(text: str) -> datetime:
    """A time as an argument, UTC where no zone is given."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO time such as 2026-01-31T12:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
