"""jobs/moderation.py on literal rows, by policies that decide by room and copies, whatever the models say of a text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from pyflink.table import Table

from jobs.moderation import (
    counted,
    decisions,
    judged,
    late_messages,
    moderation_metrics,
    moderation_mutes,
    moderation_users,
    moderation_verdicts,
    outputs,
    pardons,
    policies_in_force,
    strikes,
    timed_messages,
    told_once,
    with_latency,
    with_policies,
)
from models.policy import Policy
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]

# Every text is flagged, but in the room `calm`, where none is, and held in `strict`. Full strikes at first.
POLICY = {
    "version": "1", "unscored": "show", "classes": {"toxic": {"flag": 0.0}},
    "spam": {"copies": 3, "decision": "hold"}, "flood": {"messages": 50, "decision": "flag"},
    "strikes": {"flag": 1, "hold": 2, "warn_at": 1.5, "mute_at": 2.5, "mute_minutes": 7},
    "rooms": {"calm": {"classes": {"toxic": {"flag": 1.0}}}, "strict": {"classes": {"toxic": {"hold": 0.0}}}},
}  # fmt: skip
_offsets = count()


def message(seconds: float, room: str = "lobby", user: str = "ada", text: str | None = None, **fields: Any) -> Row:
    """A message this many seconds after noon; `fields` replace its own."""
    number = next(_offsets)
    return {
        "record_key": "eA==", "message_id": f"m{number}", "room": room, "user_name": user,
        "text": text or f"text number {number}", "client_time": None, "server_time": at(seconds),
        "record_value": "e30=", "record_topic": "chat_messages", "record_partition": 0, "record_offset": number,
        "record_time": at(seconds),
    } | fields  # fmt: skip


def tick(seconds: float) -> Row:
    return {
        "record_topic": "chat_messages", "record_partition": 0, "record_offset": next(_offsets),
        "record_time": at(seconds), "error": "empty_value",
    }  # fmt: skip


def published(seconds: float, policy: Mapping[str, Any] | None, slot: str = "champion") -> Row:
    return {
        "record_key": "eA==", "slot": slot, "version": "v", "policy": policy and json.dumps(policy),
        "valid_from": at(seconds), "record_value": "e30=", "record_topic": "moderation_policies",
        "record_partition": 0, "record_offset": next(_offsets), "record_time": at(seconds - 10),
    }  # fmt: skip


def verdict(seconds: float, of: Row, said: str = "overturn", points: int = 1000, **fields: Any) -> Row:
    number = next(_offsets)
    return {
        "record_key": "eA==", "feedback_id": f"f{number}", "kind": "verdict", "verdict": said,
        "message_id": of["message_id"], "room": of["room"], "user_name": of["user_name"], "moderator": "mo",
        "server_time": at(seconds), "message_time": of["server_time"], "decision": "flag", "strike_points": points,
        "record_value": "e30=", "record_topic": "moderation_feedback", "record_partition": 0, "record_offset": number,
        "record_time": at(seconds),
    } | fields  # fmt: skip


def by_id(found: list[Row]) -> dict[str, Row]:
    assert len({row["message_id"] for row in found}) == len(found)
    return {row["message_id"]: row for row in found}


def test_a_message_is_late_behind_the_newest_of_its_partition(given: Given, rows: Rows) -> None:
    story = [
        message(1),
        message(0.8),  # within the 300 ms that writers may differ
        tick(2),
        message(1.7),  # just not
        message(1.701),
        message(3, record_partition=1),
        message(2, error="invalid_json"),  # of dead_letters
    ]

    timed = timed_messages(given("chat_messages", *story), out_of_order_ms=300)

    found = by_id(rows(timed))
    late = {row["message_id"] for row in found.values() if row["is_late"]}
    assert found.keys() == {row["message_id"] for row in story if "message_id" in row and "error" not in row}
    assert late == {story[3]["message_id"]}
    (told,) = rows(late_messages(timed))
    assert (told["event_time"], told["watermark"], told["job"]) == (at(1.7), at(1.7), "moderation")


def test_the_policy_is_the_one_in_force_at_the_messages_time(given: Given, rows: Rows) -> None:
    story = [message(second, room=f"room {second % 3}") for second in (5, 9, 10, 19, 20, 21, 30)]
    policies = policies_in_force(
        given(
            "moderation_policies",
            published(10, {"version": "a"}),
            published(15, {"version": "s"}, slot="shadow"),
            published(20, {"version": "b"}),
            published(21, None, slot="shadow"),
            published(12, {"version": "c"}, slot="unheard of") | {"slot": None},
        )
    )

    found = rows(with_policies(timed_messages(given("chat_messages", *story), 300), policies))

    def version(policy: str | None) -> str | None:
        return policy and json.loads(policy)["version"]

    told = {row["message_id"]: (version(row["policy"]), version(row["shadow_policy"])) for row in found}
    assert [told[row["message_id"]] for row in story] == [
        (None, None), (None, None), ("a", None), ("a", "s"), ("b", "s"), ("b", None), ("b", None),
    ]  # fmt: skip


def test_copies_and_bursts_are_counted_by_user_and_time(given: Given, rows: Rows) -> None:
    story = [
        message(0, text="Buy \u00a0THIS"),
        message(4, text="buy this", room="other"),
        message(5, user="bob", text="buy this"),
        message(30, text="other"),
        message(60, text="\nbuy this\t"),
        message(60.001, text="buy this"),
        message(50, text="buy this"),  # late
    ]
    timed = timed_messages(given("chat_messages", *story), 300)
    policies = policies_in_force(given("moderation_policies", published(0, POLICY)))

    found = by_id(rows(counted(with_policies(timed, policies), copies_seconds=60, burst_seconds=10)))

    told = [(found[row["message_id"]]["copies"], found[row["message_id"]]["burst"]) for row in story]
    assert told == [(1, 1), (2, 2), (1, 1), (1, 1), (3, 1), (3, 2), (1, 1)]


def job(given: Given, story: list[Row], feedback: list[Row], *more: Row) -> tuple[Table, Table]:
    """Judged messages, and strikes, of this story under POLICY."""
    policies = policies_in_force(given("moderation_policies", published(-1e6, POLICY), *more))
    timed = timed_messages(given("chat_messages", *story), 300)
    messages = judged(
        counted(with_policies(told_once(timed), policies), copies_seconds=60, burst_seconds=10),
        Policy.default().to_json(),
        "",
    )
    pardoned = pardons(given("moderation_feedback", *feedback), strike_minutes=60)
    return messages, strikes(messages, pardoned, strike_minutes=60)


def test_strikes_fade_escalate_and_are_pardoned(given: Given, rows: Rows) -> None:
    story = [
        message(0),
        message(1, room="calm"),  # allowed: no strike
        message(900, message_id="twice"),
        message(1800, user="bob"),
        message(1800, room="strict"),  # held: two strikes
        message(2700),
        message(2699.5),  # late, decided without strikes
        message(4500),
        message(9000, room="strict"),
        message(9000.5, text="   "),
        message(9001),
    ]
    first, _, second, _, held, *_ = story
    feedback = [
        verdict(60, second, said="uphold"),
        verdict(2000, held, points=2000, decision="hold"),
        verdict(2000, held, points=2000, decision="hold"),  # said twice, pardoned once
        verdict(2002, first, points=0),
        verdict(9000.5, first),  # long faded
    ]
    repeats = [message(900, message_id="twice"), message(901, message_id="twice")]
    messages, struck = job(given, [*story[:3], *repeats, *story[3:]], feedback)

    found = by_id(rows(decisions(messages, struck)))

    def faded(now: float, *acts: tuple[float, float]) -> float:
        return sum(points * (1 - (now - then) / 3600) for then, points in acts if 0 <= now - then <= 3600)

    left = -2 * (1 - 200 / 3600)  # of the held message, when it was overturned
    expected = [
        ("flag", 1.0, "none"),
        ("allow", None, "none"),
        ("flag", faded(900, (0, 1), (900, 1)), "warn"),
        ("flag", 1.0, "none"),
        ("hold", faded(1800, (0, 1), (900, 1), (1800, 2)), "mute"),
        ("flag", faded(2700, (0, 1), (900, 1), (1800, 2), (2000, left), (2700, 1)), "warn"),
        ("flag", None, "none"),
        ("flag", faded(4500, (900, 1), (1800, 2), (2000, left), (2700, 1), (4500, 1)), "none"),
        ("hold", 2.0, "warn"),
        ("unscored", None, "none"),
        ("flag", faded(9001, (9000, 2), (9001, 1)), "mute"),
    ]
    told = [found[row["message_id"]] for row in story]
    for row, (decision, strikes_then, action) in zip(told, expected, strict=True):
        assert (row["decision"], row["action"]) == (decision, action), row
        assert row["strikes"] == pytest.approx(strikes_then, abs=0.002) if strikes_then else row["strikes"] is None, row
    assert [row["muted_until"] for row in told if row["muted_until"]] == [at(1800 + 420), at(9001 + 420)]
    assert [row["strike_points"] for row in told if row["is_late"]] == [0]
    assert {row["policy_version"] for row in told} == {"1"}


def test_messages_of_one_id_in_two_rooms_are_pardoned_each(given: Given, rows: Rows) -> None:
    one, other = message(0, message_id="same"), message(0, message_id="same", room="other")
    feedback = given("moderation_feedback", verdict(9, one), verdict(18, other), verdict(36, other))

    pardoned = rows(pardons(feedback, strike_minutes=60))

    assert [(row["room"], row["points"]) for row in pardoned] == [("lobby", -997), ("other", -995)]


def test_users_and_minutes_are_told(given: Given, rows: Rows) -> None:
    story = [
        message(0, text="same"), message(1, text="same"), message(2, room="calm"), message(3, text="same"),
        message(4, user="bob", room="calm"), message(61, user="bob"),
    ]  # fmt: skip
    shadow = published(-1e6, POLICY | {"version": "2", "classes": {}, "spam": None, "rooms": {}}, slot="shadow")
    feedback = [verdict(70, story[5]), {**verdict(80, story[5]), "kind": "mute", "minutes": 5, "verdict": None}]
    messages, struck = job(given, story, feedback, shadow)
    decided = with_latency(decisions(messages, struck))

    users = {row["user_name"]: row for row in rows(moderation_users(struck))}  # the last of each user is the document
    metrics = {(row["window_start"], row["room"]): row for row in rows(moderation_metrics(decided))}

    assert users["ada"] | {"strikes": None} == {
        "user_name": "ada", "struck_at": at(3), "strikes": None, "flags": 3, "pardons": 0, "action": "mute",
        "muted_until": at(423), "last_message_id": story[3]["message_id"], "last_room": "lobby", "policy_version": "1",
    }  # fmt: skip
    assert (users["bob"]["flags"], users["bob"]["pardons"], users["bob"]["action"]) == (1, 1, None)
    assert users["bob"]["strikes"] == pytest.approx(0, abs=0.001)
    lobby = metrics[at(0), "lobby"]
    told = {name: lobby[name] for name in ("messages", "users", "allowed", "flagged", "held", "unscored", "spam")}
    assert told == {
        "messages": 3, "users": 1, "allowed": 0, "flagged": 2, "held": 1, "unscored": 0, "spam": 1,
    }  # fmt: skip
    assert (lobby["warnings"], lobby["mutes"], lobby["strike_points"]) == (1, 1, 4000)
    assert lobby["max_latency_ms"] >= lobby["mean_latency_ms"] > 1e9  # the story is of long ago
    assert (lobby["shadow_messages"], lobby["shadow_changes"], lobby["shadow_flagged"]) == (3, 3, 0)
    assert (metrics[at(0), "calm"]["allowed"], metrics[at(0), "calm"]["shadow_changes"]) == (2, 0)
    assert metrics.keys() == {(at(0), "lobby"), (at(0), "calm"), (at(60), "lobby")}


def test_feedback_is_written_beside_the_decision(given: Given, rows: Rows) -> None:
    of = message(0)
    feedback = given(
        "moderation_feedback",
        verdict(1, of, is_sampled=True, decision="allow"),
        verdict(2, of, said="so so"),  # of dead_letters
        verdict(2, of, room=None),  # likewise
        {**verdict(3, of), "kind": "mute", "minutes": 5},
        {**verdict(4, of), "kind": "unmute"},
        {"record_time": at(5), "error": "empty_value"},  # a tick
    )

    (told,) = rows(moderation_verdicts(feedback))
    assert (told["room"], told["message_id"]) == (of["room"], of["message_id"])
    assert (told["verdict"], told["decision_at_verdict"], told["is_sampled"]) == ("overturn", "allow", True)
    assert [row["muted_by_hand_until"] for row in rows(moderation_mutes(feedback))] == [at(303), at(4)]


def test_columns_fit_and_each_text_is_judged_once(
    given: Given, fits_sink: Callable[[str, Table], bool], plan: Callable[[Mapping[str, Table]], str]
) -> None:
    found = outputs(given("chat_messages"), given("moderation_policies"), given("moderation_feedback"))
    assert [sink for sink, table in found.items() if not fits_sink(sink, table)] == []

    steps = plan(found)

    # One for those in time and one for those that are late, which never meet.
    assert len(re.findall(r"PythonCalc\(", steps)) == 2
    assert len(re.findall(r"where=\[is_late\]", steps)) >= 1
    assert "Deduplicate(keep=[LastRow]" in steps  # of the policies: a Top-1 would lose the time of their versions
