"""producers/wikimedia.py without Kafka: the shapes of SSE, of recordings, and of broken connections."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from producers._command_line import InputError
from producers._wikimedia_http import retry_after
from producers._wikimedia_streams import STREAMS, Event, as_event
from producers.wikimedia import (
    MOST_EVENT_BYTES,
    EventTooLong,
    Live,
    Position,
    SseEvents,
    StreamUnavailable,
    WikimediaProgress,
    _live,
    main,
    parser,
    read_file,
    send,
)
from settings import ROOT, settings
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
    "lone CR": (b"data: {}\r\rdata: []\r\r", [(b"{}", None), (b"[]", None)]),
    "line ends of several kinds": (
        b"data: 1\n\r\ndata: 2\r\r\ndata: 3\r\n\ndata: 4\r\n\r", [(b"%d" % one, None) for one in range(1, 5)],
    ),
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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sse.json", b":ok\n\ndata: {}\n\ndata: []\n\n"),
        ("lines.raw", b'\n{"a":1}\n[]\n'),
        ("broken.jsonl", b'<html>\n{"a":1}\n'),
        ("begins_in_an_event.raw", b'":1}\n\ndata: {}\n\ndata: []\n\n'),
    ],
)
def test_a_recording_is_known_by_what_is_in_it(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    assert len(list(read_file(tmp_path / name))) == 2


def test_a_byte_order_mark_is_no_part_of_the_first_event(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"wiki":"w","title":"a"}\r\n')

    assert [event.value for event in read_file(file)] == [b'{"wiki":"w","title":"a"}']


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "edits.csv"
    file.write_text("wiki,title\nw,a\n", encoding="utf-8")

    with pytest.raises(InputError, match="neither"):
        list(read_file(file))


def test_an_event_that_was_cut_off_is_said(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.raw", tmp_path / "cut.raw"
    whole.write_bytes(b"data: {}\n\n:bye")
    cut.write_bytes(b'data: {}\n\ndata: {"a":')
    said: list[str] = []

    assert [event.value for event in read_file(whole, said=said.append)] == [b"{}"]
    assert said == []
    assert [event.value for event in read_file(cut, said=said.append)] == [b"{}"]
    assert "cut.raw ends in the middle of an event" in said[0]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("content", [b"data: {}\n\ndata: []\n\n", b'{"a":1}\n[]\n'])
def test_a_recording_may_come_by_standard_input(pack: Callable[[bytes], bytes], content: bytes) -> None:
    command = [sys.executable, "-m", "producers.wikimedia", "--file", "-", "--output", "-"]
    done = subprocess.run(command, cwd=ROOT, input=pack(content), capture_output=True, timeout=30, check=True)

    assert len(done.stdout.splitlines()) == 2


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


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_that_is_cut_and_repeats_is_resumed_where_it_was(chunked: bool) -> None:
    with SseServer(events(40), cut_every=10, repeat_on_reconnect=2, canary_every=5, chunked=chunked) as server:
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


class Enough(Exception):
    """Ends what would go on for ever."""


@contextmanager
def too_many_requests(retry_after: str) -> Iterator[str]:
    """The address of a server that answers everything with 429 and this Retry-After."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(429)
            self.send_header("Retry-After", retry_after)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pauses(url: str, count: int) -> list[float]:
    """The first pauses, in seconds, before a reconnect to this address."""
    found: list[float] = []

    def said(sentence: str) -> None:
        found.append(float(sentence.split()[-2]))
        if len(found) == count:
            raise Enough

    with pytest.raises(Enough):
        next(Live(url, ["recentchange"], user_agent="test", said=said, backoff_seconds=0.1).events())
    return found


@pytest.mark.parametrize("retry_after", ["0", "Fri, 02 Jan 1970 00:00:00 GMT", "nan"])
def test_a_server_that_says_to_come_back_at_once_is_backed_off_from_all_the_same(retry_after: str) -> None:
    with too_many_requests(retry_after) as url:
        first, second, third, fourth = pauses(url, 4)

    # 0.2, 0.4, 0.8 and 1.6 s with half of it left to chance, as said to one decimal.
    assert 0.1 <= first <= 0.2 <= second <= 0.4 <= third <= 0.8 <= fourth <= 1.6


@pytest.mark.parametrize("retry_after", ["86400", "1e300"])
def test_a_server_that_says_to_come_back_some_day_is_tried_after_a_quarter_of_an_hour(retry_after: str) -> None:
    with too_many_requests(retry_after) as url:
        assert pauses(url, 1) == [900.0]


def test_too_many_requests_are_waited_out_however_little_patience_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with SseServer(events(1), too_many_requests_at=1) as server:
        assert ids(live(server, give_up_seconds=0.01).events(), 1) == [0]
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "429 (too many requests) is waited out" in " ".join(capsys.readouterr().out.split())


def test_a_silent_connection_is_left() -> None:
    said: list[str] = []
    with SseServer(events(3), stall_at=1) as server:
        assert ids(live(server, said, stall_seconds=0.3).events(), 3) == [0, 1, 2]

    assert "heard nothing for 0.3 s" in said[0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.2", 0.2),
        ("-1", 0.0),
        ("300", 300.0),
        ("Fri, 02 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(header) == seconds


@pytest.mark.parametrize("header", ["inf", "-inf", "nan"])
def test_a_time_to_retry_after_that_is_no_number_is_passed_over(header: str) -> None:
    assert retry_after(header) is None


def test_a_date_to_retry_after_is_waited_for() -> None:
    wait = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True))

    assert wait is not None
    assert 110 < wait <= 120


def test_a_service_that_cannot_be_reached_is_given_up() -> None:
    said: list[str] = []
    unreachable = Live(
        "http://127.0.0.1:1", ["recentchange"],
        user_agent="test", said=said.append, backoff_seconds=0.01, give_up_seconds=0.3,
    )  # fmt: skip

    with pytest.raises(StreamUnavailable, match="--synthetic needs no network"):
        next(unreachable.events())
    assert len(said) > 1
    assert "cannot be reached" in said[0]


def test_an_address_that_is_none_is_said() -> None:
    with pytest.raises(InputError, match="is no address"):
        next(Live("127.0.0.1", ["recentchange"], user_agent="test", said=print).events())


def test_a_service_in_trouble_is_tried_again() -> None:
    said: list[str] = []
    with SseServer(events(1), troubled_until=2) as server:
        assert ids(live(server, said).events(), 1) == [0]

    assert ["503" in sentence for sentence in said] == [True, True]


def test_pauses_double_while_nothing_is_heard() -> None:
    said: list[str] = []
    unreachable = Live(
        "http://127.0.0.1:1", ["recentchange"],
        user_agent="test", said=said.append, backoff_seconds=0.02, give_up_seconds=1,
    )  # fmt: skip
    with pytest.raises(StreamUnavailable):
        next(unreachable.events())

    # 0.04, 0.08, … s with half of it left to chance; of pauses of one length there would be 25 or more.
    assert 4 <= len(said) <= 8


def test_what_is_no_event_stream_is_refused() -> None:
    with SseServer(events(1), content_type="text/html") as server, pytest.raises(InputError, match=r"text/html.*--url"):
        next(live(server).events())


def test_since_is_asked_for_until_there_is_a_position() -> None:
    with SseServer(events(4), cut_every=2) as server:
        stream = live(server, since=datetime.fromisoformat("2026-01-31T13:00:00+01:00"))
        assert ids(stream.events(), 4) == [0, 1, 2, 3]

    assert server.requests[0]["path"].endswith("?since=2026-01-31T12%3A00%3A00Z")
    assert "since" not in server.requests[1]["path"]
    assert "last-event-id" in server.requests[1]


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


def test_what_is_no_position_is_said(tmp_path: Path) -> None:
    file = tmp_path / "position.json"
    file.write_text("[]", encoding="utf-8")

    with pytest.raises(InputError, match="--no-resume"):
        Position(file).load()


def test_a_position_that_cannot_be_stored_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="CROWDPULSE_STATE_DIR"):
        Position(tmp_path / "file" / "position.json").store("p1")


CANARY = {"meta": {"domain": "canary", "stream": "mediawiki.page-create"}}


def run(*arguments: str) -> subprocess.Popen[bytes]:
    # Bytes: a text that is read in part, and then to the end, may be cut within a character.
    command = [sys.executable, "-m", "producers.wikimedia", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_canaries_of_a_recording_are_dropped_and_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(map(json.dumps, [CANARY, *events(3), CANARY])), encoding="utf-8")

    assert main(["--file", str(file), "--output", "-", "--limit", "2"]) == 0

    output = capfd.readouterr()
    assert [json.loads(line) for line in output.out.splitlines()] == events(2)
    assert "2 events" in output.err
    assert "1 canaries dropped" in output.err


def test_a_rate_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"{}\n" * 21)

    began = time.monotonic()
    assert main(["--file", str(file), "--rate", "40", "--output", str(tmp_path / "out")]) == 0
    assert 0.5 <= time.monotonic() - began < 2


def test_generated_events_that_are_limited_end_now(tmp_path: Path) -> None:
    for options, minutes in ((["--limit", "300"], 0.1), (["--limit", "300", "--backfill-minutes", "20"], 20)):
        file = tmp_path / f"{minutes}.jsonl"
        assert main(["--synthetic", "--duplicates", "0", "--output", str(file), *options]) == 0
        lines = file.read_text(encoding="utf-8").splitlines()
        ages = [
            (datetime.now(UTC) - datetime.fromisoformat(json.loads(line)["meta"]["dt"])).total_seconds()
            for line in lines
        ]
        assert len(lines) == 300
        assert minutes * 60 - 5 < max(ages) < minutes * 60 + 15
        assert 0 <= min(ages) < 15


def test_malformed_ones_come_on_top_of_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    assert main(["--synthetic", "--limit", "100", "--malformed", "0.1", "--output", str(file)]) == 0

    assert len(file.read_bytes().split(b"\n")) - 1 == 110


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_producer_that_is_stopped_says_what_it_did(number: signal.Signals) -> None:
    producer = run("--synthetic", "--rate", "200", "--output", "-")
    assert producer.stdout
    assert json.loads(producer.stdout.readline())["meta"]["stream"] == "mediawiki.recentchange"
    producer.send_signal(number)
    said = producer.communicate(timeout=10)[1].decode()

    assert producer.returncode == 0
    assert "Stopped." in said
    assert "events" in said


def test_several_streams_are_one_connection_and_short_names_are_known(capfd: pytest.CaptureFixture[str]) -> None:
    with SseServer(events(5)) as server:
        assert main(["--url", server.url, "--stream", "recentchange,page_change", "--stream", "revert-risk",
                     "--stream", "visibility-change,outlink-topics",
                     "--stream", "recentchange", "--limit", "5", "--output", "-"]) == 0  # fmt: skip

    assert server.requests[0]["path"].endswith(
        "/recentchange,mediawiki.page_change.v1,mediawiki.page_revert_risk_prediction_change.v1"
        ",mediawiki.revision-visibility-change,mediawiki.page_outlink_topic_prediction_change.v1"
    )
    assert len(capfd.readouterr().out.splitlines()) == 5


def test_the_position_of_all_streams_together_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROWDPULSE_STATE_DIR", str(tmp_path))
    settings.cache_clear()
    streams = list(STREAMS)
    for chosen in (streams, streams[:-1]):
        _, stored = _live(parser().parse_args(["--url", "http://127.0.0.1:1"]), chosen, WikimediaProgress())
        stored.store(f"of {len(chosen)}")
    monkeypatch.undo()
    settings.cache_clear()

    assert stored.load() == f"of {len(streams) - 1}"
    assert len(list((tmp_path / "positions").iterdir())) == 2


def test_streams_that_cannot_be_reached_end_with_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:1", "--give-up-seconds", "0.1", "--output", "-"]) == 1
    assert "--synthetic" in capsys.readouterr().err


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Settings without a User-Agent, whatever the environment and .env say."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROWDPULSE_WIKIMEDIA_USER_AGENT", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--file", "/nowhere/x.raw"], "No such file"),
        (["--stream", "edits"], "There is no stream 'edits'. Streams: mediawiki.page_change.v1"),
        (["--file", "x", "--synthetic"], "either"),
        (["--synthetic", "--output", "/nowhere/x", "--limit", "1"], "cannot be written"),
        (["--stream", "recentchange,edits"], "There is no stream 'edits'"),
        (["--file", "x", "--stream", "recentchange,page-create"], "A file is of one --stream"),
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
    [
        ["--rate", "-1"],
        ["--rate", "fast"],
        ["--rate", "inf"],
        ["--rate", "nan"],
        ["--since", "monday"],
        ["--limit", "x"],
        ["--late", "2"],
        ["--stall-seconds", "0"],
        ["--backoff-seconds", "0"],
    ],
)
def test_wrong_options_are_said_with_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_a_user_agent_that_no_header_can_hold_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROWDPULSE_WIKIMEDIA_USER_AGENT", "кафе/1.0")
    settings.cache_clear()
    try:
        assert main(["--url", "http://127.0.0.1:1", "--output", "-"]) == 2
    finally:
        settings.cache_clear()
    assert "CROWDPULSE_WIKIMEDIA_USER_AGENT is wrong" in capsys.readouterr().err


def test_without_kafka_it_waits_and_then_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text('{"wiki":"w","title":"a"}\n', encoding="utf-8")
    monkeypatch.setenv("CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    settings.cache_clear()
    try:
        assert main(["--file", str(file), "--kafka-wait-seconds", "0"]) == 1
    finally:
        settings.cache_clear()
    assert "make up" in capsys.readouterr().err


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 65_530, b"data: x\n" * 8_192], ids=["one line", "one event"])
def test_an_event_without_an_end_is_no_reason_to_fill_the_memory(piece: bytes) -> None:
    most = MOST_EVENT_BYTES // len(piece) + 2
    given = []

    def endless() -> Iterator[bytes]:
        while True:
            given.append(1)
            yield piece

    with pytest.raises(EventTooLong, match="16,777,216 bytes"):
        next(SseEvents(endless()).read())
    assert len(given) <= most
