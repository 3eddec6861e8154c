"""The code that Flink ships to its workers: one zip of settings, jobs, UDFs, models, table declarations and config/."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from settings import ROOT
from stack import layout

FOLDERS = ("config", "jobs", "udfs", "models")
FOR_PEOPLE = {"cards"}
# Zip's first possible moment: the same code makes the same file, so Flink need not ship it twice.
WRITTEN = (1980, 1, 1, 0, 0, 0)


def files(root: Path = ROOT) -> list[Path]:
    """What is shipped, relative to `root`, sorted: code and data of the folders, and connectors/*.sql and *.csv."""
    found = [
        *root.glob("*.py"),
        root / "connectors/__init__.py",
        *(root / "connectors").glob("*.sql"),
        *(root / "connectors").glob("*.csv"),
    ]
    for folder in FOLDERS:
        found += [path for path in _below(root / folder) if path.suffix != ".pyc"]
    return sorted(path.relative_to(root) for path in found)


def _below(folder: Path) -> Iterator[Path]:
    for directory, names, entries in os.walk(folder):
        names[:] = [name for name in names if not name.startswith((".", "__pycache__")) and name not in FOR_PEOPLE]
        yield from (Path(directory, entry) for entry in entries if not entry.startswith("."))


def make(root: Path = ROOT, target: Path | None = None) -> Path:
    """Write the zip (default: `.stack/crowdpulse.zip`). The same files give the same bytes. Returns its path."""
    target = target or layout.shipped_code()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(root):
            archive.writestr(zipfile.ZipInfo(str(path), WRITTEN), (root / path).read_bytes(), zipfile.ZIP_DEFLATED)
    temporary.replace(target)  # at once: a submission may be reading it
    return target
