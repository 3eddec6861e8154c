"""The code that Flink ships to its workers: one zip of settings, jobs, UDFs, models, table declarations and config/."""

from __future__ import annotations

import os
import tempfile
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
    # A file of its own, put in place at once: several jobs may be submitted, and one reading it, at the same time.
    with (
        tempfile.NamedTemporaryFile(dir=target.parent, suffix=".zip.tmp", delete=False) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for path in files(root):
            archive.writestr(zipfile.ZipInfo(str(path), WRITTEN), (root / path).read_bytes(), zipfile.ZIP_DEFLATED)
    temporary = Path(file.name)
    temporary.chmod(0o644)  # others may run it than who made it
    temporary.replace(target)
    return target
