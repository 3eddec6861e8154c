"""What must hold before anything is started. Each check returns sentences, one a problem, each with what to do."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from stack import java, ports

FREE_DISK_BYTES = 5 * 1024**3
MEGABYTE = 1024**2


def check_system(system: str | None = None) -> list[str]:
    """The stack reads /proc, so it needs Linux."""
    if (system or platform.system()) == "Linux":
        return []
    return ["The local stack runs on Linux only (on Windows: inside WSL)."]


def check_python(modules: Iterable[str] = ("pyflink", "moto", "flask", "kafka", "pkg_resources")) -> list[str]:
    """The packages of requirements.txt."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return []
    return [
        f"Python at {sys.executable} lacks {', '.join(missing)}: `{sys.executable} -m pip install -r requirements.txt`."
    ]


def check_java(javas: Sequence[java.Java] | None = None, must_compile: bool = False) -> list[str]:
    """A Java for Flink and Kafka; one with a compiler when the connectors must be built."""
    found = java.find(os.environ) if javas is None else javas
    get = "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless) or set JAVA_HOME to one"
    if not found:
        return [f"Java is missing: {get}."]
    chosen = java.for_flink(found)
    if chosen is None:
        seen = ", ".join(f"{one.version} in {one.home}" for one in found)
        fault = "too old" if max(one.version for one in found) < java.FLINK_FROM else "not one that Flink runs on"
        return [f"Java is {fault} (found {seen}): Flink 2.3 needs {java.FLINK_FROM} to {java.FLINK_TO}; {get}."]
    if must_compile and not chosen.compiles:
        return [f"Java {chosen.version} in {chosen.home} has no compiler (javac), which the connectors need: {get}."]
    return []


def check_maven(path: str | None = None) -> list[str]:
    """Maven on PATH."""
    if shutil.which("mvn", path=path):
        return []
    return ["Maven is missing: install it (Debian: apt-get install maven) so that `mvn` is on PATH."]


def check_disk(folder: Path, wanted_bytes: int = FREE_DISK_BYTES) -> list[str]:
    """Free space where the stack stores its data."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free >= wanted_bytes:
        return []
    return [
        f"The disk of {folder} is nearly full: {free / 1024**3:.1f} GB are free and the stack wants "
        f"{wanted_bytes / 1024**3:.1f} GB. Free some, or set CROWDPULSE_STATE_DIR to a folder on another disk."
    ]


def available_memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """MemAvailable of the system."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def check_memory(wanted: dict[str, int], available_bytes: int | None = None) -> list[str]:
    """Memory for the parts that are to be started: `wanted` has bytes by part."""
    available = available_memory_bytes() if available_bytes is None else available_bytes
    total = sum(wanted.values())
    if total <= available:
        return []
    parts = ", ".join(f"{name} {size // MEGABYTE} MB" for name, size in wanted.items())
    return [
        f"Memory is short: {available // MEGABYTE} MB are available and the parts to start want {total // MEGABYTE} MB "
        f"({parts}). Close programs, or lower CROWDPULSE_TASKMANAGER_MEMORY, CROWDPULSE_ELASTICSEARCH_HEAP or "
        "CROWDPULSE_KAFKA_HEAP."
    ]


def check_ports(wanted: dict[str, Sequence[str]]) -> list[str]:
    """The ports of the parts that are to be started are free: `wanted` has port names by part."""
    problems = []
    for part, names in wanted.items():
        for name in names:
            number = ports.port(name)
            if ports.is_taken(number) and not ports.becomes_free(number):
                problems.append(
                    f"Port {number}, which {part} needs ({name}), is taken by {ports.holder(number)}: end that "
                    "program, or set CROWDPULSE_PORT_BASE to another number, such as 19000."
                )
    return problems
