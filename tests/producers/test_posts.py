"""producers/posts.py: its command line, into a file and into a real Kafka."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from producers import synthetic_posts
from producers.posts import main
from settings import ROOT, settings
from tests.producers.conftest import partitions, records

NO_FAULTS = ["--malformed", "0", "--duplicates", "0", "--late", "0", "--odd", "0", "--corrections", "0"]


def written(tmp_path: Path, *arguments: str) -> list[bytes]:
    """The lines that the producer writes when it ends well."""
    file = tmp_path / "posts.jsonl"
    assert main([*arguments, "--users", "200", "--output", str(file)]) == 0
    return file.read_bytes().splitlines()


def times(lines: list[bytes]) -> list[datetime]:
    return [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in lines]


def test_posts_that_are_limited_are_spread_over_the_time_that_they_take_and_end_now(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    found = times(written(tmp_path, "--rate", "0", "--limit", "3000", *NO_FAULTS))
    after = datetime.now(UTC)

    assert len(found) == 3000
    assert before - timedelta(seconds=66) < min(found) < after - timedelta(seconds=59)  # at 50 a second
    assert before - timedelta(seconds=7) < max(found) <= after


def test_a_backfill_with_a_limit_is_spread_over_its_hours(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    found = times(written(tmp_path, "--rate", "0", "--limit", "2000", "--backfill", "24", *NO_FAULTS))

    assert len(found) == 2000
    assert abs(min(found) - (before - timedelta(hours=24))) < timedelta(minutes=2)
    assert abs(max(found) - before) < timedelta(minutes=2)


def test_after_a_backfill_it_goes_on_live_for_the_duration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = datetime.now(UTC)
    found = times(written(tmp_path, "--rate", "20", "--backfill", "0.05", "--duration", "2", *NO_FAULTS))

    assert len(found) == (180 + 2) * 20
    assert min(found) < before - timedelta(seconds=179)
    assert max(found) > before - timedelta(seconds=4)
    assert datetime.now(UTC) >= before + timedelta(seconds=1.9)
    assert "3,640 posts" in capsys.readouterr().err


def test_as_fast_as_it_goes_without_a_limit_posts_are_of_now(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    found = times(written(tmp_path, "--rate", "0", "--duration", "1", *NO_FAULTS))

    assert len(found) > 10
    assert min(found) > before - timedelta(seconds=6)
    assert max(found) <= datetime.now(UTC)


def test_the_seed_decides_what_is_told(tmp_path: Path) -> None:
    def texts(seed: str) -> list[str]:
        lines = written(tmp_path, "--rate", "0", "--limit", "200", "--seed", seed, *NO_FAULTS)
        return [json.loads(line)["sentiment"] + json.loads(line)["platform"] for line in lines]

    assert texts("1") != texts("2")


def test_each_share_is_an_option_and_malformed_ones_come_on_top(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = ["--late", "0.1", "--duplicates", "0.1", "--odd", "0.1", "--corrections", "0.2", "--malformed", "0.1"]
    # `splitlines` of a file would also part records at other line ends than ours.
    lines = b"\n".join(written(tmp_path, "--rate", "0", "--limit", "1000", "--abusive", "1", *shares)).split(b"\n")

    assert len(lines) == 1100
    assert "1,100 posts" in capsys.readouterr().err
    assert lines.count(b"") >= 1
    assert sum(before == after != b"" for before, after in pairwise(lines)) > 50
    assert sum(len(line) > settings().max_record_bytes for line in lines) >= 7  # one of thirteen kinds
    assert b"hologram" in b"".join(lines)


def run(*arguments: str) -> subprocess.Popen[bytes]:
    # Bytes: a text that is read in part, and then to the end, may be cut within a character.
    command = [sys.executable, "-m", "producers.posts", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_producer_that_is_stopped_says_what_it_did(number: signal.Signals) -> None:
    program = run("--rate", "100", "--output", "-")
    assert program.stdout
    for _ in range(20):
        assert json.loads(program.stdout.readline())["post_id"]
    program.send_signal(number)
    said = program.communicate(timeout=30)[1].decode()

    assert program.returncode == 0
    assert "Stopped." in said
    assert re.search(r"\d+ posts", said)
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--users", "0"], "--users must be 1 or more"),
        (["--rate", "0", "--backfill", "1"], "--backfill needs a --limit"),
        (["--backfill", "1e9"], "more than ten years ago"),
        (["--backfill", "1e300"], "more than ten years ago"),
        (["--rate", "0", "--limit", "999999999999"], "more than ten years ago"),
        (["--limit", "1", "--output", "/no/such/folder/posts"], "/no/such/folder/posts cannot be written"),
    ],
)
def test_wrong_input_is_said_with_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2  # before any Kafka is looked for

    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rate", "x"], "'x' is no number"),
        (["--rate", "-1"], "'-1' is no number"),
        (["--rate", "nan"], "'nan' is no number"),
        (["--rate", "0.0001"], "neither 0 nor from 0.001"),
        (["--limit", "1.5"], "'1.5' is no whole number"),
        (["--duration", "0"], "'0' is no number above 0"),
        (["--late", "1.1"], "'1.1' is no share"),
        (["--malformed", "-0.1"], "-0.1"),
        (["--seed", "a"], "'a'"),
        (["--topic", "x"], "--topic"),
    ],
)
def test_wrong_options_are_said_with_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--output", "-"])

    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_without_kafka_it_waits_and_then_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    settings.cache_clear()
    try:
        assert main(["--limit", "1", "--kafka-wait-seconds", "0"]) == 1
    finally:
        monkeypatch.undo()
        settings.cache_clear()

    assert "No Kafka at 127.0.0.1:1" in (said := capsys.readouterr().err)
    assert "make up" in said


def good(value: bytes) -> dict[str, Any] | None:
    """The fields of a post that a job can use; None for a malformed record."""
    try:
        fields: dict[str, Any] = json.loads(value)
        usable = fields["platform"] in synthetic_posts.PLATFORMS and not fields["post_id"].startswith("malformed")
    except (ValueError, TypeError, KeyError):
        return None
    return fields if usable and fields["post_id"] and fields["user_id"] else None


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_all_of_a_user_is_in_one_partition_in_the_order_in_which_it_was_told(prefix: str) -> None:
    shares = ["--corrections", "0.3", "--late", "0.05", "--odd", "0.05", "--duplicates", "0.05", "--malformed", "0.05"]
    assert main(["--rate", "0", "--limit", "3000", "--users", "300", *shares]) == 0

    users: list[set[bytes | None]] = []  # of each partition
    versions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    copies = 0
    held = partitions(f"{prefix}social_media")
    for partition in held:
        users.append({key for key, _ in partition})
        copies += sum(before == after and after[1] != b"" for before, after in pairwise(partition))
        for key, value in partition:
            if fields := good(value):
                assert key == fields["user_id"].encode()
                versions[fields["post_id"]].append(fields)
    corrected = [each for each in versions.values() if each[-1]["views"] > each[0]["views"]]

    assert sum(map(len, held)) == 3150
    assert sum(map(len, versions.values())) == 3000
    assert all(users)
    assert sum(map(len, users)) == len(set().union(*users))  # nobody is in two partitions
    assert len(corrected) > 300
    assert all(older["views"] <= later["views"] for each in corrected for older, later in pairwise(each))
    assert copies > 80


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_what_was_made_before_a_stop_is_in_kafka(prefix: str) -> None:
    environment = {
        **os.environ,
        "CROWDPULSE_PREFIX": prefix,
        "CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS": settings().kafka_bootstrap_servers,
    }
    command = [sys.executable, "-m", "producers.posts", "--rate", "200", "--malformed", "0"]
    program = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(records(f"{prefix}social_media")) < 100:
        assert time.monotonic() < deadline, "no posts within 60 s"
        time.sleep(0.2)
    program.send_signal(signal.SIGTERM)
    _, said = program.communicate(timeout=30)

    assert program.returncode == 0, said
    assert (counted := re.search(r"([\d,]+) posts", said))
    # The signal may come between sending a post and counting it.
    assert len(records(f"{prefix}social_media")) - int(counted[1].replace(",", "")) in (0, 1)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    said = capsys.readouterr().out
    assert ended.value.code == 0
    for option in ("rate", "seed", "limit", "duration", "backfill", "late", "duplicates", "malformed", "odd",
                   "corrections", "abusive", "users", "output", "kafka-wait-seconds"):  # fmt: skip
        assert f"--{option} " in said
