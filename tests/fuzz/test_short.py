"""`make fuzz` in short: each target's seeds and some hundred mutations of them, the same ones on every machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import TARGETS, fuzz

# The inputs that each target is given: some a second where models score, some hundred where bytes are parsed.
RUNS = {
    "chat": 400, "files": 150, "key_phrases": 500, "policy": 100,
    "records": 800, "scoring": 100, "sse": 1500, "udfs": 40,
}  # fmt: skip

# Atheris counts the edges that it has put counters on: where it has not, there is one or none.
LEAST_EDGES = 50


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="atheris is tried with Python 3.11 only")
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_is_a_finding(name: str, tmp_path: Path) -> None:
    outcome = fuzz(name, [f"-runs={RUNS[name]}", "-seed=1"], tmp_path)

    assert not outcome.finding, Path(outcome.log).read_text(encoding="utf-8")[-4000:]
    assert outcome.executions >= RUNS[name]
    assert outcome.seeds_reached >= LEAST_EDGES
    assert outcome.reached >= outcome.seeds_reached
