"""Kafka -> moderation(text) -> Kafka, against the same job with constants for scores.

The load: generated chat messages with texts of about 140 characters, loaded before the clock starts. Both jobs run once
unmeasured, then in rounds; the ratio is the median of the rounds' ratios. The start of the Python workers is in.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import orjson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.table import Table

from bench.measure import Measured, run_time
from settings import settings
from stack import jobs, kafka
from udfs.key_phrases import KINDS

SCRIPT = Path(__file__).with_name("scoring_job.py")
LENGTH = 140
JOBS = {"constants": "0", "moderation(text)": "1"}


def texts(count: int, seed: int = 7) -> list[str]:
    """Texts of English words in no order."""
    chance, words = random.Random(seed), sorted(KINDS)
    return [" ".join(chance.choices(words, k=40))[:LENGTH] for _ in range(count)]


def load(prefix: str, count: int) -> None:
    """Fill the topic `messages`."""
    producer = Producer(
        {
            "bootstrap.servers": settings().kafka_bootstrap_servers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
        }
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number, text in enumerate(texts(count)):
        message = {
            "message_id": f"m{number}",
            "room": f"room {number % 50}",
            "user_name": f"user {number % 5000}",
            "sent_at": (start + timedelta(milliseconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "text": text,
        }
        producer.produce(f"{prefix}messages", key=message["room"], value=orjson.dumps(message))
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()


def run(prefix: str, events: int, function: str) -> Measured:
    """One run of the job over the whole topic."""
    submitted = jobs.submit_script(
        SCRIPT,
        name=f"{prefix}scoring_bench",
        fresh=True,
        environment={"CROWDPULSE_PREFIX": prefix, "BENCH_UDF": function},
    )
    jobs.wait(submitted.job_id, seconds=600)
    return Measured(run_time(submitted.job_id), {}, events, 0)


def main(console: Console, events: int, rounds: int) -> None:
    """Measure and print. Needs the running stack."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    admin = AdminClient({"bootstrap.servers": settings().kafka_bootstrap_servers})
    try:
        for made in admin.create_topics(
            [NewTopic(f"{prefix}{name}", 4, 1) for name in ("messages", "scores")]
        ).values():
            made.result(timeout=30)
        console.print(f"Loading {events:,} texts …")
        load(prefix, events)
        measured: list[dict[str, Measured]] = []
        for number in range(rounds + 1):
            console.print(f"Round {number} of {rounds} …" if number else "Warming up …")
            runs = {row: run(prefix, events, function) for row, function in JOBS.items()}
            for row, one in runs.items():
                console.print(f"  {row}: {one.seconds:.1f} s")
            measured.append(runs)
        console.print(_table(measured[1:]))
    finally:
        kafka.delete_topics(prefix)


def _table(rounds: list[dict[str, Measured]]) -> Table:
    table = Table(
        "row", "seconds", "texts/s", "÷ constants",
        title=f"Kafka -> moderation(text) -> Kafka (medians of {len(rounds)} rounds)",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    plain = [runs["constants"].seconds for runs in rounds]
    for row in JOBS:
        seconds = [runs[row].seconds for runs in rounds]
        table.add_row(
            row,
            f"{median(seconds):.1f}",
            f"{median(runs[row].events / runs[row].seconds for runs in rounds):,.0f}",
            f"{median(without / own for without, own in zip(plain, seconds, strict=True)):.2f}",
        )
    return table
