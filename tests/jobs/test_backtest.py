"""jobs/backtest.py: strikes and verdicts on rows, and the whole of it on real Kafka."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from connections import kafka_options
from jobs.backtest import Strikes, Verdict, main, parse, verdicts
from models.policy import Moderator
from settings import settings
from stack import kafka
from tests.conftest import at

HARSH, KIND, MILD = "you are a worthless idiot, nobody wants you here", "hello everyone", "damn, that was close"
POLICY = """
version: tried
classes: {toxic: {flag: 0.7}}
spam: {copies: 3, decision: flag}
strikes: {warn_at: 1.5, mute_at: 2.5}
rooms: {kids: {classes: {toxic: {flag: 0.3}}}}
"""
HOUR = 3600


@pytest.fixture
def prefix(running_stack: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Topics of this test's own."""
    own = f"test-{uuid.uuid4().hex[:8]}."
    kafka.create_topics(own)
    monkeypatch.setenv("CROWDPULSE_PREFIX", own)
    settings.cache_clear()
    yield own
    kafka.delete_topics(own)
    monkeypatch.undo()
    settings.cache_clear()


# seconds, points, when pardoned: the strikes of a user with it
@pytest.mark.parametrize(
    "acts",
    [
        [(0, 1000, None, 1000), (HOUR / 2, 1000, None, 1500), (HOUR, 1000, None, 1500), (3 * HOUR, 500, None, 500)],
        # What is left of the first is taken away after a quarter of an hour, and comes back no more.
        [(0, 1000, 900, 1000), (600, 1000, None, 1000 * (1 - 1 / 6) + 1000), (900, 0, None, 1000 * (1 - 1 / 12))],
        [(0, 1000, 2 * HOUR, 1000), (60, 1000, None, 1000 * (1 - 1 / 60) + 1000)],  # too late to matter
    ],
)
def test_strikes_fade_evenly(acts: list[tuple[float, float, float | None, float]]) -> None:
    strikes = Strikes(HOUR)
    for seconds, points, pardoned_at, expected in acts:
        strikes.add("another", seconds, 5000, None)
        assert strikes.add("anna", seconds, points, pardoned_at) == pytest.approx(expected)


def record(number: int, text: str | None, decision: str = "allow", seconds: float = 0, **fields: Any) -> dict[str, Any]:
    """A record of moderation_decisions."""
    return {
        "message_id": f"m{number}", "room": "lobby", "user_name": "anna", "text": text,
        "server_time": at(seconds).isoformat(), "decision": decision, "reasons": [], "copies": 1, "burst": 1,
        "strike_points": 0, "action": "none", "model_version": Moderator.load().version, "is_late": False,
    } | fields  # fmt: skip


def verdict(message_id: str, word: str, decision: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return {
        "feedback_id": str(uuid.uuid4()), "kind": "verdict", "verdict": word, "message_id": message_id,
        "user_name": "anna", "server_time": at(seconds).isoformat(), "decision": decision,
    } | fields  # fmt: skip


def test_the_last_verdict_counts_and_the_first_pardon() -> None:
    noon = at(0).timestamp()
    told = [
        verdict("a", "overturn", "flag", 9),
        verdict("a", "overturn", "flag", 5),
        verdict("a", "uphold", "hold", 20),
        verdict("b", "overturn", "allow", 1),
        verdict("c", "uphold", "allow", 1),
        verdict("d", "uphold", "flag", 1, kind="mute"),
        verdict("e", "perhaps", "flag", 1),
        verdict(5, "uphold", "flag", 1),  # type: ignore[arg-type]
    ]

    found = verdicts(
        [json.dumps(one).encode() for one in told] + [b"{", b"[]", b"null", b'{"kind": "verdict"}', b"[" * 3000]
    )

    assert found == {"a": Verdict(True, noon + 5), "b": Verdict(True, None), "c": Verdict(False, None)}


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b"{}", b"null", json.dumps(record(1, KIND) | {"server_time": "soon"}).encode(),
     json.dumps(record(1, KIND, room="\ud83d")).encode(), json.dumps(record(1, KIND, copies="many")).encode(),
     json.dumps(record(1, KIND, copies=7)).replace(": 7", ": 1e400").encode(),
     pytest.param(json.dumps(record(1, KIND, burst=10**400)).encode(), id="huge"),
     json.dumps(record(1, KIND) | {"decision": ["flag"]}).encode(), pytest.param(b"[" * 3000, id="deep")],
)  # fmt: skip
def test_a_message_that_is_no_decision_is_passed_over(message: bytes) -> None:
    assert parse(message) is None


def send(topic: str, records: list[dict[str, Any]]) -> None:
    producer = KafkaProducer(**kafka_options())
    sent = [producer.send(topic, json.dumps(one).encode(), key=one.get("room", "").encode()) for one in records]
    for future in sent:
        future.get(timeout=30)
    producer.close()


def cells(printed: str, title: str) -> list[list[str]]:
    """The rows of a printed table."""
    lines = printed[printed.index(title) :].split("└")[0].splitlines()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """`run(arguments…)` with POLICY: the exit code and what was printed."""
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")

    def command(*arguments: str) -> tuple[int, str]:
        code = main(["--policy", str(file), *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return command


@pytest.mark.stack
@pytest.mark.timeout(180)
def test_what_would_change_is_told(prefix: str, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    history = [
        record(1, KIND),
        record(2, HARSH, seconds=10, model_version="older"),
        record(3, HARSH, "flag", seconds=20, reasons=["toxic"]),
        record(3, HARSH, "flag", seconds=20, reasons=["toxic"]),  # at least once
        record(4, KIND, "hold", seconds=30, reasons=["removed"], action="mute", user_name="ben"),
        record(5, KIND, seconds=31, copies=3, user_name="cleo"),
        record(6, MILD, seconds=32, room="kids", user_name="cleo"),
        record(7, None, "unscored", seconds=33, user_name="cleo"),
        record(8, HARSH + " \x1b[31m<script>" + "x" * 100, seconds=34, user_name="anna"),
        record(9, HARSH, seconds=2 * HOUR),  # all strikes have faded
        record(10, HARSH, seconds=40, is_late=True),
    ]
    send(prefix + "moderation_decisions", history)
    send(prefix + "moderation_feedback", [verdict("m2", "overturn", "allow", 50), verdict("m4", "uphold", "hold", 50)])
    code, said = run("--output", str(tmp_path / "changes.jsonl"))

    assert code == 0
    assert "10 messages of the whole history, by policy tried" in said
    assert sorted(row[:3] for row in cells(said, "Decisions")) == [
        ["allow", "allow", "1"],
        ["allow", "flag", "6"],
        ["flag", "flag", "1"],
        ["hold", "allow", "1"],
        ["unscored", "unscored", "1"],
    ]
    assert {row[0]: row[1:] for row in cells(said, "Rooms")} == {
        "lobby": ["9", "6→2", "1→6", "1→0", "1→1", "66.67%"],
        "kids": ["1", "1→0", "0→1", "0→0", "0→0", "100.00%"],
    }
    assert cells(said, "Reasons") == [["toxic", "1", "6", "5", "0"], ["removed", "1", "0", "0", "1"],
                                      ["spam", "0", "1", "1", "0"]]  # fmt: skip
    examples = cells(said, "allow then, flag now")
    assert ["kids", MILD] in examples
    assert all(len(text) <= 80 and "\x1b" not in text for _, text in examples)
    # anna: 1 at 10 s, 2 at 20 s, 3 at 34 s, less what fades; cleo: 1, and 2 in the other room.
    assert cells(said, "What strikes led to") == [["warn", "0", "2"], ["mute", "1", "1"]]
    assert "would be muted and were not: 1 (anna)" in said
    assert "were muted and would not be: 1 (ben)" in said
    assert cells(said, "Against moderators") == [["harmful", "2", "1", "1"], ["fine", "0", "0", "0"]]
    assert "Agreement with 2 verdicts: 50.0% then, 50.0% now." in said
    assert "1 of the messages were decided by other models" in said
    lines = [json.loads(line) for line in (tmp_path / "changes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["message_id"] for line in lines] == ["m2", "m3", "m4", "m5", "m6", "m8", "m10", "m9"]
    assert [line["new_action"] for line in lines] == ["none", "warn", "none", "none", "warn", "mute", "none", "none"]
    assert lines[0]["server_time"] == "2026-01-02T12:00:10.000Z"
    assert "idiot" in lines[0]["new_ngrams"]

    # Only some are told of; the strikes before count all the same.
    code, said = run("--since", at(34).isoformat(), "--until", at(40).isoformat())
    assert "1 messages from" in said
    assert cells(said, "What strikes led to") == [["warn", "0", "0"], ["mute", "0", "1"]]
    code, said = run("--room", "kids")
    assert cells(said, "What strikes led to") == [["warn", "0", "1"], ["mute", "0", "0"]]
    code, said = run("--limit", "2")
    assert "There are no verdicts" in said
    assert sum(int(row[2]) for row in cells(said, "Decisions")) == 2
    assert run("--room", "none")[1].startswith(f"{prefix}moderation_decisions has no messages of room none.")


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_without_history_or_topic_it_is_said(
    prefix: str, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run() == (0, f"{prefix}moderation_decisions has no messages of the whole history.\n")
    assert run("--challenger", "none")[0] == 2
    monkeypatch.setenv("CROWDPULSE_PREFIX", "nowhere.")
    settings.cache_clear()
    code, said = run()
    assert (code, "no topic nowhere.moderation_decisions" in said) == (2, True)


def test_wrong_arguments(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    for arguments in (["--limit", "0"], ["--since", "soon"], ["--since", "2026-01-02", "--until", "2026-01-01"]):
        with pytest.raises(SystemExit, match="2"):
            run(*arguments)
    code, said = run("--policy", str(tmp_path))
    assert (code, "cannot be read" in said) == (2, True)
