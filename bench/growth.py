"""Growth against linear growth: more events, more keys, more slots, more partitions.

All but the rows that say so go to blackholes: on one machine, what Elasticsearch takes would hide how the job grows.

- events: CPU seconds of all processes per million events, at 4 and 16 times the events, against those at once.
- keys: the same for 10^5 and 10^6 pages against 10^3, a million acts each: the state of wiki_pages has an entry a page.
  10^6 are in RocksDB, since the heap of the local stack's TaskManager is too small for them; the others in both.
- slots: events a second of two slots on two cores, against one slot on one core. TaskManager and Python workers are
  pinned to these cores; Kafka is not.
- partitions: events a second with 2, 4 and 8 partitions against 1, with two slots.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console

from bench import loads
from bench.loads import LOADS, Message
from bench.measure import Run
from bench.results import Row
from bench.runs import load, per_million, place, run_job
from connections import confluent_kafka_options
from settings import settings
from stack import flink, processes

COST = "CPU s per million events"
MOST_COST = 1.2
LEAST_OF_TWO_SLOTS = 1.6
TIMES = (1, 4, 16)
KEYS = {"the heap": ("hashmap", (10**3, 10**5)), "RocksDB": ("rocksdb", (10**3, 10**5, 10**6))}
ACTS = 10**6
PARTITIONS = (1, 2, 4, 8)
# One job without a model, one with three.
JOBS = {"wiki_edits": 25_000, "social_posts": 10_000}


def parts(console: Console, rounds: int, *, quick: bool = False) -> dict[str, Callable[[], list[Row]]]:
    """What there is to measure, by name; each needs the running stack and raises StackError."""
    found: dict[str, Callable[[], list[Row]]] = {}
    for job, once in JOBS.items():
        found[f"growth of {job}: events"] = partial(by_events, console, job, once // (4 if quick else 1), rounds)
        found[f"growth of {job}: slots"] = partial(by_slots, console, job, once * (2 if quick else 16), rounds)
    events = JOBS["wiki_edits"] * (2 if quick else 16)
    found["growth of wiki_edits: partitions"] = partial(by_partitions, console, "wiki_edits", events, rounds)
    found["growth of wiki_pages: keys"] = partial(by_keys, console, ACTS // (20 if quick else 1))
    return found


def by_events(console: Console, job: str, once: int, rounds: int) -> list[Row]:
    """CPU seconds per event, at each of TIMES."""
    runs: dict[int, list[Run]] = {times: [] for times in TIMES}
    for times in TIMES:
        console.print(f"growth: {job}, {times} × {once:,} events")
        with place() as prefix:
            records = load(console, prefix, job, once * times)
            runs[times] += [per_million(run_job(prefix, job, records, blackhole=True)) for _ in range(rounds)]
    return [
        Row(
            "growth", f"{job}: {times}× events", f"{less}×", COST, runs[times], runs[less], at_most=MOST_COST,
            expected=1.0,
        )
        for times, less in ((4, 1), (16, 1), (16, 4))
    ]  # fmt: skip


def by_slots(console: Console, job: str, events: int, rounds: int) -> list[Row]:
    """Two slots on two cores against one on one, and against one that may use both."""
    one: list[Run] = []
    two: list[Run] = []
    unpinned: list[Run] = []
    with place() as prefix:
        console.print(f"growth: {job}, one and two slots")
        records = load(console, prefix, job, events)
        for _ in range(rounds):
            with on_cores(1):
                one.append(run_job(prefix, job, records, blackhole=True, parallelism=1))
            with on_cores(2):
                two.append(run_job(prefix, job, records, blackhole=True, parallelism=2))
            unpinned.append(run_job(prefix, job, records, blackhole=True, parallelism=1))
    return [
        Row(
            "growth", f"{job}: 2 slots on 2 cores", "1 slot on 1 core", "events/s", two, one,
            at_least=LEAST_OF_TWO_SLOTS, expected=2.0,
        ),
        Row("growth", f"{job}: 2 slots on 2 cores", "1 slot on 2 cores", "events/s", two, unpinned),
    ]  # fmt: skip


@contextmanager
def on_cores(number: int) -> Iterator[None]:
    """TaskManager and Python workers, all their threads, on the first so many cores of this process."""
    every = os.sched_getaffinity(0)
    _pin(set(sorted(every)[:number]))
    try:
        yield
    finally:
        _pin(every)


def _pin(cores: set[int]) -> None:
    for pid in processes.members(flink.TASKMANAGER):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            try:
                os.sched_setaffinity(int(thread.name), cores)
            except ProcessLookupError:  # a thread that has ended
                continue


def by_partitions(console: Console, job: str, events: int, rounds: int) -> list[Row]:
    """Events a second by the number of partitions of what the job reads."""
    runs: dict[int, list[Run]] = {}
    for number in PARTITIONS:
        console.print(f"growth: {job}, {number} partitions")
        with place_with_partitions(LOADS[job].topics, number) as prefix:
            records = load(console, prefix, job, events)
            runs[number] = [run_job(prefix, job, records, blackhole=True) for _ in range(rounds)]
    return [
        Row(
            "growth", f"{job}: {number} partitions", "1 partition", "events/s", runs[number], runs[1],
            expected=float(min(number, settings().parallelism)),
        )
        for number in PARTITIONS[1:]
    ]  # fmt: skip


@contextmanager
def place_with_partitions(topics: tuple[str, ...], number: int) -> Iterator[str]:
    """A place whose `topics` have so many partitions."""
    with place() as prefix:
        admin = AdminClient(confluent_kafka_options())
        for deleted in admin.delete_topics([prefix + topic for topic in topics]).values():
            deleted.result(timeout=30)
        time.sleep(1)  # a deleted topic's name is free a moment later
        for made in admin.create_topics([NewTopic(prefix + topic, number, 1) for topic in topics]).values():
            made.result(timeout=30)
        yield prefix


def by_keys(console: Console, acts: int) -> list[Row]:
    """Cost per event by the number of pages and where state is kept, one round each: they are long."""
    runs: dict[tuple[str, int], Run] = {}
    for where, (state, numbers) in KEYS.items():
        for keys in numbers:
            console.print(f"growth: wiki_pages, {keys:,} pages in {where}")
            with place() as prefix:
                loads.send(prefix, page_acts(acts, keys))
                runs[where, keys] = per_million(run_job(prefix, "wiki_pages", acts, blackhole=True, state=state))
    return [
        Row(
            "growth", f"wiki_pages: {keys:,} keys in {where}", f"{numbers[0]:,} keys in {where}", COST,
            [runs[where, keys]], [runs[where, numbers[0]]], expected=1.0,
        )
        for where, (_state, numbers) in KEYS.items()
        for keys in numbers[1:]
    ]  # fmt: skip


def page_acts(count: int, pages: int) -> Iterator[Message]:
    """Creations of pages, each page in turn: a generated one with other ids and times."""
    pattern = next(
        orjson.loads(message.value)
        for message in LOADS["wiki_pages"].made(100_000)
        if message.topic == "wiki_page_create" and b'"canary"' not in message.value
    )
    began = datetime.now(UTC) - timedelta(seconds=count / 1000)
    for number in range(count):
        at = (began + timedelta(milliseconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        page = number % pages
        meta = pattern["meta"] | {"dt": at, "id": f"bench-{number}", "request_id": f"bench-{number}"}
        value = orjson.dumps(pattern | {"meta": meta, "page_id": page + 1, "page_title": f"Page_{page}"})
        yield Message("wiki_page_create", f"page-{page}".encode(), value)
