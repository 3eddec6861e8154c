"""Coverage-guided fuzzing (atheris) of what reads texts, JSON and bytes from outside: each target in its own process.

    python -m tests.fuzz                                    every target for ten minutes, one after the other
    python -m tests.fuzz --target sse --target policy       these alone
    python -m tests.fuzz --seconds 60
    python -m tests.fuzz --target sse --repeat FILE         one input again, without the fuzzer: its traceback

What led somewhere new is kept in .stack/fuzz/TARGET/corpus and begun with in the next run, beside the seeds, which our
own producers make. A finding is kept in .stack/fuzz/TARGET.
Exit codes: 0 nothing found, 1 a finding, 2 wrong arguments or no atheris.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from settings import ROOT

TARGETS = sorted(file.stem for file in (Path(__file__).parent / "targets").glob("*.py"))
FOLDER = ROOT / ".stack" / "fuzz"
LONGEST_SECONDS = 60  # that one input may take: most take less than a hundredth of a second
MOST_MEGABYTES = 3000
TOLD_SECONDS = 30
SEEN = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)")
KEPT = re.compile(r"Test unit written to (\S+)")


class Outcome(NamedTuple):
    """What came of a target: how many inputs it was given, edges of our code that the seeds reached and all did."""

    executions: int = 0
    seeds_reached: int = 0
    reached: int = 0
    finding: str = ""
    log: str = ""


def fuzz(name: str, options: list[str], folder: Path = FOLDER, told_seconds: float = TOLD_SECONDS) -> Outcome:
    """Run the fuzzer on a target with these options of libFuzzer; says how far it is."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    log = own / "log"
    outcome = Outcome(log=str(log))
    said_at = time.monotonic()
    command = [
        sys.executable, "-m", "tests.fuzz.process", name, str(own / "corpus"), *options,
        f"-artifact_prefix={own}/", f"-timeout={LONGEST_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}",
        "-print_final_stats=1", "-use_value_profile=1",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace",
        ) as process,
    ):  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            kept.write(line)
            if seen := SEEN.match(line):
                outcome = outcome._replace(
                    executions=int(seen[1]),
                    reached=int(seen[3]),
                    seeds_reached=int(seen[3]) if seen[2] == "INITED" else outcome.seeds_reached,
                )
                if time.monotonic() >= said_at + told_seconds:
                    said_at = time.monotonic()
                    print(f"{name:12} {outcome.executions:12,} inputs, {outcome.reached:6,} edges", flush=True)
            elif written := KEPT.search(line):
                outcome = outcome._replace(finding=written[1])
            elif total := re.match(r"stat::number_of_executed_units:\s+(\d+)", line):
                outcome = outcome._replace(executions=int(total[1]))
    if process.returncode and not outcome.finding:
        outcome = outcome._replace(finding=f"exit code {process.returncode}, see {log}")
    return outcome


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", action="append", choices=TARGETS, help="one of them (default: all)")
    parser.add_argument("--seconds", type=int, default=600, metavar="S", help="for each target (default: 600)")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="one input, to one --target, without the fuzzer")
    options = parser.parse_args(arguments)
    if options.repeat:
        if not options.target or len(options.target) != 1:
            parser.error("--repeat needs one --target")
        importlib.import_module(f"tests.fuzz.targets.{options.target[0]}").test(options.repeat.read_bytes())
        print("Nothing is wrong with it.")
        return 0
    if not find_spec("atheris"):
        print("There is no atheris in this environment: pip install -r requirements-dev.txt.", file=sys.stderr)
        return 2
    found = 0
    for name in options.target or TARGETS:
        outcome = fuzz(name, [f"-max_total_time={options.seconds}"])
        print(
            f"{name:12} {outcome.executions:12,} inputs, {outcome.reached:6,} edges ({outcome.seeds_reached:,} by the"
            f" seeds): {'a finding' if outcome.finding else 'nothing found'}",
            flush=True,
        )
        if outcome.finding:
            found += 1
            print(f"  {outcome.finding}\n  python -m tests.fuzz --target {name} --repeat {outcome.finding}", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
