"""What comes from Maven: the jars of stack/pom.xml, fetched once, and our own connectors, built when they changed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from settings import ROOT
from stack import java, layout
from stack.errors import StackError

POM = Path(__file__).with_name("pom.xml")
CONNECTORS = ROOT / "connectors"
ELASTICSEARCH_9 = "9.5.3"
ELASTICSEARCH_8 = "8.19.21"
TIMEOUT_SECONDS = 1800
SAID_FROM_BYTES = 4 * 1024 * 1024

_FETCHED = re.compile(r"Downloaded from [^:]+: \S+/([^/\s]+\.(?:jar|zip)) \(([\d.]+) ([kMG]?B)")
_FETCHING = re.compile(r"Downloading from [^:]+: \S+/([^/\s]+\.(?:jar|zip))")
_UNIT_BYTES = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}

_CAUSES = (
    (r"Could not transfer artifact|Connection (refused|reset)|UnknownHost|timed out|Temporary failure", "the network"),
    (r"No space left on device", "a full disk"),
    (r"No compiler is provided|release version \d+ not supported|invalid target release", "a Java that cannot compile"),
    (r"COMPILATION ERROR", "code that does not compile"),
    (r"checkstyle", "a broken style rule"),
)


def elasticsearch_version() -> str:
    """9.5.3 where a Java 21 or later is found, else 8.19.21."""
    return ELASTICSEARCH_9 if java.for_elasticsearch_9() else ELASTICSEARCH_8


def elasticsearch_home(version: str) -> Path:
    """The unpacked Elasticsearch of a version; `fetch(version)` makes it."""
    return layout.jars_dir() / f"elasticsearch-{version}"


def _stamp(version: str) -> Path:
    return layout.jars_dir() / f"fetched-with-elasticsearch-{version}"


def is_fetched(version: str) -> bool:
    """Whether all jars of this pom.xml, with that Elasticsearch, are there."""
    stamp = _stamp(version)
    return stamp.is_file() and stamp.read_text() == hashlib.sha256(POM.read_bytes()).hexdigest()


def fetch(version: str | None = None, console: Console | None = None) -> bool:
    """Fetch every jar of stack/pom.xml into .stack/jars, once for each content of that file.

    `version` is the Elasticsearch wanted (default: what fits the Java found). True when something was fetched.
    Raises StackError when Maven fails, with why and where its log is.
    """
    version = version or elasticsearch_version()
    if is_fetched(version):
        return False
    console = console or Console()
    console.print("Fetching Kafka, Elasticsearch and Flink's connectors with Maven (once, about 250 MB) …")
    jars = layout.jars_dir()
    jars.mkdir(parents=True, exist_ok=True)
    for old in ("kafka", "flink"):
        shutil.rmtree(jars / old, ignore_errors=True)
    _run(
        ["-f", str(POM), "package", f"-Dstack.jars={jars}", f"-Delasticsearch.version={version}"],
        "The jars of the stack cannot be fetched",
        console,
    )
    _stamp(version).write_text(hashlib.sha256(POM.read_bytes()).hexdigest())
    return True


def connector_jars() -> list[Path]:
    """Our own jars that belong into Flink's lib/, those that are built."""
    return sorted(CONNECTORS.glob("*/target/crowdpulse-*.jar"))


def stale_connectors() -> list[str]:
    """Names of the modules of connectors/pom.xml whose jar is missing or older than its sources."""
    listed = re.findall(r"<module>([^<]+)</module>", (CONNECTORS / "pom.xml").read_text())
    stale = []
    for module in listed:
        sources = [CONNECTORS / "pom.xml", CONNECTORS / module / "pom.xml"]
        sources += [path for path in (CONNECTORS / module / "src/main").rglob("*") if path.is_file()]
        newest = max(path.stat().st_mtime for path in sources if path.exists())
        built = [jar.stat().st_mtime for jar in (CONNECTORS / module / "target").glob("crowdpulse-*.jar")]
        if not built or max(built) < newest:
            stale.append(module)
    return stale


def build_connectors(console: Console | None = None) -> bool:
    """Build the jars of connectors/ whose sources are newer. True when something was built.

    Raises StackError when Maven fails, with why and where its log is.
    """
    stale = stale_connectors()
    if not stale:
        return False
    console = console or Console()
    console.print(f"Building the Flink connectors ({', '.join(stale)}) with Maven …")
    _run(
        ["-f", str(CONNECTORS / "pom.xml"), "package", "-Dmaven.test.skip=true", "-Dcheckstyle.skip"],
        "connectors/ cannot be built",
        console,
    )
    for jar in connector_jars():
        jar.touch()  # Maven leaves a jar alone whose content would be the same
    return True


def _run(arguments: Sequence[str], failure: str, console: Console) -> None:
    """Run Maven with its output in .stack/logs/maven.log and the downloads shown."""
    program = shutil.which("mvn")
    if program is None:
        raise StackError("Maven is missing: install it (Debian: apt-get install maven) so that `mvn` is on PATH.")
    compiler = java.for_flink()
    environment = dict(os.environ)
    if compiler:
        environment["JAVA_HOME"] = str(compiler.home)
    log = layout.logs_dir() / "maven.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    count, total = 0, 0.0
    tail: list[str] = []
    with (
        log.open("w") as whole,
        console.status("Maven starts …") as status,
        subprocess.Popen(
            [program, "--batch-mode", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            whole.write(line)
            tail = [*tail[-199:], line]
            fetching = _FETCHING.search(line)
            if fetching:
                status.update(f"Maven: {fetching[1]} ({count} files, {total / 1e6:.0f} MB so far)")
            fetched = _FETCHED.search(line)
            if fetched:
                size = float(fetched[2]) * _UNIT_BYTES[fetched[3]]
                count, total = count + 1, total + size
                if size >= SAID_FROM_BYTES:
                    console.print(f"  {fetched[1]} ({size / 1e6:.0f} MB)")
            if time.monotonic() - started > TIMEOUT_SECONDS:
                process.kill()
                raise StackError(f"{failure}: Maven took over {TIMEOUT_SECONDS // 60} minutes. Its log: {log}.")
        code = process.wait()
    if code != 0:
        text = "".join(tail)
        cause = next((said for pattern, said in _CAUSES if re.search(pattern, text)), "the first error below")
        errors = [line.removeprefix("[ERROR] ").strip() for line in tail if line.startswith("[ERROR]")]
        shown = "\n".join(f"  {line}" for line in errors[:6] if line)
        raise StackError(f"{failure}; the cause seems to be {cause}. The whole log: {layout.shown(log)}\n{shown}")
    console.print(f"  done in {time.monotonic() - started:.0f} s ({count} files, {total / 1e6:.0f} MB fetched).")
