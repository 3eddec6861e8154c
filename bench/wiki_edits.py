"""Kafka -> wiki_edits -> Elasticsearch, against a blackhole sink and against parallel_bulk of ready-made requests.

The load: generated events, loaded by confluent-kafka before the clock starts. A job reads them to the end; its time is
that from its first task running to its end, as Flink says it, so the start-up of its tasks is in.

All rows run once unmeasured, since Elasticsearch takes three times the CPU for its first hundred thousand documents,
then in rounds, each row in each round; a ratio is the median of the rounds' ratios, so that what slows the machine for
a while slows both sides of it.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from operator import truediv
from pathlib import Path
from statistics import median

import orjson
from confluent_kafka import Producer
from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk, scan
from rich.console import Console
from rich.table import Table

from bench.measure import Measured, cpu_seconds, cpu_since, run_time
from producers import synthetic_wikimedia
from settings import settings
from stack import elasticsearch, flink, jobs, kafka

SCRIPT = Path(__file__).with_name("wiki_edits_job.py")
ALL_SINKS = ("wiki_edits", "wiki_activity", "wiki_bots", "late_events", "dead_letters")
BULK_THREADS = 2
BULK_DOCUMENTS = 2000


JOBS = {
    "wiki_edits -> blackhole": (("wiki_edits",), True),
    "wiki_edits -> Elasticsearch": (("wiki_edits",), False),
    "whole job -> blackhole": (ALL_SINKS, True),
    "whole job -> Elasticsearch": (ALL_SINKS, False),
}
BULK = "parallel_bulk (reference)"


Round = dict[str, Measured]


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


def run_job(client: Elasticsearch, prefix: str, events: int, sinks: tuple[str, ...], blackhole: bool) -> Measured:
    """One run of the job over the whole topic, into empty indices."""
    elasticsearch.delete_indices(prefix)
    before = cpu_seconds()
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
    seconds = run_time(run.job_id)
    used = cpu_since(before)
    client.indices.refresh(index=f"{prefix}*")
    return Measured(seconds, used, events, int(client.count(index=f"{prefix}*")["count"]))


def run_bulk(client: Elasticsearch, prefix: str, documents: list[dict[str, object]]) -> Measured:
    """The reference: elasticsearch-py sends the same documents under the same ids, their bytes ready-made."""
    elasticsearch.delete_indices(prefix)
    before = cpu_seconds()
    began = time.monotonic()
    requests = parallel_bulk(
        client,
        documents,
        index=f"{prefix}wiki_edits",
        thread_count=BULK_THREADS,
        chunk_size=BULK_DOCUMENTS,
        max_chunk_bytes=10 << 20,
    )
    deque(requests, maxlen=0)
    return Measured(time.monotonic() - began, cpu_since(before), 0, len(documents))


def read_documents(client: Elasticsearch, index: str) -> list[dict[str, object]]:
    """The documents of an index, as `parallel_bulk` takes them, their bytes ready-made."""
    client.indices.refresh(index=index)
    hits = scan(client, index=index, query={"query": {"match_all": {}}}, size=5000)
    return [{"_id": hit["_id"], "_source": orjson.dumps(hit["_source"])} for hit in hits]


def main(console: Console, events: int, rounds: int) -> None:
    """Measure and print. Needs the running stack."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    client = Elasticsearch(settings().elasticsearch_hosts, request_timeout=120)
    try:
        kafka.create_topics(prefix)
        elasticsearch.put_templates()
        console.print(f"Loading {events:,} generated events …")
        rate = load(prefix, events)
        console.print(f"  loaded at {rate:,.0f} events/s (generating included).")
        measured: list[Round] = []
        for number in range(rounds + 1):
            console.print(f"Round {number} of {rounds} …" if number else "Warming up …")
            runs: Round = {}
            for row, (sinks, blackhole) in JOBS.items():
                runs[row] = run_job(client, prefix, events, sinks, blackhole)
                console.print(f"  {row}: {runs[row].seconds:.1f} s")
            # The whole job ran last, so its edits are in the index.
            runs[BULK] = run_bulk(client, prefix, read_documents(client, f"{prefix}wiki_edits"))
            console.print(f"  {BULK}: {runs[BULK].seconds:.1f} s")
            measured.append(runs)
        console.print(_table(measured[1:]))
    finally:
        elasticsearch.delete_indices(prefix)
        client.close()
        kafka.delete_topics(prefix)


def _table(rounds: list[Round]) -> Table:
    table = Table(
        "row", "seconds", "events/s", "documents/s", "documents/s ÷ bulk", "events/s ÷ blackhole",
        "CPU s: Flink", "Elasticsearch",
        title=f"Kafka -> wiki_edits -> Elasticsearch (medians of {len(rounds)} rounds)",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"

    bulk = [runs[BULK].documents_per_second for runs in rounds]
    for row in [*JOBS, BULK]:
        measured = [runs[row] for runs in rounds]
        cells = [f"{median(run.seconds for run in measured):.1f}"]
        cells.append("" if row == BULK else f"{median(run.events / run.seconds for run in measured):,.0f}")
        if "blackhole" in row:
            cells += ["", "", ""]
        else:
            rates = [run.documents_per_second for run in measured]
            cells += [f"{median(rates):,.0f}", f"{median(map(truediv, rates, bulk)):.2f}"]
            blackholes = [runs.get(row.replace("Elasticsearch", "blackhole")) for runs in rounds]
            ratios = [hole.seconds / run.seconds for hole, run in zip(blackholes, measured, strict=True) if hole]
            cells.append("" if row == BULK else f"{median(ratios):.2f}")
        cells += [
            f"{median(run.cpu_seconds[part] for run in measured):.1f}"
            for part in (flink.TASKMANAGER, elasticsearch.NAME)
        ]
        table.add_row(row, *cells)
    return table
