"""docs/performance.md and docs/scale.md, of figures that are made up here."""

from __future__ import annotations

import pytest

from bench import report, scale
from bench.measure import Run
from bench.results import Results, Row

MACHINE = {
    "measured_at": "2026-01-02T03:04+00:00", "commit": "abc", "processor": "A processor", "cores": 2, "memory_gb": 8,
    "system": "Linux", "python": "3.11", "java": 17, "flink": "2.3.0", "elasticsearch": "9.5.3",
}  # fmt: skip
DAY = {"measured_at": "2026-01-02T03:00+00:00"}


def run(value: float, seconds: float = 10) -> Run:
    used = {"taskmanager": 8.0, "Python workers": 12.0}
    return Run(value, seconds, round(value * seconds), round(value * seconds / 2), used, {"taskmanager": 900.0})


def job(own: float, blackhole: float, **options: object) -> Row:
    return Row(
        "jobs", "social_posts", "blackhole sinks", "events/s", [run(own)], [run(blackhole)], at_least=0.5,
        **DAY | options,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (1.5, "1.5"), (99.94, "99.9"), (123.4, "123"), (45678.9, "45,679")]
)
def test_figures_have_three_digits_that_count(value: float, text: str) -> None:
    assert report.number(value) == text


def test_a_row_tells_figure_reference_ratio_promise_and_processes() -> None:
    assert report.cells(job(1000, 1600)) == (
        "social_posts",
        "1,000 events/s (500 per CPU second)",
        "blackhole sinks: 1,600 events/s",
        "0.62",
        "≥ 0.5, kept",
        "Python workers 12, TaskManager 8",
        "TaskManager 900",
    )


def test_the_medians_of_rounds_are_printed() -> None:
    assert report.by_process([{"kafka": 1.0}, {"kafka": 5.0, "the loop": 2.0}, {"kafka": 3.0}]) == "Kafka 3, the loop 2"


def test_a_promise_that_is_missed_stands_first_and_in_the_table() -> None:
    text = report.document(Results(MACHINE, [job(300, 1000)]))
    assert "1 of 1 promises are missed:\n\n- social_posts, against blackhole sinks: 0.30" in text
    assert "| 0.30 | ≥ 0.5, **missed** |" in text
    assert "{" not in text


def test_where_all_is_kept_it_says_so() -> None:
    assert "All of 1 promises are kept." in report.document(Results(MACHINE, [job(600, 1000)]))


def test_sections_are_in_the_order_of_the_issue_and_titled_once() -> None:
    start = Row("start", "a: submit to first document", "", "s", [Run(3.0, 3.0)], **DAY)  # type: ignore[arg-type]
    text = report.document(Results(MACHINE, [start, job(600, 1000), job(700, 1000)]))
    assert text.count("**Each job, Kafka → Elasticsearch**") == 1
    assert text.index("**Each job") < text.index("**Start**")


def test_a_row_of_another_day_has_its_day() -> None:
    text = report.document(Results(MACHINE, [job(600, 1000, measured_at="2025-12-31T00:00+00:00")]))
    assert "| social_posts (2025-12-31) |" in text


def test_a_soak_tells_slopes_and_what_is_not_bounded() -> None:
    series = {
        "first": 900.0,
        "last": 950.0,
        "most": 960.0,
        "slope": 100.0,
        "low": 80.0,
        "high": 120.0,
        "bounded": False,
    }
    soak = {
        "minutes": 30, "share": 0.7, "measured_at": "2026", "commit": "abc", "rates": {"posts": 500.0}, "restarts": 0,
        "left_out_minutes": 5, "series": {"TaskManager, MB": series}, "rule": "The rule.",
    }  # fmt: skip
    text = report.document(Results(MACHINE, [job(600, 1000)]), soak)
    assert "| TaskManager, MB | 900 | 950 | 960 | 100 (80 to 120) | **no** |" in text


def test_the_cost_of_a_job_is_that_of_a_million_of_its_records() -> None:
    (cost,) = scale.costs(Results(MACHINE, [job(1000, 1600)]))
    assert (cost.flink, cost.python, cost.documents) == (800.0, 1200.0, 500_000.0)


@pytest.mark.parametrize(("cost", "rate", "cores"), [(10, 100_000, 2), (10.01, 100_000, 3), (0.1, 10, 1)])
def test_half_of_each_core_is_left_free(cost: float, rate: float, cores: int) -> None:
    assert scale.cores(cost, rate) == cores


@pytest.mark.parametrize(("slots", "partitions"), [(1, 2), (2, 4), (3, 8), (200, 512)])
def test_slots_can_double_without_new_partitions(slots: int, partitions: int) -> None:
    assert scale.partitions(slots) == partitions
