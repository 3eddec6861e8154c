"""`make soak`: jobs for half an hour at a share of the measured capacity, watched for what grows.

    python -m bench.soak                              30 minutes at 70 %
    python -m bench.soak --minutes 120 --share 0.5    longer, with less

Generated posts, Wikipedia's changes and page events, and chat messages come evenly in time; social_posts,
social_metrics, wiki_edits, wiki_pages, moderation and kept_records read them, all settings as they are. The share is of
the machine's cores: by the CPU seconds that `make bench` has measured for each job's events, each of the four sources
gets an equal part; the senders come on top. Every ten seconds the memory of each process, each job's event-time lag,
the size of its last checkpoint and its restarts are sampled. What the first minutes fill (caches, windows, pools) is
left out of the slopes.

background_check is not among them, whose state is to grow for its 30 days of TTL, and wiki_intent and wiki_users, whose
windows the time is too short for. The result is .stack/bench/soak.json and a part of docs/performance.md. Exit codes:
0 all is bounded and nothing restarted, 1 something was not, 2 there are no figures of `make bench`, or wrong options.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import sqrt
from random import Random
from statistics import mean, median
from typing import Any, NamedTuple

import orjson
from rich.console import Console

from bench import report, results
from bench.latency import process
from bench.loads import CHAT_ROOMS, CHAT_USERS, SEED, Message, client
from bench.measure import memory_mb
from bench.results import Results
from bench.runs import local_stack, place
from producers import synthetic_posts, synthetic_wikimedia
from producers._command_line import positive, share
from producers._wikimedia_streams import NAMES, STREAMS
from producers.chat import conversation
from services.job_metrics import Flink, FlinkAway, Job, job_document
from stack import flink, jobs, layout
from stack.errors import StackError

SAMPLE_SECONDS = 10.0
# Of the minutes, what is left out of the slopes: windows of an hour fill slowly, but their users repeat.
LEFT_OUT = 0.25
# A series is bounded where its slope cannot be told from none, or would add less than this much of it in an hour.
BOUNDED_SHARE = 0.1
RULE = (
    "Bounded: the interval of the slope reaches down to none, or the slope would add less than a tenth of the mean in"
    " an hour. The interval is of the means of ten blocks, since samples after one another are alike."
)
BLOCKS = 10
FEWEST_SAMPLES = 2 * BLOCKS
T_95 = 2.306  # Student's t of 8 degrees of freedom: ten blocks less a slope and a level


class Source(NamedTuple):
    """What comes in, and the jobs that read it, or what those make of it."""

    made: Callable[[float], Iterator[Message]]
    jobs: tuple[str, ...]


def posts(rate: float) -> Iterator[Message]:
    """Social posts from now on."""
    for post in synthetic_posts.events(seed=SEED, start=datetime.now(UTC), rate=rate):
        yield Message("social_media", post.key, post.value)


def changes(rate: float) -> Iterator[Message]:
    """Wikipedia's changes from now on, one in a thousand late and one malformed."""
    return _wikimedia(rate, ("recentchange", "visibility-change"))


def pages(rate: float) -> Iterator[Message]:
    """Wikipedia's page events from now on."""
    return _wikimedia(rate, ("page-create", "page-delete", "page-move", "page_change"))


def _wikimedia(rate: float, streams: Sequence[str]) -> Iterator[Message]:
    names = [NAMES[stream] for stream in streams]
    start = datetime.now(UTC)
    for event in synthetic_wikimedia.events(names, seed=SEED, start=start, rate=rate, late=0.001, malformed=0.001):
        yield Message(STREAMS[event.stream].topic, event.key, event.value)


def chat(_rate: float) -> Iterator[Message]:
    """Chat messages, each of the time at which it is asked for."""
    rooms = tuple(f"room-{number}" for number in range(CHAT_ROOMS))
    draw = Random(SEED)
    for one in conversation(SEED, rooms, CHAT_USERS, abusive=0.03, spam=0.03, flood=0.02):
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        identity = str(uuid.UUID(int=draw.getrandbits(128), version=4))
        message = {"message_id": identity, **one._asdict(), "client_time": at, "server_time": at}
        yield Message("chat_messages", one.room.encode(), orjson.dumps(message))


SOURCES = {
    "posts": Source(posts, ("social_posts", "social_metrics")),
    "changes": Source(changes, ("wiki_edits",)),
    "pages": Source(pages, ("wiki_pages",)),
    "messages": Source(chat, ("moderation",)),
}
JOBS = (*(job for source in SOURCES.values() for job in source.jobs), "kept_records")


def cost(found: Results, job: str) -> float:
    """CPU seconds of all processes for one generated event, into Elasticsearch. Raises LookupError."""
    for row in found.rows:
        if row.section == "jobs" and row.name == job:
            return median(sum(run.cpu_seconds.values()) / run.more["generated_events"] for run in row.runs)
    raise LookupError(f"What {job} costs is not known: `make bench` measures it.")


def rates(found: Results, of_cores: float) -> dict[str, float]:
    """Events a second of each source, so that all of them together take so much of the cores. Raises LookupError."""
    budget = of_cores * found.machine["cores"] / len(SOURCES)
    return {name: budget / sum(cost(found, job) for job in source.jobs) for name, source in SOURCES.items()}


def send_on(prefix: str, name: str, rate: float) -> None:
    """Send a source's events evenly in time, without an end: a process of its own."""
    producer = client()
    began = time.monotonic()
    for number, message in enumerate(SOURCES[name].made(rate)):
        while (ahead := began + number / rate - time.monotonic()) > 0:
            producer.poll(0)
            time.sleep(min(ahead, 0.05))
        producer.produce(prefix + message.topic, key=message.key, value=message.value)
        if number % 1000 == 0:
            producer.poll(0)


class Slope(NamedTuple):
    """A series over time: values at its ends and its most, and its slope an hour with the interval of 95 %."""

    first: float
    last: float
    most: float
    slope: float
    low: float
    high: float
    bounded: bool


def slope(hours: Sequence[float], values: Sequence[float]) -> Slope:
    """The slope by least squares of the means of BLOCKS blocks.

    Their scatter around the line is that of slow waves, such as garbage collection and windows; single samples, of
    which neighbours are alike, would make the interval far too narrow. Raises ValueError for too few samples.
    """
    if len(values) < FEWEST_SAMPLES:
        raise ValueError(f"A slope needs {FEWEST_SAMPLES} samples or more: let it run for longer.")
    size = len(values) // BLOCKS
    blocks = [(mean(hours[at : at + size]), mean(values[at : at + size])) for at in range(0, size * BLOCKS, size)]
    center, level = mean(hour for hour, _ in blocks), mean(value for _, value in blocks)
    spread = sum((hour - center) ** 2 for hour, _ in blocks)
    by_hour = sum((hour - center) * (value - level) for hour, value in blocks) / spread
    rest = sum((value - level - by_hour * (hour - center)) ** 2 for hour, value in blocks)
    error = T_95 * sqrt(rest / (len(blocks) - 2) / spread)
    low, high = by_hour - error, by_hour + error
    bounded = low <= 0 or by_hour <= BOUNDED_SHARE * level
    return Slope(blocks[0][1], blocks[-1][1], max(values), by_hour, low, high, bounded)


@dataclass
class Samples:
    """Series by name, each with the seconds at which it was sampled; and how often jobs were restarted."""

    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    restarts: int = 0
    _before: dict[str, Job] = field(default_factory=dict)

    def take(self, prefix: str, began: float) -> None:
        """A sample of every process and job. Raises StackError when Flink does not answer or a job has ended."""
        seconds = time.monotonic() - began
        for name, size in memory_mb().items():
            self._add(f"{name}, MB", seconds, size)
        try:
            now = {job.name: job for job in Flink(flink.rest_url()).jobs(prefix)}
        except FlinkAway as error:
            raise StackError(f"Flink {error}.") from None
        if ended := sorted(set(JOBS) - set(now)):
            raise StackError(f"Ended after {seconds / 60:.0f} minutes: {', '.join(ended)}.")
        documents = {name: job_document(job, self._before.get(name)) for name, job in now.items()}
        self._before = now
        self.restarts = sum(document["restarts"] or 0 for document in documents.values())
        for name, document in documents.items():
            for what, value in (
                ("event-time lag, s", document["event_time_lag_seconds"]),
                ("records waiting", document["pending_records"]),
                ("checkpoint, MB", document["checkpoint_bytes"] and document["checkpoint_bytes"] / 1e6),
            ):
                if value is not None:
                    self._add(f"{name}: {what}", seconds, value)

    def _add(self, name: str, seconds: float, value: float) -> None:
        self.series.setdefault(name, []).append((seconds, value))


def slopes(series: Mapping[str, Sequence[tuple[float, float]]], from_seconds: float) -> dict[str, Slope]:
    """The slope of each series from then on; without those of fewer samples than a slope needs."""
    found = {}
    for name, samples in series.items():
        kept = [(seconds / 3600, value) for seconds, value in samples if seconds >= from_seconds]
        if len(kept) >= FEWEST_SAMPLES:
            found[name] = slope([hour for hour, _ in kept], [value for _, value in kept])
    return found


def run(console: Console, minutes: float, of_cores: float, chosen: Mapping[str, float]) -> dict[str, Any]:
    """Let it run and watch; the result as docs/performance.md has it. Needs the running stack. Raises StackError."""
    samples = Samples()
    with place() as prefix, ExitStack() as held:
        for job in JOBS:
            with console.status(f"Submitting jobs/{job}.py …"):
                jobs.submit(job, prefix=prefix, fresh=True)
        senders = {name: held.enter_context(process(send_on, prefix, name, rate)) for name, rate in chosen.items()}
        began = time.monotonic()
        said = 0.0
        while (seconds := time.monotonic() - began) < minutes * 60:
            time.sleep(SAMPLE_SECONDS)
            samples.take(prefix, began)
            if gone := [name for name, sender in senders.items() if not sender.is_alive()]:
                raise StackError(f"The senders of {', '.join(gone)} have ended.")
            if seconds - said >= 60:
                said = seconds
                latest = {name: values[-1][1] for name, values in samples.series.items() if name.endswith("lag, s")}
                console.print(
                    f"  {seconds / 60:.0f} of {minutes:g} minutes; event-time lag "
                    + ", ".join(f"{name.partition(':')[0]} {value:.1f} s" for name, value in latest.items())
                )
    return {
        "minutes": minutes,
        "share": of_cores,
        "measured_at": results.now(),
        "commit": results.machine()["commit"],
        "rates": dict(chosen),
        "restarts": samples.restarts,
        "left_out_minutes": minutes * LEFT_OUT,
        "rule": RULE,
        "series": {name: one._asdict() for name, one in slopes(samples.series, minutes * 60 * LEFT_OUT).items()},
        "samples": samples.series,
    }


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    top = argparse.ArgumentParser(
        prog="python -m bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--minutes", type=positive, default=30.0, metavar="M", help="for so long (default: 30)")
    top.add_argument("--share", type=share, default=0.7, metavar="S", help="of the cores (default: 0.7)")
    options = top.parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    try:
        chosen = rates(Results.read(), options.share)
    except (FileNotFoundError, LookupError) as error:
        print(f"The capacity is not known: `make bench` measures it. ({error})", file=sys.stderr)
        return 2
    try:
        with local_stack(console):
            console.print(", ".join(f"{name} {rate:,.0f}/s" for name, rate in chosen.items()))
            found = run(console, options.minutes, options.share, chosen)
    except StackError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 1
    results.folder().mkdir(parents=True, exist_ok=True)
    (results.folder() / "soak.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print("\n".join(report.soaked(found)), highlight=False, markup=False)
    for document in report.write(Results.read()):
        console.print(f"Written: {layout.shown(document)}")
    grows = [name for name, one in found["series"].items() if not one["bounded"]]
    return 1 if grows or found["restarts"] else 0


if __name__ == "__main__":
    sys.exit(main())
