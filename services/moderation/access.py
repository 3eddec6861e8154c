"""Who may ask for what, how often and how much: API keys, sessions of the pages, rate and size limits, headers."""

from __future__ import annotations

import asyncio
import hmac
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "crowdpulse_session"
SESSION_SECONDS = 12 * 3600
SHORTEST_KEY = 8
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
BODY_SECONDS = 30  # for a body to arrive
MOST_BUCKETS = 10_000
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
FREE_PATHS = ("/healthz", "/readyz", "/metrics")  # for probes: neither key nor rate
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Caller:
    """Who asks: the name of a key; where no keys are set, `moderator`."""

    name: str
    is_moderator: bool
    ends: float | None = None  # the session, Unix seconds


class KeysError(Exception):
    """The setting of the keys is wrong; the message says how, without a key."""


class Keys:
    """The API keys; without any, everything is open."""

    def __init__(self, setting: str) -> None:
        """`setting`: name:key or name:key:moderator, with commas. Raises KeysError."""
        self._keys: dict[str, tuple[bytes, Caller]] = {}
        for number, part in enumerate(filter(None, map(str.strip, setting.split(","))), 1):
            name, _, rest = part.partition(":")
            key, _, role = rest.partition(":")
            where = f"CROWDPULSE_MODERATION_API_KEYS, entry {number}"
            if not NAME.fullmatch(name) or not key or role not in ("", "moderator"):
                raise KeysError(
                    f"{where}, is wrong: write name:key or name:key:moderator, the name of a-z, 0-9, - and _."
                )
            if len(key) < SHORTEST_KEY:
                raise KeysError(f"{where}, is too short a key: at least {SHORTEST_KEY} characters.")
            if name in self._keys or any(key.encode() == other for other, _ in self._keys.values()):
                raise KeysError(f"{where}, has a name or a key that an entry before it has.")
            self._keys[name] = (key.encode(), Caller(name, role == "moderator"))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def of_key(self, given: str) -> Caller | None:
        """Whose key this is; every key is compared, each in constant time."""
        found = None
        for key, caller in self._keys.values():
            if hmac.compare_digest(key, given.encode(errors="replace")):
                found = caller
        return found

    def session(self, caller: Caller) -> str:
        """What the cookie of a page holds: name, end and a signature by the key, which itself is not in it."""
        ends = str(int(time.time()) + SESSION_SECONDS)
        return f"{ends}.{self._signature(caller.name, ends)}.{caller.name}"

    def of_session(self, cookie: str) -> Caller | None:
        """Whose session this is, if it is one and has not ended."""
        ends, _, rest = cookie.partition(".")
        signature, _, name = rest.partition(".")
        if name not in self._keys or not ends.isascii() or not ends.isdigit() or len(ends) > 12:
            return None
        if not hmac.compare_digest(self._signature(name, ends).encode(), signature.encode(errors="replace")):
            return None
        return replace(self._keys[name][1], ends=int(ends)) if int(ends) > time.time() else None

    def _signature(self, name: str, ends: str) -> str:
        return hmac.digest(self._keys[name][0], f"session.{ends}.{name}".encode(), "sha256").hex()

    def caller(self, headers: Headers) -> Caller | None:
        """Who asks, by `X-API-Key`, `Authorization: Bearer` or the cookie of a session; None: nobody who is known."""
        if not self:
            return Caller("moderator", True)
        if given := headers.get("x-api-key"):
            return self.of_key(given)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme:
            return self.of_key(given.strip()) if scheme.lower() == "bearer" else None
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self.of_session(morsel.value) if morsel else None


class Buckets:
    """Token buckets: each holder may ask `a_minute` times at once, and so often again within each minute."""

    def __init__(self, a_minute: int) -> None:
        self._most, self._a_second = float(a_minute), a_minute / 60
        self._left: dict[str, tuple[float, float]] = {}  # tokens, and when

    def wait_seconds(self, holder: str) -> int:
        """Take a token: 0, or if there is none, after how many seconds there will be one."""
        now = time.monotonic()
        tokens, at = self._left.pop(holder, (self._most, now))
        tokens = min(self._most, tokens + (now - at) * self._a_second)
        wait = 0 if tokens >= 1 else math.ceil((1 - tokens) / self._a_second)
        self._left[holder] = (tokens if wait else tokens - 1, now)  # now the last in the order of the dictionary
        if len(self._left) > MOST_BUCKETS:
            del self._left[next(iter(self._left))]
        return wait


def holder_of(scope: Scope) -> str:
    """Whose bucket counts: the key's, or where none is set or known, the address's."""
    caller, address = scope["state"].get("caller"), (scope.get("client") or ("unknown",))[0]
    return f"key {caller.name}" if caller and scope["state"]["keys_are_on"] else f"address {address}"


class Guard:
    """Stands before the application, for HTTP and WebSocket alike: refuses what must not come in.

    In this order: a foreign host name (where no keys are set: DNS rebinding), a foreign origin (cross-site requests and
    WebSockets), too many requests (429), no key or a wrong one (401), too large a body (413). The roles (403) are the
    routes' matter. It adds the security headers and counts.
    """

    def __init__(
        self,
        app: Application,
        *,
        keys: Keys,
        buckets: Buckets,
        max_body_bytes: int,
        answered: Callable[[str, int], None],
        refused: Callable[[str], None],
    ) -> None:
        self._app, self._keys, self._buckets, self._max_body_bytes = app, keys, buckets, max_body_bytes
        self._answered, self._refused = answered, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["caller"], state["keys_are_on"] = self._keys.caller(headers), bool(self._keys)
        status = 0

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                own = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    own.setdefault(name, value)
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        problem = self._problem(scope, headers)
        if problem is None and scope["type"] == "http":
            try:
                receive, problem = await self._body(headers, receive)
            except TimeoutError:
                problem = _refusal(408, f"The body has not arrived within {BODY_SECONDS} s.")
        if problem is not None:
            self._refused(HTTPStatus(problem.status_code).phrase.lower())
            if scope["type"] == "http":
                problem.headers["Connection"] = "close"  # what is left of the body is not read
            await problem(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)
        route = scope.get("route")
        self._answered(getattr(route, "path", "other"), status)

    def _problem(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        path, host = scope["path"], headers.get("host", "")
        if not self._keys and _host_name(host) not in LOOPBACK:
            return _refusal(421, "Without API keys the service answers to 127.0.0.1 and localhost only.")
        origin = headers.get("origin")
        may_change = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if origin is not None and may_change and not _is_of_host(origin, host):
            return _refusal(403, "Another site's page may not do this here.")
        if path in FREE_PATHS:
            return None
        if wait := self._buckets.wait_seconds(holder_of(scope)):
            return _refusal(429, f"Too many requests: again in {wait} s.", {"Retry-After": str(wait)})
        is_open = not path.startswith(("/v1/", "/ws")) or path == "/v1/session"
        if scope["state"]["caller"] is None and not is_open:
            sentence = "Give an API key: the header X-API-Key, or Authorization: Bearer."
            return _refusal(401, sentence, {"WWW-Authenticate": "Bearer"})
        return None

    async def _body(self, headers: Headers, receive: Receive) -> tuple[Receive, JSONResponse | None]:
        """Read the body, as much of it as is allowed; returns a `receive` that has it."""
        too_large = _refusal(413, f"A body has at most {self._max_body_bytes} bytes.")
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._max_body_bytes:
            return receive, too_large
        body = bytearray()
        ended: list[MutableMapping[str, Any]] = []
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    ended.append(message)
                    break
                body += message.get("body", b"")
                if len(body) > self._max_body_bytes:
                    return receive, too_large
                if not message.get("more_body", False):
                    break
        ended.insert(0, {"type": "http.request", "body": bytes(body), "more_body": False})
        waiting = iter(ended)

        async def replay() -> MutableMapping[str, Any]:
            return next(waiting, None) or await receive()

        return replay, None


def _refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


def _host_name(host: str) -> str:
    return (urlsplit(f"//{host}").hostname or "") if _is_address(f"//{host}") else ""


def _is_address(url: str) -> bool:
    try:
        urlsplit(url).port  # noqa: B018, it raises for a wrong one
    except ValueError:
        return False
    return True


def _is_of_host(origin: str, host: str) -> bool:
    """Whether an origin, as in https://chat.example, is that of a Host header."""
    if not _is_address(origin) or not _is_address(f"//{host}"):
        return False
    there, here = urlsplit(origin), urlsplit(f"//{host}")
    usual = {"http": 80, "https": 443}.get(there.scheme)
    return usual is not None and (there.hostname, there.port or usual) == (here.hostname, here.port or usual)
