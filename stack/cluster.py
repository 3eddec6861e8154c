"""The stack as a whole: which parts there are, starting them, stopping them, and how they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from settings import settings
from stack import elasticsearch, flink, jobs, kafka, layout, maven, moto, package, ports, preflight, processes, security
from stack.errors import StackError
from stack.preflight import MEGABYTE


@dataclass(frozen=True)
class Part:
    """A part of the stack: its process, its ports by name, how long it may take to start, and what it uses."""

    name: str
    ports: Sequence[str]
    start: Callable[[], None]
    stop: Callable[[], None]
    health: Callable[[], str]
    start_seconds: float
    memory_bytes: int
    remark: Callable[[], str] = str  # what `status` says of it when it is well

    @property
    def address(self) -> str:
        """Where to reach it: its first port."""
        return f"{ports.HOST}:{ports.port(self.ports[0])}"


@dataclass(frozen=True)
class State:
    """How a part or background program is: `state` is running, starting, stopped or died."""

    name: str
    state: str
    note: str
    pid: int | None
    address: str
    memory_bytes: int
    part: bool

    @property
    def healthy(self) -> bool:
        """Whether it does its work."""
        return self.state == "running"


def _bytes(size: str) -> int:
    """`512m` or `4g` in bytes."""
    return int(size[:-1]) * (1024**3 if size[-1] == "g" else MEGABYTE)


def parts() -> list[Part]:
    """The parts, in the order in which they are started."""
    chosen = settings()
    return [
        Part(
            elasticsearch.NAME,
            ["elasticsearch", "elasticsearch-transport"],
            elasticsearch.start,
            elasticsearch.stop,
            elasticsearch.health,
            120,
            _bytes(chosen.elasticsearch_heap) + 512 * MEGABYTE,
        ),
        Part(
            kafka.NAME,
            ["kafka", "kafka-controller"],
            kafka.start,
            kafka.stop,
            kafka.health,
            90,
            _bytes(chosen.kafka_heap) + 256 * MEGABYTE,
        ),
        Part(
            flink.JOBMANAGER,
            ["flink-rest", "jobmanager-rpc", "jobmanager-blob"],
            flink.start_jobmanager,
            flink.stop_jobmanager,
            flink.jobmanager_health,
            90,
            1024 * MEGABYTE,
        ),
        Part(
            flink.TASKMANAGER,
            ["taskmanager-rpc", "taskmanager-data"],
            flink.start_taskmanager,
            flink.stop_taskmanager,
            flink.taskmanager_health,
            90,
            _bytes(chosen.taskmanager_memory),
            flink.slots,
        ),
        Part(moto.NAME, ["moto"], moto.start, moto.stop, moto.health, 60, 200 * MEGABYTE),
    ]


def problems(missing: Sequence[Part], build: bool) -> list[str]:
    """Everything that stands against starting the `missing` parts, found before any of them is started."""
    found = preflight.check_system()
    if found:
        return found  # the other checks read Linux's files
    found += preflight.check_python()
    version = maven.elasticsearch_version()
    must_build = build and bool(maven.stale_connectors())
    found += preflight.check_java(must_compile=must_build)
    if must_build or not maven.is_fetched(version):
        found += preflight.check_maven()
    if missing:
        found += preflight.check_disk(layout.state_dir())
        found += preflight.check_memory({part.name: part.memory_bytes for part in missing})
        found += preflight.check_ports({part.name: part.ports for part in missing})
    if any(part.name == elasticsearch.NAME for part in missing):
        stored = elasticsearch.problem_with_data(version)
        found += [stored] if stored else []
    return found


def up(console: Console | None = None, *, build: bool = True, only: Sequence[str] = ()) -> None:
    """Start what does not run, wait until all of it is healthy, then create topics, index templates and the bucket.

    `build=False` takes the connector jars as they are; `only` names the parts wanted (default: all).
    Raises StackError with every problem found, or with the last lines of the log of a part that did not come up.
    """
    console = console or Console()
    began = time.monotonic()
    security.prepare()
    wanted = [part for part in parts() if not only or part.name in only]
    missing = [part for part in wanted if not processes.pid(part.name)]
    found = problems(missing, build)
    if found:
        raise StackError("The stack cannot start:\n" + "\n".join(f"- {problem}" for problem in found))
    maven.fetch(console=console)
    if build:
        maven.build_connectors(console)
    package.make()
    if not flink.is_running():
        flink.make_home()
    elif flink.stale_jars():
        console.print(
            f"The running Flink has older {', '.join(flink.stale_jars())}: "
            "`python -m stack down`, then `up`, loads what was built since.",
            style="yellow",
        )
    for part in missing:
        entry = processes.record(part.name)
        if entry:
            console.print(f"{part.name} had died; starting it again.", style="yellow")
        part.start()
    _wait_for(wanted, console)
    _prepare(console, {part.name for part in wanted})
    _say_what_can_be_resumed(console)
    if missing:
        console.print(f"The stack is up after {time.monotonic() - began:.0f} s. Web page of Flink: {flink.rest_url()}")
    else:
        console.print("The stack is already up.")


def _say_where_data_is(console: Console) -> None:
    if elasticsearch.is_outside():
        console.print(
            f"Elasticsearch runs as the user {elasticsearch.USER}, who cannot enter {layout.state_dir()}: it keeps its "
            f"data in {elasticsearch.base_dir()} (`python -m stack down --data` deletes it)."
        )


def _say_what_can_be_resumed(console: Console) -> None:
    """Jobs do not survive the JobManager, their checkpoints do."""
    if not processes.pid(flink.JOBMANAGER):
        return
    waiting = [job for job in jobs.known_jobs() if jobs.resumable(settings().prefix + job)]
    waiting = [job for job in waiting if not jobs.running(settings().prefix + job)]
    if waiting:
        console.print(f"To go on from the last checkpoint: `python -m stack submit {' '.join(waiting)}`.")


def _prepare(console: Console, names: set[str]) -> None:
    if kafka.NAME in names:
        for sentence in kafka.create_topics():
            console.print(sentence, highlight=False)
    if elasticsearch.NAME in names:
        _say_where_data_is(console)
        if settings().secured:
            roles = security.put_roles(elasticsearch.node().url)
            console.print(f"Elasticsearch has the roles {', '.join(roles)}.", highlight=False)
        put = elasticsearch.put_templates()
        console.print(f"Index templates: {len(put)}.", highlight=False)
    if moto.NAME in names:
        moto.create_bucket()


def _wait_for(wanted: Sequence[Part], console: Console) -> None:
    waiting = {part.name: part for part in wanted}
    began = time.monotonic()
    with console.status("Waiting …") as status:
        while waiting:
            status.update(f"Waiting for {', '.join(waiting)} …")
            for part in list(waiting.values()):
                seconds = time.monotonic() - began
                if not processes.pid(part.name):
                    raise StackError(f"{part.name} ended while it started. {_last_words(part.name)}")
                reason = part.health()
                if not reason:
                    del waiting[part.name]
                    console.print(f"  {part.name} is up on {part.address} ({seconds:.0f} s)", highlight=False)
                elif seconds > part.start_seconds:
                    raise StackError(f"{part.name} {reason} after {part.start_seconds:.0f} s. {_last_words(part.name)}")
            time.sleep(0.25)


def log_files(name: str) -> list[Path]:
    """The logs of a part or background program that exist: its own first, then what it printed."""
    files = [layout.logs_dir() / f"{name}{suffix}" for suffix in (".log", ".out")]
    return [file for file in files if file.exists() and file.stat().st_size > 0]


def last_lines(file: Path, count: int) -> list[str]:
    """The last `count` lines of a file, read from its end."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - count * 2000))
        return stream.read().decode(errors="replace").splitlines()[-count:]


def _last_words(name: str) -> str:
    files = log_files(name)
    if not files:
        return "It wrote no log."
    shown = [f"The end of {layout.shown(file)}:\n" + "\n".join(last_lines(file, 20)) for file in files]
    return "\n".join(shown)


def states() -> list[State]:
    """How each part and each background program is."""
    found = []
    for part in parts():
        pid = processes.pid(part.name)
        if pid:
            reason = part.health()
            state, note = ("starting", reason) if reason else ("running", part.remark())
        elif processes.record(part.name):
            state, note = "died", "`python -m stack up` starts it again"
        else:
            state, note = "stopped", ""
        found.append(State(part.name, state, note, pid, part.address, processes.memory_bytes(part.name), part=True))
    for name in processes.background_runs():
        pid = processes.pid(name)
        note = "" if pid else f"`python -m stack logs {name}` shows its end"
        found.append(
            State(name, "running" if pid else "ended", note, pid, "", processes.memory_bytes(name), part=False)
        )
    return found


def down(console: Console | None = None, *, data: bool = False) -> None:
    """Stop everything: background programs, then Flink, then what it reads and writes. `data`: delete that too."""
    console = console or Console()
    stopped = [name for name in processes.background_runs() if processes.stop(name, timeout_seconds=20)]
    order = [flink.TASKMANAGER, flink.JOBMANAGER, moto.NAME, elasticsearch.NAME, kafka.NAME]
    by_name = {part.name: part for part in parts()}
    for name in order:
        if processes.members(name):
            console.print(f"Stopping {name} …", highlight=False)
            stopped.append(name)
        by_name[name].stop()
    if data:
        delete_data()
        console.print("Deleted all data: topics, indices, checkpoints.")
    console.print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


def delete_data() -> None:
    """Delete what the parts stored. Raises StackError while one runs."""
    running = [part.name for part in parts() if processes.members(part.name)]
    if running:
        raise StackError(f"{', '.join(running)} still runs: `python -m stack down --data` stops and deletes.")
    elasticsearch.delete_data()
    layout.remove(layout.state_dir() / "data")
    layout.remove(layout.tmp_dir())
