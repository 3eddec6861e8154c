"""Amazon Kinesis as a door of the chat: a stream -> chat_messages, and moderation_decisions -> another stream.

    python -m connectors.kinesis_bridge --messages chat-in --decisions chat-decisions
    python -m connectors.kinesis_bridge --messages chat-in --endpoint http://127.0.0.1:9500     moto of the local stack

A record of the stream is a JSON object with room, user_name, text and, if it likes, message_id and client_time; a
missing message_id is made from the stream, the shard and the sequence number. Any other record goes to chat_messages
byte for byte, where the job makes it a dead letter. A shard is read when the shards that it was made from are read.

At least once: a position is kept in a file only when the other side has acknowledged. What is told twice after a crash
has the same message_id. Exit codes: 0 stopped by SIGTERM or SIGINT, 1 Kafka or AWS is away or refuses, 2 wrong input.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from connections import kafka_options
from producers._command_line import InputError, Unavailable
from redaction import hide_secrets
from services.chat_log import ACKNOWLEDGED_SECONDS, MAX_RECORD_BYTES, MESSAGES, ChatLog, NotWritten
from settings import settings
from udfs.providers.clients import kinesis_client

DECISIONS = "moderation_decisions"
READ_EVERY_SECONDS = 0.25  # AWS allows five reads of a shard a second, of all readers together
READ_AT_ONCE = 1_000
MOST_WAITING = 5_000  # of a shard, for Kafka
LIST_EVERY_SECONDS = 5
SAVE_EVERY_SECONDS = 1
REPORT_SECONDS = 10
LONGEST_BACK_OFF_SECONDS = 5.0
# What PutRecords takes at once, and of one record with its key.
PUT_RECORDS, PUT_BYTES, PUT_RECORD_BYTES = 500, 5 << 20, 1 << 20
TRY_AGAIN = {
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ThrottlingException",
    "KMSThrottlingException",
    "InternalFailure",
    "InternalFailureException",
    "ServiceUnavailable",
}


class Checkpoint:
    """How far each shard and each partition was handed on, in a file that is replaced as a whole; thread-safe."""

    def __init__(self, file: Path) -> None:
        """Read the file, if there is one. Raises InputError when it is no checkpoint."""
        self._file = file
        self._lock = threading.Lock()
        self._changed = False
        try:
            self._state = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            self._streams: dict[str, dict[str, Any]] = self._state.setdefault("streams", {})
            self._topics: dict[str, dict[str, int]] = self._state.setdefault("topics", {})
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"The checkpoint {file} cannot be read ({error}): mend or delete it.") from None
        if problem := self._problem():
            raise InputError(f"The checkpoint {file} cannot be read ({problem}): mend or delete it.")

    def _problem(self) -> str:
        """What is wrong with the file, "" when it is as `begin` and `advance_offset` write it."""
        if not isinstance(self._streams, dict) or not isinstance(self._topics, dict):
            return "`streams` and `topics` must be objects"
        for stream, kept in self._streams.items():
            if (
                not isinstance(kept, dict)
                or not isinstance(kept.get("since", ""), int | float | None)
                or not isinstance(kept.get("shards"), dict)
                or not all(isinstance(number, str) for number in kept["shards"].values())
                or not isinstance(kept.get("read"), list)
                or not all(isinstance(shard, str) for shard in kept["read"])
            ):
                return f"the stream {stream} needs `since`, a number or null, `shards`, an object, and `read`, a list"
        for topic, offsets in self._topics.items():
            if not isinstance(offsets, dict) or not all(
                isinstance(offset, int) and offset >= 0 for offset in offsets.values()
            ):
                return f"the topic {topic} needs an object with the offset of each partition"
        return ""

    def begin(self, stream: str, since: float | None) -> None:
        """Of a new stream, remember from when it is read (Unix seconds; None: from its oldest record)."""
        with self._lock:
            if stream not in self._streams:
                self._streams[stream] = {"since": since, "shards": {}, "read": []}
                self._changed = True

    def since(self, stream: str) -> float | None:
        since: float | None = self._streams[stream]["since"]
        return since

    def sequence_number(self, stream: str, shard: str) -> str | None:
        number: str | None = self._streams[stream]["shards"].get(shard)
        return number

    def read(self, stream: str) -> set[str]:
        """The shards that were read to their end."""
        return set(self._streams[stream]["read"])

    def advance(self, stream: str, shard: str, sequence_number: str) -> None:
        with self._lock:
            self._streams[stream]["shards"][shard] = sequence_number
            self._changed = True

    def finish(self, stream: str, shard: str) -> None:
        with self._lock:
            self._streams[stream]["shards"].pop(shard, None)
            self._streams[stream]["read"].append(shard)
            self._changed = True

    def forget(self, stream: str, there: Collection[str]) -> None:
        """Forget the shards that the stream no longer has."""
        with self._lock:
            kept = self._streams[stream]
            shards = {shard: number for shard, number in kept["shards"].items() if shard in there}
            read = [shard for shard in kept["read"] if shard in there]
            self._changed = self._changed or (shards, read) != (kept["shards"], kept["read"])
            kept["shards"], kept["read"] = shards, read

    def offset(self, topic: str, partition: int) -> int | None:
        return self._topics.get(topic, {}).get(str(partition))

    def advance_offset(self, topic: str, partition: int, offset: int) -> None:
        with self._lock:
            self._topics.setdefault(topic, {})[str(partition)] = offset
            self._changed = True

    def save(self) -> None:
        """Write what has changed. Raises InputError when the file cannot be written."""
        with self._lock:
            if not self._changed:
                return
            new = self._file.with_name(self._file.name + ".new")
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with new.open("w", encoding="utf-8") as file:
                    json.dump(self._state, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self._file)
            except OSError as error:
                raise InputError(f"The checkpoint {self._file} cannot be written: {error.strerror}.") from None
            self._changed = False


class Counts:
    """What was handed on, and what stood in the way."""

    def __init__(self) -> None:
        self.messages = self.wrong = self.too_long = self.decisions = self.tries = self.again = self.shards = 0
        self.behind_ms: dict[str, int] = {}
        self._say_at = 0.0

    def back_off(self, failures: int, why: object) -> float:
        """Seconds until the next try: twice as long each time, and each time another share of it. Says why at times."""
        self.tries += 1
        if failures > 1 and time.monotonic() >= self._say_at:
            self._say_at = time.monotonic() + REPORT_SECONDS
            _say(f"Trying again: {why}")
        return float(min(0.1 * 2**failures, LONGEST_BACK_OFF_SECONDS) * random.uniform(0.5, 1))

    def __str__(self) -> str:
        behind = max(self.behind_ms.values(), default=0) / 1000
        return (
            f"{self.messages:,} records read ({self.wrong:,} wrong, {self.too_long:,} too long) from {self.shards}"
            f" shards, {behind:,.1f} s behind; {self.decisions:,} decisions written; tried again {self.tries:,} times,"
            f" {self.again:,} records sent again"
        )


class _Shard:
    """A shard while it is read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = False
        self.is_read = False
        self.iterator: str | None = None
        self.due = 0.0  # by time.monotonic()
        self.failures = 0
        self.sent: str | None = None  # sequence number of the last record handed to Kafka's client
        self.waiting: deque[tuple[str, Future[dict[str, Any]] | None]] = deque()


class Messages:
    """Reads a stream into chat_messages."""

    def __init__(self, client: Any, stream: str, log: ChatLog, checkpoint: Checkpoint, counts: Counts) -> None:
        self._client, self._stream, self._log = client, stream, log
        self._checkpoint, self._counts = checkpoint, counts
        self._shards: dict[str, _Shard] = {}
        self._list_at, self._failures = 0.0, 0

    def run(self, stop: threading.Event) -> None:
        """Read until it is told to stop; then wait for Kafka. Raises InputError or Unavailable."""
        save_at = 0.0
        while not stop.is_set():
            if time.monotonic() >= self._list_at:
                self._list()
            for shard in list(self._shards.values()):
                self._acknowledge(shard)
                if not shard.is_read and shard.due <= time.monotonic() and len(shard.waiting) < MOST_WAITING:
                    self._read(shard)
                if shard.is_read and not shard.waiting:
                    self._checkpoint.finish(self._stream, shard.name)
                    del self._shards[shard.name]
                    self._list_at = 0.0
            if time.monotonic() >= save_at:
                self._checkpoint.save()
                save_at = time.monotonic() + SAVE_EVERY_SECONDS
            due = min((shard.due for shard in self._shards.values()), default=self._list_at)
            stop.wait(min(max(due - time.monotonic(), 0.01), 0.1))
        waiting = [future for shard in self._shards.values() for _number, future in shard.waiting if future]
        wait(waiting, timeout=ACKNOWLEDGED_SECONDS + 5)
        for shard in self._shards.values():
            self._acknowledge(shard)
        self._checkpoint.save()

    def _list(self) -> None:
        """Learn of new shards, and of closed ones; take up those whose parents are read."""
        listed: list[dict[str, Any]] = []
        more: dict[str, str] = {"StreamName": self._stream}
        try:
            while more:
                answer = self._client.list_shards(**more)
                listed += answer["Shards"]
                more = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
        except (ClientError, BotoCoreError) as error:
            _raise_unless_passing(error, self._stream)
            self._failures += 1
            self._list_at = time.monotonic() + self._counts.back_off(self._failures, error)
            return
        self._failures = 0
        self._list_at = time.monotonic() + LIST_EVERY_SECONDS
        there = {shard["ShardId"] for shard in listed}
        self._checkpoint.forget(self._stream, there)
        self._shards = {name: shard for name, shard in self._shards.items() if name in there}
        for name in readable(listed, self._checkpoint.read(self._stream)):
            self._shards.setdefault(name, _Shard(name))
        for shard in listed:
            if shard["ShardId"] in self._shards:
                self._shards[shard["ShardId"]].is_closed = "EndingSequenceNumber" in shard["SequenceNumberRange"]
        self._counts.shards = len(self._shards)

    def _read(self, shard: _Shard) -> None:
        shard.due = time.monotonic() + READ_EVERY_SECONDS
        try:
            if shard.iterator is None:
                shard.iterator = self._client.get_shard_iterator(
                    StreamName=self._stream, ShardId=shard.name, **self._begin_of(shard)
                )["ShardIterator"]
            answer = self._client.get_records(ShardIterator=shard.iterator, Limit=READ_AT_ONCE)
        except (ClientError, BotoCoreError) as error:
            code = _code(error)
            if code == "ExpiredIteratorException":  # it is good for five minutes
                shard.iterator = None
                return
            if code == "ResourceNotFoundException":  # the shard, or the stream: the list tells
                self._list_at = 0.0
            else:
                _raise_unless_passing(error, self._stream)
            shard.failures += 1
            shard.due = time.monotonic() + self._counts.back_off(shard.failures, error)
            return
        shard.failures = 0
        for record in answer["Records"]:
            self._hand_on(shard, record["SequenceNumber"], record["Data"])
        behind = self._counts.behind_ms[shard.name] = answer.get("MillisBehindLatest", 0)
        shard.iterator = answer.get("NextShardIterator")
        shard.is_read = shard.iterator is None or (shard.is_closed and not answer["Records"] and not behind)
        if shard.is_read:
            self._counts.behind_ms.pop(shard.name)
        elif len(answer["Records"]) == READ_AT_ONCE:
            shard.due = 0.0  # it is behind: AWS says when that is too fast

    def _begin_of(self, shard: _Shard) -> dict[str, Any]:
        shard.sent = shard.sent or self._checkpoint.sequence_number(self._stream, shard.name)
        if shard.sent:
            return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": shard.sent}
        since = self._checkpoint.since(self._stream)
        if since is None:
            return {"ShardIteratorType": "TRIM_HORIZON"}
        return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": datetime.fromtimestamp(since, UTC)}

    def _hand_on(self, shard: _Shard, sequence_number: str, data: bytes) -> None:
        message = message_of(data, f"{self._stream}/{shard.name}/{sequence_number}")
        future: Future[dict[str, Any]] | None = None
        if message is not None:
            future = self._log.send_message(message)
        elif len(data) <= MAX_RECORD_BYTES:
            self._counts.wrong += 1
            future = self._log.send_raw(shard.name.encode(), data)
        else:
            self._counts.too_long += 1
            _say(
                f"Record {sequence_number} of {shard.name} is too long for Kafka and was left out: {len(data):,} bytes."
            )
        shard.sent = sequence_number
        shard.waiting.append((sequence_number, future))

    def _acknowledge(self, shard: _Shard) -> None:
        """Advance over what Kafka has, in order; when it has not taken one, go back to it."""
        advanced = None
        while shard.waiting and (shard.waiting[0][1] is None or shard.waiting[0][1].done()):
            number, future = shard.waiting[0]
            if future and (error := future.exception()):
                if not isinstance(error, NotWritten):
                    raise error
                self._counts.again += len(shard.waiting)
                shard.waiting.clear()
                shard.iterator = shard.sent = None
                shard.is_read = False
                shard.failures += 1
                shard.due = time.monotonic() + self._counts.back_off(shard.failures, error)
                break
            shard.waiting.popleft()
            self._counts.messages += 1
            advanced = number
        if advanced:
            self._checkpoint.advance(self._stream, shard.name, advanced)


class Decisions:
    """Writes moderation_decisions to a stream, under the room as partition key."""

    def __init__(self, client: Any, stream: str, checkpoint: Checkpoint, counts: Counts, from_latest: bool) -> None:
        """Take the kept positions; without one, the oldest or the next decision. Raises Unavailable without Kafka."""
        self._client, self._stream = client, stream
        self._checkpoint, self._counts = checkpoint, counts
        self._topic = settings().prefix + DECISIONS
        servers = settings().kafka_bootstrap_servers
        try:
            self._consumer = KafkaConsumer(
                **kafka_options(),
                enable_auto_commit=False,
                auto_offset_reset="earliest",  # where a kept position is no longer there
                max_poll_records=PUT_RECORDS,
                reconnect_backoff_max_ms=1_000,
            )
            numbers = self._consumer.partitions_for_topic(self._topic)
            if not numbers:
                raise Unavailable(f"Kafka at {servers} has no topic {self._topic}: `make up` creates it.")
            partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            self._consumer.assign(partitions)
            ends = self._consumer.end_offsets(partitions) if from_latest else {}
        except KafkaError as error:
            raise Unavailable(f"No Kafka at {servers} ({error}): `make up` starts it.") from None
        for partition in partitions:
            offset = checkpoint.offset(self._topic, partition.partition)
            if offset is None and from_latest:
                offset = ends[partition]
                checkpoint.advance_offset(self._topic, partition.partition, offset)
            if offset is None:
                self._consumer.seek_to_beginning(partition)
            else:
                self._consumer.seek(partition, offset)
        checkpoint.save()

    def run(self, stop: threading.Event) -> None:
        """Write until it is told to stop. Raises InputError or Unavailable."""
        try:
            while not stop.is_set():
                polled = self._consumer.poll(timeout_ms=200)
                entries = list(self._entries(record for records in polled.values() for record in records))
                if not all(self._put(chunk, stop) for chunk in chunks(entries)):
                    return
                for partition, records in polled.items():
                    self._checkpoint.advance_offset(self._topic, partition.partition, records[-1].offset + 1)
                self._checkpoint.save()
        finally:
            self._consumer.close()

    def _entries(self, records: Iterable[Any]) -> Iterator[dict[str, Any]]:
        for record in records:
            if record.value is None:
                continue
            room = (record.key or b"-").decode(errors="replace")[:256]
            if len(record.value) + len(room.encode()) > PUT_RECORD_BYTES:
                self._counts.too_long += 1
                _say(
                    f"Record {record.offset} of {record.topic}-{record.partition} is too long for Kinesis and was left"
                    f" out: {len(record.value):,} bytes."
                )
                continue
            yield {"Data": record.value, "PartitionKey": room}

    def _put(self, entries: list[dict[str, Any]], stop: threading.Event) -> bool:
        """Put records until the stream has them all; False when it was told to stop before."""
        failures = 0
        while entries:
            try:
                answer = self._client.put_records(StreamName=self._stream, Records=entries)
            except (ClientError, BotoCoreError) as error:
                _raise_unless_passing(error, self._stream)
                refused, why = entries, str(error)
            else:
                refused = [
                    entry for entry, result in zip(entries, answer["Records"], strict=True) if result.get("ErrorCode")
                ]
                why = ", ".join({str(result.get("ErrorMessage")) for result in answer["Records"]} - {"None"})
            self._counts.decisions += len(entries) - len(refused)
            if refused:
                failures = failures + 1 if len(refused) == len(entries) else 1
                self._counts.again += len(refused)
                if stop.wait(self._counts.back_off(failures, why)):
                    return False
            entries = refused
        return True


def message_of(data: bytes, place: str) -> dict[str, Any] | None:
    """The message that a record tells, None when it tells none. `place` names the record: the same one, the same id."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # brackets in brackets in brackets
        return None
    if not isinstance(found, Mapping):
        return None
    message = {name: found.get(name) for name in ("message_id", "room", "user_name", "text", "client_time")}
    if message["message_id"] is None:
        message["message_id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"kinesis:{place}"))
    if not isinstance(message["client_time"], str):
        message["client_time"] = None
    for name, longest in (("message_id", 64), ("room", 64), ("user_name", 64), ("text", 2000)):
        value = message[name]
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            return None
    try:
        "".join(filter(None, message.values())).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as JSON's \\ud800
        return None
    return message


def readable(shards: Collection[Mapping[str, Any]], read: Collection[str]) -> list[str]:
    """Of the shards that a stream lists, those that are not read and whose parents are: read, or no longer listed."""
    there = {shard["ShardId"] for shard in shards}
    return [
        shard["ShardId"]
        for shard in shards
        if shard["ShardId"] not in read
        and all(
            parent is None or parent in read or parent not in there
            for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
        )
    ]


def chunks(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Entries in as many as PutRecords takes at once."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        bytes_ = len(entry["Data"]) + len(entry["PartitionKey"].encode())
        if chunk and (len(chunk) == PUT_RECORDS or size + bytes_ > PUT_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += bytes_
    if chunk:
        yield chunk


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _raise_unless_passing(error: Exception, stream: str) -> None:
    """Return for what a later try may mend. Raises InputError or Unavailable for the rest."""
    code = _code(error)
    if code in TRY_AGAIN or isinstance(error, HTTPClientError):
        return
    if isinstance(error, ClientError) and error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return
    if code == "ResourceNotFoundException":
        raise InputError(f"Kinesis has no stream {stream}: is the name right, and the region?") from None
    if code == "InvalidArgumentException":
        raise InputError(
            f"Kinesis refuses a position in {stream} ({error}). When the stream was made anew, delete the checkpoint."
        ) from None
    if isinstance(error, NoCredentialsError):
        raise Unavailable("Kinesis needs credentials where boto3 finds them, for example AWS_PROFILE.") from None
    raise Unavailable(f"Kinesis refuses {stream}: {error}") from None


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m connectors.kinesis_bridge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--messages", metavar="STREAM", help=f"read this stream into {MESSAGES}")
    top.add_argument("--decisions", metavar="STREAM", help=f"write {DECISIONS} to this stream")
    top.add_argument(
        "--endpoint", default=settings().kinesis_endpoint, metavar="URL", help="address of Kinesis (default: AWS's own)"
    )
    top.add_argument("--region", default=settings().aws_region, help="region of AWS (default: %(default)s)")
    top.add_argument(
        "--from",
        dest="begin",
        choices=("trim_horizon", "latest"),
        default="trim_horizon",
        help="where to begin without a checkpoint: at the oldest record or now (default: trim_horizon)",
    )
    top.add_argument(
        "--checkpoint",
        type=Path,
        default=settings().state_dir / "data" / f"{settings().prefix}kinesis.json",
        metavar="FILE",
        help="where positions are kept, one file a bridge (default: data/kinesis.json in the state folder)",
    )
    return top


def main(arguments: list[str] | None = None) -> int:
    top = parser()
    options = top.parse_args(arguments)
    if not options.messages and not options.decisions:
        top.error("give --messages, --decisions or both: which streams?")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    counts = Counts()
    try:
        _bridge(options, counts, stop)
    except InputError as error:
        _say(str(error))
        return 2
    except (Unavailable, NotWritten) as error:
        _say(str(error))
        return 1
    _say(f"Stopped: {counts}.")
    return 0


def _bridge(options: argparse.Namespace, counts: Counts, stop: threading.Event) -> None:
    checkpoint = Checkpoint(options.checkpoint)
    try:
        client = kinesis_client(options.endpoint, options.region)
    except (BotoCoreError, ValueError) as error:
        raise InputError(f"No client of Kinesis can be made: {error}.") from None
    from_latest = options.begin == "latest"
    log = None
    try:
        doors: list[Messages | Decisions] = []
        if options.messages:
            checkpoint.begin(options.messages, time.time() if from_latest else None)
            checkpoint.save()
            log = ChatLog(settings().prefix)
            doors.append(Messages(client, options.messages, log, checkpoint, counts))
        if options.decisions:
            doors.append(Decisions(client, options.decisions, checkpoint, counts, from_latest))
        with ThreadPoolExecutor(len(doors)) as pool:
            running = [pool.submit(door.run, stop) for door in doors]
            while not wait(running, timeout=REPORT_SECONDS, return_when=FIRST_COMPLETED).done:
                _say(f"{counts}.")
            stop.set()
        for door in running:
            door.result()
    finally:
        if log:
            log.close()


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
