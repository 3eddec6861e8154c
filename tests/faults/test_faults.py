"""Faults on the real stack, while all jobs run and a seeded story of all suites is told: nothing is lost or doubled.

`make faults` tells 200,000 records through all cases and writes docs/reliability.md. Without CROWDPULSE_FAULT_EVENTS,
as in `make test`, it is the short form: two cases, of four jobs. The cases share one run, so the accounts of each hold
all that was sent before, too.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from unittest import mock

import pytest

from settings import settings
from stack import elasticsearch, flink, jobs, kafka, layout, ports
from stack.demo import JOBS
from tests.e2e.conftest import Pipeline
from tests.faults import report
from tests.faults.accounts import Accounts
from tests.faults.ledger import Ledger
from tests.faults.run import Run, environment_of, flink_checkpoints, kill, program, start_again
from tests.faults.slow_proxy import SlowProxy
from tests.faults.story import ROOMS, Story, Told, poisoned, with_wrong_clocks
from tests.moderation_service import Service
from tests.sse_server import SseServer

EVENTS = int(os.environ.get("CROWDPULSE_FAULT_EVENTS", "0"))
# The short form: its jobs, whose turn it is in the story, its cases and the records of each.
SHORT_JOBS = ("kept_records", "social_posts", "social_metrics", "moderation")
SHORT_TURNS = "pcp"
SHORT_CASES = ("taskmanager", "poison")
SHORT_EVENTS = 4000
SEED = int(os.environ.get("CROWDPULSE_FAULT_SEED", "11"))
AWAY_SECONDS = 30
DISK_MEGABYTES = 512
MESSAGES = 300  # by the service

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]


def taskmanager_killed(run: Run) -> None:
    flink.kill_taskmanager()
    flink.start_taskmanager()


def jobmanager_killed(run: Run) -> None:
    """Its jobs are gone with it: they are submitted again, each from its last checkpoint."""
    kill(flink.JOBMANAGER)
    start_again(flink.JOBMANAGER)
    run.pipeline.wait_for("the TaskManager's slots", lambda: flink.rest("/overview")["slots-total"] > 0, 120)
    run.submit()


def elasticsearch_killed(run: Run) -> None:
    kill(elasticsearch.NAME)
    time.sleep(AWAY_SECONDS)
    start_again(elasticsearch.NAME)


def kafka_killed(run: Run) -> None:
    kill(kafka.NAME)
    time.sleep(AWAY_SECONDS)
    start_again(kafka.NAME)


def elasticsearch_slow(run: Run) -> None:
    run.proxy.seconds = 2
    time.sleep(AWAY_SECONDS)
    run.proxy.seconds = 0


def disk_full(run: Run) -> None:
    """Checkpoints fail as long as it is."""
    job = run.running()["social_posts"]
    failed = flink_checkpoints(job)["failed"]
    filler = layout.checkpoints_dir() / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * (1 << 20)):
                    pass
            except OSError:
                pass
        run.pipeline.wait_for("a checkpoint that fails", lambda: flink_checkpoints(job)["failed"] > failed, 120)
        time.sleep(AWAY_SECONDS)
    finally:
        filler.unlink(missing_ok=True)
    completed = flink_checkpoints(job)["completed"]
    run.pipeline.wait_for("a checkpoint again", lambda: flink_checkpoints(job)["completed"] > completed, 180)


def by_the_producer(run: Run, told: Iterator[Told]) -> Iterator[Told]:
    """All but recent changes, which the producer is to bring."""
    records = list(told)
    run.by_the_producer = [record for record in records if record.topic == "wiki_recentchange" and record.is_usable]
    taken = set(map(id, run.by_the_producer))
    return iter([record for record in records if id(record) not in taken])


def producer_killed(run: Run) -> None:
    """Recent changes come by the producer, which is killed twice and goes on from where Kafka had them all."""
    run.ledger.may_repeat.add("wiki_recentchange")
    for record in run.by_the_producer:
        run.ledger.note(record)
    with SseServer([record.value for record in run.by_the_producer]) as server:
        command = ["producers.wikimedia", "--url", server.url, "--stream", "recentchange"]
        for _ in range(2):
            producer = program(run, *command)
            time.sleep(4)
            producer.kill()
            producer.wait(30)
        last = run.by_the_producer[-1].value
        finishing = program(run, *command)
        run.pipeline.wait_for(
            "the last event", lambda: any(one.value == last for one in run.accounts.records("wiki_recentchange")), 120
        )
        finishing.terminate()
        finishing.wait(30)


def service_killed(run: Run) -> None:
    """People chat by the moderation service; what was not answered before it is killed, they send again."""
    folder = settings().state_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    unanswered = {str(uuid.uuid4()): f"hello, this is number {number}" for number in range(MESSAGES)}
    for identity, text in unanswered.items():
        run.ledger.note_message({"room": ROOMS[0], "message_id": identity, "text": text})
    for until in (MESSAGES * 2 // 3, MESSAGES // 3, 0):
        service = Service(run.pipeline.prefix, folder, run.pipeline.environment)
        while len(unanswered) > until:
            # So few by each that nobody floods.
            mine = dict(islice(unanswered.items(), 5))
            with service.join(ROOMS[0], f"visitor {uuid.uuid4()}") as person:
                for identity, text in mine.items():
                    person.send(text, identity)
                if len(unanswered) - len(mine) <= until and until:
                    break  # these are on their way when it is killed
                for identity in mine:
                    person.hear("message", identity)
                    del unanswered[identity]
        if until:
            service.kill()
        else:
            service.stop()


def upgraded(run: Run) -> None:
    """social_posts is stopped with a savepoint and goes on with a changed query, social_metrics with more workers.

    Posts wait meanwhile, so that it is known by which query each was judged.
    """
    prefix = run.pipeline.prefix
    run.held.set()
    run.pipeline.wait_for("what was sent is judged", lambda: _all_judged(run), 120)
    boundary: dict[int, int] = {}
    for record in run.accounts.records("social_media"):
        boundary[record.place[0]] = max(boundary.get(record.place[0], 0), record.place[1])
    for job in ("social_posts", "social_metrics"):
        assert jobs.stop(prefix + job)
    run.changed["social_posts"] = {"CROWDPULSE_VIRAL_ENGAGEMENTS": "100"}
    for job, parallelism in (("social_posts", None), ("social_metrics", 1)):
        environment = run.pipeline.environment | run.changed.get(job, {})
        upgrade = jobs.submit(job, prefix=prefix, parallelism=parallelism, environment=environment)
        assert "savepoint-" in upgrade.resumed_from
    before = settings().viral_engagements
    run.accounts.viral_engagements = lambda place: before if place[1] <= boundary.get(place[0], -1) else 100
    run.held.clear()


def _all_judged(run: Run) -> bool:
    records = run.accounts.records("social_media")
    usable = [one for one in records if one.value not in run.ledger.broken["social_media"]]
    judged = run.accounts.records("scored_posts", committed=True)
    return len(records) == run.ledger.sent["social_media"].total() and len(judged) == len(usable)


def clocks_jump(run: Run) -> None:
    """The clock of the chat's writer goes an hour ahead, then an hour back, while posts come with wrong times too."""
    real = time.time_ns
    for hours in (1, -1):
        with mock.patch("time.time_ns", lambda hours=hours: real() + hours * 3_600_000_000_000):
            time.sleep(5)


def nothing(run: Run) -> None:
    """The fault is in what is told."""


def as_it_is(run: Run, told: Iterator[Told]) -> Iterator[Told]:
    """The story unchanged."""
    return told


@dataclass(frozen=True)
class Case:
    """A fault: its name, what it is in words, what happens, and to the story; `is_away`: a part was."""

    name: str
    said: str
    fault: Callable[[Run], None]
    told: Callable[[Run, Iterator[Told]], Iterator[Told]] = as_it_is
    is_away: bool = True


CASES = [
    Case("taskmanager", "kill -9 of the TaskManager", taskmanager_killed),
    Case("elasticsearch", f"kill -9 of Elasticsearch, {AWAY_SECONDS} s away", elasticsearch_killed),
    Case("slow", f"Elasticsearch answers 2 s late for {AWAY_SECONDS} s", elasticsearch_slow),
    Case("kafka", f"kill -9 of Kafka (the only broker), {AWAY_SECONDS} s away", kafka_killed),
    Case("jobmanager", "kill -9 of the JobManager, all jobs restored", jobmanager_killed),
    Case("disk", f"the checkpoints' disk is full, {AWAY_SECONDS} s and more", disk_full),
    Case("poison", "every fifth record malformed", nothing, lambda _run, told: poisoned(told), is_away=False),
    Case("upgrade", "savepoint, changed query, other parallelism", upgraded),
    Case("producer", "kill -9 of the producer, twice", producer_killed, by_the_producer, is_away=False),
    Case("service", "kill -9 of the moderation service, twice", service_killed, is_away=False),
    Case(
        "clocks",
        "producers' clocks an hour ahead and back",
        clocks_jump,
        lambda _run, told: with_wrong_clocks(told),
        is_away=False,
    ),
]


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A small tmpfs in place of a folder, as long as it lasts; False where this process may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_mount():  # by a run that was killed
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "crowdpulse", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def has_small_disk(running_stack: None) -> Iterator[bool]:
    """Whether checkpoints go to a disk of their own. Other jobs would miss theirs: so there must not be any."""
    if not EVENTS:
        yield False
        return
    others = [job.name for job in jobs.listed() if job.state not in jobs.ENDED]
    assert not others, f"{', '.join(others)} runs on the stack: the fault tests would kill it (`make down` ends it)."
    with small_disk(layout.checkpoints_dir()) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def run(has_small_disk: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The jobs, running under a prefix of their own."""
    pipeline = Pipeline(f"fault-{uuid.uuid4().hex[:8]}.")
    kafka.create_topics(pipeline.prefix)
    elasticsearch.put_templates()
    ledger = Ledger(pipeline.prefix)
    story, chosen = (Story(SEED), JOBS) if EVENTS else (Story(SEED, SHORT_TURNS), SHORT_JOBS)
    with SlowProxy(ports.HOST, ports.port("elasticsearch")) as proxy:
        pipeline.environment |= environment_of(proxy, tmp_path_factory.mktemp("faults"))
        one = Run(pipeline, story, ledger, Accounts(pipeline, ledger), proxy, chosen)
        try:
            one.submit()
            yield one
        finally:
            ledger.close()
            pipeline.close()


@pytest.fixture(scope="module")
def table() -> Iterator[report.Report]:
    """What the cases have shown; a full run that passed is written down."""
    collected = report.Report(seed=SEED)
    yield collected
    if len(collected.rows) == len(CASES):
        collected.write()


@pytest.mark.parametrize(
    "case", [case for case in CASES if EVENTS or case.name in SHORT_CASES], ids=lambda case: case.name
)
def test_nothing_is_lost_and_nothing_doubled(run: Run, has_small_disk: bool, table: report.Report, case: Case) -> None:
    if case.fault is disk_full and not has_small_disk:
        pytest.skip("this process may not mount a small disk (root may)")
    outcome = run.go(EVENTS // len(CASES) or SHORT_EVENTS, case.fault, told=case.told, is_away=case.is_away)

    print(f"\n{case.said}: {table.add(case.said, outcome)}")
