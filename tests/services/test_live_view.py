"""services/live_view: what it refuses before it asks Elasticsearch."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from kibana.dashboards import load
from services.live_view.server import MAX_BODY_BYTES, application

JSON = {"content-type": "application/json"}


def status(headers: dict[str, str], body: bytes = b"{}") -> int:
    """The status that a question for a dashboard's data is answered with; no Elasticsearch is there to be asked."""
    dashboards = load()
    app = application(dashboards, Elasticsearch("http://127.0.0.1:9", max_retries=0))
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "query_string": b"", "root_path": "",
        "path": f"/api/dashboards/{next(iter(dashboards))}/data",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "127.0.0.1:9090", "content-length": "2", **JSON}, 503),  # taken: Elasticsearch is away
        ({"host": "127.0.0.1:9090", "content-length": str(MAX_BODY_BYTES + 1), **JSON}, 413),
        ({"host": "127.0.0.1:9090", "content-length": "9" * 400, **JSON}, 413),
        ({"host": "127.0.0.1:9090", "transfer-encoding": "chunked", **JSON}, 413),
        ({"host": "127.0.0.1:9090", "content-length": "-1", **JSON}, 413),
        ({"host": "evil.test", "content-length": "2", **JSON}, 400),  # DNS rebinding
        # What a foreign page may send without asking first.
        ({"host": "127.0.0.1:9090", "content-length": "2", "content-type": "text/plain"}, 422),
    ],
)
def test_what_is_refused(headers: dict[str, str], expected: int) -> None:
    assert status(headers) == expected
