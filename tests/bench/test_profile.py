"""What a profile makes of samples, and what a job's tables become for a blackhole."""

from __future__ import annotations

from typing import Any

from bench import profile
from bench.bench_job import blackhole
from jobs._tables import ddl, declared_tables


def test_frames_count_by_themselves_and_with_what_they_call() -> None:
    stacks = profile.folded("main;parse;json 30\nmain;score 60\nmain;score;numpy 10\n")
    own, within, total = profile.top_of(stacks)
    assert total == 100
    assert own == [("score", 60), ("json", 30), ("numpy", 10)]
    assert within[:2] == [("main", 100), ("score", 70)]


def test_a_frame_that_calls_itself_counts_once() -> None:
    _, within, _ = profile.top_of([(["walk", "walk", "walk"], 5)])
    assert within == [("walk", 5)]


def test_samples_of_jfr_are_stacks_from_the_outermost_on_below_their_thread() -> None:
    def frame(kind: str, name: str) -> dict[str, object]:
        return {"method": {"type": {"name": kind}, "name": name}}

    stack = {"frames": [frame("Json", "parse"), frame("Task", "run")]}
    events: list[dict[str, Any]] = [
        {"values": {"sampledThread": {"javaName": "Source"}, "stackTrace": stack}},
        {"values": {"sampledThread": None, "stackTrace": None}},
    ]
    assert profile.of_jfr(events) == [(["Source", "Task.run", "Json.parse"], 1)]


def test_a_blackhole_keeps_the_columns_of_every_table_and_nothing_of_its_options() -> None:
    for table in declared_tables():
        statement, black = ddl(table), blackhole(ddl(table))
        assert black.endswith("WITH ('connector' = 'blackhole')")
        assert black.count("'connector'") == 1
        assert statement.startswith(black.removesuffix("WITH ('connector' = 'blackhole')"))
