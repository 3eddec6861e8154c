"""Kafka -> wiki_edits -> Elasticsearch, against a blackhole sink and against parallel_bulk of ready-made requests.

The load: generated events, loaded by confluent-kafka before the clock starts. A job reads them to the end; its time is
that from its first task running to its end, as Flink says it, so the start-up of its tasks is in. Every job runs once
before it is measured.
"""

from __future__ import annotations

import itertools
import os
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from confluent_kafka import Producer
from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk, scan
from rich.console import Console
from rich.table import Table

from producers import synthetic_wikimedia
from settings import settings
from stack import elasticsearch, flink, jobs, kafka, processes

SCRIPT = Path(__file__).with_name("wiki_edits_job.py")
ALL_SINKS = ("wiki_edits", "wiki_activity", "wiki_bots", "late_events", "dead_letters")
BULK_THREADS = 2
BULK_DOCUMENTS = 2000


@dataclass(frozen=True)
class Measured:
    """What a run took: seconds of the clock, seconds of CPU by process, and how much it did."""

    seconds: float
    cpu_seconds: dict[str, float]
    events: int = 0
    documents: int = 0


def load(prefix: str, count: int) -> float:
    """Fill the topic with generated events whose times end now; returns events/s of the loading itself."""
    producer = Producer(
        {
            "bootstrap.servers": settings().kafka_bootstrap_servers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
            "partitioner": "murmur2_random",
        }
    )
    start = datetime.now(UTC) - timedelta(seconds=count / synthetic_wikimedia.NOMINAL_RATE)
    began = time.monotonic()
    for number, event in enumerate(itertools.islice(synthetic_wikimedia.events(seed=7, start=start), count)):
        producer.produce(f"{prefix}wiki_recentchange", key=event.key, value=event.value)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return count / (time.monotonic() - began)


def cpu_seconds() -> dict[str, float]:
    """CPU time so far, by part of the stack."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = {}
    for part in (flink.TASKMANAGER, elasticsearch.NAME, kafka.NAME):
        total = 0
        for pid in processes.members(part):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        used[part] = total / ticks
    return used


def measured(work: Callable[[], float]) -> Measured:
    """Runs `work`, which returns the seconds that count."""
    before = cpu_seconds()
    seconds = work()
    return Measured(seconds, {part: used - before[part] for part, used in cpu_seconds().items()})


def run_job(prefix: str, sinks: tuple[str, ...], blackhole: bool) -> Measured:
    """One run of the job over the whole topic."""

    def work() -> float:
        run = jobs.submit_script(
            SCRIPT,
            name=f"{prefix}wiki_edits_bench",
            fresh=True,
            environment={
                "CROWDPULSE_PREFIX": prefix,
                "CROWDPULSE_BOUNDED_MODE": "latest-offset",
                "BENCH_SINKS": ",".join(sinks),
                "BENCH_BLACKHOLE": str(int(blackhole)),
            },
        )
        jobs.wait(run.job_id, seconds=600)
        times = flink.rest(f"/jobs/{run.job_id}")["timestamps"]
        return float(times["FINISHED"] - times["RUNNING"]) / 1000

    return measured(work)


def run_bulk(client: Elasticsearch, index: str, documents: list[dict[str, object]]) -> Measured:
    """The reference: elasticsearch-py sends the same documents under the same ids, their bytes ready-made."""

    def work() -> float:
        began = time.monotonic()
        deque(
            parallel_bulk(
                client,
                documents,
                index=index,
                thread_count=BULK_THREADS,
                chunk_size=BULK_DOCUMENTS,
                max_chunk_bytes=10 << 20,
            ),
            maxlen=0,
        )
        client.indices.refresh(index=index)
        return time.monotonic() - began

    return measured(work)


def main(console: Console, events: int) -> None:
    """Measure and print. Needs the running stack."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    client = Elasticsearch(settings().elasticsearch_hosts, request_timeout=120)
    index = f"{prefix}wiki_edits"
    try:
        kafka.create_topics(prefix)
        elasticsearch.put_templates()
        console.print(f"Loading {events:,} generated events …")
        rate = load(prefix, events)
        console.print(f"  loaded at {rate:,.0f} events/s (generating included).")
        rows: dict[str, Measured] = {}
        for name, sinks, blackhole in (
            ("wiki_edits -> blackhole", ("wiki_edits",), True),
            ("whole job -> blackhole", ALL_SINKS, True),
            ("wiki_edits -> Elasticsearch", ("wiki_edits",), False),
            # Last, since its documents are what the reference sends.
            ("whole job -> Elasticsearch", ALL_SINKS, False),
        ):
            for attempt in ("warming up", "measuring"):
                console.print(f"{name}: {attempt} …")
                elasticsearch.delete_indices(prefix)
                rows[name] = run_job(prefix, sinks, blackhole)
            if not blackhole:
                client.indices.refresh(index=f"{prefix}*")
                documents = int(client.count(index=f"{prefix}*")["count"])
                rows[name] = Measured(rows[name].seconds, rows[name].cpu_seconds, events, documents)
            else:
                rows[name] = Measured(rows[name].seconds, rows[name].cpu_seconds, events)
        console.print("parallel_bulk of ready-made documents: reading them …")
        ready = [
            {"_id": hit["_id"], "_source": orjson.dumps(hit["_source"])}
            for hit in scan(client, index=index, query={"query": {"match_all": {}}}, size=5000)
        ]
        for attempt in ("warming up", "measuring"):
            console.print(f"parallel_bulk of ready-made documents: {attempt} …")
            elasticsearch.delete_indices(prefix)
            bulk = run_bulk(client, index, ready)
        rows["parallel_bulk (reference)"] = Measured(bulk.seconds, bulk.cpu_seconds, 0, len(ready))
        console.print(_table(rows))
    finally:
        elasticsearch.delete_indices(prefix)
        client.close()
        kafka.delete_topics(prefix)


def _table(rows: dict[str, Measured]) -> Table:
    reference = rows["parallel_bulk (reference)"]
    bulk_rate = reference.documents / reference.seconds
    table = Table(
        "row", "seconds", "events/s", "documents/s", "events/s ÷ bulk", "documents/s ÷ bulk", "events/s ÷ blackhole",
        "CPU s: Flink", "Elasticsearch", title="Kafka -> wiki_edits -> Elasticsearch",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for name, row in rows.items():
        blackhole = rows.get(name.replace("Elasticsearch", "blackhole"))
        table.add_row(
            name,
            f"{row.seconds:.1f}",
            f"{row.events / row.seconds:,.0f}" if row.events else "",
            f"{row.documents / row.seconds:,.0f}" if row.documents else "",
            f"{row.events / row.seconds / bulk_rate:.2f}" if row.documents and row.events else "",
            f"{row.documents / row.seconds / bulk_rate:.2f}" if row.documents else "",
            f"{blackhole.seconds / row.seconds:.2f}" if blackhole and blackhole is not row else "",
            f"{row.cpu_seconds[flink.TASKMANAGER]:.1f}",
            f"{row.cpu_seconds[elasticsearch.NAME]:.1f}",
        )
    return table
