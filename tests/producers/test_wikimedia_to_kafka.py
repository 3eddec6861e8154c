"""producers/wikimedia.py into a real Kafka: what is there afterwards, under which key, in which order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from producers import _kafka
from settings import ROOT, settings
from stack import kafka
from tests.producers.conftest import records
from tests.sse_server import SseServer

OUTLINK_TOPICS = "mediawiki.page_outlink_topic_prediction_change.v1"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


@pytest.fixture
def start(prefix: str, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`start(arguments…)`: the producer as a program, with its positions in the test's folder."""

    def program(*arguments: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "CROWDPULSE_PREFIX": prefix,
            "CROWDPULSE_STATE_DIR": str(tmp_path),
            "CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS": settings().kafka_bootstrap_servers,
        }
        command = [sys.executable, "-m", "producers.wikimedia", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)

    return program


def ended(program: subprocess.Popen[str]) -> str:
    """What a producer said, once it has ended well."""
    _, said = program.communicate(timeout=60)
    assert program.returncode == 0, said
    return said


def event(number: int, stream: str = "mediawiki.recentchange") -> dict[str, Any]:
    return {"meta": {"id": str(number), "stream": stream}, "wiki": "w", "title": f"page {number % 7}"}


def test_a_file_comes_byte_for_byte_each_event_to_the_topic_of_its_stream(
    prefix: str, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    lines = [
        (json.dumps(event(1)).encode(), "wiki_recentchange", b"w:page 1"),
        (b'{"wiki" : "w","title":"\\u00e4" }', "wiki_recentchange", "w:ä".encode()),  # spaces and escapes stay
        (b'{"wiki":"w","title":"\xff"}', "wiki_recentchange", None),
        (b"<html>", "wiki_recentchange", None),
        (json.dumps(event(2, "mediawiki.page_change.v1")).encode(), "wiki_page_change", b"w:page 2"),
        (json.dumps(event(3, "mediawiki.revision-visibility-change")).encode(), "wiki_visibility_change", b"w:page 3"),
        (json.dumps(event(4, OUTLINK_TOPICS)).encode(), "wiki_outlink_topics", b"w:page 4"),
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(line for line, _, _ in lines))

    assert f"{len(lines)} events" in ended(start("--file", str(file)))

    for topic in {topic for _, topic, _ in lines}:
        expected = {(key, line) for line, its_topic, key in lines if its_topic == topic}
        assert len(found := records(prefix + topic)) == len(expected)
        assert set(found) == expected


def test_events_of_a_page_stay_in_order(prefix: str, start: Callable[..., subprocess.Popen[str]]) -> None:
    with SseServer([event(number) for number in range(2000)]) as server:
        ended(start("--url", server.url, "--limit", "2000"))

    by_page = defaultdict(list)
    for key, value in records(f"{prefix}wiki_recentchange"):
        by_page[key].append(int(json.loads(value)["meta"]["id"]))
    assert len(by_page) == 7
    assert sorted(number for numbers in by_page.values() for number in numbers) == list(range(2000))
    assert all(numbers == sorted(numbers) for numbers in by_page.values())


def test_a_stopped_producer_goes_on_where_it_ended(
    prefix: str, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    events = [event(number) for number in range(30)]
    with SseServer(events, canary_every=10) as server:
        first = start("--url", server.url)
        wait_for(lambda: len(records(f"{prefix}wiki_recentchange")) == 30)
        first.send_signal(signal.SIGTERM)
        assert "30 events" in (said := ended(first))
        assert "Stopped." in said
        (stored,) = (tmp_path / "positions").iterdir()

        events += [event(number) for number in range(30, 50)]
        ended(start("--url", server.url, "--limit", "20"))
        ended(start("--url", server.url, "--limit", "1", "--no-resume"))

    position = json.loads(server.requests[1]["last-event-id"])[0]["offset"]
    ids = [int(json.loads(value)["meta"]["id"]) for _, value in records(f"{prefix}wiki_recentchange")]
    assert stored.suffix == ".json"
    assert position == 29
    assert "last-event-id" not in server.requests[2]
    assert sorted(ids) == sorted([*range(50), 0])


def test_a_record_too_long_for_kafka_is_said_and_holds_up_nothing(
    prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = _kafka.Sender()
    for value in (b"before", os.urandom(_kafka.MAX_REQUEST_BYTES + 1), b"after"):
        sender.send("wiki_recentchange", b"k", value)
    sender.flush()
    sender.close()

    assert records(f"{prefix}wiki_recentchange") == [(b"k", b"before"), (b"k", b"after")]
    assert sender.too_long == 1
    assert "too long for Kafka" in capsys.readouterr().err


def test_the_longest_record_that_a_producer_sends_is_one_that_a_topic_takes(prefix: str) -> None:
    sender = _kafka.Sender()
    for length in range(_kafka.MAX_REQUEST_BYTES - 120, _kafka.MAX_REQUEST_BYTES, 8):
        sender.send("wiki_recentchange", b"k", os.urandom(length))
    sender.flush()
    sender.close()

    assert 0 < sender.too_long < 15
    assert len(records(f"{prefix}wiki_recentchange")) == 15 - sender.too_long


def test_a_topic_that_does_not_exist_is_said(
    prefix: str, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    kafka.delete_topics(prefix)
    file = tmp_path / "one.jsonl"
    file.write_text("{}\n", encoding="utf-8")
    program = start("--file", str(file), "--kafka-wait-seconds", "1")
    _, said = program.communicate(timeout=30)

    assert program.returncode == 1
    assert "make up" in said
    assert "Traceback" not in said


def wait_for(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.2)
