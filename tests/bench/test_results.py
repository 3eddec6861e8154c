"""Rows of a benchmark: ratios, promises, and the file that they are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure import Run
from bench.results import Results, Row


def runs(*values: float) -> list[Run]:
    return [Run(value, seconds=1.0) for value in values]


def row(own: list[Run], others: list[Run], **promised: float) -> Row:
    return Row("jobs", "a job", "another", "events/s", own, others, **promised)  # type: ignore[arg-type]


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # Slow rounds are slow on both sides: the ratio of the medians would be 300 / 100.
    one = row(runs(300, 30, 800), runs(100, 60, 200))
    assert one.ratio == 3.0
    assert one.value == 300
    assert one.reference_value == 100


def test_a_row_without_reference_has_no_ratio_and_no_promise() -> None:
    one = row(runs(5), [], at_least=1.0)
    assert one.ratio is None
    assert one.reference_value is None
    assert one.keeps_promise is None


def test_rounds_without_their_reference_are_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = row(runs(1, 2), runs(1)).ratio


@pytest.mark.parametrize(
    ("own", "promised", "kept"),
    [
        (50, {"at_least": 0.5}, True),
        (49.6, {"at_least": 0.5}, True),  # as it is printed: 0.50
        (49, {"at_least": 0.5}, False),
        (120, {"at_most": 1.2}, True),
        (121, {"at_most": 1.2}, False),
        (100, {}, None),
    ],
)
def test_a_promise_is_of_the_printed_ratio(own: float, promised: dict[str, float], kept: bool | None) -> None:
    assert row(runs(own), runs(100), **promised).keeps_promise is kept


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    run = Run(2.0, 1.0, 10, 9, {"kafka": 0.5}, {"kafka": 300.0}, {"p95_seconds": 3.0})
    found = Results({"cores": 2}, [Row("latency", "a", "b", "s", [run], [run], at_most=2.0)])
    assert Results.read(found.save(tmp_path / "some" / "file.json")) == found


def test_a_row_takes_the_place_of_the_one_before() -> None:
    found = Results({}, [row(runs(1), runs(1)), Row("sink", "a job", "another", "s", runs(7))])
    found.put([row(runs(2), runs(1))])
    assert [(one.section, one.value) for one in found.rows] == [("sink", 7), ("jobs", 2)]
