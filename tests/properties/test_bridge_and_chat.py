"""What comes into the chat: records of Kinesis, what people say, records of Kafka, requests' forms, sessions, times."""

from __future__ import annotations

import json
from itertools import chain, permutations
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from connectors import kinesis_bridge
from connectors.kinesis_bridge import PUT_BYTES, PUT_RECORDS, chunks, message_of, readable
from producers._command_line import InputError
from services import chat_log
from services.moderation.access import COOKIE, Buckets, Caller, Keys
from services.moderation.chat import DECISIONS, FEEDBACK, LAST, MESSAGES, POLICIES, Chat, Record, iso, milliseconds
from tests.fuzz.mutate import SEPARATOR
from tests.fuzz.targets import chat as of_chat
from tests.fuzz.targets.records import decision, verdict
from tests.properties.strategies import ANY_JSON, ANY_TEXT, UNICODE, spoilt

SAID = {"message_id": "1", "room": "lobby", "user_name": "ann", "text": "hi", "client_time": "2026-01-02T12:00:00Z"}


@settings(max_examples=120)
@given(spoilt(SAID) | ANY_JSON, UNICODE)
def test_a_record_of_kinesis_is_a_message_or_none(value: Any, place: str) -> None:
    message = message_of(json.dumps(value).encode(), place)
    if message is None:
        return
    assert list(message) == list(SAID)
    assert all(
        1 <= len(message[name]) <= longest for name, longest in (("message_id", 64), ("room", 64), ("text", 2000))
    )
    assert message_of(json.dumps(value).encode(), place) == message  # told twice, it has the same id
    assert message_of(json.dumps(message).encode(), "elsewhere") == message


@given(st.binary(max_size=40))
def test_any_bytes_of_kinesis_are_a_message_or_none(data: bytes) -> None:
    assert message_of(data, "") is None or b"room" in data


@given(st.lists(st.tuples(st.integers(0, PUT_BYTES // 3), UNICODE), max_size=40), st.integers(1, 30))
def test_records_are_put_whole_and_in_order_within_the_limits(sizes: list[tuple[int, str]], times: int) -> None:
    blank = bytes(PUT_BYTES)
    entries = [{"Data": memoryview(blank)[:size], "PartitionKey": key} for size, key in sizes * times]

    found = list(chunks(entries))

    assert list(chain.from_iterable(found)) == entries
    for chunk in found:
        assert 1 <= len(chunk) <= PUT_RECORDS
        assert sum(len(entry["Data"]) + len(entry["PartitionKey"].encode()) for entry in chunk) <= PUT_BYTES


SHARDS = st.integers(0, 6).map(str)


@given(st.dictionaries(SHARDS, st.tuples(st.none() | SHARDS, st.none() | SHARDS)), st.sets(SHARDS))
def test_a_shard_is_read_after_those_that_it_was_made_from(parents: dict[str, tuple[Any, Any]], read: set[str]) -> None:
    shards = [
        {"ShardId": name, "ParentShardId": one, "AdjacentParentShardId": other}
        for name, (one, other) in parents.items()
    ]
    expected = {
        name for name in parents if name not in read and not {one for one in parents[name] if one in parents} - read
    }
    assert set(readable(shards, read)) == expected


CHECKPOINT = {"streams": {"in": {"since": 1.5, "shards": {"a": "1"}, "read": ["b"]}}, "topics": {"t": {"0": 7}}}


@given(spoilt(CHECKPOINT))
def test_a_checkpoint_is_kept_or_refused(tmp_path_factory: Any, value: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "checkpoint.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    try:
        checkpoint = kinesis_bridge.Checkpoint(file)
    except InputError:
        return
    checkpoint.begin("in", None)
    checkpoint.advance("in", "c", "9")
    checkpoint.advance_offset("t", 1, 9)
    checkpoint.save()
    again = kinesis_bridge.Checkpoint(file)
    assert (again.sequence_number("in", "c"), again.offset("t", 1)) == ("9", 9)
    assert (again.read("in"), again.since("in")) == (checkpoint.read("in"), checkpoint.since("in"))


TOLD: tuple[tuple[str, Any], ...] = (
    (MESSAGES, SAID),
    (DECISIONS, decision() | {"action": "mute", "muted_until": "2026-01-02T12:10:00.000Z"}),
    (FEEDBACK, verdict()),
    (POLICIES, {"slot": "champion", "version": "2", "valid_from": "2026-01-01T00:00:00Z", "policy": "version: a"}),
    (MESSAGES, SAID | {"message_id": "2", "user_name": "bob"}),
    (DECISIONS, decision() | {"message_id": "2", "user_name": "bob", "decision": "allow"}),
    (FEEDBACK, verdict() | {"feedback_id": "9", "kind": "mute", "minutes": 5}),
)  # fmt: skip


@given(
    st.lists(
        st.integers(0, len(TOLD) - 1).flatmap(lambda at: spoilt(TOLD[at][1]).map(lambda one: (TOLD[at][0], one))),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_state_of_the_chat_does_not_hang_on_the_order_of_topics(
    told: list[tuple[str, Any]], chance: Random
) -> None:
    """Each topic in its own order, but one before or after another as chance has it; and some of it twice."""

    def state(records: list[Record]) -> list[Any]:
        known = Chat(of_chat.DEFAULT, history_minutes=60, strike_minutes=60, unscored_seconds=30, review_share=0.5)
        known.apply(records)
        found = of_chat._asked(known)
        return sorted(json.dumps(each, sort_keys=True) for each in found)

    records = [
        Record(topic, 0, of_chat.NOW + number, json.dumps(value).encode()) for number, (topic, value) in enumerate(told)
    ]
    by_topic = {
        topic: [one for one in records if one.topic == topic] for topic in (MESSAGES, DECISIONS, FEEDBACK, POLICIES)
    }
    merged: list[Record] = []
    waiting = [list(some) for some in by_topic.values() if some]
    while waiting:
        some = chance.choice(waiting)
        merged.append(some.pop(0))
        waiting = [each for each in waiting if each]

    assert state(merged) == state(records)
    assert state(merged + records) == state(records)


@given(st.lists(st.sampled_from([value for _topic, value in TOLD]).flatmap(spoilt), max_size=6))
def test_whatever_is_told_the_chat_can_be_asked(told: list[Any]) -> None:
    of_chat.test(SEPARATOR.join(json.dumps(one).encode() for one in told))


SPOKEN = (
    {"type": "join", "room": "lobby", "user_name": "ann"},
    {"type": "send", "message_id": "9", "text": "hello", "client_time": "2026-01-02T12:00:00Z"},
    {"text": "hi", "room": "lobby"}, {"texts": ["hi"]}, {"message_id": "1", "verdict": "uphold"},
    {"minutes": 5}, {"key": "k"},
)  # fmt: skip


@settings(max_examples=120)
@given(st.sampled_from(SPOKEN).flatmap(spoilt) | ANY_JSON)
def test_what_is_said_is_sent_or_answered(said: Any) -> None:
    value = json.dumps(said).encode()
    of_chat._said(value)
    of_chat._form(value)


NAMES = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")
SECRETS = st.text(st.characters(exclude_characters=",:", exclude_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]), min_size=8)


@given(st.dictionaries(NAMES, SECRETS, min_size=1, max_size=4), st.booleans(), ANY_TEXT)
def test_a_session_is_of_who_began_it_and_no_other_text_is_one(
    keys: dict[str, str], moderates: bool, text: str
) -> None:
    keys = {name: key for key, name in {key: name for name, key in keys.items()}.items()}  # a key has one name
    known = Keys(",".join(f"{name}:{key}{':moderator' * moderates}" for name, key in keys.items()))
    for name, key in keys.items():
        caller = Caller(name, moderates)
        assert known.of_key(key) == caller
        cookie = known.session(caller)
        found = known.of_session(cookie)
        assert found
        assert (found.name, found.is_moderator) == (name, moderates)
        assert key not in cookie or key in name
        for at in range(0, len(cookie), 7):
            assert known.of_session(cookie[:at] + ("0" if cookie[at] != "0" else "1") + cookie[at + 1 :]) is None
    assert text in keys.values() or known.of_key(text) is None
    assert known.of_session(text) is None
    known.caller(Headers({"cookie": f"{COOKIE}={text.encode('utf-8', 'replace').decode('latin-1')}"}))


@given(st.integers(1, 600), st.lists(st.text("ab", max_size=1), max_size=50))
def test_nobody_asks_oftener_than_allowed(a_minute: int, asked: list[str]) -> None:
    buckets = Buckets(a_minute)
    allowed = [holder for holder in asked if buckets.wait_seconds(holder) == 0]
    for holder in set(asked):
        assert allowed.count(holder) <= a_minute + 1  # at most one more comes up meanwhile
        assert allowed.count(holder) >= min(a_minute, asked.count(holder))


@given(st.integers(0, LAST))
def test_a_time_is_read_back(time: int) -> None:
    assert milliseconds(iso(time)) == time
    assert time > 2**33 * 1000 or chat_log._iso(time) == iso(time)  # until 2242


@given(st.lists(st.integers(0, 2**41), max_size=10))
def test_the_clock_of_a_partition_never_goes_back(at_least: list[int]) -> None:
    partition = chat_log._Partition("t", 0)
    told = [partition.now(time) for time in at_least]
    assert told == sorted(told)
    assert all(time >= least for time, least in zip(told, at_least, strict=True))


def test_every_order_of_one_message_is_the_same() -> None:
    records = [Record(topic, 0, of_chat.NOW, json.dumps(value).encode()) for topic, value in TOLD[:4]]
    states = []
    for order in permutations(records):
        known = Chat(of_chat.DEFAULT, history_minutes=60, strike_minutes=60, unscored_seconds=30, review_share=0.5)
        known.apply(order)
        states.append(of_chat._asked(known))
    assert all(state == states[0] for state in states)
