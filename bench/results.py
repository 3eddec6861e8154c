"""The result of `make bench`: rows, each with its runs and those of its reference, in one JSON file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Literal

import psutil

from bench.measure import Run
from settings import ROOT
from stack import elasticsearch, java, layout

Section = Literal["jobs", "scoring", "sink", "latency", "growth", "start"]


@dataclass(frozen=True)
class Row:
    """A row: what was measured, against what, and what is promised of the ratio.

    unit: of the runs' values; runs and references are of the same rounds, in order. A row without a reference has no
    ratio. at_least, at_most: the promise; expected: what linear growth would give.
    """

    section: Section
    name: str
    reference: str
    unit: str
    runs: list[Run]
    references: list[Run] = field(default_factory=list)
    at_least: float | None = None
    at_most: float | None = None
    expected: float | None = None
    measured_at: str = field(default_factory=lambda: now())

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(run.value for run in self.runs)

    @property
    def reference_value(self) -> float | None:
        """The median of the reference's runs; None without one."""
        return median(run.value for run in self.references) if self.references else None

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios; None without a reference."""
        if not self.references:
            return None
        return median(run.value / other.value for run, other in zip(self.runs, self.references, strict=True))

    @property
    def keeps_promise(self) -> bool | None:
        """Whether the ratio, as it is printed with two digits, keeps the promise; None where there is none."""
        if self.ratio is None or (self.at_least is None and self.at_most is None):
            return None
        ratio = round(self.ratio, 2)
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)


@dataclass
class Results:
    """All rows of a run of the benchmark, with the machine that they were measured on."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def put(self, rows: list[Row]) -> None:
        """Add rows, in the place of those of the same name and reference."""
        new = {(row.section, row.name, row.reference) for row in rows}
        self.rows = [row for row in self.rows if (row.section, row.name, row.reference) not in new] + rows

    def save(self, file: Path | None = None) -> Path:
        """Write the JSON file; returns its path."""
        file = file or latest()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return file

    @classmethod
    def read(cls, file: Path | None = None) -> Results:
        """The results of a file. Raises FileNotFoundError."""
        found = json.loads((file or latest()).read_text(encoding="utf-8"))
        for row in found["rows"]:
            for kind in ("runs", "references"):
                row[kind] = [Run(**run) for run in row[kind]]
        return cls(**found | {"rows": [Row(**row) for row in found["rows"]]})


def now() -> str:
    """The time, to the minute, in UTC."""
    return datetime.now(UTC).isoformat(timespec="minutes")


def folder() -> Path:
    """Where results are kept."""
    return layout.state_dir() / "bench"


def latest() -> Path:
    """The results of the last run."""
    return folder() / "latest.json"


def machine() -> dict[str, Any]:
    """What the figures hang on: processor, memory, versions and commit."""

    def said(*command: str) -> str:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    found = java.for_flink()
    return {
        "measured_at": now(),
        "commit": said("git", "rev-parse", "--short", "HEAD")
        + (" with changes" if said("git", "diff", "--stat") else ""),
        "processor": model.partition(":")[2].strip() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "java": found.version if found else None,
        "flink": version("apache-flink"),
        "elasticsearch": elasticsearch.node().version,
    }
