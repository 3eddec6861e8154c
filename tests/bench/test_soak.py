"""What `make soak` says of a series, of figures that are made up here."""

from __future__ import annotations

from random import Random

import pytest

from bench import soak
from bench.measure import Run
from bench.results import Results, Row

HOURS = [number / 360 for number in range(180)]  # half an hour, every ten seconds


def series(level: float, by_hour: float, noise: float) -> list[float]:
    draw = Random(1)
    return [level + by_hour * hour + draw.gauss(0, noise) for hour in HOURS]


def test_a_steady_climb_is_found_and_is_not_bounded() -> None:
    found = soak.slope(HOURS, series(level=1000, by_hour=400, noise=5))
    assert found.low < 400 < found.high
    assert found.high - found.low < 40
    assert not found.bounded


def test_noise_without_a_climb_is_bounded() -> None:
    found = soak.slope(HOURS, series(level=1000, by_hour=0, noise=50))
    assert found.low < 0 < found.high
    assert found.bounded


def test_a_climb_that_is_sure_but_small_is_bounded() -> None:
    found = soak.slope(HOURS, series(level=1000, by_hour=50, noise=1))
    assert found.low > 0
    assert found.bounded


def test_slow_waves_widen_the_interval() -> None:
    def wave(number: int) -> float:
        return 100.0 * (number // 30 % 2)

    waves = [1000 + wave(number) for number in range(180)]
    assert soak.slope(HOURS, waves).high - soak.slope(HOURS, waves).low > 150


def test_too_few_samples_make_no_slope() -> None:
    with pytest.raises(ValueError, match="20 samples or more"):
        soak.slope(HOURS[:19], [1.0] * 19)
    assert soak.slopes({"a": [(float(number), 1.0) for number in range(30)]}, from_seconds=11) == {}


def test_the_rates_of_all_sources_take_the_share_of_the_cores() -> None:
    def row(job: str, cpu_seconds: float, generated: int) -> Row:
        run = Run(1, 1, generated, 1, {"taskmanager": cpu_seconds}, {}, {"generated_events": generated})
        return Row("jobs", job, "blackhole sinks", "events/s", [run])

    # social_posts and social_metrics: 30 s of CPU for 10,000 posts; the others 10 s for 10,000 events.
    rows = [row("social_posts", 20, 10_000), row("social_metrics", 10, 10_000)]
    rows += [row(job, 10, 10_000) for job in ("wiki_edits", "wiki_pages", "moderation")]
    found = soak.rates(Results({"cores": 2}, rows), 0.8)
    assert found["posts"] == pytest.approx(0.4 / 0.003)
    assert found["changes"] == found["pages"] == found["messages"] == pytest.approx(400)


def test_without_figures_of_a_job_there_are_no_rates() -> None:
    with pytest.raises(LookupError, match="social_posts"):
        soak.rates(Results({"cores": 2}), 0.7)
