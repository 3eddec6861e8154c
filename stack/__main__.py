"""`python -m stack`: the local stack from the command line."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from settings import settings
from stack import cluster, exposure, jobs, layout, package, processes, services, sql
from stack.errors import StackError

COLORS = {"running": "green", "RUNNING": "green", "FINISHED": "green", "died": "red", "FAILED": "red"}
LOCK_SECONDS = 900
WIDTH = 160  # of tables that go to a file or a pipe


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m stack",
        description="Kafka, Elasticsearch, a Flink cluster and S3 (moto) on this machine, without Docker.",
        epilog="Settings are CROWDPULSE_* variables: .env.example lists them. Everything is kept under .stack/.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start what does not run, wait until it is healthy, make topics and templates")
    up.add_argument("--skip-build", action="store_true", help="take the connector jars as they are, even if outdated")
    up.add_argument(
        "--secured", action="store_true", help="with TLS and logins (set CROWDPULSE_SECURED=1 for all else too)"
    )
    parts = [part.name for part in cluster.parts()]
    up.add_argument("--only", nargs="+", choices=parts, default=[], metavar="PART", help=f"of {', '.join(parts)}")

    commands.add_parser("status", help="show each part with its state; the exit code is 1 unless all are healthy")

    down = commands.add_parser("down", help="stop everything")
    down.add_argument("--data", action="store_true", help="also delete all topics, indices and checkpoints")

    logs = commands.add_parser("logs", help="show the end of the logs")
    logs.add_argument("part", nargs="?", help="a part or a background program (default: all)")
    logs.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="how many lines (default: 40)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on showing what is written")

    submit = commands.add_parser(
        "submit", help="start jobs/JOB.py on the cluster, from its last checkpoint or savepoint if any"
    )
    submit.add_argument("jobs", nargs="+", metavar="JOB", help="a file of jobs/, without .py")
    submit.add_argument("--fresh", action="store_true", help="ignore the checkpoint of the last run")
    submit.add_argument("--parallelism", type=int, metavar="N", help="parallel tasks (default: CROWDPULSE_PARALLELISM)")

    commands.add_parser("jobs", help="list the jobs on the cluster")

    cancel = commands.add_parser("cancel", help="end a job; its last checkpoint is kept")
    cancel.add_argument("jobs", nargs="+", metavar="JOB", help="as given to submit")
    cancel.add_argument(
        "--savepoint", action="store_true", help="stop it with a savepoint, from which submit goes on: for an upgrade"
    )

    query = commands.add_parser("sql", help="open the Flink SQL client with every table of connectors/*.sql declared")
    query.add_argument("--live", action="store_true", help="queries go on and show each change (default: until now)")
    query.add_argument("-f", "--file", help="run the statements of a file instead of asking for them")

    commands.add_parser("view", help="start the live view of the dashboards, if it does not run, and say where it is")

    commands.add_parser("package", help="write .stack/crowdpulse.zip, the code for `flink run -pyfs`")

    run = commands.add_parser("run", help="start a background program that status, logs and down know")
    run.add_argument("name", metavar="NAME")
    run.add_argument("program", nargs=argparse.REMAINDER, metavar="-- COMMAND …")

    stop = commands.add_parser("stop", help="stop one part or background program")
    stop.add_argument("name", metavar="NAME")
    return top


@contextmanager
def only_one(console: Console) -> Iterator[None]:
    """Two commands that start or stop things wait for one another. Raises StackError after LOCK_SECONDS."""
    layout.state_dir().mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_SECONDS
    said = False
    with (layout.state_dir() / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StackError("Another `python -m stack` has been at work for 15 minutes: end it.") from None
            if not said:
                console.print("Another `python -m stack` is at work on this stack; waiting for it …")
                said = True
            time.sleep(0.5)
        yield


def show_status(console: Console) -> int:
    """Print the table of parts. Exit code 0 when every part is healthy."""
    found = cluster.states()
    table = Table("part", "state", "pid", "address", "memory", "note", box=None, pad_edge=False)
    table.columns[4].justify = "right"
    for state in found:
        color = COLORS.get(state.state, "yellow")
        memory = f"{state.memory_bytes / 1024**2:,.0f} MB" if state.memory_bytes else ""
        pid = str(state.pid or "")
        table.add_row(state.name, f"[{color}]{state.state}[/]", pid, state.address, memory, state.note)
    total = sum(state.memory_bytes for state in found)
    if total:
        table.add_row("", "", "", "", f"{total / 1024**2:,.0f} MB", "in all")
    console.print(table)
    return 0 if all(state.healthy for state in found if state.part) else 1


def show_logs(console: Console, part: str | None, count: int, follow: bool) -> int:
    """Print the end of one log or of all of them; with `follow` until interrupted."""
    names = [part] if part else [*(entry.name for entry in cluster.parts()), *processes.background_runs(), "maven"]
    files = [file for name in names for file in cluster.log_files(name)]
    if not files:
        raise StackError(f"There is no log of {part or 'any part'} in {layout.shown(layout.logs_dir())}.")
    for file in files:
        if len(files) > 1:
            console.rule(layout.shown(file), align="left")
        console.print("\n".join(cluster.last_lines(file, count)), markup=False)
    streams = {file: file.open("rb") for file in files} if follow else {}
    for stream in streams.values():
        stream.seek(0, 2)
    while streams:
        for file, stream in streams.items():
            for line in stream.read().decode(errors="replace").splitlines():
                console.print(f"{file.stem}: {line}" if len(files) > 1 else line, markup=False)
        time.sleep(0.5)
    return 0


def show_jobs(console: Console) -> int:
    """Print the jobs of the cluster."""
    found = jobs.listed()
    if not found:
        console.print("No job was submitted since the cluster started.")
        return 0
    table = Table("job", "state", "since (UTC)", "ran for", "id", box=None, pad_edge=False)
    for job in found:
        since = datetime.fromtimestamp(job.started, UTC).strftime("%Y-%m-%d %H:%M:%S")
        color = COLORS.get(job.state, "yellow")
        table.add_row(
            " ".join(job.name.split())[:60], f"[{color}]{job.state}[/]", since, f"{job.seconds:,.0f} s", job.job_id
        )
    console.print(table)
    return 0


def submit_jobs(console: Console, names: Sequence[str], fresh: bool, parallelism: int | None) -> int:
    """Submit the jobs and say what became of each."""
    with console.status(f"Submitting {', '.join(names)} …"):
        runs = jobs.submit_all(names, fresh=fresh, parallelism=parallelism)
    for run in runs:
        if run.already_ran:
            name = run.name.removeprefix(settings().prefix)
            console.print(
                f"{run.name} already runs ({run.job_id}); nothing done. `python -m stack cancel {name}` ends it."
            )
        elif run.resumed_from:
            console.print(f"{run.name} runs ({run.job_id}), resumed from {'/'.join(run.resumed_from.split('/')[-2:])}.")
        else:
            console.print(f"{run.name} runs ({run.job_id}).")
    return 0


def cancel_jobs(console: Console, names: Sequence[str], savepoint: bool) -> int:
    """Cancel each job, or stop it with a savepoint, and say whether it had run."""
    for name in names:
        if savepoint:
            folder = jobs.stop(settings().prefix + name)
            console.print(f"{name} is stopped; submit goes on from {folder}." if folder else f"{name} does not run.")
            continue
        ended = jobs.cancel(settings().prefix + name)
        console.print(f"{name} is cancelled; its last checkpoint is kept." if ended else f"{name} does not run.")
    return 0


def run_program(console: Console, name: str, program: Sequence[str]) -> int:
    """Start a background program."""
    command = list(program[1:] if program[:1] == ["--"] else program)
    if not command:
        raise StackError(f"What shall run as {name}? `python -m stack run {name} -- COMMAND …`.")
    if name in {part.name for part in cluster.parts()}:
        raise StackError(f"{name} is a part of the stack: choose another name.")
    pid = processes.run(name, command)
    console.print(f"{name} runs (pid {pid}). Its log: {layout.shown(processes.log_file(name))}.")
    return 0


def stop_one(console: Console, name: str) -> int:
    """Stop one part or background program."""
    known = {part.name for part in cluster.parts()} | set(processes.background_runs())
    if name not in known:
        raise StackError(f"There is no {name}. Known: {', '.join(sorted(known))}.")
    console.print(f"{name} is stopped." if processes.stop(name, timeout_seconds=60) else f"{name} did not run.")
    return 0


def warn(console: Console) -> None:
    """Say what the settings leave open."""
    for sentence in exposure.warnings():
        console.print(sentence, style="yellow", markup=False)


def act(options: argparse.Namespace, console: Console) -> int:
    """Do what the command line says; returns the exit code."""
    if options.command in ("status", "submit"):
        warn(console)
    match options.command:
        case "up":
            if options.secured:
                os.environ["CROWDPULSE_SECURED"] = "1"
                settings.cache_clear()
            cluster.up(console, build=not options.skip_build, only=options.only)
            warn(console)
        case "status":
            return show_status(console)
        case "down":
            cluster.down(console, data=options.data)
        case "logs":
            return show_logs(console, options.part, options.lines, options.follow)
        case "submit":
            return submit_jobs(console, options.jobs, options.fresh, options.parallelism)
        case "jobs":
            return show_jobs(console)
        case "cancel":
            return cancel_jobs(console, options.jobs, options.savepoint)
        case "sql":
            sql.client(options.live, options.file)
        case "view":
            if not services.start_live_view():
                console.print("It ran already, with the files of its start: `python -m stack stop live-view` ends it.")
            console.print(f"The dashboards: {services.live_view_url()}")
        case "package":
            console.print(f"Wrote {layout.shown(package.make())} ({len(package.files())} files).")
        case "run":
            return run_program(console, options.name, options.program)
        case "stop":
            return stop_one(console, options.name)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 a problem (a sentence says which), 130 interrupted."""
    options = parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH)
    changes = options.command in {"up", "down", "submit", "cancel", "view", "run", "stop"}
    try:
        with only_one(console) if changes else nullcontext():
            return act(options, console)
    except StackError as problem:
        console.print(str(problem), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        if options.command == "up":
            console.print("Interrupted: `python -m stack down` stops what was started.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
