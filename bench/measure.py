"""What a run took: by the clock, in CPU time and in memory, by kind of process."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

import psutil

from stack import elasticsearch, flink, kafka, processes
from stack.errors import StackError

# Python workers end with their job, so that what they used has to be read while they run.
SAMPLE_SECONDS = 0.25
MB = 1 << 20
PYTHON = "Python workers"


@dataclass(frozen=True)
class Run:
    """One measured run of a row or of its reference.

    value: what is compared, in the unit of its row
    seconds: of the clock; events: read; documents: in the indices afterwards
    cpu_seconds, peak_mb: by kind of process; memory is resident, that of several processes of a kind added up
    more: other figures, such as percentiles
    """

    value: float
    seconds: float
    events: int = 0
    documents: int = 0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    more: dict[str, float] = field(default_factory=dict)


class Usage:
    """CPU seconds and peak memory of the stack's processes from the beginning of a `with` to its end, by kind.

    `others` are further processes by the name of their kind.
    """

    def __init__(self, others: Mapping[str, int] | None = None) -> None:
        self.cpu_seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}
        self._others = dict(others or {})
        self._began: dict[psutil.Process, float] = {}
        self._used: dict[psutil.Process, tuple[str, float]] = {}
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample_on, daemon=True)

    def __enter__(self) -> Usage:
        self._began = {process: seconds for process, (_, seconds) in self._sample().items()}
        self._sampler.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._sampler.join()
        self._sample()
        used: defaultdict[str, float] = defaultdict(float)
        for process, (name, seconds) in self._used.items():
            used[name] += seconds - self._began.get(process, 0)
        self.cpu_seconds = {name: round(seconds, 2) for name, seconds in used.items()}

    def _sample_on(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> dict[psutil.Process, tuple[str, float]]:
        """What each process has used so far; the peaks and the last known use are remembered."""
        memory: defaultdict[str, float] = defaultdict(float)
        for process, name in processes_by_kind(self._others).items():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory[name] += process.memory_info().rss / MB
            except psutil.NoSuchProcess:
                continue
            self._used[process] = (name, times.user + times.system)
        for name, size in memory.items():
            self.peak_mb[name] = round(max(self.peak_mb.get(name, 0), size), 1)
        return self._used


def processes_by_kind(others: Mapping[str, int]) -> dict[psutil.Process, str]:
    """The processes of the stack that run now, with their kinds."""
    found: dict[psutil.Process, str] = {}
    for part in (flink.JOBMANAGER, flink.TASKMANAGER, elasticsearch.NAME, kafka.NAME):
        for pid in processes.members(part):
            try:
                process = psutil.Process(pid)
                is_worker = part == flink.TASKMANAGER and process.name() != "java"
            except psutil.NoSuchProcess:
                continue
            found[process] = PYTHON if is_worker else part
    for name, pid in others.items():
        if psutil.pid_exists(pid):
            found[psutil.Process(pid)] = name
    return found


def memory_mb() -> dict[str, float]:
    """The resident memory of the stack's processes now, by kind."""
    found: defaultdict[str, float] = defaultdict(float)
    for process, name in processes_by_kind({}).items():
        with suppress(psutil.NoSuchProcess):
            found[name] += process.memory_info().rss / MB
    return dict(found)


def run_time(job_id: str) -> float:
    """Seconds from the first task running to the end of a finished job. Raises StackError when Flink does not say."""
    for _ in range(100):  # the state is told a moment before its time
        times = flink.rest(f"/jobs/{job_id}")["timestamps"]
        if times["FINISHED"]:
            return float(times["FINISHED"] - times["RUNNING"]) / 1000
        time.sleep(0.1)
    raise StackError(f"Flink does not say when job {job_id} finished.")
