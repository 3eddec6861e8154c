"""Each job, Kafka -> Elasticsearch, against itself with blackholes for sinks and against a loop written by hand.

Of each job: topics filled before the clock starts, then in each round the job, the same with blackholes, the loop of
bench/plain over the same topics for some seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from rich.console import Console

from bench.measure import Run, Usage
from bench.results import Row
from bench.runs import load, place, run_job
from settings import ROOT
from stack import demo, elasticsearch
from stack.errors import StackError

# So many generated events that a job runs for some ten to thirty seconds; what makes fewer records of them reads those.
EVENTS = {
    "kept_records": 200_000,
    "wiki_edits": 300_000,
    "wiki_intent": 150_000,
    "wiki_users": 500_000,
    "wiki_pages": 400_000,
    "social_posts": 100_000,
    "social_metrics": 100_000,
    "background_check": 20_000,
    "moderation": 60_000,
}
ASK_TEXT_MODELS = {"social_posts", "moderation", "background_check"}
ASK_MODELS = ASK_TEXT_MODELS | {"wiki_intent"}  # whose model is one of four numbers
OF_BLACKHOLE = 0.5
TIMES_THE_LOOP = 3.0
TIMES_THE_LOOP_WITH_MODELS = 10.0
LOOP_SECONDS = 8.0
LOOP = "the loop"
TRAINING = ROOT / ".venv-training" / "bin" / "python"


@dataclass(frozen=True)
class Loops:
    """A process of bench.plain that is ready; `models` tells whose models it asks."""

    process: subprocess.Popen[str]
    models: str

    def run(self, job: str, prefix: str, seconds: float) -> Run:
        """One run of a job's loop. Raises StackError when it has died or has read nothing."""
        assert self.process.stdin
        assert self.process.stdout
        elasticsearch.delete_indices(prefix)
        with Usage({LOOP: self.process.pid}) as used:
            self.process.stdin.write(f"{job} {prefix} {seconds}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise StackError(f"The loop of {job} ended with {self.process.wait()}.")
        did = json.loads(answer)
        if not did["events"] or not did["seconds"]:
            raise StackError(f"The loop of {job} read nothing.")
        return Run(
            did["events"] / did["seconds"], did["seconds"], did["events"], did["documents"], used.cpu_seconds,
            used.peak_mb,
        )  # fmt: skip


@contextmanager
def loops(python: str, models: str) -> Iterator[Loops | None]:
    """The loops in an interpreter, with these models; None where a data set is missing, which they have said."""
    with subprocess.Popen(
        [python, "-m", "bench.plain", "--models", models],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            if process.stdout.readline().strip() == "ready":
                yield Loops(process, models)
            elif process.wait() == 2:
                yield None
            else:
                raise StackError(f"The loops ended with {process.returncode}.")
        finally:
            process.stdin.close()


def model_loops(console: Console, held: ExitStack) -> Loops:
    """The loops that ask models: scikit-learn's where these can be trained, else the jobs' own."""
    if TRAINING.exists():
        console.print("Training the four scikit-learn pipelines of the loops …")
        if found := held.enter_context(loops(str(TRAINING), "scikit-learn")):
            return found
    console.print(
        "The loops ask the jobs' own models, text by text: for scikit-learn's `make training-environment` and the data"
        " sets are needed."
    )
    found = held.enter_context(loops(sys.executable, "own"))
    assert found
    return found


@contextmanager
def loops_of(console: Console, jobs: Collection[str]) -> Iterator[dict[str, Loops]]:
    """The loops by job, ready. Raises StackError."""
    with ExitStack() as held:
        plain = held.enter_context(loops(sys.executable, "none"))
        assert plain
        asking = model_loops(console, held) if ASK_TEXT_MODELS & set(jobs) else plain
        yield {job: asking if job in ASK_TEXT_MODELS else plain for job in jobs}


def warm_up(console: Console, events: int) -> None:
    """One unmeasured run: Elasticsearch takes three times the CPU for its first hundred thousand documents."""
    console.print("Warming up …")
    with place() as prefix:
        run_job(prefix, "wiki_edits", load(console, prefix, "wiki_edits", events))


def rows(console: Console, job: str, events: int, rounds: int, plain: Loops, loop_seconds: float) -> list[Row]:
    """Measure a job over so many generated events, once for each round. Needs the running stack. Raises StackError."""
    console.print(job)
    runs: list[Run] = []
    blackholes: list[Run] = []
    by_hand: list[Run] = []
    with place() as prefix:
        records = load(console, prefix, job, events)
        for number in range(1, rounds + 1):
            one = run_job(prefix, job, records)
            runs.append(replace(one, more=one.more | {"generated_events": events}))
            blackholes.append(run_job(prefix, job, records, blackhole=True))
            by_hand.append(plain.run(job, prefix, loop_seconds))
            said = " · ".join(f"{one[-1].value:,.0f}" for one in (runs, blackholes, by_hand))
            console.print(f"  round {number} of {rounds}: {said} events/s (Elasticsearch, blackhole, loop)")
    judged_by = {"none": "", "own": ", the job's own models", "scikit-learn": ", scikit-learn's models"}[plain.models]
    return [
        Row("jobs", job, "blackhole sinks", "events/s", runs, blackholes, at_least=OF_BLACKHOLE),
        Row(
            "jobs",
            job,
            f"loop by hand{judged_by}",
            "events/s",
            runs,
            by_hand,
            at_least=TIMES_THE_LOOP_WITH_MODELS if job in ASK_MODELS else TIMES_THE_LOOP,
        ),
        Row("start", f"{job}: submit to first document", "", "s", [_first(run) for run in runs]),
    ]


def _first(run: Run) -> Run:
    seconds = run.more.get("first_document_seconds", run.seconds)
    return Run(seconds, seconds)


assert set(EVENTS) == set(demo.JOBS)
