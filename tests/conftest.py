"""Fixtures that all tests share; those of the job tests say how a pure function is called on literal rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pyflink.common import Configuration
from pyflink.table import DataTypes, EnvironmentSettings, Table, TableEnvironment
from pyflink.table.expressions import col
from pyflink.table.types import LocalZonedTimestampType

from jobs._tables import ddl, sink_columns, statements
from stack import cluster, flink, layout

# What disagrees in the accounts is told in full, as in the tests themselves.
pytest.register_assert_rewrite("tests.e2e.accounts_social", "tests.faults.accounts")

Row = dict[str, Any]


@pytest.fixture(scope="session")
def t_env() -> TableEnvironment:
    """A local Flink in this process; a watermark follows each row, so that lateness is exact."""
    config = Configuration()
    config.set_string("parallelism.default", "1")
    config.set_string("table.local-time-zone", "UTC")
    config.set_string("pipeline.object-reuse", "true")  # as the jobs run
    config.set_string("pipeline.auto-watermark-interval", "0 ms")
    config.set_string("python.fn-execution.bundle.size", "1")
    with pytest.MonkeyPatch.context() as environment:
        # For its JVM, whose jobs are many and small: what it would optimise never pays.
        environment.setenv("JVM_ARGS", flink.CLIENT_JAVA_OPTIONS)
        return TableEnvironment.create(
            EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(config).build()
        )


@pytest.fixture
def given(t_env: TableEnvironment, tmp_path: Path) -> Iterator[Callable[..., Table]]:
    """`given("table", row, …)`: the declared table with just these rows, in this order.

    The declaration keeps its columns, computed columns and watermark; only the connector is another, and metadata
    columns are columns that the rows give. Columns that a row leaves out are null.
    """
    made: list[str] = []
    numbers = count()

    def table_of(table: str, *rows: Row) -> Table:
        name = f"given_{tmp_path.name.replace('-', '_')}_{next(numbers)}"
        data = tmp_path / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row, default=_json_time) + "\n" for row in rows), encoding="utf-8")
        declaration = re.sub(r"METADATA FROM '[^']*'( VIRTUAL)?", "", ddl(table))
        declaration = declaration.replace(f"CREATE TABLE {table}", f"CREATE TEMPORARY TABLE {name}")
        declaration, _options = re.split(r"\)\s*WITH \(", declaration)
        t_env.execute_sql(
            f"{declaration}) WITH ('connector' = 'filesystem', 'path' = '{data.as_uri()}', 'format' = 'json',"
            " 'json.timestamp-format.standard' = 'ISO-8601')"
        )
        made.append(name)
        return t_env.from_path(name)

    yield table_of
    for name in made:
        t_env.execute_sql(f"DROP TEMPORARY TABLE {name}")


@pytest.fixture
def rows() -> Callable[[Table], list[Row]]:
    """`rows(table)`: what the table holds when its input has ended, in the order in which it came; times in UTC."""

    def rows_of(table: Table) -> list[Row]:
        schema = table.get_schema()
        names = schema.get_field_names()
        # PyFlink cannot collect an Instant; the session's time zone is UTC, so the plain time is the same.
        for name, kind in zip(names, schema.get_field_data_types(), strict=True):
            if isinstance(kind, LocalZonedTimestampType):
                table = table.add_or_replace_columns(col(name).cast(DataTypes.TIMESTAMP(3)).alias(name))
        with table.execute().collect() as results:
            return [dict(zip(names, map(_with_zone, result), strict=True)) for result in results]

    return rows_of


@pytest.fixture
def fits_sink(t_env: TableEnvironment) -> Callable[[str, Table], bool]:
    """`fits_sink("table", rows)`: the columns are just those that the declared sink takes."""

    def fits(sink: str, table: Table) -> bool:
        t_env.execute_sql(ddl(sink))
        try:
            return set(table.get_schema().get_field_names()) == set(sink_columns(t_env, sink))
        finally:
            t_env.execute_sql(f"DROP TABLE {sink}")

    return fits


@pytest.fixture
def plan(t_env: TableEnvironment) -> Callable[[Mapping[str, Table]], str]:
    """`plan({"sink": rows, …})`: the plan of the one job that writes all of these; what is shared is in it once."""

    def plan_of(outputs: Mapping[str, Table]) -> str:
        for sink in outputs:
            columns, _options = re.split(r"\)\s*WITH \(", ddl(sink))
            t_env.execute_sql(f"{columns}) WITH ('connector' = 'blackhole')")
        try:
            explained = statements(t_env, outputs).explain()
        finally:
            for sink in outputs:
                t_env.execute_sql(f"DROP TABLE {sink}")
        return str(explained).partition("== Optimized Execution Plan ==")[2]

    return plan_of


@pytest.fixture(scope="session")
def running_stack() -> Iterator[None]:
    """The local stack: the one that runs already, or one for these tests."""
    # A part that is starting anew just now does not make the stack ours, to be stopped at the end.
    ran = any(state.healthy for state in cluster.states() if state.part)
    cluster.up()
    yield
    if not ran:
        cluster.down()


@pytest.fixture(autouse=True)
def _stack_for_stack_tests(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("stack"):
        request.getfixturevalue("running_stack")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Keep what failed, a line for each reason: `.ci/run` says it last, since only an output's end may be shown."""
    tests_by_reason: dict[str, list[str]] = {}
    for report in (*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())):
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = " ".join((crash.message if crash else str(report.longrepr)[-300:]).split())[:300]
        tests_by_reason.setdefault(reason, []).append(report.nodeid)
    file = layout.logs_dir() / "failed-tests.txt"
    if tests_by_reason or file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        said = [
            f"{tests[0]}{f' and {len(tests) - 1} more' if len(tests) > 1 else ''}: {reason}"
            for reason, tests in tests_by_reason.items()
        ]
        file.write_text("".join(line + "\n" for line in said), encoding="utf-8")


def at(seconds: float) -> datetime:
    """The time this many seconds after noon of a day, to write down event times."""
    return datetime(2026, 1, 2, 12, 0, tzinfo=UTC) + timedelta(seconds=seconds)


def _json_time(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    raise TypeError(f"A row of `given` cannot hold {value!r}.")


def _with_zone(value: object) -> object:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
