"""Who is connected, and what they are told of the chat's events."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import orjson
from prometheus_client import Gauge
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.moderation.chat import Chat, Event, Json, Message

MOST_WAITING = 1000  # messages for one connection; who reads more slowly is disconnected
MOST_CHARACTERS = 2_000_000  # of these messages together
MOST_REFUSALS = 100  # in a row
CLOSE_SECONDS = 1.0
POLICY_VIOLATION, TRY_AGAIN = 1008, 1013


class Connection:
    """One WebSocket: what is put is sent in order, without waiting for whoever is slow."""

    def __init__(self, websocket: WebSocket, is_moderator: bool) -> None:
        self.room = ""
        self.user_name = ""
        self.is_moderator = is_moderator
        self._websocket = websocket
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._characters = 0  # that wait
        self._joined = ""  # the answer to a join, while it waits
        self._refusals = 0  # in a row
        self._ending: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    @property
    def is_joining(self) -> bool:
        """Whether the answer to a join is not sent yet; it is large."""
        return bool(self._joined)

    def put(self, said: Json) -> None:
        """Send, soon."""
        self.put_text(text_of(said))

    def put_text(self, text: str) -> None:
        """Send what is JSON already."""
        if self._waiting.full() or self._characters + len(text) > MOST_CHARACTERS:
            self._end(TRY_AGAIN, "too slow a reader")
            return
        self._characters += len(text)
        self._waiting.put_nowait(text)

    def put_joined(self, said: Json) -> None:
        """Answer a join."""
        self._joined = text_of(said)
        self.put_text(self._joined)

    def refuse(self, said: Json) -> None:
        """Answer by an error, and end what is refused all the time."""
        self._refusals += 1
        if self._refusals >= MOST_REFUSALS:
            self._end(POLICY_VIOLATION, "too many refusals")
        self.put(said)

    def was_fine(self) -> None:
        """What was said was no error."""
        self._refusals = 0

    async def serve(self, take: Callable[[Any], Awaitable[None]], ends: float | None = None) -> None:
        """Hand what comes to `take` (None: it was no JSON) until either side ends it, at the latest at the Unix time
        `ends`."""
        await self._websocket.accept()
        tasks: list[asyncio.Future[Any]] = [asyncio.create_task(each) for each in (self._send(), self._receive(take))]
        seconds = None if ends is None else max(0, ends - time.time())
        try:
            done, _ = await asyncio.wait([*tasks, self._ending], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not done:
            self._end(POLICY_VIOLATION, "the session has ended")
        if self._ending.done():
            with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                await asyncio.wait_for(self._websocket.close(*self._ending.result()), CLOSE_SECONDS)
        for each in done:
            with suppress(WebSocketDisconnect):
                each.result()

    def _end(self, code: int, reason: str) -> None:
        if not self._ending.done():
            self._ending.set_result((code, reason))

    async def _send(self) -> None:
        while True:
            text = await self._waiting.get()
            await self._websocket.send_text(text)
            self._characters -= len(text)
            if text is self._joined:
                self._joined = ""

    async def _receive(self, take: Callable[[Any], Awaitable[None]]) -> None:
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            try:
                # Not orjson: it refuses a lone surrogate, and with it the message_id that the answer needs.
                said = json.loads(message.get("text") or message.get("bytes") or b"")
            except (ValueError, RecursionError):
                said = None
            await take(said)


class Sockets:
    """The connections of the rooms and of the moderators."""

    def __init__(self, chat: Chat, open_sockets: Gauge) -> None:
        self._chat, self._open = chat, open_sockets
        self._rooms: defaultdict[str, set[Connection]] = defaultdict(set)
        self._users: defaultdict[str, set[Connection]] = defaultdict(set)
        self._desks: set[Connection] = set()

    def enter(self, connection: Connection, room: str, user_name: str) -> None:
        """The connection is somebody's in a room now, and nowhere else."""
        self.leave(connection)
        connection.room, connection.user_name = room, user_name
        self._rooms[room].add(connection)
        self._users[user_name].add(connection)
        self._open.labels("/ws").inc()

    def leave(self, connection: Connection) -> None:
        """The connection is in no room any more."""
        if not connection.room:
            return
        for group, name in ((self._rooms, connection.room), (self._users, connection.user_name)):
            group[name].discard(connection)
            if not group[name]:
                del group[name]
        connection.room = ""
        self._open.labels("/ws").dec()

    def open_desk(self, connection: Connection) -> None:
        """A moderator is told of the queues."""
        self._desks.add(connection)
        self._open.labels("/ws/moderator").inc()

    def close_desk(self, connection: Connection) -> None:
        """A moderator has gone."""
        self._desks.discard(connection)
        self._open.labels("/ws/moderator").dec()

    def tell(self, events: Iterable[Event], now: int) -> None:
        """Tell each event to those whom it concerns."""
        for event in events:
            if event.message is None:
                standing = self._chat.standing(event.user_name, now)
                for connection in self._users.get(event.user_name, ()):
                    connection.put({"type": "you", "action": event.action, **standing})
                self._tell_desks({"type": "user", "user_name": event.user_name, "action": event.action, **standing})
                continue
            self._tell_room(event.kind, event.message)
            if event.kind == "decision" and self._chat.concerns_moderators(event.message):
                self._tell_desks({"type": "item", "message": self._chat.detail(event.message)})

    def shown(self, message: Message, connection: Connection) -> Json:
        """A message as this connection may see it."""
        whole = connection.is_moderator or connection.user_name == message.user_name
        return self._chat.shown(message, whole)

    def _tell_room(self, kind: str, message: Message) -> None:
        texts: dict[bool, str] = {}
        for connection in self._rooms.get(message.room, ()):
            whole = connection.is_moderator or connection.user_name == message.user_name
            if whole not in texts:
                texts[whole] = text_of({"type": kind, "message": self._chat.shown(message, whole)})
            connection.put_text(texts[whole])

    def _tell_desks(self, said: Json) -> None:
        if self._desks:
            text = text_of(said)
            for connection in self._desks:
                connection.put_text(text)


def text_of(said: Json) -> str:
    """JSON."""
    return orjson.dumps(said).decode()
