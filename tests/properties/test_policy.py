"""Policies: read back as they are, refused by a sentence, and decisions as a plain reading of the policy has them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policy import CLASSES, REASONS, UNSCORED, Moderator, Policy, RoomPolicy, Scored
from tests.fuzz.targets import policy as target
from tests.properties.strategies import ANY_TEXT, spoilt

SHARES = st.floats(0, 1)
THRESHOLDS = st.none() | st.tuples(SHARES, SHARES, st.sampled_from(["both", "flag", "hold"])).map(
    lambda two: {
        name: value for name, value in zip(("flag", "hold"), sorted(two[:2]), strict=True) if two[2] in (name, "both")
    }
)
DECISION = st.sampled_from(["flag", "hold"])
ROOM = st.fixed_dictionaries(
    {},
    optional={
        "unscored": st.sampled_from(["show", "hold"]),
        "classes": st.dictionaries(st.sampled_from(CLASSES), THRESHOLDS),
        "spam": st.none() | st.fixed_dictionaries({"copies": st.integers(2, 1000), "decision": DECISION}),
        "flood": st.none() | st.fixed_dictionaries({"messages": st.integers(2, 10_000), "decision": DECISION}),
        "strikes": st.fixed_dictionaries({}, optional={"flag": st.floats(0, 1000), "hold": st.integers(0, 1000)}),
    },
)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
# A room may put its own values in place of the common ones, but not in any order: so the common classes are left out.
POLICY = st.builds(
    lambda version, common, rooms: {"version": version, **common, "rooms": rooms},
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,20}\Z"),
    ROOM.map(lambda room: {name: value for name, value in room.items() if name != "classes"}),
    st.dictionaries(NAMES, ROOM, max_size=3),
)


@given(POLICY)
def test_a_policy_is_read_back_from_json_and_from_yaml(content: dict[str, Any]) -> None:
    policy = Policy.parse(json.dumps(content))

    assert Policy.parse(policy.to_json()) == policy
    assert Policy.parse(yaml.safe_dump(content, allow_unicode=True)).rooms == policy.rooms
    assert set(policy.rooms) == set(content["rooms"])
    assert policy.room("\0 no such room") == policy.base
    for name, own in content["rooms"].items():
        for field, value in own.items():
            if field in ("unscored",):
                assert getattr(policy.room(name), field) == value


@settings(max_examples=30)
@given(POLICY.flatmap(spoilt).map(json.dumps) | ANY_TEXT)
def test_a_spoilt_policy_is_usable_or_refused_by_a_sentence(text: str) -> None:
    target._policy(text)


@pytest.mark.parametrize("number", range(len(list(target.seeds()))))
@settings(max_examples=6)
@given(data=st.data())
def test_a_spoilt_file_of_config_is_usable_or_refused_by_a_sentence(number: int, data: st.DataObject) -> None:
    seed = list(target.seeds())[number]
    begin, end = sorted((data.draw(st.integers(0, len(seed))), data.draw(st.integers(0, len(seed)))))
    what = data.draw(
        st.sampled_from([b"", b"!!bool x", b"!!int x", b"!!timestamp x", b"[" * 2000, b"\xff", b"&a *a", b"? "])
    )
    target.test(seed[:begin] + what + seed[end:])


@pytest.fixture(scope="module")
def moderator() -> Moderator:
    return Moderator.load()


TEXTS = ("you are a lovely person", "you stupid idiot", "spam spam spam")


@settings(max_examples=30)
@given(
    room=ROOM,
    rows=st.lists(
        st.tuples(
            st.none() | st.lists(SHARES, min_size=len(CLASSES), max_size=len(CLASSES)),
            st.integers(1, 1001), st.integers(1, 10_001),
        ),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
def test_a_decision_is_what_the_policy_says(moderator: Moderator, room: dict[str, Any], rows: list[Any]) -> None:
    policy = RoomPolicy.model_validate(room)
    nothing = [np.nan] * len(CLASSES)
    scored = Scored(
        probabilities=np.array([shares or nothing for shares, _, _ in rows]),
        cyberbullying=[None] * len(rows),
        sentiment=np.zeros(len(rows)),
        languages=["en"] * len(rows),
        reasons=[None if shares else "empty" for shares, _, _ in rows],
    )
    texts = [TEXTS[number % len(TEXTS)] for number in range(len(rows))]

    judged = moderator.decide(
        texts, scored, [policy] * len(rows), [copies for _, copies, _ in rows], [burst for *_, burst in rows]
    )

    for (shares, copies, burst), one in zip(rows, judged, strict=True):
        passed: dict[str, set[str]] = {"flag": set(), "hold": set()}
        for name, share in zip(CLASSES, shares or (), strict=bool(shares)):
            limits = (room.get("classes") or {}).get(name) or {}
            for decision, limit in limits.items():
                if share >= limit:
                    passed[decision].add(name)
        for reason, number, rule in (("spam", copies, room.get("spam")), ("flood", burst, room.get("flood"))):
            if rule and number >= rule["copies" if reason == "spam" else "messages"]:
                passed[rule["decision"]].add(reason)
        expected = "hold" if passed["hold"] else "flag" if passed["flag"] else "allow" if shares else UNSCORED
        assert one.decision == expected
        assert set(one.reasons) == passed.get(expected, set())
        assert set(one.reasons) <= set(REASONS)
        assert one.strike_points >= 0
