"""What a connection and its talk refuse and when they end, without Kafka: names, texts, times, slow readers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from starlette.websockets import WebSocket

from services.moderation import talk
from services.moderation.sockets import MOST_REFUSALS, Connection
from settings import ROOT


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (" ann ", "ann"),
        ("e\u0301", "\u00e9"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),  # Persian
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("...", "..."),
        (".", None),
        (" .. ", None),
        ("", None),
        (None, None),
        ("n" * 65, None),
        ("\u3164", None),
        ("ann\u3164", None),
        ("\u2800", None),
        ("\u0301", None),
        ("\u200d", None),
        ("ann\u200d", None),
        ("a\u202enn", None),
        ("a\u2028nn", None),
        ("a\ud800", None),
    ],
)
def test_a_name_can_be_seen(given: Any, name: str | None) -> None:
    said = {"user_name": given}
    if name is not None:
        assert talk._name(said, "user_name") == name
        return
    with pytest.raises(talk.Refused, match=r"user_name (is missing|has no character)"):
        talk._name(said, "user_name")


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [("x", True), ("\u200d\U0001f680", True), (" \n", False), ("\u3164\u200b", False), ("\u2800 \ufe0f", False)],
)
def test_a_text_can_be_seen(text: str, is_seen: bool) -> None:
    assert any(map(talk._can_be_seen, text)) == is_seen


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00+00:00"),
        ("2024-01-01\ud80010:00:00", "2024-01-01T10:00:00"),
        ("2024-01-01T10:00:00." + "1" * 10_000, "2024-01-01T10:00:00.111111"),
        ("noon", talk.Refused),
        (5, talk.Refused),
    ],
)
def test_a_client_time_is_kept_short(given: Any, kept: Any) -> None:
    if kept is talk.Refused:
        with pytest.raises(talk.Refused):
            talk._time(given)
    else:
        assert talk._time(given) == kept


class Browser:
    """The other end of a WebSocket, in ASGI: it says nothing, and reads only `if_reading`."""

    def __init__(self, is_reading: bool) -> None:
        self.heard: list[Any] = []
        self._is_reading, self._is_connected = is_reading, False

    async def receive(self) -> dict[str, Any]:
        if self._is_connected:
            await asyncio.Event().wait()
        self._is_connected = True
        return {"type": "websocket.connect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send" and not self._is_reading:
            await asyncio.Event().wait()
        self.heard.append(message)


def closed(is_reading: bool, put: Any, ends: float | None = None) -> tuple[int, str] | None:
    """How the connection is closed after `put(connection)`; None: it is not."""

    async def run() -> tuple[int, str] | None:
        browser = Browser(is_reading)
        connection = Connection(WebSocket({"type": "websocket"}, browser.receive, browser.send), is_moderator=False)

        async def take(_said: Any) -> None:
            raise AssertionError

        serving = asyncio.create_task(connection.serve(take, ends))
        await asyncio.sleep(0.01)
        put(connection)
        await asyncio.wait([serving], timeout=0.2)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        last = browser.heard[-1]
        return (last["code"], last["reason"]) if last["type"] == "websocket.close" else None

    return asyncio.run(run())


def many(number: int, characters: int) -> Any:
    return lambda connection: [connection.put_text("x" * characters) for _ in range(number)]


def refusals(number: int, at: int) -> Any:
    def refuse(connection: Connection) -> None:
        for each in range(number):
            if each == at:
                connection.was_fine()
            connection.refuse({"type": "error"})

    return refuse


@pytest.mark.parametrize(
    ("is_reading", "put", "ends", "expected"),
    [
        (False, many(900, 1000), None, None),
        (False, many(1002, 10), None, (1013, "too slow a reader")),
        (False, many(15, 150_000), None, (1013, "too slow a reader")),
        (True, many(15, 100_000), None, None),
        (True, refusals(MOST_REFUSALS, -1), None, (1008, "too many refusals")),
        (True, refusals(MOST_REFUSALS + 10, 50), None, None),
        (True, many(1, 1), 1.0, (1008, "the session has ended")),
        (True, many(1, 1), 1e12, None),
    ],
)
def test_how_a_connection_ends(is_reading: bool, put: Any, ends: float | None, expected: Any) -> None:
    assert closed(is_reading, put, ends) == expected


@pytest.mark.parametrize("is_reading", [True, False])
def test_a_join_is_answered_before_the_next(is_reading: bool) -> None:
    async def run() -> list[bool]:
        browser = Browser(is_reading)
        connection = Connection(WebSocket({"type": "websocket"}, browser.receive, browser.send), is_moderator=False)
        serving = asyncio.create_task(connection.serve(lambda _said: asyncio.sleep(0)))
        await asyncio.sleep(0.01)
        connection.put_joined({"type": "joined"})
        seen = [connection.is_joining]
        await asyncio.sleep(0.01)
        seen.append(connection.is_joining)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return seen

    assert asyncio.run(run()) == [True, not is_reading]


def test_a_reader_that_fails_ends_the_process() -> None:
    program = """
import services.moderation.reader as module
class Failing(module.Reader):
    def _read(self):
        raise AttributeError("odd")
reader = Failing(print, 0)
reader.log = True
reader.start()
reader.join(30)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "the service ends" in done.stderr
    assert "AttributeError: odd" in done.stderr
