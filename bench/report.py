"""docs/performance.md and docs/scale.md, written from the figures of `make bench` and `make soak`.

    python -m bench.report            both documents once more
    python -m bench.report --print    the table alone, on the terminal

Exit codes: 0 written, 1 there are no figures yet.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import results, scale
from bench.results import Results, Row
from settings import ROOT

COLUMNS = ("row", "measured", "reference", "ratio", "promised", "CPU seconds, by process", "peak MB, by process")
TITLES = {
    "jobs": "Each job, Kafka → Elasticsearch",
    "sink": "Sink",
    "scoring": "Scoring in a stream, Kafka → Kafka",
    "latency": "From produce to searchable",
    "growth": "Growth against linear",
    "start": "Start",
}
SHORT = {
    "taskmanager": "TaskManager",
    "jobmanager": "JobManager",
    "elasticsearch": "Elasticsearch",
    "kafka": "Kafka",
}
TEXT = Path(__file__).with_name("performance.md")


def number(value: float) -> str:
    """A figure with three digits that count, or as a whole number from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def promise(row: Row) -> str:
    """What is promised of a row's ratio, and whether it is kept."""
    said = [f"≥ {row.at_least:g}"] if row.at_least is not None else []
    said += [f"≤ {row.at_most:g}"] if row.at_most is not None else []
    if not said:
        return f"linear: {row.expected:g}" if row.expected is not None else ""
    return f"{' '.join(said)}, {'kept' if row.keeps_promise else '**missed**'}"


def by_process(runs: Iterable[dict[str, float]]) -> str:
    """The medians of figures by kind of process, the largest first."""
    collected: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.items():
            collected.setdefault(name, []).append(value)
    medians = sorted(((median(values), name) for name, values in collected.items()), reverse=True)
    return ", ".join(f"{SHORT.get(name, name)} {number(value)}" for value, name in medians)


def measured(row: Row) -> str:
    """The row's own figure, with how much of it there is for a second of CPU."""
    said = f"{number(row.value)} {row.unit}"
    seconds = [sum(run.cpu_seconds.values()) for run in row.runs]
    if row.unit.endswith("/s") and all(seconds):
        each = median(run.value * run.seconds / used for run, used in zip(row.runs, seconds, strict=True))
        said += f" ({number(each)} per CPU second)"
    for name in ("p95", "p99"):
        if values := [run.more[f"{name}_seconds"] for run in row.runs if f"{name}_seconds" in run.more]:
            said += f", {name} {number(median(values))} s"
    return said


def cells(row: Row) -> tuple[str, ...]:
    """A row as it is printed, by COLUMNS."""
    reference = f"{row.reference}: {number(row.reference_value)} {row.unit}" if row.reference_value is not None else ""
    return (
        row.name,
        measured(row),
        reference,
        "" if row.ratio is None else f"{row.ratio:.2f}",
        promise(row),
        by_process(run.cpu_seconds for run in row.runs),
        by_process(run.peak_mb for run in row.runs),
    )


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows by section, each section in the order of its measuring."""
    return sorted(rows, key=lambda row: list(TITLES).index(row.section))


def table(found: Results) -> Table:
    """The table for a terminal."""
    shown = Table(*COLUMNS[:5], title="make bench")
    for row in in_order(found.rows):
        shown.add_row(*(cell.replace("**", "") for cell in cells(row)[:5]))
    return shown


def document(found: Results, soak: dict[str, Any] | None = None, start: list[Row] | None = None) -> str:
    """The text of docs/performance.md: bench/performance.md with the figures in the places of its {names}."""
    machine = found.machine
    rows = in_order([*found.rows, *(start or [])])
    filled = {
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']};"
        f" Python {machine['python']}, Java {machine['java']}, Flink {machine['flink']}, Elasticsearch"
        f" {machine['elasticsearch']}; commit {machine['commit']}, {machine['measured_at']}",
        "missed": missed(rows),
        "table": "\n".join(markdown(rows, machine["measured_at"])),
        "soak": "\n".join(soaked(soak)),
    }
    text = TEXT.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"{{{name}}}", value)
    return text.rstrip() + "\n"


def missed(rows: Sequence[Row]) -> str:
    """How many promises are kept, and each that is not."""
    promised = [row for row in rows if row.keeps_promise is not None]
    broken = [row for row in promised if not row.keeps_promise]
    if not broken:
        return f"All of {len(promised)} promises are kept."
    said = [f"- {row.name}, against {row.reference}: {row.ratio:.2f}; promised {promise(row)}" for row in broken]
    return "\n".join([f"{len(broken)} of {len(promised)} promises are missed:", "", *said])


def markdown(rows: Sequence[Row], measured_at: str) -> list[str]:
    """The table; a row that was not measured on the day of the others has its own day."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            lines.append(_line([f"**{TITLES[section]}**", *[""] * (len(COLUMNS) - 1)]))
        name, *others = cells(row)
        same_day = row.measured_at[:10] == measured_at[:10]
        lines.append(_line([name if same_day else f"{name} ({row.measured_at[:10]})", *others]))
    return lines


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def soaked(soak: dict[str, Any] | None) -> list[str]:
    """What `make soak` found, as lines of the document."""
    if not soak:
        return []
    lines = [
        "## Soak",
        "",
        f"`make soak`: {soak['minutes']:g} minutes at {soak['share']:.0%} of the cores by the measured cost of each job"
        f" ({soak['measured_at']} UTC, commit {soak['commit']}). "
        + ", ".join(f"{name} {number(rate)}/s" for name, rate in soak["rates"].items())
        + f". Restarts: {soak['restarts']}. The first {soak['left_out_minutes']:g} minutes are left out of the slopes.",
        "",
        _line(["what", "at the beginning", "at the end", "most", "slope an hour, 95 % interval", "bounded"]),
        _line(["---"] * 6),
    ]
    for name, series in soak["series"].items():
        slope = f"{number(series['slope'])} ({number(series['low'])} to {number(series['high'])})"
        said = [number(series[one]) for one in ("first", "last", "most")]
        lines.append(_line([name, *said, slope, "yes" if series["bounded"] else "**no**"]))
    return [*lines, "", soak["rule"], ""]


def write(found: Results) -> list[Path]:
    """Write the documents; returns which."""

    def read(name: str) -> Any:
        file = results.folder() / name
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    start = Results.read(results.folder() / "start.json").rows if (results.folder() / "start.json").exists() else []
    performance = ROOT / "docs" / "performance.md"
    performance.write_text(document(found, read("soak.json"), start), encoding="utf-8")
    return [performance, *scale.write(found)]


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    top = argparse.ArgumentParser(
        prog="python -m bench.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--print", action="store_true", help="the table on the terminal, and no document")
    options = top.parse_args(arguments)
    try:
        found = Results.read()
    except FileNotFoundError:
        print("There are no figures yet: `make bench` measures them.", file=sys.stderr)
        return 1
    if options.print:
        Console(width=None if sys.stdout.isatty() else 160).print(table(found))
        return 0
    for file in write(found):
        print(f"Written: {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
