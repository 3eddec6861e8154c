"""docs/scale.md: what the measured cost of each job makes of a plan past one machine.

The text is bench/scale.md, whose {names} stand for tables and figures that are made here of `make bench`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.results import Results, Row
from settings import ROOT

TEXT = Path(__file__).with_name("scale.md")
RATES = (100_000, 10_000_000)
# Room for what a mean hides: the catching up after a failure, and hours that are busier than others.
HEADROOM = 0.5
# What one shard takes in, as measured by the sink's row, and of that half, for the reading and merging beside it.
SHARD_SHARE = 0.5


@dataclass(frozen=True)
class Cost:
    """What a million records cost a job: CPU seconds by process, and documents."""

    job: str
    flink: float
    python: float
    elasticsearch: float
    kafka: float
    documents: float

    @property
    def slots(self) -> float:
        """CPU seconds in TaskManagers."""
        return self.flink + self.python


def costs(found: Results) -> list[Cost]:
    """The cost of each job into Elasticsearch; medians of the rounds."""
    return [_cost(row) for row in found.rows if row.section == "jobs" and row.reference == "blackhole sinks"]


def _cost(row: Row) -> Cost:
    def of(part: str) -> float:
        return median(run.cpu_seconds.get(part, 0.0) / run.events * 1e6 for run in row.runs)

    documents = median(run.documents / run.events * 1e6 for run in row.runs)
    return Cost(row.name, of("taskmanager"), of("Python workers"), of("elasticsearch"), of("kafka"), documents)


def cores(cpu_seconds_a_million: float, rate: float) -> int:
    """Cores for so many events a second, HEADROOM of each left free."""
    return math.ceil(cpu_seconds_a_million * rate / 1e6 / (1 - HEADROOM))


def table(lines: list[list[str]]) -> str:
    """A table of Markdown; the first line is its head."""
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def cost_table(every: list[Cost]) -> str:
    """CPU seconds of a million records by job and process."""
    head = ["job", "TaskManager", "Python workers", "Elasticsearch", "Kafka", "documents of a million records"]
    return table(
        [
            head,
            *(
                [one.job, *(f"{value:,.0f}" for value in (one.flink, one.python, one.elasticsearch, one.kafka)),
                 f"{one.documents:,.0f}"]
                for one in every
            ),
        ]
    )  # fmt: skip


def plan_table(every: list[Cost], rate: float, documents_a_shard: float) -> str:
    """Cores, partitions, slots and primary shards of each job at a rate."""
    head = ["job", "cores for slots", "slots", "partitions of its topics", "cores of Elasticsearch", "primary shards"]
    lines = [head]
    for one in every:
        slots = cores(one.slots, rate)
        shards = math.ceil(one.documents * rate / 1e6 / (documents_a_shard * SHARD_SHARE))
        lines.append(
            [
                one.job, f"{slots:,}", f"{slots:,}", f"{partitions(slots):,}", f"{cores(one.elasticsearch, rate):,}",
                f"{max(shards, 1):,}",
            ]
        )  # fmt: skip
    return table(lines)


def partitions(slots: int) -> int:
    """A number of partitions that slots share evenly and that lets them double: the next power of two, twice."""
    return int(2 * 2 ** math.ceil(math.log2(max(slots, 1))))


def write(found: Results) -> list[Path]:
    """Write docs/scale.md, where every job and the sink have been measured; returns what was written."""
    every = costs(found)
    sinks = [row for row in found.rows if row.section == "sink"]
    if not every or not sinks:
        return []
    documents_a_shard = sinks[0].value
    text = TEXT.read_text(encoding="utf-8")
    machine = found.machine
    filled = {
        "machine": f"{machine['processor']}, commit {machine['commit']}, {machine['measured_at']}",
        "costs": cost_table(every),
        "documents_a_shard": f"{documents_a_shard:,.0f}",
        "plan_100_thousand": plan_table(every, RATES[0], documents_a_shard),
        "plan_10_million": plan_table(every, RATES[1], documents_a_shard),
    }
    for name, value in filled.items():
        text = text.replace(f"{{{name}}}", value)
    target = ROOT / "docs" / "scale.md"
    target.write_text(text, encoding="utf-8")
    return [target]
