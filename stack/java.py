"""The Java installations of this machine, and which part takes which."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INSTALLED_UNDER = (Path("/usr/lib/jvm"), Path("/opt"), Path.home() / ".sdkman/candidates/java", Path.home() / ".jdks")

FLINK_FROM, FLINK_TO = 17, 21  # what Flink 2.3 is released for
ELASTICSEARCH_9_FROM = 21


@dataclass(frozen=True)
class Java:
    """A Java installation: its folder (`JAVA_HOME`), its major version, and whether it can compile."""

    home: Path
    version: int
    compiles: bool


def _version(home: Path) -> int | None:
    """Major version of the Java in a folder, or None when there is none that runs."""
    release = home / "release"
    if release.is_file():
        found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text(errors="replace"), re.MULTILINE)
        if found:
            return int(found[1])
    try:
        answer = subprocess.run(
            [home / "bin/java", "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if found else None


def find(environment: Mapping[str, str], installed_under: Iterable[Path] = INSTALLED_UNDER) -> list[Java]:
    """Every Java found: that of JAVA_HOME first, then that on PATH, then the installed ones by version."""
    homes: list[Path] = []
    if environment.get("JAVA_HOME"):
        homes.append(Path(environment["JAVA_HOME"]))
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    if on_path:
        homes.append(Path(on_path).resolve().parent.parent)
    chosen = len(homes)
    for folder in installed_under:
        if folder.is_dir():
            homes.extend(sorted(home for home in folder.iterdir() if (home / "bin/java").is_file()))
    seen: set[Path] = set()
    javas: list[Java] = []
    others: list[Java] = []
    for position, home in enumerate(homes):
        if home.resolve() in seen or not (home / "bin/java").is_file():
            continue
        seen.add(home.resolve())
        version = _version(home)
        if version is not None:
            java = Java(home.resolve(), version, (home / "bin/javac").is_file())
            (javas if position < chosen else others).append(java)
    return javas + sorted(others, key=lambda java: java.version)


@cache
def _here() -> tuple[Java, ...]:
    return tuple(find(os.environ))


def for_flink(javas: Iterable[Java] | None = None) -> Java | None:
    """The first Java that Flink and Kafka run on, one that compiles before one that does not; None when none does."""
    fit = [java for java in (_here() if javas is None else javas) if FLINK_FROM <= java.version <= FLINK_TO]
    return next((java for java in fit if java.compiles), fit[0] if fit else None)


def for_elasticsearch_9(javas: Iterable[Java] | None = None) -> Java | None:
    """The first Java that Elasticsearch 9 runs on, or None."""
    return next((java for java in (_here() if javas is None else javas) if java.version >= ELASTICSEARCH_9_FROM), None)
