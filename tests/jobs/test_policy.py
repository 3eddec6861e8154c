"""jobs/policy.py on real Kafka: what is published, refused and shown."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from pyflink.table import Table

from jobs.policy import LEAST_NOTICE, NOTICE, ensure_published, main, publish, published, record_of
from jobs.replay import InputError
from models.policy import Policy
from settings import settings
from stack import kafka
from tests.conftest import Row, at
from tests.producers.conftest import records

TOPIC = "moderation_policies"


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


def policy(version: str, flag: float = 0.7) -> Policy:
    return Policy.parse(json.dumps({"version": version, "classes": {"toxic": {"flag": flag}}}))


def values(topic: str) -> list[tuple[str, Any]]:
    return [((key or b"").decode(), json.loads(value)) for key, value in records(topic)]


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_versions_are_published_once_each_from_a_time_that_readers_can_know(prefix: str) -> None:
    begun = datetime.now(UTC) - timedelta(milliseconds=1)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert "the first one" in publish(policy("1"), valid_from=later)
    assert "in force for messages from" in publish(policy("2"), valid_from=begun - timedelta(days=1))
    publish(policy("3"), valid_from=later)
    publish(policy("3"), slot="shadow")  # what is tried may be what comes

    assert "is published already, in force from" in publish(policy("3"))
    for version, flag, valid_from, said in [
        ("1", 0.8, None, "other content"),
        ("1", 0.7, None, "was in force before 3"),
        ("4", 0.7, None, "3 is in force from"),
        ("4", 0.7, later, "later time"),
    ]:
        with pytest.raises(InputError, match=said):
            publish(policy(version, flag), valid_from=valid_from)

    sent = values(prefix + TOPIC)
    assert [key for key, _ in sent] == ["champion:1", "champion:2", "champion:3", "shadow:3"]
    assert [Policy.parse(value["policy"]) for _, value in sent] == [policy(one) for one in "1233"]
    first, second, third, shadow = [datetime.fromisoformat(value["valid_from"]) for _, value in sent]
    assert sent[0][1]["valid_from"] == "1970-01-01T00:00:00.000Z"
    assert first < begun + NOTICE <= second <= shadow <= datetime.now(UTC) + NOTICE < third
    assert abs(third - later) < timedelta(milliseconds=1)
    assert [(one.slot, one.version, one.valid_from) for one in published()][2] == ("champion", "3", third)


# where Kafka is slow: the exit code, and what is said
@pytest.mark.stack
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("slow", "code", "said"),
    [("__init__", 0, "in force for messages from"), ("send", 1, "Publish the policy again under a new version.")],
)
def test_the_notice_is_kept_or_its_lack_is_said(
    slow: str,
    code: int,
    said: str,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish(policy("1"))
    file = tmp_path / "policy.yaml"
    file.write_text("version: t1\n", encoding="utf-8")
    monkeypatch.setattr("jobs.policy.NOTICE", LEAST_NOTICE + timedelta(seconds=2))
    quick = getattr(KafkaProducer, slow)

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(2.5)
        return quick(*arguments, **options)

    monkeypatch.setattr(KafkaProducer, slow, slowly)

    assert main(["publish", str(file)]) == code

    printed = capsys.readouterr()
    assert said in (printed.err if code else printed.out)
    assert [one.version for one in published()] == ["1", "t1"]


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_by_the_command_line(prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        code = main([*arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    file = tmp_path / "policy.yaml"
    file.write_text("version: t1\nclasses: {toxic: {flag: 0.6}}\n", encoding="utf-8")
    assert "1.0.0 is published, the first one" in ensure_published()
    assert "Policy 1.0.0 is the newest one" in ensure_published()
    assert len(values(prefix + TOPIC)) == 1

    assert run("withdraw-shadow") == (0, "There is no shadow policy.\n")
    assert run("publish", str(file), "--shadow")[1].startswith("Shadow policy t1 is published: in force for messages")
    code, said = run("show")
    assert code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if "│" in line]
    assert rows[0] == ["champion", "1.0.0", "the beginning", "in force"]
    assert (rows[1][:2], rows[1][3]) == (["shadow", "t1"], "from then")
    assert run("withdraw-shadow")[1].startswith("Shadow policy t1 is withdrawn")
    assert run("withdraw-shadow") == (0, "There is no shadow policy.\n")
    code, said = run("publish", str(file), "--shadow")
    assert (code, "publish it under a new version" in said) == (2, True)
    assert "from then: none" in run("show")[1]

    last_key, last = values(prefix + TOPIC)[-1]
    assert last["policy"] is None
    assert last_key == f"shadow:{last['version']}" != "shadow:t1"
    assert last["valid_from"] > values(prefix + TOPIC)[-2][1]["valid_from"]


def test_a_champion_without_a_policy_is_a_dead_letter(
    given: Callable[..., Table], rows: Callable[[Table], list[Row]]
) -> None:
    records: list[Row] = [
        {"slot": slot, "version": "a", "policy": text, "valid_from": at(0)} | more
        for slot, text, more in [
            ("champion", "{}", {}),
            ("champion", None, {}),
            ("shadow", None, {}),
            ("third", None, {}),
            ("champion", None, {"error": "not_json"}),
        ]
    ]

    found = rows(given("moderation_policies", *records))

    assert [row["problem"] for row in found] == [None, "missing_field", None, "unknown_slot", "not_json"]
    assert [row["problem_detail"] for row in found][1].startswith("policy is missing")


@pytest.mark.parametrize(
    ("text", "said"),
    [("version: a\nclasses: {toxic: {flag: 2}}", "classes.toxic.flag"), (None, "cannot be read"), ("\x00", "no YAML")],
)
def test_a_wrong_file_is_said_before_kafka_is_asked(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")

    assert main(["publish", str(file)]) == 2

    printed = capsys.readouterr()
    assert said in printed.err
    assert "policy.yaml" in printed.err
    assert printed.out == ""


GOOD = {"slot": "champion", "version": "1", "valid_from": "2026-01-01T00:00:00Z", "policy": "{}"}


@pytest.mark.parametrize(
    ("message", "is_one"),
    [
        (json.dumps(GOOD), True),
        (json.dumps(GOOD | {"policy": None}), True),
        ("[]", False),
        ("{}", False),
        ("{", False),
        (json.dumps(GOOD | {"slot": "third"}), False),
        (json.dumps(GOOD | {"slot": ["champion"]}), False),
        (json.dumps(GOOD | {"version": 1}), False),
        (json.dumps(GOOD | {"policy": {}}), False),
        (json.dumps(GOOD | {"valid_from": "soon"}), False),
        (json.dumps(GOOD | {"valid_from": "0001-01-01T00:00:00+10:00"}), False),
        pytest.param("[" * 100_000, False, id="deep"),
    ],
)
def test_what_is_no_record_of_a_policy_is_passed_over(message: str, is_one: bool) -> None:
    assert bool(record_of(message.encode())) == is_one


def test_what_readers_could_not_read_is_not_published() -> None:
    with pytest.raises(InputError, match=r"could not read 1: The policy is wrong\. version"):
        publish(dataclasses.replace(policy("1"), source="{}"))


def test_a_time_far_ahead_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: a\n", encoding="utf-8")

    for when in ("9999-12-31T23:59:59-14:00", (datetime.now(UTC) + timedelta(days=7, minutes=1)).isoformat()):
        assert main(["publish", str(file), "--from", when]) == 2
        assert "at most 7 days ahead" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["publish"], ["publish", "f", "--from", "soon"], ["show", "f"], ["retire"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_kafka_that_does_not_answer_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setattr("jobs.replay.BROKER_WAIT_MS", 500)
    settings.cache_clear()
    try:
        assert main(["show"]) == 1
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert "127.0.0.1:9 did not answer" in capsys.readouterr().err
