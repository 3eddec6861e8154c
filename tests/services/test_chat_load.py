"""bench/chat_load.py against a small chat server that keeps or breaks its word."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import defaultdict
from typing import Any

import pytest
from kafka import KafkaProducer
from websockets.asyncio.server import ServerConnection, serve

from bench import chat_load
from bench.chat_load import LoadError, in_kafka, load, main, people_needed, percentiles
from connections import kafka_options
from settings import settings
from stack import kafka

MESSAGES, CLIENTS = 60, 6  # three people in each of two rooms


class Chat:
    """Tells each message and its decision to everybody in the room, but for the third message what `fault` says."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._rooms: defaultdict[str, list[ServerConnection]] = defaultdict(list)
        self._count = 0

    async def talk(self, socket: ServerConnection) -> None:
        room = ""
        async for text in socket:
            said = json.loads(text)
            if said["type"] == "join":
                room = said["room"]
                self._rooms[room].append(socket)
                await socket.send(json.dumps({"type": "joined", "messages": []}))
                continue
            self._count += 1
            fault = self._fault if self._count == 3 else ""
            for number, other in enumerate(self._rooms[room]):
                for told in self._told(said["message_id"], fault, is_first=number == 0):
                    await other.send(json.dumps(told))

    def _told(self, identity: str, fault: str, is_first: bool) -> list[dict[str, Any]]:
        def frame(kind: str, state: str) -> dict[str, Any]:
            return {"type": kind, "message": {"message_id": identity, "state": state}}

        message, decision = frame("message", "checking"), frame("decision", "clean")
        match fault:
            case "no message for one" if is_first:
                return [decision]
            case "no decision":
                return [message]
            case "message twice":
                return [message, message, decision]
            case "decision twice for one" if is_first:
                return [message, decision, decision]
            case "decided at once":
                return [frame("message", "flagged")]
            case "first unscored":
                return [message, frame("decision", "unscored"), decision]
            case "refused":
                return [{"type": "error", "code": "muted", "detail": "You are muted."}] if is_first else []
        return [message, decision]


@pytest.mark.parametrize(
    ("fault", "lost", "doubled", "decided", "overdue"),
    [
        ("", 0, 0, MESSAGES, 0),
        ("no message for one", 1, 0, MESSAGES, 0),
        ("no decision", 3, 0, MESSAGES - 1, 0),
        ("message twice", 0, 3, MESSAGES, 0),
        ("decision twice for one", 0, 1, MESSAGES, 0),
        ("decided at once", 0, 0, MESSAGES, 0),
        ("first unscored", 0, 0, MESSAGES, 1),
        ("refused", 6, 0, MESSAGES - 1, 0),
    ],
)
def test_what_is_lost_or_doubled_is_found(
    fault: str, lost: int, doubled: int, decided: int, overdue: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_load, "LINGER_SECONDS", 0.2)

    async def measured() -> dict[str, Any]:
        async with serve(Chat(fault).talk, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await load(
                f"ws://127.0.0.1:{port}/ws", rate=300, seconds=0.2, clients=CLIENTS, rooms=2, wait_seconds=0.5
            )

    found = asyncio.run(measured())
    assert (found["sent"], found["lost"], found["doubled"]) == (MESSAGES, lost, doubled)
    assert (found["decided"], found["overdue"]) == (decided, overdue)
    assert all(value > 0 for value in found["send_to_decision_ms"].values())
    assert found["errors"] == ({"muted: You are muted.": 1} if fault == "refused" else {})


@pytest.mark.stack
def test_what_stands_in_kafka_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    monkeypatch.setattr(chat_load, "settings", lambda: settings().model_copy(update={"prefix": prefix}))
    kafka.create_topics(prefix)
    try:
        producer = KafkaProducer(**kafka_options())
        for topic, ids in (("chat_messages", "aabcd"), ("moderation_decisions", "aaacd")):
            for identity in ids:
                for room in (b"load-x-room-1", b"lobby") if identity != "d" else (b"load-x-room-2",):
                    producer.send(prefix + topic, json.dumps({"message_id": identity}).encode(), room)
            producer.send(prefix + topic, None, b"load-x-room-1")
        producer.close()
        expected = {"messages": 4, "messages_again": 1, "decisions_again": 2, "decisions_missing": 1}
        assert in_kafka("load-x-room-", time.time() - 60) == expected
        assert in_kafka("load-y-room-", time.time() - 60) is None
        assert in_kafka("load-x-room-", time.time() + 60) is None
    finally:
        kafka.delete_topics(prefix)


def test_no_service_and_other_machines_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LoadError, match=r"python -m services\.moderation"):
        asyncio.run(load("ws://127.0.0.1:9/ws", 1, 1, 1, 1, 1))
    with pytest.raises(SystemExit) as ended:
        main(["--url", "ws://chat.example/ws"])
    assert ended.value.code == 2
    assert "127.0.0.1" in capsys.readouterr().err


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentiles([number / 1000 for number in range(200, 0, -1)]) == {
        "p50": 100.0, "p95": 190.0, "p99": 198.0, "max": 200.0
    }  # fmt: skip
    assert percentiles([0.007]) == dict.fromkeys(("p50", "p95", "p99", "max"), 7.0)
    assert percentiles([]) == dict.fromkeys(("p50", "p95", "p99", "max"))


@pytest.mark.parametrize(
    ("rate", "burst_seconds", "people"), [(200, 10, 320), (200, 60, 1920), (200, 5, 160), (1, 1, 2)]
)
def test_so_many_people_that_nobody_floods(
    rate: float, burst_seconds: int, people: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = settings().model_copy(update={"moderation_burst_seconds": burst_seconds})
    monkeypatch.setattr(chat_load, "settings", lambda: changed)
    assert people_needed(rate) == people
    for clients, is_warned in ((people, False), (people // 2, people > 2)):
        assert main(["--rate", str(rate), "--clients", str(clients), "--url", "http://127.0.0.1:9"]) == 1
        assert ("take them for floods" in capsys.readouterr().err) is is_warned
