"""Runs of jobs over loaded topics, from their beginning to their end."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from elasticsearch import ApiError, Elasticsearch, TransportError
from rich.console import Console

from bench import loads
from bench.measure import Run, Usage, run_time
from services.elasticsearch import elasticsearch_client
from stack import cluster, elasticsearch, jobs, kafka, layout
from stack.errors import StackError

SCRIPT = Path(__file__).with_name("bench_job.py")
BOUNDED = {"CROWDPULSE_BOUNDED_MODE": "latest-offset"}
LONGEST_SECONDS = 900
POLL_SECONDS = 0.25


@contextmanager
def place() -> Iterator[str]:
    """A prefix of its own with its topics; what is under it is removed at the end."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    try:
        kafka.create_topics(prefix)
        yield prefix
    finally:
        remove(prefix)


def remove(prefix: str) -> None:
    """Take away jobs, their checkpoints, indices and topics whose names begin with `prefix`."""
    for job in jobs.listed():
        if job.name.startswith(prefix) and job.state not in jobs.ENDED:
            jobs.cancel(job.name)
    forget_checkpoints(prefix)
    elasticsearch.delete_indices(prefix)
    kafka.delete_topics(prefix)


def forget_checkpoints(prefix: str) -> None:
    """Take away the checkpoints of ended jobs whose names begin with `prefix`."""
    for record in layout.jobs_dir().glob(f"{prefix}*.json"):
        layout.remove(layout.checkpoints_dir() / json.loads(record.read_text())["job_id"])
        record.unlink()


def load(console: Console, prefix: str, job: str, events: int) -> int:
    """Fill the topics that a job reads, of so many generated events; returns how many records they hold."""
    needed = loads.LOADS[job]
    console.print(f"  loading {events:,} generated events …")
    loads.send(prefix, needed.made(events))
    if needed.by:
        console.print(f"  jobs/{needed.by}.py makes of them what jobs/{job}.py reads …")
        run_job(prefix, needed.by, events)
    return loads.count(prefix, needed.topics)


def run_job(
    prefix: str,
    job: str,
    events: int,
    *,
    blackhole: bool = False,
    sinks: Sequence[str] = (),
    parallelism: int | None = None,
    state: str = "",
) -> Run:
    """One run over all that is in its topics, into empty indices; `value` is events a second.

    Its time is that from its first task running to its end, as Flink says it: with the start of the Python workers, and
    with the last checkpoint. `first_document_seconds` is from its submission to the first document of a search.
    `state` is a state backend (default: the cluster's).
    Raises StackError when it fails, and when there are documents with a blackhole or none without.
    """
    elasticsearch.delete_indices(prefix)
    environment = {
        **BOUNDED,
        "CROWDPULSE_PREFIX": prefix,
        "BENCH_JOB": job,
        "BENCH_BLACKHOLE": str(int(blackhole)),
        "BENCH_SINKS": ",".join(sinks),
        "BENCH_STATE": state,
    }
    with FirstDocument(prefix) as first, Usage() as used:
        seconds = seconds_of(SCRIPT, prefix + job, environment, parallelism)
    forget_checkpoints(prefix)
    with elasticsearch_client(120) as client:
        client.indices.refresh(index=f"{prefix}*")
        documents = int(client.count(index=f"{prefix}*")["count"])
    if bool(documents) == blackhole:
        raise StackError(f"{job}: {documents:,} documents {'in spite of' if blackhole else 'without'} a blackhole.")
    more = {"first_document_seconds": first.seconds} if first.seconds else {}
    return Run(events / seconds, seconds, events, documents, used.cpu_seconds, used.peak_mb, more)


def seconds_of(script: Path, name: str, environment: Mapping[str, str], parallelism: int | None = None) -> float:
    """How long a job runs over what its topics hold, from its first task running to its end. Raises StackError."""
    submitted = jobs.submit_script(
        script,
        name=name,
        fresh=True,
        parallelism=parallelism,
        environment=environment,
        wait_seconds=LONGEST_SECONDS,
    )
    jobs.wait(submitted.job_id, seconds=LONGEST_SECONDS)
    return run_time(submitted.job_id)


@contextmanager
def local_stack(console: Console) -> Iterator[None]:
    """The local stack: the one that runs already, or one that is stopped again afterwards. Raises StackError."""
    ran = all(state.healthy for state in cluster.states() if state.part)
    try:
        cluster.up(console)
        yield
    finally:
        if not ran:
            cluster.down(console)


class FirstDocument:
    """How long after its beginning (`with`) a search finds a document under a prefix; 0: none yet."""

    def __init__(self, prefix: str) -> None:
        self.seconds = 0.0
        self._prefix = prefix
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> FirstDocument:
        self._began = time.monotonic()
        self._watch.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        with elasticsearch_client(30) as client:
            while not self.seconds and not self._ended.wait(POLL_SECONDS):
                if count(client, f"{self._prefix}*"):
                    self.seconds = time.monotonic() - self._began


def count(client: Elasticsearch, index: str) -> int:
    """The documents that a search finds in an index; 0 where it is not there yet or is being made."""
    try:
        return int(client.count(index=index, ignore_unavailable=True)["count"])
    except (ApiError, TransportError):
        return 0


def per_million(run: Run) -> Run:
    """The same run, `value` being the CPU seconds of all processes for a million events."""
    return replace(run, value=sum(run.cpu_seconds.values()) / run.events * 1e6)
