"""The chat service's entries: records of Kafka into its state, what people say over a WebSocket, forms, sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.datastructures import Headers

from models.policy import Policy
from services.moderation import talk
from services.moderation.access import Caller, Keys
from services.moderation.chat import DECISIONS, FEEDBACK, LAST, MESSAGES, POLICIES, Chat, Record
from services.moderation.forms import Asked, KeyGiven, MessageShown, MuteGiven, UserShown, VerdictGiven
from tests.fuzz.mutate import SEPARATOR
from tests.fuzz.targets.records import decision, kept, verdict

IS_JSON = True
MOST_BYTES = 8192
NOW = 1_767_355_200_000  # 2026-01-02T12:00:00Z
DEFAULT = Policy.default()
FORMS = (Asked, KeyGiven, MuteGiven, VerdictGiven)


def seeds() -> Iterator[bytes]:
    message = {"message_id": "1", "room": "lobby", "user_name": "ann", "text": "hi", "client_time": None}
    mute = {"feedback_id": "3", "kind": "mute", "user_name": "ann", "moderator": "mod", "minutes": 5}
    told = [
        message,
        decision() | {"action": "mute", "muted_until": "2026-01-02T12:10:00.000Z"},
        verdict(),
        mute | {"server_time": "2026-01-02T12:00:01.000Z"},
        {"slot": "champion", "version": "2", "valid_from": "2026-01-01T00:00:00Z", "policy": DEFAULT.to_json()[:3000]},
        {"slot": "shadow", "version": "2", "valid_from": "2026-01-01T00:00:00Z", "policy": '{"version": "2"}'},
        {"type": "join", "room": "lobby", "user_name": "ann"},
        {"type": "send", "message_id": "9", "text": "hello", "client_time": "2026-01-02T12:00:00Z"},
        {"text": "hi", "room": "lobby"},
        {"texts": ["hi", "ho"]},
        {"message_id": "1", "verdict": "uphold"},
        {"minutes": 5},
        {"key": "a-key-of-ours"},
        kept(),
    ]
    lines = [json.dumps(each).encode() for each in told]
    yield SEPARATOR.join(lines)
    yield SEPARATOR.join(lines[:5])
    yield SEPARATOR.join([lines[1], lines[0], lines[2], lines[0]])
    yield from lines
    yield b"1767400000.00.ann"


def test(data: bytes) -> None:
    values = data.split(SEPARATOR)[:20]
    _state(values)
    for value in values:
        _form(value)
        _said(value)
        _session(value)


def _state(values: list[bytes]) -> None:
    """Whatever the records are, the state can be asked; told twice, they are the same state."""
    chat = Chat(DEFAULT, history_minutes=60, strike_minutes=60, unscored_seconds=30, review_share=0.5)
    records = [
        Record(topic, 0, NOW + number, value)
        for number, value in enumerate(values)
        for topic in (POLICIES, MESSAGES, DECISIONS, FEEDBACK)
    ]
    chat.apply(records)
    once = _asked(chat)
    assert not [event for event in chat.apply(records) if event.kind != "you"]
    assert _asked(chat) == once
    chat.sweep(NOW + 60_000)
    _asked(chat)
    chat.forget(NOW + 30_000)
    _asked(chat)
    chat.forget(LAST)
    assert not chat.messages
    assert not any(chat.queues.values())


def _asked(chat: Chat) -> list[Any]:
    found: list[Any] = [chat.counts(), chat.rooms_waiting(), chat.champion(NOW).version]
    for message in chat.messages.values():
        detail = chat.detail(message)
        found += [MessageShown(**detail).model_dump(mode="json"), chat.shown(message, False), chat.decision_of(message)]
        assert message in chat.last_of(message.room)
        if chat.is_hidden(message):
            assert chat.shown(message, False)["text"] is None
    for name, user in chat.users.items():
        standing = chat.standing(name, NOW)
        assert standing["strikes"] >= 0
        shown = UserShown(user_name=name, **standing, messages=[], verdicts=list(user.verdicts))
        found.append(shown.model_dump(mode="json"))
    orjson.dumps(found)
    return found


def _form(value: bytes) -> None:
    for form in FORMS:
        try:
            form.model_validate_json(value)
        except ValidationError as error:
            str(error)


class _Connection:
    """A connection that keeps what it is told; in a room from the first."""

    room, user_name, is_joining, is_moderator = "lobby", "ann", False, False

    def __init__(self) -> None:
        self.told: list[Any] = []

    def put(self, said: Any) -> None:
        self.told.append(orjson.dumps(said))

    put_joined = refuse = put

    def was_fine(self) -> None: ...


class _Service:
    """What `Talk` asks of the service, but for Kafka: what is sent is kept."""

    class _Nothing:
        def __getattr__(self, _name: str) -> Any:
            return self

        def __call__(self, *_values: Any) -> Any:
            return self

    def __init__(self) -> None:
        self.chat = Chat(DEFAULT, history_minutes=60, strike_minutes=60, unscored_seconds=30, review_share=0.5)
        self.metrics = self._Nothing()
        self.sockets = self._Nothing()
        self.sending: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        self.buckets = self

    def wait_seconds(self, _holder: str) -> int:
        return 0

    async def send(self, message: dict[str, Any], _done: Any) -> None:
        self.sent.append(message)


def _said(value: bytes) -> None:
    """What is said is sent whole, or answered; what is sent, Kafka can have."""
    try:
        said = json.loads(value)
    except (ValueError, RecursionError):
        said = None
    connection, service = _Connection(), _Service()
    speaking = talk.Talk(service, connection, "holder")  # type: ignore[arg-type]
    coroutine = speaking.take(said)
    with suppress(StopIteration):
        coroutine.send(None)
    assert len(connection.told) + len(service.sent) == 1
    for message in service.sent:
        json.dumps(message, ensure_ascii=False).encode()
        assert 1 <= len(message["text"]) <= 2000


KEYS = Keys("ann:a-key-of-anns,mod:a-key-of-mods:moderator")


def _session(value: bytes) -> None:
    """Nobody is known by chance."""
    text = value.decode("latin-1")
    for name in ("cookie", "authorization", "x-api-key"):
        given = f"crowdpulse_session={text}" if name == "cookie" else text
        caller = KEYS.caller(Headers(raw=[(name.encode(), given.encode("latin-1"))]))
        assert caller is None or (isinstance(caller, Caller) and b"a-key-of-" in value)
