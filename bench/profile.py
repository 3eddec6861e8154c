"""`make profile JOB=wiki_edits`: where a job's CPU time goes, in its JVM and in its Python workers.

    python -m bench.profile social_posts                     a minute of it, over generated events
    python -m bench.profile wiki_edits --blackhole --seconds 60

The job reads generated events to their end, while JFR (by jcmd, of the JDK that Flink runs on) samples the TaskManager
and py-spy each Python worker. Into .stack/profiles come JOB.jfr, for JDK Mission Control; JOB-worker-N.txt,
the stacks with their samples, one a line, for any flame graph; and JOB.txt, the methods and functions that most samples
were in. Exit codes: 0 done, 1 something could not be profiled, 2 wrong options.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import each_job
from bench.measure import PYTHON, processes_by_kind
from bench.runs import BOUNDED, LONGEST_SECONDS, SCRIPT, load, local_stack, place
from producers._command_line import positive, whole_number
from stack import flink, java, jobs, layout, processes
from stack.errors import StackError

MOST = 40
PY_SPY_RATE = 100


def folder() -> Path:
    """Where profiles are kept."""
    return layout.state_dir() / "profiles"


def top_of(stacks: Iterable[tuple[list[str], int]]) -> tuple[list[tuple[str, int]], list[tuple[str, int]], int]:
    """Frames by samples in themselves and by samples in them or what they call, the most first; and all samples.

    A stack is its frames from the outermost on, with its number of samples.
    """
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for frames, samples in stacks:
        total += samples
        own[frames[-1]] += samples
        within.update(dict.fromkeys(frames, samples))
    return own.most_common(MOST), within.most_common(MOST), total


def folded(text: str) -> list[tuple[list[str], int]]:
    """Stacks of py-spy's raw format: `outer;inner SAMPLES` a line."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line)
    return [(frames.split(";"), int(samples)) for frames, _, samples in lines]


def of_jfr(events: Iterable[dict[str, Any]]) -> list[tuple[list[str], int]]:
    """Stacks of what `jfr print --json` tells of jdk.ExecutionSample, each with the name of its thread before it."""
    found = []
    for event in events:
        values = event["values"]
        if not values.get("stackTrace"):
            continue
        frames = [
            f"{frame['method']['type']['name']}.{frame['method']['name']}" for frame in values["stackTrace"]["frames"]
        ]
        thread = (values.get("sampledThread") or {}).get("javaName") or "?"
        found.append(([thread, *reversed(frames)], 1))
    return found


def shown(title: str, stacks: list[tuple[list[str], int]]) -> str:
    """What took most samples, for people."""
    own, within, total = top_of(stacks)
    lines = [f"{title}: {total:,} samples"]
    for name, counted in (("in itself", own), ("with what it calls", within)):
        lines += [f"  {name}", *(f"    {samples / total:6.1%}  {frame}" for frame, samples in counted)]
    return "\n".join([*lines, ""])


def jcmd(tool: str, *arguments: str) -> str:
    """What a tool of the JDK says. Raises StackError when it is missing or fails."""
    found = java.for_flink()
    binary = found.home / "bin" / tool if found else Path(tool)
    try:
        done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StackError(f"{binary} is missing: a JDK has it, a runtime alone has not.") from None
    if done.returncode:
        raise StackError(f"{tool} {' '.join(arguments)} failed: {(done.stdout + done.stderr).strip()[-400:]}")
    return done.stdout


def workers() -> list[int]:
    """Pids of the Python workers that score, not of the shells that start them."""
    return [
        process.pid
        for process, kind in processes_by_kind({}).items()
        if kind == PYTHON and process.name().startswith("python")
    ]


def profile(console: Console, job: str, events: int, seconds: float, *, blackhole: bool) -> str:
    """Run the job and sample it; returns what took most. Needs the running stack. Raises StackError."""
    target = folder()
    target.mkdir(parents=True, exist_ok=True)
    pid = processes.pid(flink.TASKMANAGER)
    recording = target / f"{job}.jfr"
    with place() as prefix, ExitStack() as held:
        load(console, prefix, job, events)
        environment = {
            **BOUNDED, "CROWDPULSE_PREFIX": prefix, "BENCH_JOB": job, "BENCH_BLACKHOLE": str(int(blackhole)),
        }  # fmt: skip
        run = jobs.submit_script(
            SCRIPT, name=prefix + job, fresh=True, environment=environment, wait_seconds=LONGEST_SECONDS
        )
        jcmd("jcmd", str(pid), "JFR.start", f"name={job}", "settings=profile")
        held.callback(lambda: jcmd("jcmd", str(pid), "JFR.stop", f"name={job}", f"filename={recording}"))
        began = time.monotonic()
        spies: dict[int, subprocess.Popen[bytes]] = {}
        while jobs.state(run.job_id) not in jobs.ENDED and time.monotonic() - began < seconds:
            for worker in set(workers()) - spies.keys():
                spies[worker] = spy(worker, target / f"{job}-worker-{len(spies) + 1}.txt")
            time.sleep(0.5)
        for one in spies.values():
            one.send_signal(2)  # as Ctrl-C: it writes what it has
            one.wait(30)
        console.print(f"  sampled {time.monotonic() - began:.0f} s; {len(spies)} Python workers")
    texts = [shown("TaskManager", of_jfr(samples(recording)))]
    for file in sorted(target.glob(f"{job}-worker-*.txt")):
        if stacks := folded(file.read_text(encoding="utf-8")):
            texts.append(shown(file.stem, stacks))
    text = "\n".join(texts)
    (target / f"{job}.txt").write_text(text, encoding="utf-8")
    return text


def spy(pid: int, file: Path) -> subprocess.Popen[bytes]:
    """py-spy on a Python worker until it is told to end."""
    command = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--format", "raw"]
    return subprocess.Popen(
        [*command, "--rate", str(PY_SPY_RATE), "--duration", "3600", "--output", str(file), "--nonblocking"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def samples(recording: Path) -> list[dict[str, Any]]:
    """The samples of a recording."""
    events: list[dict[str, Any]] = json.loads(
        jcmd("jfr", "print", "--json", "--stack-depth", "64", "--events", "jdk.ExecutionSample", str(recording))
    )["recording"]["events"]
    return events


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    top = argparse.ArgumentParser(
        prog="python -m bench.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("job", choices=sorted(each_job.EVENTS), metavar="JOB", help=", ".join(sorted(each_job.EVENTS)))
    top.add_argument("--events", type=whole_number, help="generated events (default: those of make bench)")
    top.add_argument("--seconds", type=positive, default=60.0, metavar="S", help="at most so long (default: 60)")
    top.add_argument("--blackhole", action="store_true", help="throw away what it writes")
    options = top.parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    events = options.events or each_job.EVENTS[options.job]
    try:
        with local_stack(console):
            text = profile(console, options.job, events, options.seconds, blackhole=options.blackhole)
    except StackError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 1
    console.print(text, highlight=False, markup=False)
    console.print(f"In {layout.shown(folder())}: {options.job}.txt, {options.job}.jfr, {options.job}-worker-N.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
