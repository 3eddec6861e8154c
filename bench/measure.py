"""What a run took, by the clock and in CPU time of the stack's parts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from stack import elasticsearch, flink, kafka, processes
from stack.errors import StackError


@dataclass(frozen=True)
class Measured:
    """What a run took: seconds of the clock, seconds of CPU by process, and how much it did."""

    seconds: float
    cpu_seconds: dict[str, float]
    events: int
    documents: int

    @property
    def documents_per_second(self) -> float:
        return self.documents / self.seconds


def cpu_seconds() -> dict[str, float]:
    """CPU time so far, by part of the stack."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = {}
    for part in (flink.TASKMANAGER, elasticsearch.NAME, kafka.NAME):
        total = 0
        for pid in processes.members(part):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        used[part] = total / ticks
    return used


def cpu_since(before: dict[str, float]) -> dict[str, float]:
    """CPU time since `before`, by part of the stack."""
    return {part: used - before[part] for part, used in cpu_seconds().items()}


def run_time(job_id: str) -> float:
    """Seconds from the first task running to the end of a finished job."""
    for _ in range(100):  # the state is told a moment before its time
        times = flink.rest(f"/jobs/{job_id}")["timestamps"]
        if times["FINISHED"]:
            return float(times["FINISHED"] - times["RUNNING"]) / 1000
        time.sleep(0.1)
    raise StackError(f"Flink does not say when job {job_id} finished.")
