"""producers/wikimedia.py without Kafka: the shapes of SSE, of recordings, and of broken connections."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producers._wikimedia_streams import Event, as_event
from producers.wikimedia import InputError, Live, Position, SseEvents, main, read_file, send
from settings import ROOT
from tests.sse_server import SseServer

DATA = Path(os.environ.get("CROWDPULSE_DATA", ROOT.parent / "shared" / "data")) / "wikimedia-events"
recorded = pytest.mark.skipif(not DATA.exists(), reason=f"the recordings are not at {DATA}")

SSE = {
    "an event": (b'event: message\nid: [1]\ndata: {"a":1}\n\n', [(b'{"a":1}', "[1]")]),
    "the greeting and comments": (b":ok\n\n: still here\n\ndata: {}\n\n", [(b"{}", None)]),
    "an id that is a JSON array with colons": (
        b'id: [{"topic":"eqiad.x","offset":-1}]\ndata: {}\n\n', [(b"{}", '[{"topic":"eqiad.x","offset":-1}]')],
    ),
    "data over several lines": (b'data: {"a":\ndata: 1}\n\n', [(b'{"a":\n1}', None)]),
    "CRLF": (b"data: {}\r\n\r\ndata: []\r\n\r\n", [(b"{}", None), (b"[]", None)]),
    "no space after the colon": (b"data:{}\n\n", [(b"{}", None)]),
    "an id is kept for events without one": (b"id: 5\ndata: {}\n\ndata: []\n\n", [(b"{}", "5"), (b"[]", "5")]),
    "an event without data": (b"id: 5\n\ndata: {}\n\n", [(b"{}", None)]),
    "a byte order mark": (b"\xef\xbb\xbfdata: {}\n\n", [(b"{}", None)]),
    "invalid UTF-8 passes untouched": (b"data: \xff\xfe\n\n", [(b"\xff\xfe", None)]),
    "line separators inside a text": ("data: x\u2028y\u0085z\n\n".encode(), [("x\u2028y\u0085z".encode(), None)]),
    "not JSON": (b"data: <html>\n\n", [(b"<html>", None)]),
    "a last event that was cut off": (b'data: {}\n\nid: 6\ndata: {"a":', [(b"{}", None)]),
    "a last event that lost only its blank line": (b'data: {}\n\ndata: {"a":1}\n', [(b"{}", None), (b'{"a":1}', None)]),
    "nothing": (b"", []),
    "only the greeting": (b":ok\n\n", []),
}  # fmt: skip


@pytest.mark.parametrize("name", SSE)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_sse_is_read_however_it_is_cut_into_pieces(name: str, size: int) -> None:
    stream, expected = SSE[name]
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert list(SseEvents(pieces).read()) == expected


KEYS: dict[str, tuple[Any, bytes | None]] = {
    "recentchange: wiki and title": ({"wiki": "enwiki", "title": "Ä", "id": 1}, "enwiki:Ä".encode()),
    "revision-create: database and page": ({"database": "enwiki", "page_id": 7, "page_title": "A"}, b"enwiki:7"),
    "page_change: wiki_id and page": ({"wiki_id": "enwiki", "page": {"page_id": 7, "page_title": "A"}}, b"enwiki:7"),
    "no wiki": ({"title": "A"}, None),
    "no page": ({"wiki": "enwiki"}, None),
    "a title that is no text": ({"wiki": "enwiki", "title": {}}, None),
    "an array": ([1], None),
}


@pytest.mark.parametrize("name", KEYS)
def test_the_key_is_the_wiki_and_the_page(name: str) -> None:
    fields, key = KEYS[name]

    assert as_event(json.dumps(fields).encode(), "recentchange").key == key


def test_what_is_no_json_keeps_its_bytes_and_has_no_key() -> None:
    event = as_event(b"\xff{", None)

    assert (event.stream, event.key, event.value, event.canary) == ("recentchange", None, b"\xff{", False)


@recorded
@pytest.mark.parametrize(
    ("file", "stream", "count"),
    [
        ("recentchange.raw", "recentchange", 974),
        ("recentchange.jsonl", "recentchange", 975),
        ("revisio_create.raw", "revision-create", 785),
        ("revision_score.jsonl", "revision-score", 455),
        ("page_create.raw", "page-create", 20),
        ("page_delete.raw", "page-delete", 0),
        ("page_delete.jsonl", "page-delete", 0),
    ],
)
def test_a_recording_is_read_whole_and_says_its_stream(file: str, stream: str, count: int) -> None:
    events = list(read_file(DATA / file))

    assert len(events) == count
    assert {event.stream for event in events} <= {stream}
    assert all(event.key for event in events)


def test_a_recording_may_be_gzipped_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(gzip.compress(b'{"wiki":"w","title":"a"}\n\n{"wiki":"w","title":"b"}\n'))

    assert [event.key for event in read_file(file, "recentchange")] == [b"w:a", b"w:b"]


def test_a_gzip_that_was_cut_off_is_said(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(b"{}\n" * 100_000)[:-20])

    with pytest.raises(InputError, match="cannot be read"):
        list(read_file(file))


def events(count: int) -> list[dict[str, Any]]:
    return [{"meta": {"id": str(number), "domain": "w.example"}, "wiki": "w", "title": "t"} for number in range(count)]


def live(server: SseServer, said: list[str] | None = None, **options: Any) -> Live:
    known = said if said is not None else []
    return Live(server.url, ["recentchange"], user_agent="test", said=known.append, backoff_seconds=0.01, **options)


def ids(stream: Iterator[Event], count: int) -> list[int]:
    return [int(json.loads(next(stream).value)["meta"]["id"]) for _ in range(count)]


def test_a_connection_that_is_cut_and_repeats_is_resumed_where_it_was() -> None:
    with SseServer(events(40), cut_every=10, repeat_on_reconnect=2, canary_every=5) as server:
        stream = live(server)
        found = ids(stream.events(), 46)

    assert sorted(set(found)) == list(range(40))
    assert found[:14] == [*range(10), 8, 9, 10, 11]
    assert stream.canaries > 0
    assert json.loads(stream.position or "")[0]["offset"] == 39
    assert "last-event-id" not in server.requests[0]
    assert json.loads(server.requests[1]["last-event-id"])[0]["offset"] == 9


def test_too_many_requests_waits_as_long_as_told() -> None:
    said: list[str] = []
    with SseServer(events(3), too_many_requests_at=1) as server:
        assert ids(live(server, said).events(), 3) == [0, 1, 2]

    assert "429" in said[0]
    assert "0.2 s" in said[0]


def test_a_silent_connection_is_left() -> None:
    said: list[str] = []
    with SseServer(events(3), stall_at=1) as server:
        assert ids(live(server, said, stall_seconds=0.3).events(), 3) == [0, 1, 2]

    assert "heard nothing for 0.3 s" in said[0]


def test_a_forbidden_client_is_told_why() -> None:
    with SseServer(events(3), forbidden=True) as server, pytest.raises(InputError, match="USER_AGENT"):
        next(live(server).events())


def test_the_user_agent_and_the_streams_are_sent() -> None:
    with SseServer(events(1)) as server:
        next(Live(server.url, ["recentchange", "page-create"], user_agent="me/1.0", said=print).events())

    assert server.requests[0]["user-agent"] == "me/1.0"
    assert server.requests[0]["path"].endswith("/v2/stream/recentchange,page-create")


class Sent:
    """A sender that keeps what it gets, and says when it was asked to wait for Kafka."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        self.log.append(f"{topic} {value.decode()}")

    def flush(self) -> None:
        self.log.append("flush")


class Silent:
    def event(self, event: Event) -> None: ...


def test_a_position_is_stored_only_after_kafka_has_what_is_before_it(tmp_path: Path) -> None:
    sender, stored = Sent(), Position(tmp_path / "a" / "position.json")
    seen: list[str | None] = []

    def stream() -> Iterator[Event]:
        yield Event("recentchange", None, b"1", position="p1")
        seen.append(stored.load())
        yield Event("recentchange", None, b"2", position="p2")
        seen.append(stored.load())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(stream(), sender, Silent(), stored=stored, stored_seconds=0)  # type: ignore[arg-type]

    assert seen == ["p1", "p2"]
    assert sender.log == ["wiki_recentchange 1", "flush", "wiki_recentchange 2", "flush", "flush"]
    assert stored.load() == "p2"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--file", "/nowhere/x.raw"], "No such file"),
        (["--stream", "edits"], "There is no stream 'edits'. Streams: mediawiki.page_change.v1"),
        (["--file", "x", "--synthetic"], "either"),
        (["--synthetic", "--output", "/nowhere/x", "--limit", "1"], "cannot be written"),
        ([], "CROWDPULSE_WIKIMEDIA_USER_AGENT"),
    ],
)
def test_wrong_input_is_said_with_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = [] if "--output" in arguments or not arguments else ["--output", "-"]
    assert main([*arguments, *output]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "-1"], ["--rate", "fast"], ["--rate", "inf"], ["--since", "monday"], ["--limit", "x"], ["--late", "2"]],
)
def test_wrong_options_are_said_with_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_without_kafka_it_waits_and_then_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from settings import settings

    file = tmp_path / "one.jsonl"
    file.write_text('{"wiki":"w","title":"a"}\n', encoding="utf-8")
    monkeypatch.setenv("CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    settings.cache_clear()
    try:
        assert main(["--file", str(file), "--kafka-wait-seconds", "0"]) == 1
    finally:
        settings.cache_clear()
    assert "make up" in capsys.readouterr().err
