"""Producer -> social_posts -> Elasticsearch and social_metrics, against the plain consumer of bench/plain_consumer.py.

In each round, under a prefix of its own:

- `producer`: python -m producers.posts --rate 0, from its start to its end.
- each job reads what is there to the end; its time is that from its first task running to its end, as Flink says it,
  so that the start of the Python workers and the last checkpoint are in. `one after the other` adds both.
- `streaming`: both jobs run on while the producer sends; from the producer's start to the last post's document and to
  the last window that closes.
- What the rates are of has to have arrived: nearly all posts as documents and in the figures of their minutes.
- `plain consumer`: its own clock, from its first record, over fewer posts, since it takes so long.

All rows run once unmeasured, then in rounds; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from elasticsearch import ApiError, Elasticsearch
from rich.console import Console
from rich.table import Table

from bench.measure import Measured, cpu_seconds, cpu_since, run_time
from settings import ROOT, settings
from stack import elasticsearch, flink, jobs, kafka, layout
from stack.errors import StackError

EVENTS = 200_000
JOBS = ("social_posts", "social_metrics")
PRODUCER, IN_TURN, STREAMING, PLAIN = "producer", "one after the other", "streaming", "plain consumer (reference)"
# Posts per record: one in twenty is a correction, some are copies, late, or of the last minutes, which do not close.
LEAST = 0.9
# Windows come with the transactions of a checkpoint, every 10 s.
QUIET_SECONDS = 25
PRODUCER_SECONDS = 600
STREAMING_SECONDS = 600
TRAINING = ROOT / ".venv-training" / "bin" / "python"

Round = dict[str, Measured]


@contextmanager
def producer(prefix: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """python -m producers.posts with these options, in the background; at the end it is waited for.

    Raises StackError with what it said when it failed, or when it does not end.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "producers.posts", *options],
        cwd=ROOT,
        env={**os.environ, "CROWDPULSE_PREFIX": prefix},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        _, said = process.communicate(timeout=PRODUCER_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise StackError(f"The producer of posts still runs after {PRODUCER_SECONDS} s.") from error
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise StackError(f"The producer of posts ended with {process.returncode}: {said.strip()[-600:]}")


def load(prefix: str, events: int) -> Measured:
    """Fill the topic; the time is the whole of the producer's."""
    began, before = time.monotonic(), cpu_seconds()
    with producer(prefix, "--rate", "0", "--limit", str(events)):
        pass
    return Measured(time.monotonic() - began, cpu_since(before), events, 0)


def run_job(job: str, client: Elasticsearch, prefix: str, events: int) -> Measured:
    """One run of a job over the whole topic."""
    before = cpu_seconds()
    run = jobs.submit(job, prefix=prefix, fresh=True, environment={"CROWDPULSE_BOUNDED_MODE": "latest-offset"})
    jobs.wait(run.job_id, seconds=600)
    seconds, used = run_time(run.job_id), cpu_since(before)
    client.indices.refresh(index=f"{prefix}*")
    check(job, client, prefix, events)
    return Measured(seconds, used, events, int(client.count(index=f"{prefix}{job}")["count"]))


def check(job: str, client: Elasticsearch, prefix: str, events: int) -> None:
    """Raises StackError when less has arrived than the records that were sent must make (`LEAST`)."""
    if job == "social_posts":
        arrived = count(client, f"{prefix}social_posts")
    else:
        summed = client.search(index=f"{prefix}social_metrics", size=0, aggs={"posts": {"sum": {"field": "posts"}}})
        arrived = int(summed["aggregations"]["posts"]["value"])
    if arrived < LEAST * events:
        raise StackError(
            f"{job}: only {arrived:,} posts of {events:,} records arrived; the rate would be of less work."
        )


def stream(client: Elasticsearch, prefix: str, events: int) -> Measured:
    """Both jobs go on while the producer sends. Raises StackError when documents still come after ten minutes."""
    for job in JOBS:
        jobs.submit(job, prefix=prefix, fresh=True)
    began, before = time.monotonic(), cpu_seconds()
    counts, changed, used = [0, 0], began, cpu_since(before)
    with producer(prefix, "--rate", "0", "--limit", str(events)) as sending:
        while sending.poll() is None or not all(counts) or time.monotonic() - changed < QUIET_SECONDS:
            time.sleep(0.5)
            now = [count(client, f"{prefix}{job}") for job in JOBS]
            if now != counts:
                counts, changed, used = now, time.monotonic(), cpu_since(before)
            if time.monotonic() - began > STREAMING_SECONDS:
                raise StackError(f"After {STREAMING_SECONDS} s the jobs of {prefix} still write or have not begun to.")
    for job in JOBS:
        jobs.cancel(prefix + job)
        check(job, client, prefix, events)
    return Measured(changed - began, used, events, counts[0])


def count(client: Elasticsearch, index: str) -> int:
    """The documents that a search finds in an index; 0 where it is not there yet or is being made."""
    try:
        return int(client.count(index=index, ignore_unavailable=True)["count"])
    except ApiError:
        return 0


@contextmanager
def plain_consumer(console: Console) -> Iterator[subprocess.Popen[str] | None]:
    """The plain consumer, ready to run; None, and a sentence, where it cannot be trained."""
    if not TRAINING.exists():
        console.print("Without the plain consumer: `make training-environment` makes what it runs in.")
        yield None
        return
    console.print("Training the three pipelines of the plain consumer …")
    with subprocess.Popen(
        [str(TRAINING), "-m", "bench.plain_consumer"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        if process.stdout.readline().strip() == "ready":
            yield process
        elif process.wait() == 2:  # it has said which data sets are missing
            console.print("Without the plain consumer, whose pipelines learn from these data sets.")
            yield None
        else:
            raise StackError(f"The plain consumer ended with {process.returncode}.")
        process.stdin.close()


def run_plain(process: subprocess.Popen[str], prefix: str) -> Measured:
    """One run of the plain consumer. Raises StackError when it has died."""
    assert process.stdin
    assert process.stdout
    before = cpu_seconds()
    process.stdin.write(f"{prefix}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise StackError(f"The plain consumer ended with {process.wait()}.")
    posts, seconds = answer.split()
    if posts == "0":
        raise StackError("The plain consumer indexed no post.")
    return Measured(float(seconds), cpu_since(before), int(posts), int(posts))


def remove(prefix: str) -> None:
    """Take away jobs, their checkpoints, indices and topics whose names begin with `prefix`."""
    for job in jobs.listed():
        if job.name.startswith(prefix) and job.state not in jobs.ENDED:
            jobs.cancel(job.name)
    for record in layout.jobs_dir().glob(f"{prefix}*.json"):
        layout.remove(layout.checkpoints_dir() / json.loads(record.read_text())["job_id"])
        record.unlink()
    elasticsearch.delete_indices(prefix)
    kafka.delete_topics(prefix)


def measure(
    client: Elasticsearch, plain: subprocess.Popen[str] | None, name: str, events: int
) -> Iterator[tuple[str, Measured]]:
    """Each row once; `name` begins the prefixes."""
    try:
        kafka.create_topics(f"{name}a.")
        yield PRODUCER, load(f"{name}a.", events)
        posts, metrics = (run_job(job, client, f"{name}a.", events) for job in JOBS)
        used = {part: posts.cpu_seconds[part] + metrics.cpu_seconds[part] for part in posts.cpu_seconds}
        yield from zip(JOBS, (posts, metrics), strict=True)
        yield IN_TURN, Measured(posts.seconds + metrics.seconds, used, events, posts.documents)
        if plain:
            yield PLAIN, run_plain(plain, f"{name}a.")
        remove(f"{name}a.")
        kafka.create_topics(f"{name}b.")
        yield STREAMING, stream(client, f"{name}b.", events)
    finally:
        remove(name)


def main(console: Console, events: int, rounds: int) -> None:
    """Measure and print. Needs the running stack."""
    base = f"bench-{uuid.uuid4().hex[:8]}-"
    elasticsearch.put_templates()
    measured: list[Round] = []
    with (
        plain_consumer(console) as plain,
        Elasticsearch(settings().elasticsearch_hosts, request_timeout=120) as client,
    ):
        for number in range(rounds + 1):
            console.print(f"Round {number} of {rounds} …" if number else f"Warming up, {events:,} posts …")
            runs: Round = {}
            for row, run in measure(client, plain, f"{base}{number}", events):
                runs[row] = run
                console.print(f"  {row}: {run.events:,} posts, {run.seconds:.1f} s")
            measured.append(runs)
    console.print(_table(measured[1:]))


def _table(rounds: list[Round]) -> Table:
    table = Table(
        "row", "posts", "seconds", "posts/s", "÷ plain consumer", "documents", "CPU s: Flink", "Elasticsearch",
        title=f"Social posts, from the producer to Elasticsearch (medians of {len(rounds)} rounds)",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for row in (PRODUCER, *JOBS, IN_TURN, STREAMING, PLAIN):
        measured = [runs[row] for runs in rounds if row in runs]
        if not measured:
            continue
        ratios = [
            runs[row].events / runs[row].seconds / (runs[PLAIN].events / runs[PLAIN].seconds)
            for runs in rounds
            if PLAIN in runs
        ]
        table.add_row(
            row,
            f"{measured[0].events:,}",
            f"{median(run.seconds for run in measured):.1f}",
            f"{median(run.events / run.seconds for run in measured):,.0f}",
            f"{median(ratios):.1f}" if ratios and row != PRODUCER else "",
            f"{median(run.documents for run in measured):,.0f}" if row != PRODUCER else "",
            *(
                f"{median(run.cpu_seconds[part] for run in measured):.1f}"
                for part in (flink.TASKMANAGER, elasticsearch.NAME)
            ),
        )
    return table
