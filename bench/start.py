"""How long the demo takes until every index has documents: from an empty folder, and again after `down`.

    python -m bench.start                      both: about twenty minutes on two cores that do nothing else
    python -m bench.start --port-base 29000    on other ports; the demo of these settings may run beside, and slows it

Cold: no jars, no data, no processes; .venv is there, and what Maven has in its own repository. Warm: jars and data
are there, the producers go on from now. It has a state folder of its own, which is removed. The seconds go to
.stack/bench/start.json and docs/performance.md. Exit codes: 0 done, 1 a demo failed, 2 wrong options.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench import report, results
from bench.measure import Run
from bench.results import Results, Row
from producers._command_line import whole_number
from settings import ROOT

LONGEST_SECONDS = 3600


def python(environment: dict[str, str], *arguments: str) -> float:
    """Run `python -m …`; returns its seconds. Raises RuntimeError with what it said when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"python -m {' '.join(arguments)} failed: {(done.stdout + done.stderr).strip()[-800:]}")
    return time.monotonic() - began


def rows(state: Path, port_base: int) -> list[Row]:
    """Measure both. Raises RuntimeError when a demo fails."""
    environment = {"CROWDPULSE_STATE_DIR": str(state), "CROWDPULSE_PORT_BASE": str(port_base)}
    found = []
    try:
        for name in ("cold demo", "warm demo"):
            print(f"{name} …", flush=True)
            seconds = python(environment, "stack.demo")
            print(f"  {seconds:.0f} s", flush=True)
            found.append(Row("start", f"{name}, until every index has documents", "", "s", [Run(seconds, seconds)]))
            python(environment, "stack", "down")
    finally:
        python(environment, "stack", "down", "--data")
        shutil.rmtree(state)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    top = argparse.ArgumentParser(
        prog="python -m bench.start", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--port-base", type=whole_number, default=29000, metavar="P", help="first port (default: 29000)")
    options = top.parse_args(arguments)
    state = results.folder() / "start"
    if state.exists():
        print(f"{state} is there: another run of this, or what one has left. Remove it.", file=sys.stderr)
        return 1
    state.mkdir(parents=True)
    found = Results(results.machine())
    try:
        found.put(rows(state, options.port_base))
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    found.save(results.folder() / "start.json")
    if results.latest().exists():
        for document in report.write(Results.read()):
            print(f"Written: {document.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
