"""What a process uses is measured from outside, also when it ends before the measuring does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.measure import Usage

BURN = "import time; x = bytearray(64 << 20)\nwhile time.process_time() < 0.6: pass\ntime.sleep(1)"


def test_cpu_time_and_memory_of_a_process_that_ends_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.processes.members", lambda _part: [])
    process = subprocess.Popen([sys.executable, "-c", BURN])
    with Usage({"burner": process.pid}) as used:
        process.wait()
    assert 0.3 < used.cpu_seconds["burner"] < 3
    assert used.peak_mb["burner"] > 64
