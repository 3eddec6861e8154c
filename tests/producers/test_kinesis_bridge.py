"""connectors/kinesis_bridge.py between a Kinesis of moto, which fails at times, and a real Kafka."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from kafka import KafkaProducer
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kinesis.models import kinesis_backends
from moto.server import ThreadedMotoServer

from connections import kafka_options
from connectors.kinesis_bridge import Checkpoint, chunks, message_of, readable
from producers._command_line import InputError
from settings import ROOT, settings
from tests.local_server import LocalServer, QuietHandler
from tests.producers.conftest import partitions, records
from udfs.providers.clients import kinesis_client

ROOMS = ("lobby", "games", "music", "kids")


class Faulty(QuietHandler):
    """Hands requests on to moto, but throttles every third, and of PutRecords takes two entries of three."""

    moto = ""
    calls = count(1)
    throttled = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if next(self.calls) % 3 == 0:
            Faulty.throttled += 1
            self._answer(400, {"__type": "ProvisionedThroughputExceededException", "message": "Rate exceeded"})
            return
        request = json.loads(body)
        entries = request.get("Records", [])
        request["Records"] = [entry for number, entry in enumerate(entries) if number % 3]
        if entries and not request["Records"]:
            request["Records"] = entries
        sent = json.dumps(request).encode() if entries else body
        headers = {name: value for name, value in self.headers.items() if name != "Content-Length"}
        answer = requests.post(self.moto, sent, headers=headers, timeout=10)
        found = answer.json()
        if len(request["Records"]) < len(entries):
            taken = iter(found["Records"])
            refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}
            found["Records"] = [next(taken) if number % 3 else refused for number in range(len(entries))]
            found["FailedRecordCount"] = len(entries) - len(request["Records"])
        self._answer(answer.status_code, found)

    def _answer(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def kinesis() -> Iterator[Any]:
    """A Kinesis with the streams `in` (two shards) and `out` (one)."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)
    client = kinesis_client(f"http://{host}:{port}", settings().aws_region)
    client.create_stream(StreamName="in", ShardCount=2)
    client.create_stream(StreamName="out", ShardCount=1)
    yield client
    server.stop()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(prefix: str, tmp_path: Path) -> Iterator[Start]:
    """`start(endpoint, arguments…)`: the bridge as a program, with its checkpoint in the test's folder."""
    programs: list[subprocess.Popen[str]] = []

    def program(endpoint: str, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "CROWDPULSE_PREFIX": prefix,
            "CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS": settings().kafka_bootstrap_servers,
        }
        command = [sys.executable, "-m", "connectors.kinesis_bridge", "--endpoint", endpoint, *arguments]
        programs.append(
            subprocess.Popen(
                [*command, "--checkpoint", str(tmp_path / "kinesis.json")],
                cwd=ROOT,
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return programs[-1]

    yield program
    for left in programs:
        if left.poll() is None:
            left.kill()
        left.communicate()


def stopped(program: subprocess.Popen[str]) -> str:
    """What a bridge said that ended well when it was told to."""
    program.send_signal(signal.SIGTERM)
    _, said = program.communicate(timeout=40)
    assert program.returncode == 0, said
    return said


def put(client: Any, stream: str, values: list[tuple[str, bytes]]) -> None:
    for begin in range(0, len(values), 500):
        client.put_records(
            StreamName=stream,
            Records=[{"PartitionKey": key, "Data": data} for key, data in values[begin : begin + 500]],
        )


def message(number: int) -> tuple[str, bytes]:
    """Of a user, and so of a shard."""
    told = {"message_id": f"m{number}", "room": ROOMS[number % 4], "user_name": f"u{number % 9}", "text": "hello 👋"}
    return f"u{number % 9}", json.dumps(told).encode()


def written(prefix: str) -> list[tuple[bytes, bytes]]:
    """The records of chat_messages but for ticks, which have no value."""
    return [(key or b"", value) for key, value in records(prefix + "chat_messages") if value is not None]


def ids(prefix: str) -> list[str]:
    return [json.loads(value)["message_id"] for _key, value in written(prefix)]


def read_shards(folder: Path) -> object:
    return json.loads((folder / "kinesis.json").read_text())["streams"]["in"]["read"]


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline, f"not within 40 s: {what}"
        time.sleep(0.2)


@pytest.mark.stack
@pytest.mark.timeout(180)
def test_a_bridge_that_is_killed_loses_nothing_and_what_is_told_twice_has_one_id(
    prefix: str, kinesis: Any, start: Start, tmp_path: Path
) -> None:
    endpoint = kinesis.meta.endpoint_url
    put(kinesis, "in", [message(number) for number in range(6000)])
    first = start(endpoint, "--messages", "in")
    wait_for(lambda: (tmp_path / "kinesis.json").exists() and len(ids(prefix)) > 500, "some messages")
    first.kill()
    first.wait()
    before = len(ids(prefix))

    shard = kinesis.list_shards(StreamName="in")["Shards"][0]
    low, high = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
    second = start(endpoint, "--messages", "in")
    wait_for(lambda: len(set(ids(prefix))) == 6000, "all messages")
    kinesis.split_shard(StreamName="in", ShardToSplit=shard["ShardId"], NewStartingHashKey=str((low + high) // 2))
    wait_for(lambda: read_shards(tmp_path) == [shard["ShardId"]], "the end of the shard that was split")
    # moto goes on to write into a shard that is closed, until its time is over and it is no longer listed.
    del kinesis_backends[DEFAULT_ACCOUNT_ID][settings().aws_region].streams["in"].shards[shard["ShardId"]]
    put(kinesis, "in", [message(number) for number in range(6000, 6100)])
    wait_for(lambda: len(set(ids(prefix))) == 6100, "the messages after the split")
    said = stopped(second)

    assert before < 6000, "it was killed too late"
    found = ids(prefix)
    assert set(found) == {f"m{number}" for number in range(6100)}
    assert re.search(r"Stopped: [\d,]+ records read \(0 wrong, 0 too long\) from 3 shards", said), said

    third = start(endpoint, "--messages", "in")
    put(kinesis, "in", [message(6100)])
    wait_for(lambda: "m6100" in ids(prefix), "the message after the third start")
    stopped(third)
    assert read_shards(tmp_path) == [], "a shard that is no longer listed is forgotten"
    assert len(ids(prefix)) == len(found) + 1, "what was acknowledged is not read again"


@pytest.mark.stack
@pytest.mark.timeout(180)
def test_through_a_kinesis_that_throttles_everything_comes_both_ways(prefix: str, kinesis: Any, start: Start) -> None:
    wrong = [b"no JSON \xff", b"[1]", b"", json.dumps({"room": "lobby", "user_name": "ann"}).encode(), b"x" * 1_000_000]
    put(kinesis, "in", [message(number) for number in range(300)] + [("w", value) for value in wrong])
    put(kinesis, "in", [("a", json.dumps({"room": "lobby", "user_name": "ann", "text": "no id"}).encode())] * 2)
    decisions = [(ROOMS[number % 4], json.dumps({"message_id": f"d{number}"}).encode()) for number in range(900)]
    producer = KafkaProducer(**kafka_options(), linger_ms=20)
    for room, value in decisions:
        producer.send(prefix + "moderation_decisions", value, room.encode())
    producer.send(prefix + "moderation_decisions", None, b"lobby")
    producer.close()

    Faulty.moto = kinesis.meta.endpoint_url
    with LocalServer(Faulty) as faulty:
        bridge = start(faulty.address, "--messages", "in", "--decisions", "out")
        wait_for(lambda: len(written(prefix)) == 307, "all messages")
        wait_for(lambda: len(read_out(kinesis)) >= 900, "all decisions")
        said = stopped(bridge)
        again = start(faulty.address, "--messages", "in", "--decisions", "out")
        time.sleep(3)
        stopped(again)

    assert Faulty.throttled > 3
    assert re.search(r"tried again [1-9]", said), said
    assert sorted(read_out(kinesis)) == sorted(decisions)
    found = written(prefix)
    assert len(found) == 307
    assert sorted(value for key, value in found if key.startswith(b"shardId-")) == sorted(wrong)
    told = [json.loads(value) for key, value in found if not key.startswith(b"shardId-")]
    assert {one["message_id"] for one in told if one["text"] != "no id"} == {f"m{number}" for number in range(300)}
    made = {one["message_id"] for one in told if one["text"] == "no id"}
    assert len(made) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{36}", one) for one in made)
    assert all(set(one) == {"message_id", "room", "user_name", "text", "client_time", "server_time"} for one in told)
    assert len(partitions(prefix + "chat_messages")) == 4


def read_out(client: Any) -> list[tuple[str, bytes]]:
    (shard,) = client.list_shards(StreamName="out")["Shards"]
    iterator = client.get_shard_iterator(StreamName="out", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    found = client.get_records(ShardIterator=iterator, Limit=10_000)["Records"]
    return [(record["PartitionKey"], record["Data"]) for record in found]


@pytest.mark.stack
@pytest.mark.timeout(60)
def test_from_latest_begins_with_what_comes_afterwards_also_after_a_restart(
    prefix: str, kinesis: Any, start: Start, tmp_path: Path
) -> None:
    put(kinesis, "in", [message(number) for number in range(20)])
    time.sleep(0.1)
    arguments = ("--messages", "in", "--from", "latest")
    first = start(kinesis.meta.endpoint_url, *arguments)
    wait_for((tmp_path / "kinesis.json").exists, "a checkpoint")
    stopped(first)
    put(kinesis, "in", [message(20)])
    second = start(kinesis.meta.endpoint_url, *arguments)
    wait_for(lambda: bool(written(prefix)), "the message")
    stopped(second)
    assert ids(prefix) == ["m20"]


@pytest.mark.stack
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "which streams"),
        (("--messages", "nowhere"), 2, "Kinesis has no stream nowhere"),
        (("--decisions", "nowhere"), 2, "Kinesis has no stream nowhere"),
    ],
)
def test_what_cannot_be_is_said(
    prefix: str, kinesis: Any, start: Start, arguments: tuple[str, ...], code: int, said: str
) -> None:
    producer = KafkaProducer(**kafka_options())
    producer.send(prefix + "moderation_decisions", b"{}", b"lobby")
    producer.close()
    program = start(kinesis.meta.endpoint_url, *arguments)
    _, told = program.communicate(timeout=40)
    assert (program.returncode, said in told) == (code, True), told


GOOD = {"message_id": "m", "room": "lobby", "user_name": "ann", "text": "hi", "client_time": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (GOOD, GOOD),
        (GOOD | {"server_time": "2020-01-01T00:00:00Z", "more": 1}, GOOD),  # the time is ours to tell
        (GOOD | {"client_time": 5}, GOOD | {"client_time": None}),
        (GOOD | {"text": "x" * 2000}, GOOD | {"text": "x" * 2000}),
        (GOOD | {"text": "x" * 2001}, None),
        (GOOD | {"text": ""}, None),
        (GOOD | {"text": "\ud800"}, None),
        (GOOD | {"room": None}, None),
        (GOOD | {"user_name": ["ann"]}, None),
        (GOOD | {"message_id": 7}, None),
        (GOOD | {"message_id": "m" * 65}, None),
        ([GOOD], None),
    ],
)
def test_what_is_a_message(told: object, expected: object) -> None:
    assert message_of(json.dumps(told).encode(), "in/shard/1") == expected


def test_a_message_without_an_id_has_always_the_same_one_and_none_has_that_of_another() -> None:
    data = json.dumps(GOOD | {"message_id": None}).encode()
    made = [message_of(data, place) for place in ("in/a/1", "in/a/1", "in/a/2", "in/b/1")]
    assert [one and one["message_id"] for one in made[:1]] == [made[1] and made[1]["message_id"]]
    assert len({one["message_id"] for one in made if one}) == 3


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", b"[" * 200_000, b"null", b'"text"'])
def test_what_is_no_message(data: bytes) -> None:
    assert message_of(data, "in/shard/1") is None


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (set(), ["a", "b", "orphan"]),
        ({"a"}, ["b", "a1", "a2", "orphan"]),
        ({"a", "b", "a1"}, ["a2", "orphan"]),  # merged has another parent yet
        ({"a", "b", "a1", "a2", "orphan"}, ["merged"]),
    ],
)
def test_a_shard_is_read_after_its_parents(read: set[str], expected: list[str]) -> None:
    shards = [
        {"ShardId": "a"},
        {"ShardId": "b"},
        {"ShardId": "a1", "ParentShardId": "a"},
        {"ShardId": "a2", "ParentShardId": "a"},
        {"ShardId": "merged", "ParentShardId": "a2", "AdjacentParentShardId": "b"},
        {"ShardId": "orphan", "ParentShardId": "expired"},
    ]
    assert readable(shards, read) == expected


def test_entries_are_put_in_what_kinesis_takes_at_once() -> None:
    small = [{"Data": b"x", "PartitionKey": "k"}] * 1001
    large = [{"Data": b"x" * (1 << 20), "PartitionKey": "k"}] * 6
    assert [len(chunk) for chunk in chunks(small)] == [500, 500, 1]
    assert [len(chunk) for chunk in chunks(large)] == [4, 2]
    assert list(chunks([])) == []


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("{", "Expecting property name"),
        ("[]", "no attribute"),
        ('{"streams": []}', "must be objects"),
        ('{"topics": null}', "must be objects"),
        ('{"streams": {"in": null}}', "the stream in needs"),
        ('{"streams": {"in": {"since": null, "shards": {}}}}', "the stream in needs"),
        ('{"streams": {"in": {"shards": {}, "read": []}}}', "the stream in needs"),
        ('{"streams": {"in": {"since": null, "shards": {"shard": 5}, "read": []}}}', "the stream in needs"),
        ('{"topics": {"moderation_decisions": [5]}}', "the topic moderation_decisions needs"),
        ('{"topics": {"moderation_decisions": {"0": null}}}', "the topic moderation_decisions needs"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_said(kept: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "kinesis.json").write_text(kept)
    with pytest.raises(InputError, match=f"kinesis.json cannot be read .*{told}.*: mend or delete it"):
        Checkpoint(tmp_path / "kinesis.json")


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Checkpoint(tmp_path / "kinesis.json")
    for stream, since in (("in", 1_767_355_200.5), ("old", None)):
        written.begin(stream, since)
    written.advance("in", "a", "17")
    written.finish("in", "b")
    written.advance_offset("moderation_decisions", 3, 5)
    written.save()

    found = Checkpoint(tmp_path / "kinesis.json")
    assert (found.since("in"), found.since("old")) == (1_767_355_200.5, None)
    assert (found.sequence_number("in", "a"), found.read("in")) == ("17", {"b"})
    assert found.offset("moderation_decisions", 3) == 5
