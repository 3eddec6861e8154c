"""The SSE parser: any bytes, cut into any pieces, give the events of the plain reading of the specification below."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from random import Random
from zlib import crc32

import orjson

from producers import synthetic_wikimedia
from producers._wikimedia_streams import as_event
from producers.wikimedia import SseEvents

IS_JSON = False
MOST_BYTES = 4096

Read = tuple[list[tuple[bytes, str | None]], bool]


def seeds() -> Iterator[bytes]:
    made = synthetic_wikimedia.events(seed=1, start=datetime(2026, 1, 2, tzinfo=UTC), rate=10)
    values = [event.value for event in islice(made, 6)]
    for end in (b"\n", b"\r\n", b"\r"):
        lines = [
            line
            for number, value in enumerate(values[:3])
            for line in (b"event: message", b'id: [{"offset":%d}]' % number, b"data: " + value, b"")
        ]
        yield end.join([b":ok", b"", *lines, b""])
        yield end.join([b"data: {", b'data: "a": 1', b"data:}", b"", b"retry: 5", b"id", b"", b"data: 1"])
    yield b"\xef\xbb\xbfdata: " + values[3] + b"\n\ndata: " + values[4][:-9]
    yield b"data: a\n\r\ndata: b\r\r\ndata\n\ndata:\xff\n\n"


def test(data: bytes) -> None:
    found = _read([data])
    assert found == specified(data)
    chance = Random(crc32(data))
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(1, 8)))
    pieces = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert _read(pieces) == found, pieces
    assert _read([data[at : at + 1] for at in range(min(len(data), 200))]) == _read([data[:200]])
    for value, position in found[0]:
        event = as_event(value, None, position)
        assert (event.value, event.position) == (value, position)


def _read(pieces: list[bytes]) -> Read:
    events = SseEvents(pieces)
    return list(events.read()), events.cut_off


def specified(data: bytes) -> Read:
    """Data and ids by the HTML standard's section on server-sent events, all at once.

    But for this: an empty id and one without data change nothing. And as the producer promises, a last event without
    its blank line counts if its data is JSON, else it was cut off.
    """
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[tuple[bytes, str | None]] = []
    last_id: str | None = None
    *blocks, rest = data.split(b"\n\n") if b"\n\n" in data else (data,)
    for number, block in enumerate([*blocks, rest]):
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        fields = [(name, value.removeprefix(b" ")) for name, _, value in (line.partition(b":") for line in lines)]
        told = [value for name, value in fields if name == b"data"]
        if number == len(blocks) and not _is_json(b"\n".join(told)):
            return events, bool(lines)
        if told:
            ids = [value for name, value in fields if name == b"id"]
            last_id = ids[-1].decode(errors="replace") if ids and ids[-1] else last_id
            events.append((b"\n".join(told), last_id))
    return events, False


def _is_json(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True
