"""One run of all jobs while a seeded story is told, and what happens to it: the faults."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elasticsearch import ApiError, TransportError

from settings import ROOT
from stack import cluster, flink, jobs, processes
from stack.demo import JOBS
from tests.e2e.conftest import Pipeline, restarts
from tests.faults.accounts import SCORE_WAIT_SECONDS, Accounts
from tests.faults.ledger import Ledger
from tests.faults.slow_proxy import SlowProxy
from tests.faults.story import Story, Told

PER_SECOND = 250  # records: what two cores bear beside a part that starts anew
START_SECONDS = 300  # of a part that was killed, beside all jobs
SAY_SECONDS = 10
ACCOUNTED_SECONDS = 420  # for all that was sent to be where it belongs
GROWING = {"wiki_edits": "wiki_edits", "social_posts": "social_posts", "moderation": "moderation_messages"}


@dataclass
class Outcome:
    """What a case has shown; seconds are of the clock, None where nothing was away.

    `events` are those of the case; documents, dead letters and late events all that the run's indices hold then.
    """

    events: int
    fault_seconds: float
    recovery_seconds: float | None
    accounted_seconds: float
    restarts: int
    documents: int
    dead_letters: int
    late_events: int


@dataclass
class Run:
    """The jobs, the story, what was sent of it, and its accounts."""

    pipeline: Pipeline
    story: Story
    ledger: Ledger
    accounts: Accounts
    proxy: SlowProxy
    jobs: Sequence[str] = JOBS
    changed: dict[str, dict[str, str]] = field(default_factory=dict)  # settings of single jobs, by job
    by_the_producer: list[Told] = field(default_factory=list)  # what a producer of the product is to send
    held: threading.Event = field(default_factory=threading.Event)  # set: no posts are sent

    def submit(self) -> None:
        """Submit the jobs, each from where it ended if it has run."""
        for job, settings in self.changed.items():
            jobs.submit(job, prefix=self.pipeline.prefix, environment=self.pipeline.environment | settings)
        jobs.submit_all(self.jobs, prefix=self.pipeline.prefix, environment=self.pipeline.environment)

    def running(self) -> dict[str, str]:
        """The ids of the jobs that run, by name."""
        return {
            job.name.removeprefix(self.pipeline.prefix): job.job_id
            for job in jobs.listed()
            if job.name.startswith(self.pipeline.prefix) and job.state not in jobs.ENDED
        }

    def go(
        self,
        events: int,
        fault: Callable[[Run], None],
        *,
        told: Callable[[Run, Iterator[Told]], Iterator[Told]],
        is_away: bool = True,
    ) -> Outcome:
        """Tell so much of the story; after a quarter of it comes the fault; then wait for the accounts to be right.

        Where a part was away the story goes on until documents come again, however much that takes.
        """
        before = self.ledger.count
        quarter = threading.Event()
        recovered = threading.Event()
        failures: list[Exception] = []

        def tell() -> None:
            try:
                first = told(self, self.story.take(events))
                self._tell(itertools.chain(first, self._more(recovered)), events // 4, quarter)
                self.ledger.flush()
            except Exception as error:  # noqa: BLE001 (the test's thread raises it)
                failures.append(error)
            finally:
                quarter.set()

        telling = threading.Thread(target=tell, name="story")
        telling.start()
        quarter.wait()
        try:
            began = time.monotonic()
            fault(self)
            over = time.monotonic()
            recovery_seconds = self._until_documents_come(over) if is_away else None
        finally:
            recovered.set()
            telling.join()
        if failures:
            raise failures[0]
        ended = time.monotonic()
        self._until_accounted()
        accounted = time.monotonic()
        dead_letters, late_events = map(self.pipeline.count, ("dead_letters", "late_events"))
        return Outcome(
            events=self.ledger.count - before,
            fault_seconds=over - began,
            recovery_seconds=recovery_seconds,
            accounted_seconds=accounted - ended,
            restarts=sum(map(restarts, self.running().values())),
            documents=self.pipeline.count("*") - dead_letters - late_events,
            dead_letters=dead_letters,
            late_events=late_events,
        )

    def _more(self, enough: threading.Event) -> Iterator[Told]:
        while not enough.is_set():
            yield from self.story.take(1)

    def _tell(self, told: Iterator[Told], quarter: int, reached: threading.Event) -> None:
        began = time.monotonic()
        waiting: list[Told] = []
        for number, record in enumerate(told):
            if number == quarter:
                reached.set()
            if (ahead := began + number / PER_SECOND - time.monotonic()) > 0:
                time.sleep(ahead)
            if record.topic == "social_media" and self.held.is_set():
                waiting.append(record)
                continue
            while waiting and not self.held.is_set():
                self.ledger.send(waiting.pop(0))
            self.ledger.send(record)
        while self.held.is_set():
            time.sleep(0.1)
        for record in waiting:
            self.ledger.send(record)

    def _until_documents_come(self, since: float) -> float:
        """Seconds from `since` until each of GROWING's jobs has written a document that was not there then."""
        first: dict[str, int] = {}
        missing = {index for job, index in GROWING.items() if job in self.jobs}
        while missing and time.monotonic() < since + ACCOUNTED_SECONDS:
            for index in sorted(missing):
                try:
                    count = self.pipeline.count(index)
                except (ApiError, TransportError):
                    continue
                if count > first.setdefault(index, count):
                    missing.discard(index)
            time.sleep(0.2)
        assert not missing, f"no new document in {missing} after the fault"
        return time.monotonic() - since

    def _until_accounted(self) -> None:
        """Wait until all of the accounts agree, and say which do not yet; raises with all that never do."""
        deadline = time.monotonic() + ACCOUNTED_SECONDS
        said = time.monotonic()
        checks = self.accounts.checks(self.jobs)
        while checks:
            failed = {job.name: job.state for job in jobs.listed() if job.state == "FAILED"}
            assert not failed, failed
            wrong = {check: error for check in checks if (error := _error_of(check))}
            checks = list(wrong)
            if wrong and time.monotonic() > deadline:
                raise ExceptionGroup("the accounts are not right", list(wrong.values()))
            if wrong and time.monotonic() > said + SAY_SECONDS:
                said = time.monotonic()
                for check, error in wrong.items():
                    print(f"  {check.__name__} waits: {' '.join(str(error).split())[:120]}")
            time.sleep(0.5)


def _error_of(check: Callable[[], None]) -> Exception | None:
    try:
        check()
    except (AssertionError, ApiError, TransportError) as error:
        return error
    return None


def kill(name: str) -> None:
    """End a part of the stack at once, with all its processes (SIGKILL)."""
    for pid in processes.members(name):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while processes.members(name):
        assert time.monotonic() < deadline, f"{name} does not end"
        time.sleep(0.1)


def start_again(name: str) -> None:
    """Start a part of the stack that was killed, and wait until it is healthy."""
    part = next(one for one in cluster.parts() if one.name == name)
    part.start()
    deadline = time.monotonic() + START_SECONDS
    while reason := part.health():
        assert time.monotonic() < deadline, f"{name} {reason}"
        assert processes.pid(name), f"{name} ended while it started"
        time.sleep(0.2)


def program(run: Run, *arguments: str) -> subprocess.Popen[bytes]:
    """`python -m …` in the background, under the run's prefix."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **run.pipeline.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def environment_of(proxy: SlowProxy, folder: Path) -> dict[str, str]:
    """What the jobs of a run have set: all that they write goes through the proxy."""
    return {
        "CROWDPULSE_ELASTICSEARCH_HOSTS": proxy.address,
        "CROWDPULSE_WIKI_SCORE_WAIT_SECONDS": str(SCORE_WAIT_SECONDS),
        "CROWDPULSE_ENRICH_LEDGER": str(folder / "ledger.sqlite"),
    }


def flink_checkpoints(job_id: str) -> dict[str, int]:
    """How many checkpoints of a job are completed, failed and so on."""
    counts: dict[str, int] = flink.rest(f"/jobs/{job_id}/checkpoints")["counts"]
    return counts
