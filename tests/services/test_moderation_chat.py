"""The state of the chat, from records alone: states, queues, strikes and mutes, whatever the order of the topics."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from models.policy import Policy
from services.moderation import chat as module
from services.moderation.chat import DECISIONS, FEEDBACK, MESSAGES, POLICIES, Chat, Record, iso

NOW = 1_780_000_000_000
MINUTE = 60_000
POLICY = 'version: "1"\nunscored: show\nrooms: {kids: {unscored: hold}}'


def chat(**changes: float) -> Chat:
    values = {"history_minutes": 60, "strike_minutes": 60, "unscored_seconds": 5, "review_share": 0.0}
    return Chat(Policy.parse(POLICY), **(values | changes))


def record(topic: str, value: dict[str, Any], time: int, partition: int = 0) -> Record:
    return Record(topic, partition, time, json.dumps(value).encode())


def message(identity: str, at: int = NOW, room: str = "den", user_name: str = "bob") -> Record:
    return record(MESSAGES, {"message_id": identity, "room": room, "user_name": user_name, "text": "Hello"}, at)


def decision(identity: str, kind: str, at: int = NOW, room: str = "den", **more: Any) -> Record:
    value = {
        "message_id": identity, "room": room, "user_name": "bob", "text": "Hello", "server_time": iso(at),
        "decision": kind, "reasons": ["toxic"], "ngrams": ["hell"], "strike_points": 0, "action": "none",
    }  # fmt: skip
    return record(DECISIONS, value | more, at)


def feedback(number: int, kind: str, at: int = NOW, **more: Any) -> Record:
    nothing = {"verdict": None, "message_id": None, "decision": None, "minutes": None}
    value = {"feedback_id": f"f{number}", "kind": kind, "user_name": "bob", "moderator": "anna", "server_time": iso(at)}
    return record(FEEDBACK, nothing | value | more, at)


def verdict(number: int, identity: str, of: str | None, what: str, at: int = NOW, room: str = "den") -> Record:
    return feedback(number, "verdict", at, message_id=identity, room=room, decision=of, verdict=what)


@pytest.mark.parametrize(
    ("kind", "what", "late", "state", "queue", "text_for_others"),
    [
        (None, None, False, "checking", None, "Hello"),
        (None, None, True, "unscored", "unscored", "Hello"),
        ("unscored", None, False, "unscored", "unscored", "Hello"),
        ("allow", None, False, "clean", None, "Hello"),
        ("allow", None, True, "clean", None, "Hello"),  # decided after it was unscored
        ("flag", None, False, "flagged", "flagged", "Hello"),
        ("hold", None, False, "held", "held", None),
        ("flag", "uphold", False, "flagged", None, "Hello"),
        ("flag", "overturn", False, "clean", None, "Hello"),
        ("hold", "uphold", False, "held", None, None),
        ("hold", "overturn", False, "clean", None, "Hello"),
        ("allow", "uphold", False, "clean", None, "Hello"),
        ("allow", "overturn", False, "held", None, None),
        ("unscored", "uphold", False, "clean", None, "Hello"),
        ("unscored", "overturn", False, "held", None, None),
    ],
)
def test_state(
    kind: str | None, what: str | None, late: bool, state: str, queue: str | None, text_for_others: str | None
) -> None:
    known = chat()
    known.apply([message("a")])
    known.sweep(NOW + (5001 if late else 5000))
    known.apply([decision("a", kind)] if kind else [])
    known.apply([verdict(1, "a", kind, what)] if what else [])
    found = known.messages["a"]
    assert (known.state(found), found.queue, known.shown(found, whole=False)["text"]) == (state, queue, text_for_others)
    assert known.shown(found, whole=True)["text"] == "Hello"
    assert known.shown(found, whole=False)["ngrams"] == (["hell"] if kind and text_for_others else [])
    assert sum(known.counts().values()) == (queue is not None)


@pytest.mark.parametrize(("room", "text"), [("den", "Hello"), ("kids", None)])
def test_what_is_not_scored_is_shown_by_the_rooms_policy(room: str, text: str | None) -> None:
    known = chat()
    known.apply([message("a", room=room)])
    shown = [known.shown(known.messages["a"], whole=False)["text"]]
    known.sweep(NOW + 6000)
    shown.append(known.shown(known.messages["a"], whole=False)["text"])
    known.apply([decision("a", "allow", room=room)])
    assert [*shown, known.shown(known.messages["a"], whole=False)["text"]] == [text, text, "Hello"]


def test_a_verdict_stays_when_the_decision_comes_later() -> None:
    known = chat()
    known.apply([message("a"), verdict(1, "a", None, "uphold"), decision("a", "hold")])
    assert known.state(known.messages["a"]) == "clean"


def test_a_policy_is_in_force_from_its_time_on() -> None:
    known = chat()

    def published(slot: str, version: str, at: int, policy: str | None) -> Record:
        return record(POLICIES, {"slot": slot, "version": version, "valid_from": iso(at), "policy": policy}, 0)

    known.apply(
        [
            published("champion", "3", NOW + 20, 'version: "3"'),  # read before the one that is in force before it
            published("champion", "2", NOW + 10, 'version: "2"'),
            published("champion", "x", NOW, "version: ["),
            published("champion", "x", NOW, None),
            published("shadow", "s", NOW, 'version: "s"'),
            published("shadow", "s", NOW + 20, None),
        ]
    )
    assert [known.champion(NOW + at).version for at in (9, 10, 19, 20)] == ["1", "2", "2", "3"]
    shadows = [known.policy(NOW + at, "shadow") for at in (-1, 0, 19, 20)]
    assert [each and each.version for each in shadows] == [None, "s", "s", None]


def test_strikes_fade_and_a_moderator_takes_them_back() -> None:
    known = chat()
    known.apply([decision("a", "flag", NOW, strike_points=1000), decision("b", "hold", NOW, strike_points=2000)])
    assert [known.standing("bob", NOW + at * MINUTE)["strikes"] for at in (0, 30, 60, 90)] == [3, 1.5, 0, 0]
    known.apply([verdict(1, "b", "hold", "overturn")])
    assert known.standing("bob", NOW + 30 * MINUTE)["strikes"] == 0.5


@pytest.mark.parametrize(
    ("events", "until"),
    [
        ([("job", 0, 10)], 10),
        ([("job", 0, 10), ("unmute", 1, 0)], None),
        ([("unmute", 1, 0), ("job", 0, 10)], None),  # read in the other order
        ([("mute", 0, 5), ("job", 1, 10)], 11),
        ([("job", 1, 10), ("mute", 2, 5)], 7),  # the newest counts, though it is shorter
        ([("mute", 0, 2)], None),  # over
    ],
)
def test_the_newest_mute_counts(events: list[tuple[str, int, int]], until: int | None) -> None:
    known = chat()
    for number, (kind, at, minutes) in enumerate(events):
        time = NOW + at * MINUTE
        if kind == "job":
            known.apply([decision(f"m{number}", "flag", time, action="mute", muted_until=iso(time + minutes * MINUTE))])
        else:
            known.apply([feedback(number, kind, time, minutes=minutes)])
    expected = None if until is None else iso(NOW + until * MINUTE)
    assert known.standing("bob", NOW + 3 * MINUTE)["muted_until"] == expected


def test_any_order_of_the_topics_and_repeats_give_the_same() -> None:
    chance = random.Random(5)
    kinds = ["allow", "flag", "hold", "unscored"]
    drawn = [chance.choice(kinds) for _ in range(60)]
    messages = [message(f"m{n}", NOW + n, room=f"r{n % 3}") for n in range(60)]
    decisions = [decision(f"m{n}", kind, NOW + n, room=f"r{n % 3}", strike_points=1000) for n, kind in enumerate(drawn)]
    said = [chance.choice(["uphold", "overturn"]) for _ in range(20)]
    words = [verdict(n, f"m{n}", drawn[n], each, NOW + 100 + n, room=f"r{n % 3}") for n, each in enumerate(said)]

    def told(records: list[Record]) -> str:
        known = chat(review_share=0.3)
        known.apply(records)
        ids = sorted(known.messages)
        rooms = [[each.message_id for each in known.last_of(f"r{number}")] for number in range(3)]
        details = [known.detail(known.messages[each]) for each in ids]
        return json.dumps([details, rooms, known.counts(), known.standing("bob", NOW + MINUTE)], sort_keys=True)

    expected = told([*messages, *decisions, *words])
    assert '"sampled"' in expected
    for _ in range(20):
        topics = [list(messages), list(decisions), list(words)]
        mixed: list[Record] = []
        while any(topics):  # each topic in its order, any of them next; now and then a record twice
            records = chance.choice([each for each in topics if each])
            mixed += [records[0]] if chance.random() < 0.2 else []
            mixed.append(records.pop(0))
        assert told(mixed) == expected


def test_nothing_old_is_kept() -> None:
    known = chat()
    records = []
    for number in range(3):
        at = NOW + number * 40 * MINUTE
        records += [
            message(f"m{number}", at, room=f"r{number}", user_name=f"u{number}"),
            decision(f"m{number}", "flag", at, user_name=f"u{number}", strike_points=1000),
            feedback(number, "mute", at, user_name=f"u{number}", minutes=1),
        ]
    known.apply(records)
    known.forget(NOW + 90 * MINUTE)
    assert list(known.messages) == ["m1", "m2"]
    assert set(known.users) == {"u1", "u2"}
    assert [len(known.last_of(f"r{number}")) for number in range(3)] == [0, 1, 1]
    known.forget(NOW + 900 * MINUTE)
    assert not any(known._read.pop(key) for key in list(known._read))
    left = [value for value in vars(known).values() if isinstance(value, dict) and value is not known._policies]
    assert [len(each) for each in left if each] == [4]  # the queues
    assert known.counts() == dict.fromkeys(module.QUEUES, 0)


def test_no_more_is_kept_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGES", 100)
    known = chat()
    for number in range(250):
        partition = number % 4
        known.apply([message(f"m{number}", NOW + number, room=f"r{partition}")._replace(partition=partition)])
    known.apply([decision(f"m{number}", "flag", NOW + number, room=f"r{number % 4}") for number in range(250)])
    known.forget(NOW + 1000)
    assert set(known.messages) == {f"m{number}" for number in range(150, 250)}
    assert known.counts()["flagged"] == 100


def test_the_share_for_review_is_the_same_in_each_process_and_about_so_large() -> None:
    known = chat(review_share=0.1)
    known.apply([message(f"m{number}") for number in range(5000)])
    known.apply([decision(f"m{number}", "allow") for number in range(5000)])
    sampled = known.counts()["sampled"]
    assert 400 < sampled < 600
    assert module.share_of("m1") == 0.789275335463235


def test_another_rooms_message_of_the_same_id_is_another() -> None:
    known = chat()
    known.apply([decision("a", "hold", room="other", strike_points=1000), message("a")])
    known.apply([verdict(1, "a", "hold", "overturn", room="third")])
    assert known.state(known.messages["a"]) == "checking"
    assert known.standing("bob", NOW)["strikes"] == 1
    known.apply([decision("a", "flag", strike_points=1000), verdict(2, "a", "hold", "overturn", room="other")])
    assert known.state(known.messages["a"]) == "flagged"
    assert known.standing("bob", NOW)["strikes"] == 1


LINES: list[bytes] = [
    b"{", b"[]", b"7", b'{"message_id": "a"}', b'{"message_id": 1, "room": "r", "user_name": "u", "text": "t"}',
    b'{"message_id": "a", "room": "", "user_name": "u", "text": "t"}',
]  # fmt: skip
DECIDED: list[dict[str, Any]] = [
    {"reasons": [1]}, {"reasons": "toxic"}, {"ngrams": [None]}, {"ngrams": {"a": 1}}, {"toxic": [1]},
    {"server_time": 5}, {"server_time": "9999-12-31T23:59:59-12:00"}, {"strike_points": "many"}, {"strike_points": -1},
    {"action": "ban"},
    {"action": "mute", "muted_until": "soon"}, {"decision": "deny"}, {"decision": ["flag"]}, {"room": None},
    {"message_id": ["a"]},
]  # fmt: skip
MUTED: list[dict[str, Any]] = [
    {"minutes": 1e308}, {"minutes": 0}, {"minutes": 525_601}, {"minutes": None}, {"minutes": "5"}, {"moderator": 7},
    {"server_time": None}, {"kind": "ban"}, {"kind": ["mute"]}, {"more": {}},
]  # fmt: skip
SAID: list[dict[str, Any]] = [
    {"verdict": "maybe"}, {"decision": "deny"}, {"decision": []}, {"message_id": None}, {"room": 7},
]  # fmt: skip
MUTE: dict[str, Any] = {"kind": "mute", "user_name": "eve", "minutes": 5}
VERDICT: dict[str, Any] = {"kind": "verdict", "user_name": "eve", "room": "den", "message_id": "a", "verdict": "uphold"}
WITHOUT_DECISION = {"feedback_id": "f", "moderator": "anna", "server_time": iso(NOW), **VERDICT}
POLICY_OF_BRACKETS = {"slot": "champion", "version": "2", "valid_from": iso(NOW), "policy": "[" * 10_000}
ODD = [
    *(Record(topic, 0, NOW, line) for topic in (MESSAGES, DECISIONS, FEEDBACK, POLICIES) for line in LINES),
    message("b", at=-1),
    message("b", at=10**18),
    *(decision("a", **{"kind": "flag", "user_name": "eve"} | odd) for odd in DECIDED),
    *(feedback(9, **MUTE | odd) for odd in MUTED),
    *(feedback(9, **VERDICT | odd) for odd in SAID),
    record(FEEDBACK, WITHOUT_DECISION, NOW),
    record(POLICIES, POLICY_OF_BRACKETS, NOW),
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_record_is_left_out(odd: Record) -> None:
    known = chat()
    known.apply([message("a")])
    before = known.detail(known.messages["a"])
    assert known.apply([odd]) == []
    assert set(known.users) == {"bob"}
    assert known.detail(known.messages["a"]) == before
    assert len(known.apply([message("c"), decision("a", "flag"), verdict(1, "a", "flag", "uphold")])) == 3


@pytest.mark.parametrize("given", [5, [], {}, "x" * 41, None, "2026-01-01T00:00:00+00:00"])
def test_a_client_time_is_short_text_or_null(given: Any) -> None:
    known = chat()
    value = {"message_id": "a", "room": "den", "user_name": "bob", "text": "Hello", "client_time": given}
    known.apply([record(MESSAGES, value, NOW)])
    is_kept = isinstance(given, str) and len(given) <= 40
    assert known.detail(known.messages["a"])["client_time"] == (given if is_kept else None)
