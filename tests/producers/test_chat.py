"""producers/chat.py: who says what, and what of it Kafka has."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter, deque
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest

from models.policy import Moderator, Policy
from producers._chat_texts import ROOMS, RUDE_NOUNS, SPAM
from producers.chat import FEWEST_USERS, RATE, Said, conversation, main
from settings import ROOT, settings
from tests.producers.conftest import records

ROOM_NAMES = tuple(ROOMS)


def talk(messages: int, seed: int = 1, abusive: float = 0.03, spam: float = 0.03, flood: float = 0.02) -> list[Said]:
    return list(islice(conversation(seed, ROOM_NAMES, FEWEST_USERS, abusive, spam, flood), messages))


def is_rude(said: Said) -> bool:
    return any(noun in said.text for noun in RUDE_NOUNS)


def is_spam(said: Said) -> bool:
    return any(said.text.startswith(text[:10]) for text in SPAM)


def stopped(said: list[Said]) -> Counter[str]:
    """How often each user reaches the policy's limits for floods and copies, at the usual rate."""
    policy = Policy.default()
    times: dict[str, deque[tuple[float, str]]] = {}
    found: Counter[str] = Counter()
    for number, each in enumerate(said):
        now = number / RATE
        before = times.setdefault(each.user_name, deque())
        before.append((now, each.text))
        while before[0][0] <= now - settings().moderation_copies_seconds:
            before.popleft()
        limits = policy.room(each.room)
        copies = sum(text == each.text for _, text in before)
        burst = sum(time > now - settings().moderation_burst_seconds for time, _ in before)
        if limits.spam and copies >= limits.spam.copies:
            found[f"spam {each.user_name}"] += 1
        if limits.flood and burst >= limits.flood.messages:
            found[f"flood {each.user_name}"] += 1
    return found


def test_the_seed_decides_who_says_what() -> None:
    assert talk(500) == talk(500)
    assert talk(500) != talk(500, seed=2)


def test_shares_are_kept_and_every_room_and_user_talks() -> None:
    said = talk(20_000)
    counts = Counter("rude" if is_rude(each) else "spam" if is_spam(each) else "other" for each in said)
    assert 0.02 < counts["rude"] / len(said) < 0.04
    assert 0.015 < counts["spam"] / len(said) < 0.045
    assert set(Counter(each.room for each in said)) == set(ROOM_NAMES)
    assert len({each.user_name for each in said}) == FEWEST_USERS
    assert len({each.user_name for each in said if is_rude(each)}) == FEWEST_USERS / 10
    assert max(len(each.text) for each in said) <= 2000


def test_only_who_spams_or_floods_on_purpose_reaches_the_limits() -> None:
    assert stopped(talk(10_000, spam=0, flood=0)) == {}
    on_purpose = stopped(talk(10_000))
    assert {kind.split()[0] for kind in on_purpose} == {"spam", "flood"}


def test_the_models_stop_most_insults_and_hardly_anything_else() -> None:
    said = talk(3_000, abusive=0.1, spam=0, flood=0)
    judged = Moderator.load().judge([each.text for each in said], [each.room for each in said], Policy.default())
    stopped_of: dict[bool, list[bool]] = {True: [], False: []}
    for each, judgement in zip(said, judged, strict=True):
        stopped_of[is_rude(each)].append(judgement.decision in ("flag", "hold"))
    assert sum(stopped_of[True]) > 0.5 * len(stopped_of[True])
    assert sum(stopped_of[False]) < 0.01 * len(stopped_of[False])


def test_to_a_file_messages_are_as_the_topic_has_them(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    arguments = ["--limit", "200", "--rate", "0", "--rooms", "den, attic", "--output", str(file)]
    assert main(arguments) == 0
    told = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len({one["message_id"] for one in told}) == 200
    assert {one["room"] for one in told} == {"den", "attic"}
    for one in told:
        assert set(one) == {"message_id", "room", "user_name", "text", "client_time"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["client_time"])
        assert datetime.fromisoformat(one["client_time"]).tzinfo


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rooms", " ,"], "--rooms"),
        (["--rooms", "x" * 65], "--rooms"),
        (["--users", "9"], "--users"),
        (["--abusive-share", "0.9", "--spam-share", "0.2"], "together"),
        (["--output", "/nowhere/chat.jsonl"], "cannot be written"),
    ],
)
def test_wrong_input_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main([*arguments, "--limit", "1", "--rate", "0", *([] if "--output" in arguments else ["--output", "-"])]) == 2
    )
    assert said in capsys.readouterr().err


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_kafka_has_everything_under_its_room_also_when_it_is_stopped(prefix: str) -> None:
    environment = {
        **os.environ,
        "CROWDPULSE_PREFIX": prefix,
        "CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS": settings().kafka_bootstrap_servers,
    }
    command = [sys.executable, "-m", "producers.chat", "--rate"]
    ended = subprocess.run(
        [*command, "0", "--limit", "2000"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("2,000 messages")

    endless = subprocess.Popen([*command, "50"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            endless.wait(timeout=5)
        endless.send_signal(signal.SIGTERM)
        _, said = endless.communicate(timeout=40)
    finally:
        if endless.poll() is None:
            endless.kill()
    assert endless.returncode == 0, said
    assert "Stopped." in said

    found = [(key, json.loads(value)) for key, value in records(prefix + "chat_messages") if value is not None]
    assert all(key == one["room"].encode() for key, one in found)
    sent = int(re.findall(r"([\d,]+) messages,", said)[-1].replace(",", ""))
    assert 2000 + 20 < len(found) <= 2000 + 5 * 50 + 1
    assert sent <= len(found) - 2000 <= sent + 5  # the last ones were acknowledged while it ended
