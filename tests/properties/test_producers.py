"""What producers read: SSE, events of every stream, Lift Wing's answers, usernames, instaloader's files, arguments."""

from __future__ import annotations

import argparse
import gzip
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kinesis_bridge import message_of
from producers import _command_line, liftwing, synthetic_instagram, synthetic_posts
from producers._command_line import InputError
from producers._instagram_recorded import recorded
from producers._instagram_records import Post, hashtags, mentions, records
from producers._usernames import username, usernames_of
from producers._wikimedia_http import LONGEST_RETRY_AFTER_SECONDS, pause_seconds, retry_after
from producers._wikimedia_streams import STREAMS, as_event
from producers.chat import conversation
from producers.wikimedia import Position, SseEvents, read_file
from tests.fuzz.targets import files, sse
from tests.fuzz.targets import records as of_records
from tests.properties.strategies import ANY_JSON, ANY_TEXT, UNICODE, spoilt, wiki_events

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
COMMENTS = st.sampled_from([b"", b":", b": still here", b"event: message", b"retry: 5", b"unknown: field"])


@given(
    st.lists(st.tuples(ANY_JSON, st.none() | st.text("a[]{}:0", min_size=1), COMMENTS), max_size=5),
    ENDS,
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
)
def test_sse_gives_what_was_written_however_it_is_cut(
    events: list[tuple[Any, str | None, bytes]], end: bytes, sizes: list[int]
) -> None:
    written, expected, last_id = b"", [], None
    for value, identity, comment in events:
        data = json.dumps(value, indent=1).encode()
        lines = [comment, *([f"id: {identity}".encode()] if identity else []), b"event:x"]
        lines += [b"data: " + line for line in data.split(b"\n")]
        written += end.join([line for line in lines if line] + [b"", b""])
        last_id = identity or last_id
        expected.append((data, last_id))
    pieces, at, number = [], 0, 0
    while at < len(written):
        size = sizes[number % len(sizes)]
        pieces.append(written[at : at + size])
        at, number = at + size, number + 1

    assert list(SseEvents(pieces).read()) == expected


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([b"data", b"id", b":", b" ", b"\n", b"\r", b"1", b"{", b"\xff", b"\xef\xbb\xbf"])).map(
        b"".join
    )
)
def test_any_bytes_are_read_as_the_specification_says(data: bytes) -> None:
    sse.test(data)


@pytest.mark.parametrize("number", range(len(wiki_events())))
@settings(max_examples=8)
@given(data=st.data())
def test_a_spoilt_event_is_handed_on_or_passed_over(number: int, data: st.DataObject) -> None:
    stream, good = wiki_events()[number]
    value = json.dumps(data.draw(spoilt(json.loads(good)))).encode()

    event = as_event(value, stream)
    assert (event.stream, event.value) == (stream, value)
    of_records.test(value)


@given(st.lists(spoilt(json.loads(wiki_events()[0][1])).map(json.dumps), max_size=4), st.booleans())
def test_a_recording_gives_its_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[str], packed: bool) -> None:
    content = "\n".join(lines).encode()
    file = tmp_path_factory.getbasetemp() / "recording.jsonl"
    file.write_bytes(gzip.compress(content) if packed else content)

    assert [event.value.decode() for event in read_file(file)] == lines


@pytest.mark.parametrize("number", range(len(list(files.seeds()))))
@settings(max_examples=8)
@given(data=st.data())
def test_a_spoilt_file_is_refused_by_a_sentence(number: int, data: st.DataObject) -> None:
    which, _, content = list(files.seeds())[number].partition(b"\x1e")
    try:
        value = json.loads(content)
    except ValueError:
        at = data.draw(st.integers(0, len(content)))
        files.test(which + b"\x1e" + content[:at] + data.draw(st.binary(max_size=4)) + content[at + 1 :])
    else:
        files.test(which + b"\x1e" + json.dumps(data.draw(spoilt(value))).encode())


@given(UNICODE)
def test_a_position_is_read_back(tmp_path_factory: pytest.TempPathFactory, position: str) -> None:
    stored = Position(tmp_path_factory.getbasetemp() / "position.json")
    stored.store(position)
    assert stored.load() == position


ANSWER = {
    "model_name": "m", "model_version": "3", "revision_id": 7,
    "output": {"prediction": True, "probabilities": {"true": 0.75, "false": 0.25}},
}  # fmt: skip


@settings(max_examples=120)
@given(spoilt(ANSWER))
def test_an_answer_of_lift_wing_is_a_prediction_or_none(answer: Any) -> None:
    told = liftwing._fields(json.dumps(answer).encode())
    predicted = liftwing.classification(told, 7)
    if predicted:
        assert told["revision_id"] == 7
        assert set(predicted["probabilities"]) == {"true", "false"}
        assert all(0 <= chance <= 1 for chance in predicted["probabilities"].values())
        assert predicted["predictions"] in (["true"], ["false"])
        orjson.dumps(predicted)


@given(st.lists(st.tuples(st.sampled_from(["enwiki", "a'wiki", "\0"]), st.integers(1, 2**63 - 1)), max_size=20))
def test_answers_that_are_kept_are_the_newest(
    tmp_path_factory: pytest.TempPathFactory, keys: list[liftwing.Key]
) -> None:
    file = tmp_path_factory.getbasetemp() / "answers.sqlite"
    file.unlink(missing_ok=True)
    cache = liftwing.Cache(file, most=5)
    try:
        for number, key in enumerate(keys):
            cache[key] = {"number": number} if number % 3 else None
        newest = list(dict.fromkeys(reversed(keys)))[:5]
        for key in newest:
            last = len(keys) - 1 - keys[::-1].index(key)
            if len(keys) - last <= 5:
                assert key in cache
                assert cache[key] == ({"number": last} if last % 3 else None)
    finally:
        cache.close()


@given(ANY_TEXT | st.floats().map(str) | st.datetimes().map(lambda time: time.strftime("%a, %d %b %Y %H:%M:%S GMT")))
def test_a_time_to_wait_is_finite(header: str) -> None:
    told = retry_after(header)
    assert told is None or 0 <= told < math.inf
    for failures in (0, 3, 10_000):
        assert 0 <= pause_seconds(failures, 1, told) <= LONGEST_RETRY_AFTER_SECONDS


@given(ANY_TEXT | st.text("aB.9_@", max_size=32))
def test_a_username_is_one_or_is_refused(text: str) -> None:
    try:
        name = username(text)
    except InputError as error:
        assert str(error).isprintable()
        return
    assert username(name) == username("@" + name) == name
    assert 1 <= len(name) <= 30
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.")
    assert not name.startswith(".")
    assert not name.endswith(".")
    assert ".." not in name


@given(st.lists(st.from_regex(r"\A[a-z0-9_]{1,30}\Z"), max_size=5))
def test_a_file_of_usernames_is_read_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    file = tmp_path_factory.getbasetemp() / "names"
    file.write_text("\ufeff# people\r\n" + "".join(f" @{name.upper()}\t\r\n\n" for name in names), encoding="utf-8")
    assert usernames_of(file) == names


@given(ANY_TEXT | st.lists(st.sampled_from(["#a", "#Ä_1", "@b.c", "@", "#", " ", "x@y.z", "#a#b", "@_"])).map("".join))
def test_hashtags_and_mentions_are_of_the_caption(caption: str) -> None:
    for found, sign in ((hashtags(caption), "#"), (mentions(caption), "@")):
        assert len(found) == len(set(found))
        assert all(name and sign + name in caption.lower() for name in found)


@given(ANY_TEXT | st.none(), st.datetimes(timezones=st.just(UTC)), st.none() | st.integers(0, 2**63 - 1))
def test_a_post_becomes_a_record_whatever_its_caption(caption: str | None, time: datetime, likes: int | None) -> None:
    (record,) = records([Post("anna", "C1", caption, likes, None, time)], None, lambda _said: None)

    fields = orjson.loads(record.value)
    assert (record.key, fields["username"], fields["likes"]) == (b"anna", "anna", likes)
    assert (fields["caption"] is None) == (caption is None)
    assert fields["timestamp"] == record.time


NODE = json.loads(next(seed for seed in files.seeds() if b"GraphImage" in seed).partition(b"\x1e")[2])


@given(spoilt(NODE))
def test_a_spoilt_file_of_instaloader_is_a_post_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, structure: Any
) -> None:
    folder = tmp_path_factory.getbasetemp() / "instaloader"
    folder.mkdir(exist_ok=True)
    (folder / "post.json").write_text(json.dumps(structure), encoding="utf-8")
    said: list[str] = []

    found = list(recorded([folder], [], None, None, 0, said.append))

    assert len(found) + len(said) == 1
    assert len(list(records(found, None, said.append))) == len(found)


@settings(max_examples=4)
@given(st.integers(0, 2**32), st.integers(10, 300), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3))
def test_whatever_is_said_is_a_message_of_the_chat(
    seed: int, users: int, abusive: float, spam: float, flood: float
) -> None:
    said = conversation(seed, ("lobby", "kids"), users, abusive, spam, flood)
    for _ in range(50):
        message = next(said).message()
        assert message_of(json.dumps(message).encode(), "") == message


@settings(max_examples=4)
@given(
    st.integers(0, 2**32), st.integers(1, 50), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1),
    st.floats(0, 1),
)  # fmt: skip
def test_generated_posts_are_as_many_as_asked_for(
    seed: int, users: int, late: float, duplicates: float, malformed: float, odd: float, abusive: float
) -> None:
    posts = list(
        synthetic_posts.events(
            seed=seed, start=datetime(2026, 1, 2, tzinfo=UTC), limit=40, users=users, late=late, duplicates=duplicates,
            malformed=malformed, odd=odd, abusive=abusive, oversized_bytes=5000,
        )
    )  # fmt: skip
    assert sum(post.kind != "malformed" for post in posts) == 40
    assert [post.time for post in posts] == sorted(post.time for post in posts)
    for post in posts:
        if post.kind != "malformed":
            fields = json.loads(post.value)
            assert isinstance(fields["post_id"], str)
            assert fields["post_id"].encode() == post.key or post.key


@settings(max_examples=20)
@given(st.from_regex(r"\A[a-z0-9_]{1,30}\Z"), st.integers(0, 2**32))
def test_a_made_up_person_is_the_same_each_time(name: str, seed: int) -> None:
    assert synthetic_instagram.person(name, seed) == synthetic_instagram.person(name, seed)
    assert username(name) == name


NUMBERS: dict[str, tuple[Callable[[str], float], float, float]] = {
    "non_negative": (_command_line.non_negative, 0, math.inf),
    "positive": (_command_line.positive, 5e-324, math.inf),
    "share": (_command_line.share, 0, 1),
    "whole_number": (_command_line.whole_number, 0, math.inf),
}


@pytest.mark.parametrize("kind", NUMBERS)
@given(ANY_TEXT | st.floats().map(str) | st.integers().map(str) | st.sampled_from(["²", "٣", "1_0", "0x1", "1e999"]))
def test_an_argument_is_a_number_in_its_range_or_refused(kind: str, text: str) -> None:
    read, least, most = NUMBERS[kind]
    try:
        found = read(text)
    except argparse.ArgumentTypeError:
        return
    assert least <= found <= most
    assert found < math.inf


def test_every_stream_is_known_by_each_of_its_names() -> None:
    for stream in STREAMS.values():
        event = as_event(json.dumps({"meta": {"stream": stream.meta_stream}}).encode(), None)
        assert event.stream == stream.name
