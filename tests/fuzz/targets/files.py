"""Files that people hand over or that are kept between runs: what is no such file is refused by a sentence."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import orjson

from connectors.kinesis_bridge import Checkpoint
from jobs.replay import InputError as ReplayError
from jobs.replay import repaired
from producers import synthetic_wikimedia
from producers._command_line import InputError
from producers._instagram_live import state_file
from producers._instagram_recorded import recorded
from producers._instagram_records import Post, records
from producers._usernames import username, usernames_of
from producers.wikimedia import Position, read_file
from tests.fuzz.mutate import SEPARATOR

IS_JSON = True
MOST_BYTES = 8192
FOLDER = Path(tempfile.mkdtemp(prefix="crowdpulse-fuzz-"))


def seeds() -> Iterator[bytes]:
    made = synthetic_wikimedia.events(seed=1, start=datetime(2026, 1, 2, tzinfo=UTC), rate=10, malformed=0.5)
    values = [event.value for event in islice(made, 12) if len(event.value) < 2000]
    yield b"0\x1e" + b"\n".join(values[:3])
    yield b"0\x1e" + b"".join(b"data: %s\n\n" % value for value in values[3:6])
    yield b"0\x1e" + gzip.compress(b"\n".join(values[:2]))
    yield b'1\x1e{"last_event_id": "[{\\"offset\\": 1}]"}'
    checkpoint = {
        "streams": {"in": {"since": 1.5, "shards": {"shard-0": "123"}, "read": ["shard-1"]}},
        "topics": {"moderation_decisions": {"0": 7}},
    }
    yield b"2\x1e" + json.dumps(checkpoint).encode()
    yield b"3\x1e# people\nanna\n@Ben.B_9\n\n"
    owner = {"id": "7", "username": "anna"}
    post = {
        "__typename": "GraphImage", "id": "1", "shortcode": "C1", "is_video": False, "owner": owner,
        "taken_at_timestamp": 1767312000, "display_url": "x", "edge_media_to_comment": {"count": 2},
        "edge_media_preview_like": {"count": 3}, "edge_media_to_caption": {"edges": [{"node": {"text": "#a b @c"}}]},
    }  # fmt: skip
    yield b"4\x1e" + json.dumps({"node": post, "instaloader": {"version": "4.16", "node_type": "Post"}}).encode()
    profile = owner | {
        "biography": "b", "external_url": "", "is_private": False, "is_verified": True, "full_name": "Anna",
        "edge_followed_by": {"count": 5}, "edge_follow": {"count": 6}, "media_count": 1,
    }  # fmt: skip
    yield b"4\x1e" + json.dumps({"node": profile, "instaloader": {"version": "4.16", "node_type": "Profile"}}).encode()
    line = {"topic": "t", "partition": 0, "offset": 5, "reason": "not_json", "key_base64": None, "value": "{}"}
    yield b"5\x1e" + json.dumps(line).encode()
    yield b"5\x1e" + json.dumps(line | {"value_base64": "AAE=", "key_base64": "YQ=="} | {"value": None}).encode()


def test(data: bytes) -> None:
    which, _, content = data.partition(SEPARATOR)
    file = FOLDER / "given.json"
    file.write_bytes(content)
    READERS[which[0] % len(READERS) if which else 0](file)


def _recording(file: Path) -> None:
    try:
        for event in read_file(file):
            assert isinstance(event.value, bytes)
    except InputError as error:
        assert str(error).startswith(str(file))


def _position(file: Path) -> None:
    try:
        position = Position(file).load()
    except InputError:
        return
    assert isinstance(position, str)
    position.encode()  # it becomes a header


def _checkpoint(file: Path) -> None:
    try:
        checkpoint = Checkpoint(file)
    except InputError:
        return
    checkpoint.begin("in", None)
    assert isinstance(checkpoint.since("in"), int | float | None)
    assert all(isinstance(shard, str) for shard in checkpoint.read("in"))
    checkpoint.advance("in", "shard-9", "9")
    checkpoint.advance_offset("moderation_decisions", 3, 9)
    checkpoint.save()
    again = Checkpoint(file)
    assert again.sequence_number("in", "shard-9") == "9"
    assert again.offset("moderation_decisions", 3) == 9
    assert again.read("in") == checkpoint.read("in")


def _usernames(file: Path) -> None:
    try:
        names = usernames_of(file)
    except InputError:
        return
    for name in names:
        assert username(name) == name
        assert state_file(FOLDER, name).parent == FOLDER


def _instagram(file: Path) -> None:
    found = list(recorded([file.parent], [], None, None, 0, lambda _said: None))
    for each in found:
        assert username(each.username) == each.username
        assert not isinstance(each, Post) or each.posted_at.tzinfo
    for record in records(found, None, lambda _said: None):
        fields = orjson.loads(record.value)
        assert fields["username"].encode() == record.key


def _repaired(file: Path) -> None:
    try:
        found = repaired(file, "t")
    except ReplayError:
        return
    for record in found:
        assert record.topic == "t"
        assert record.coordinates == f"t/{int(record.partition)}/{int(record.offset)}"
        assert isinstance(record.value, bytes | None)


READERS: tuple[Callable[[Path], None], ...] = (
    _recording, _position, _checkpoint, _usernames, _instagram, _repaired,
)  # fmt: skip
