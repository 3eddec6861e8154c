"""The chat's protocol over one WebSocket: join a room, send messages, hear what is said and decided."""

from __future__ import annotations

import re
import unicodedata
from concurrent.futures import Future
from datetime import datetime
from typing import Any, TypeGuard

from services.chat_log import NotWritten
from services.moderation.chat import MAX_NAME, MAX_TEXT, Json, now
from services.moderation.service import Service
from services.moderation.sockets import Connection

IDENTITY = re.compile(r"[A-Za-z0-9._:-]{1,64}")
SURROGATE = re.compile("[\ud800-\udfff]")
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols without any ink
JOINERS = "\u200c\u200d"  # part of the spelling of some languages, and of emoji

HIDDEN = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs", "Mn", "Me")  # by itself


class Refused(Exception):
    """What somebody said is not done; `code` is one of the protocol's."""

    def __init__(self, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.said = {"type": "error", "code": code, "detail": detail, **more}


class Talk:
    """What one connection says."""

    def __init__(self, service: Service, connection: Connection, holder: str) -> None:
        """`holder`: whose rate limit counts."""
        self._service, self._connection, self._holder = service, connection, holder

    async def take(self, said: Any) -> None:
        """Do what was said, or answer with an error."""
        identity = said.get("message_id") if isinstance(said, dict) else None
        try:
            if wait := self._service.buckets.wait_seconds(self._holder):
                raise Refused("rate_limited", f"Too many messages: again in {wait} s.", retry_after=wait)
            match said:
                case {"type": "join"}:
                    self._join(said)
                case {"type": "send"}:
                    await self._send(said)
                case _:
                    raise Refused("bad_request", "Send JSON whose type is join or send.")
        except Refused as refusal:
            self._refuse(refusal, identity)
        else:
            self._connection.was_fine()

    def _refuse(self, refusal: Refused, identity: Any) -> None:
        self._service.metrics.refused.labels(refusal.said["code"]).inc()
        self._connection.refuse(refusal.said | ({"message_id": identity} if _is_identity(identity) else {}))

    def _join(self, said: Json) -> None:
        room, user_name = _name(said, "room"), _name(said, "user_name")
        chat, connection = self._service.chat, self._connection
        if connection.is_joining:
            raise Refused("bad_request", "Wait for the answer to the last join.")
        self._service.sockets.enter(connection, room, user_name)
        messages = [self._service.sockets.shown(each, connection) for each in chat.last_of(room)]
        who = {"room": room, "user_name": user_name, **chat.standing(user_name, now())}
        connection.put_joined({"type": "joined", **who, "messages": messages})

    async def _send(self, said: Json) -> None:
        service, connection = self._service, self._connection
        identity, text = said.get("message_id"), said.get("text")
        if not connection.room:
            raise Refused("not_joined", "Join a room first.")
        if not _is_identity(identity):
            raise Refused("bad_request", "message_id is missing: a UUID.")
        if not isinstance(text, str) or SURROGATE.search(text):
            raise Refused("bad_request", "text is missing, or is no Unicode.")
        if known := service.chat.messages.get(identity):
            if known.room != connection.room:
                raise Refused("bad_request", "Another message has this message_id.")
            connection.put({"type": "message", "message": service.sockets.shown(known, connection)})
            return
        if identity in service.sending:
            return  # its message comes, or an error
        if not any(map(_can_be_seen, text)):
            raise Refused("empty", "The message is empty: it has no character that can be seen.")
        if len(text) > MAX_TEXT:
            raise Refused("too_long", f"A message has at most {MAX_TEXT} characters.")
        standing = service.chat.standing(connection.user_name, now())
        if standing["muted_until"]:
            raise Refused("muted", f"You are muted until {standing['muted_until']}.", **standing)
        message = {
            "message_id": identity,
            "room": connection.room,
            "user_name": connection.user_name,
            "text": text,
            "client_time": _time(said.get("client_time")),
        }
        try:
            await service.send(message, lambda written: self._has_failed(written, identity))
        except NotWritten as error:
            raise Refused("unavailable", str(error)) from None

    def _has_failed(self, written: Future[Json], identity: str) -> None:
        error = written.exception()
        if error is not None:
            self._refuse(Refused("unavailable", "The message could not be kept. Send it again."), identity)


def _is_identity(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and IDENTITY.fullmatch(value) is not None


def _name(said: Json, field: str) -> str:
    value = said.get(field)
    name = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    if not 1 <= len(name) <= MAX_NAME or name in (".", ".."):  # which addresses cannot have
        raise Refused("bad_request", f"{field} is missing: 1 to {MAX_NAME} characters, other than . and ..")
    is_odd = any(each in BLANK or unicodedata.category(each) in HIDDEN for each in name if each not in JOINERS)
    if is_odd or name != name.strip(JOINERS) or not any(map(_can_be_seen, name)):
        raise Refused(
            "bad_request",
            f"{field} has no character that can be seen, or control characters, blanks or joiners at an end.",
        )
    return name


def _can_be_seen(character: str) -> bool:
    return character not in BLANK and unicodedata.category(character) not in UNSEEN


def _time(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise Refused("bad_request", "client_time is no time in ISO 8601.") from None
