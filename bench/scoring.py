"""Scoring in the stream, Kafka -> moderation(text) -> Kafka, against the same models and others without a stream.

References: the same job with constants for scores; the models' runtime alone (numpy), in as many processes as the job
has Python workers, with the same batches; scikit-learn's pipelines likewise, on fewer texts; and the same job with a
UDF that gets one text a call, on fewer texts. Texts of 140 characters, loaded before the clock starts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console

from bench.each_job import TRAINING
from bench.loads import Message, send
from bench.measure import Run, Usage
from bench.results import Row
from bench.runs import forget_checkpoints, place, seconds_of
from bench.scoring_alone import texts
from connections import confluent_kafka_options
from settings import ROOT, settings
from stack.errors import StackError

SCRIPT = Path(__file__).with_name("scoring_job.py")
TEXTS = 200_000
FEWER = 10  # so many times fewer texts for what is slow
NAME = "moderation(text), four models"


def messages(count: int) -> Iterator[Message]:
    """Chat messages with texts."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number, text in enumerate(texts(count)):
        message = {
            "message_id": f"m{number}",
            "room": f"room {number % 50}",
            "user_name": f"user {number % 5000}",
            "sent_at": (start + timedelta(milliseconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "text": text,
        }
        yield Message("messages", message["room"].encode(), orjson.dumps(message))


def fill(prefix: str, count: int) -> None:
    """Make the topics and fill them."""
    admin = AdminClient(confluent_kafka_options())
    for made in admin.create_topics([NewTopic(f"{prefix}{name}", 4, 1) for name in ("messages", "scores")]).values():
        made.result(timeout=30)
    send(prefix, messages(count))


def run(prefix: str, count: int, scores: str) -> Run:
    """One run of the job over the whole topic; `value` is texts a second."""
    environment = {"CROWDPULSE_PREFIX": prefix, "BENCH_SCORES": scores}
    with Usage() as used:
        seconds = seconds_of(SCRIPT, f"{prefix}scoring_bench", environment)
    forget_checkpoints(prefix)
    return Run(count / seconds, seconds, count, 0, used.cpu_seconds, used.peak_mb)


def alone(python: str, who: str, count: int) -> Run | None:
    """Scoring in memory; None where it cannot be trained. Raises StackError when it fails."""
    done = subprocess.run(
        [python, "-m", "bench.scoring_alone", who, str(count), str(settings().parallelism)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 2:  # it has said which data sets are missing
        return None
    if done.returncode:
        raise StackError(f"bench.scoring_alone {who} ended with {done.returncode}.")
    seconds = float(done.stdout)
    return Run(count / seconds, seconds, count)


def rows(console: Console, count: int, rounds: int) -> list[Row]:
    """Measure all of it. Needs the running stack. Raises StackError."""
    runs: list[Run] = []
    references: dict[str, list[Run]] = {}
    with place() as prefix, place() as short:
        console.print(f"scoring: loading {count:,} texts …")
        fill(prefix, count)
        fill(short, count // FEWER)
        for number in range(1, rounds + 1):
            runs.append(run(prefix, count, "batches"))
            beside = {
                "constants for scores": run(prefix, count, "constants"),
                "numpy alone": alone(sys.executable, "numpy", count),
                "a UDF text by text": run(short, count // FEWER, "rows"),
                "scikit-learn alone": alone(str(TRAINING), "scikit-learn", count // FEWER)
                if TRAINING.exists()
                else None,
            }
            for name, one in beside.items():
                if one:
                    references.setdefault(name, []).append(one)
            said = " · ".join(f"{name} {one[-1].value:,.0f}" for name, one in references.items())
            console.print(f"  round {number} of {rounds}: {runs[-1].value:,.0f} texts/s; {said}")
    return [Row("scoring", NAME, name, "texts/s", runs, others) for name, others in references.items()]
