"""What `SOURCE=live make demo` says before it starts anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from settings import settings
from stack import demo
from stack.errors import StackError
from tests.local_server import LocalServer, QuietHandler
from tests.sse_server import SseServer

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def streams_at(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings of a reader who says who it is; `at` names where the streams are."""
    monkeypatch.setenv("CROWDPULSE_WIKIMEDIA_USER_AGENT", "crowdpulse-test/1.0 (https://example.org)")
    return monkeypatch


def at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDPULSE_WIKIMEDIA_URL", url)
    settings.cache_clear()


@contextmanager
def answering(status: int, headers: dict[str, str]) -> Iterator[str]:
    """The address of a server that answers everything so."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    with LocalServer(Handler) as server:
        yield f"{server.address}/v2/stream"


def refused(own_place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the demo says, once it has ended without starting anything."""
    assert demo.main(["--source", "live"]) == 1
    assert not (own_place / "run").exists()
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("`make demo` without SOURCE=live needs no network: its events are generated.")
    return said


@pytest.mark.parametrize("host", ["127.0.0.1", "streams.invalid"])
def test_without_a_network_the_demo_says_so_and_offers_generated_events(
    host: str, own_place: Path, streams_at: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        at(f"http://{host}:{taken.getsockname()[1]}/v2/stream", streams_at)

        assert "cannot be reached" in refused(own_place, capsys)


@pytest.mark.parametrize(
    ("status", "headers", "sentence"),
    [
        (403, {}, "CROWDPULSE_WIKIMEDIA_USER_AGENT a name with an address"),
        (429, {"Retry-After": "7"}, "too many connections or requests from this address. End its other readers, and try"
            " again in 7 s"),
        (429, {}, "try again in some minutes"),
        (503, {}, "answered 503"),
        (200, {"Content-Type": "text/html"}, "answered with text/html instead of an event stream"),
    ],
)  # fmt: skip
def test_a_refusal_is_explained(
    status: int,
    headers: dict[str, str],
    sentence: str,
    own_place: Path,
    streams_at: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering(status, headers) as url:
        at(url, streams_at)

        assert sentence in refused(own_place, capsys)


def test_streams_that_answer_are_no_problem_and_are_told_who_asks(streams_at: pytest.MonkeyPatch) -> None:
    with SseServer([{"meta": {}}]) as server:
        at(server.url, streams_at)
        demo.check_live_streams()

    (request,) = server.requests
    assert request["path"] == "/v2/stream/recentchange"
    assert request["user-agent"] == "crowdpulse-test/1.0 (https://example.org)"


def test_an_address_that_is_none_is_said(streams_at: pytest.MonkeyPatch) -> None:
    at("stream.wikimedia.org", streams_at)

    with pytest.raises(StackError, match="MissingSchema"):
        demo.check_live_streams()


def test_a_second_demo_tells_of_other_things_and_not_of_the_past_again() -> None:
    commands = demo.producers("synthetic") | demo.producers("live")
    # A person's posts are none the later, and have the same ids whenever they are told.
    assert demo.going_on(commands["instagram"]) == commands.pop("instagram")
    for name, command in commands.items():
        again = demo.going_on(command)

        assert not [argument for argument in again if argument.startswith("--backfill")], name
        assert ("--seed" in again) == ("--seed" in command), name
        if "--seed" in command:
            assert again[again.index("--seed") + 1] != command[command.index("--seed") + 1], name
        assert len(command) - len(again) in (0, 2), name
