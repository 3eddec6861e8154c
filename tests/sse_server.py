"""A local server of event streams for tests: it speaks SSE as Wikimedia does, and breaks in the ways that it breaks."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from tests.local_server import LocalServer, QuietHandler


class SseServer(LocalServer):
    """Serves a list of events to whoever connects, from where their `Last-Event-ID` ended.

    An id is what Wikimedia's are: a JSON array with topic and offset. After the last event the connection stays open
    and silent, as a live stream's would.

    Args:
        events: what there is to tell; bytes are told as they are.
        cut_every: the connection is cut after this many events; 0: never. The cut comes in the middle of an event.
        repeat_on_reconnect: how many events before the place to resume are told again.
        too_many_requests_at: the number of the connection (from 1) that is answered 429, once; 0: none.
        troubled_until: connections up to this number are answered 503; 0: none.
        content_type: what a stream says that it is.
        forbidden: every connection is answered 403.
        stall_at: the number of the connection that says nothing after its first event; 0: none.
        canary_every: a canary event comes before every so manieth event; 0: never.
        chunked: the body comes in chunks as of HTTP/1.1, and a cut comes in the middle of a chunk.
    """

    def __init__(
        self,
        events: Sequence[dict[str, Any] | bytes],
        *,
        cut_every: int = 0,
        repeat_on_reconnect: int = 0,
        too_many_requests_at: int = 0,
        troubled_until: int = 0,
        content_type: str = "text/event-stream; charset=utf-8",
        forbidden: bool = False,
        stall_at: int = 0,
        canary_every: int = 0,
        chunked: bool = False,
    ) -> None:
        self.connections = 0
        self.refused = 0
        self.requests: list[dict[str, str]] = []
        self._lock = threading.Lock()
        server = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1" if chunked else "HTTP/1.0"

            def do_GET(self) -> None:
                with server._lock:
                    server.connections += 1
                    number = server.connections
                    server.requests.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                if forbidden:
                    self.send_error(403)
                elif number <= troubled_until:
                    self.send_error(503)
                elif number == too_many_requests_at:
                    server.refused += 1
                    self.send_response(429)
                    self.send_header("Retry-After", "0.2")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self._stream(number)

            def _stream(self, number: int) -> None:
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                if chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.close_connection = True
                self._write(b":ok\n\n")
                resume = self.headers.get("Last-Event-ID")
                first = 0 if resume is None else json.loads(resume)[0]["offset"] + 1
                first = max(0, first - (repeat_on_reconnect if resume else 0))
                # What was told before does not count towards the cut, else much repeating would never get on.
                last = first + cut_every + (repeat_on_reconnect if first and resume else 0)
                for offset in range(first, len(events)):
                    if canary_every and offset % canary_every == 0:
                        self._tell(offset - 1, {"meta": {"domain": "canary", "stream": "mediawiki.recentchange"}})
                    if cut_every and offset == last:
                        self._write(_as_sse(offset, events[offset]), cut=40)
                        return
                    self._tell(offset, events[offset])
                    if number == stall_at:
                        break
                self.wfile.flush()
                server._closing.wait(60)

            def _tell(self, offset: int, event: dict[str, Any] | bytes) -> None:
                self._write(_as_sse(offset, event))

            def _write(self, piece: bytes, cut: int = 0) -> None:
                framed = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
                self.wfile.write(framed[: len(framed) - cut])

        super().__init__(Handler)

    @property
    def url(self) -> str:
        return f"{self.address}/v2/stream"


def _as_sse(offset: int, event: dict[str, Any] | bytes) -> bytes:
    position = json.dumps([{"topic": "eqiad.mediawiki.recentchange", "partition": 0, "offset": offset}])
    data = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
    return b"event: message\nid: " + position.encode() + b"\ndata: " + data + b"\n\n"
