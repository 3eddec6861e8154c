"""Producer -> social_posts -> Elasticsearch and social_metrics, against the plain consumer of bench/plain_consumer.py.

In each round, under a prefix of its own:

- `producer`: python -m producers.posts --rate 0, from its start to its end.
- each job reads what is there to the end; its time is that from its first task running to its end, as Flink says it,
  so that the start of the Python workers and the last checkpoint are in. `one after the other` adds both.
- `streaming`: both jobs run on while the producer sends; from the producer's start to the last post's document and to
  the last window that closes.
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

from elasticsearch import Elasticsearch
from rich.console import Console
from rich.table import Table

from bench.measure import Measured, cpu_seconds, cpu_since, run_time
from settings import ROOT, settings
from stack import elasticsearch, flink, jobs, kafka, layout
from stack.errors import StackError

EVENTS = 200_000
JOBS = ("social_posts", "social_metrics")
PRODUCER, IN_TURN, STREAMING, PLAIN = "producer", "one after the other", "streaming", "plain consumer (reference)"
# Windows come with the transactions of a checkpoint, every 10 s.
QUIET_SECONDS = 25
STREAMING_SECONDS = 600
TRAINING = ROOT / ".venv-training" / "bin" / "python"

Round = dict[str, Measured]


def producer(prefix: str, *options: str) -> subprocess.Popen[str]:
    """python -m producers.posts with these options, started."""
    return subprocess.Popen(
        [sys.executable, "-m", "producers.posts", *options],
        cwd=ROOT,
        env={**os.environ, "CROWDPULSE_PREFIX": prefix},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait for a producer's end. Raises StackError with what it said when it failed or takes longer."""
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    if process.returncode != 0:
        raise StackError(f"The producer of posts ended with {process.returncode}: {said.strip()[-600:]}")


def load(prefix: str, events: int) -> Measured:
    """Fill the topic; the time is the whole of the producer's."""
    began, before = time.monotonic(), cpu_seconds()
    end_of(producer(prefix, "--rate", "0", "--limit", str(events)), seconds=600)
    return Measured(time.monotonic() - began, cpu_since(before), events, 0)


def run_job(job: str, client: Elasticsearch, prefix: str, events: int) -> Measured:
    """One run of a job over the whole topic."""
    before = cpu_seconds()
    run = jobs.submit(job, prefix=prefix, fresh=True, environment={"CROWDPULSE_BOUNDED_MODE": "latest-offset"})
    jobs.wait(run.job_id, seconds=600)
    seconds, used = run_time(run.job_id), cpu_since(before)
    client.indices.refresh(index=f"{prefix}*")
    return Measured(seconds, used, events, int(client.count(index=f"{prefix}{job}")["count"]))


def stream(client: Elasticsearch, prefix: str, events: int) -> Measured:
    """Both jobs go on while the producer sends. Raises StackError when documents still come after ten minutes."""
    for job in JOBS:
        jobs.submit(job, prefix=prefix, fresh=True)
    began, before = time.monotonic(), cpu_seconds()
    sending = producer(prefix, "--rate", "0", "--limit", str(events))
    indices = [f"{prefix}{job}" for job in JOBS]
    counts, changed = [0, 0], began
    used = cpu_since(before)
    while sending.poll() is None or not counts[1] or time.monotonic() - changed < QUIET_SECONDS:
        time.sleep(0.5)
        now = [int(client.count(index=index, ignore_unavailable=True)["count"]) for index in indices]
        if now != counts:
            counts, changed, used = now, time.monotonic(), cpu_since(before)
        if time.monotonic() - began > STREAMING_SECONDS:
            sending.kill()
            raise StackError(
                f"After {STREAMING_SECONDS} s there are still not all documents in {' and '.join(indices)}."
            )
    end_of(sending, seconds=10)
    for job in JOBS:
        jobs.cancel(prefix + job)
    return Measured(changed - began, used, events, counts[0])


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
    answer = process.stdout.readline().split()
    if not answer:
        raise StackError(f"The plain consumer ended with {process.wait()}.")
    return Measured(float(answer[1]), cpu_since(before), int(answer[0]), int(answer[0]))


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


def measure(client: Elasticsearch, plain: subprocess.Popen[str] | None, name: str, events: int) -> Round:
    """Each row once; `name` begins the prefixes."""
    try:
        kafka.create_topics(f"{name}a.")
        runs = {PRODUCER: load(f"{name}a.", events)}
        for job in JOBS:
            runs[job] = run_job(job, client, f"{name}a.", events)
        posts, metrics = (runs[job] for job in JOBS)
        used = {part: posts.cpu_seconds[part] + metrics.cpu_seconds[part] for part in posts.cpu_seconds}
        runs[IN_TURN] = Measured(posts.seconds + metrics.seconds, used, events, posts.documents)
        if plain:
            runs[PLAIN] = run_plain(plain, f"{name}a.")
        remove(f"{name}a.")
        kafka.create_topics(f"{name}b.")
        runs[STREAMING] = stream(client, f"{name}b.", events)
        return runs
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
            runs = measure(client, plain, f"{base}{number}", events)
            for row, run in runs.items():
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
