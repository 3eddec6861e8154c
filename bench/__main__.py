"""`make bench`: measures everything on the local stack, starting it if need be, and writes docs/performance.md.

    python -m bench                       all of it: about an hour on two cores that do nothing else
    python -m bench --quick               a tenth of it, for a look; writes no document
    python -m bench --only wiki_edits     one job, or one of: jobs sink scoring latency growth; repeatable
    python -m bench.report                the document once more, from the last figures

The figures are kept in `.stack/bench/latest.json`, with the machine that they were measured on; what --only measures
takes the place of those rows. Exit codes: 0 done, 1 something could not be measured (the rest is), 2 wrong options.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from bench import each_job, growth, latency, report, results, scoring, sink
from bench.results import Results, Row
from bench.runs import load, local_stack, place, run_job
from producers._command_line import whole_number
from stack import cluster, layout
from stack.errors import StackError

SECTIONS = ("jobs", "sink", "scoring", "latency", "growth")
ROUNDS = 3
QUICK = 8  # so many times fewer events
WARM_UP_EVENTS = 100_000


@dataclass(frozen=True)
class Options:
    """What to measure, and how long."""

    quick: bool
    rounds: int
    share: float  # of the usual number of events
    sections: tuple[str, ...]
    whole: bool  # all of it, not some parts

    def events(self, usual: int) -> int:
        """How many events instead of the usual ones."""
        return max(round(usual * self.share), 1000)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--quick", action="store_true", help="one round of an eighth of the events; no document")
    top.add_argument("--rounds", type=whole_number, help=f"how often each row is measured (default: {ROUNDS})")
    top.add_argument(
        "--events", type=whole_number, help="generated events of each job (default: what takes ten to thirty seconds)"
    )
    top.add_argument(
        "--only", action="append", choices=[*SECTIONS, *each_job.EVENTS], help="only this section or job; repeatable"
    )
    return top


def options(arguments: list[str] | None = None) -> tuple[Options, dict[str, int]]:
    """The options, and the generated events of each job that is measured. Exits with 2 for wrong ones."""
    given = parser().parse_args(arguments)
    only = set(given.only or [*SECTIONS, *each_job.EVENTS])
    chosen = Options(
        quick=given.quick,
        rounds=given.rounds or (1 if given.quick else ROUNDS),
        share=1 / QUICK if given.quick else 1.0,
        sections=tuple(one for one in SECTIONS if one in only),
        whole=not given.only,
    )
    jobs = [job for job in each_job.EVENTS if "jobs" in only or job in only]
    return chosen, {job: given.events or chosen.events(each_job.EVENTS[job]) for job in jobs}


def capacity(console: Console, found: Results, chosen: Options) -> float:
    """Posts a second of jobs/social_posts.py: as measured before, or in one run now."""
    for row in found.rows:
        if row.section == "jobs" and row.name == "social_posts":
            return row.value
    console.print("Measuring what social_posts does …")
    events = chosen.events(each_job.EVENTS["social_posts"])
    with place() as prefix:
        return run_job(prefix, "social_posts", load(console, prefix, "social_posts", events)).value


def measure(console: Console, found: Results, chosen: Options, events: Mapping[str, int]) -> list[str]:
    """Measure what is chosen into `found`, which is saved after each part; what could not be measured, in sentences."""
    failed: list[str] = []
    rounds = chosen.rounds
    with ExitStack() as held:
        parts: dict[str, Callable[[], list[Row]]] = {}
        if events:
            loops = held.enter_context(each_job.loops_of(console, events))
            each_job.warm_up(console, chosen.events(WARM_UP_EVENTS))
            seconds = each_job.LOOP_SECONDS * (0.5 if chosen.quick else 1)
            for job in events:
                parts[job] = partial(each_job.rows, console, job, events[job], rounds, loops[job], seconds)
        others: dict[str, Callable[[], list[Row]]] = {
            "sink": lambda: sink.rows(console, chosen.events(sink.EVENTS), rounds),
            "scoring": lambda: scoring.rows(console, chosen.events(scoring.TEXTS), rounds),
            "latency": lambda: latency.rows(
                console, capacity(console, found, chosen), latency.SECONDS / (2 if chosen.quick else 1)
            ),
        }
        parts |= {name: others[name] for name in chosen.sections if name in others}
        if "growth" in chosen.sections:  # last, since it fills a TaskManager's memory
            parts |= growth.parts(console, min(rounds, 2), quick=chosen.quick)
        for number, (name, make) in enumerate(parts.items(), 1):
            console.rule(f"{name}, {number} of {len(parts)}", align="left")
            try:
                cluster.up(Console(quiet=True))  # what one part has brought down is there again for the next
                found.put(make())
            except StackError as error:
                failed.append(f"{name}: {error}")
                console.print(failed[-1], style="red", highlight=False, markup=False)
            found.save(file(chosen))
    return failed


def file(chosen: Options) -> Path:
    """Where the figures go."""
    return results.folder() / "quick.json" if chosen.quick else results.latest()


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    chosen, events = options(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    began = time.monotonic()
    found = Results(results.machine())
    if not chosen.whole and file(chosen).exists():
        found.rows = Results.read(file(chosen)).rows
    try:
        with local_stack(console):
            failed = measure(console, found, chosen, events)
    except StackError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 1
    console.print(report.table(found))
    console.print(
        f"{(time.monotonic() - began) / 60:.0f} minutes; the figures: {layout.shown(found.save(file(chosen)))}"
    )
    if not chosen.quick:
        for document in report.write(found):
            console.print(f"Written: {layout.shown(document)}")
    for sentence in failed:
        console.print(sentence, style="red", highlight=False, markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
