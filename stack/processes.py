"""Background processes that outlive the command that started them.

Each runs in a session of its own and has a record `.stack/run/NAME.json` with its pid, the boot and the tick at which
it started: a pid that the system gave to another program since is never taken for ours, let alone killed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stack import layout
from stack.errors import StackError

NAME_PATTERN = r"[a-z][a-z0-9_-]*"
LOG_KEPT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Record:
    """A process as it was started. `identity` is any text that a part wants to remember."""

    name: str
    pid: int
    boot: str
    tick: int
    command: list[str]
    identity: str
    part: bool


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    threads: int
    tick: int

    @property
    def runs(self) -> bool:
        """Whether it has a thread that has not ended: a killed process holds its ports as long as one is ending."""
        return self.state != "Z" or self.threads > 1


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> _Stat | None:
    """State, session and start tick of a process, or None when there is none."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()  # the name before it may hold blanks
    return _Stat(state=fields[0], session=int(fields[3]), threads=int(fields[17]), tick=int(fields[19]))


def _record_file(name: str) -> Path:
    return layout.run_dir() / f"{name}.json"


def record(name: str) -> Record | None:
    """What is remembered of a process, whether it still runs or not."""
    try:
        return Record(**json.loads(_record_file(name).read_text()))
    except FileNotFoundError:
        return None


def background_runs() -> list[str]:
    """Names of the processes that `run` started."""
    found = [record(path.stem) for path in sorted(layout.run_dir().glob("*.json"))]
    return [entry.name for entry in found if entry and not entry.part]


def _leader_runs(entry: Record) -> bool:
    stat = _stat(entry.pid)
    return stat is not None and stat.runs and stat.tick == entry.tick and entry.boot == _boot()


def _members(entry: Record) -> list[int]:
    """Pids of the session of a process: itself and what it started (Flink's Python workers, for one)."""
    if entry.boot != _boot():
        return []
    leader = _stat(entry.pid)
    if leader is not None and leader.tick != entry.tick:
        return []  # the pid was given to another program
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        stat = _stat(int(process.name))
        if stat and stat.session == entry.pid and stat.tick >= entry.tick and stat.runs:
            pids.append(int(process.name))
    return pids


def pid(name: str) -> int | None:
    """The pid of a process of ours that runs, else None."""
    entry = record(name)
    return entry.pid if entry and _leader_runs(entry) else None


def members(name: str) -> list[int]:
    """Pids of all processes in the session of `name`."""
    entry = record(name)
    return _members(entry) if entry else []


def memory_bytes(name: str) -> int:
    """Memory of a process and all that it started: proportional set size, or resident size where that is hidden."""
    total = 0
    for member in members(name):
        for source, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
            try:
                text = Path(f"/proc/{member}/{source}").read_text()
            except OSError:
                continue
            found = re.search(rf"^{field}\s+(\d+) kB", text, re.MULTILINE)
            if found:
                total += int(found[1]) * 1024
                break
    return total


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    user: str | None = None,
    identity: str = "",
    part: bool = True,
) -> int:
    """Start a background process in a session of its own and remember it.

    `log` receives its output (a file over 10 MB is first renamed to `….1`); `user` is whom it runs as (root only).
    Returns its pid. Raises StackError when the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    layout.run_dir().mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    arguments = [str(argument) for argument in command]
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
                cwd=directory,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
        except OSError as error:
            raise StackError(f"{name} cannot be started: {arguments[0]}: {error.strerror}.") from error
    stat = _stat(process.pid)
    entry = Record(name, process.pid, _boot(), stat.tick if stat else 0, arguments, identity, part)
    temporary = _record_file(name).with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(entry), indent=1))
    temporary.replace(_record_file(name))
    return process.pid


def run(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Start a background program, such as a producer, that `status`, `logs` and `down` know by its name.

    Its log is `.stack/logs/NAME.log`. Raises StackError when the name is taken by a running one or is no name.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise StackError(f"{name!r} is no name for a background program: use small letters, digits, - and _.")
    entry = record(name)
    if entry and entry.part:
        raise StackError(f"{name} is a part of the stack: choose another name.")
    running = pid(name)
    if running:
        raise StackError(f"{name} already runs (pid {running}): `python -m stack stop {name}` ends it.")
    return start(name, command, log=log_file(name), environment=environment, part=False)


def log_file(name: str) -> Path:
    """The log of a process."""
    return layout.logs_dir() / f"{name}.log"


def stop(name: str, timeout_seconds: float = 30) -> bool:
    """End a process and all that it started: SIGTERM, then SIGKILL after `timeout_seconds`. True when it had run.

    Raises StackError when even SIGKILL did not end it within 10 seconds.
    """
    entry = record(name)
    if entry is None:
        return False
    had_run = bool(_members(entry))
    if _leader_runs(entry):
        _signal([entry.pid], signal.SIGTERM)
        _wait(lambda: not _leader_runs(entry), timeout_seconds)
    if not _leader_runs(entry) and not _wait(lambda: not _members(entry), 1):
        _signal(_members(entry), signal.SIGTERM)  # what the leader left behind
        _wait(lambda: not _members(entry), 5)
    if _members(entry):
        _signal(_members(entry), signal.SIGKILL)
        if not _wait(lambda: not _members(entry), 10):
            raise StackError(f"{name} (pids {_members(entry)}) does not end, not even by SIGKILL: is its disk stuck?")
    _record_file(name).unlink(missing_ok=True)
    return had_run


def kill(name: str) -> None:
    """End a process at once (SIGKILL), leaving its record: what a crash looks like. For fault tests."""
    entry = record(name)
    if entry and _leader_runs(entry):
        _signal([entry.pid], signal.SIGKILL)
        _wait(lambda: not _leader_runs(entry), 10)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for target in pids:
        try:
            os.kill(target, number)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise StackError(
                f"Pid {target} belongs to another user: run the command as the user who started the stack."
            ) from error


def _wait(done: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
