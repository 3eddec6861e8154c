"""docs/background_check.md, its SQL: the same job as jobs/background_check.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyflink.table import Table, TableEnvironment

from jobs._tables import ddl, statements
from jobs.background_check import TOPICS, outputs
from settings import ROOT, settings
from tests.conftest import Row
from tests.jobs.test_background_check import KEYS, latest, picture, post, profile, tombstone

# Not at the start of a module's docstring, which may be in several lines.
FENCED = re.compile(r"^<!-- sql -->\n```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN = FENCED.findall((ROOT / "docs/background_check.md").read_text(encoding="utf-8"))
VIEWS = [statement for block in SHOWN[:-1] for statement in block.strip().removesuffix(";").split(";\n\n")]
STATEMENT_SET = SHOWN[-1].strip()
NAME = re.compile(r"CREATE TEMPORARY (?:FUNCTION|VIEW) (\w+)")


@pytest.fixture
def tables(t_env: TableEnvironment, given: Callable[..., Table]) -> Iterator[dict[str, Table]]:
    """The sources under their names, and after them the functions and views as in the SQL client."""
    rows: dict[str, list[Row]] = {
        "user_basic_info": [
            profile("ann"), profile("bob", "private"), profile("cem"), tombstone(), profile("ann"), profile("Dee"),
        ],
        "user_posts_description": [
            post("ann", "p1", "My old rifle"), tombstone(), post("ann", "p2", "My new rifle and a cold beer"),
            post("ann", "p3", "Shut up, you stupid idiot"), post("cem", "p4", None),
        ],
        "user_post_images": [picture("ann", "p1"), tombstone(), picture("ann", "p2"), picture("ann", "p2")],
    }  # fmt: skip
    sources = {topic: given(topic, *rows[topic]) for topic in TOPICS}
    for topic, table in sources.items():
        t_env.create_temporary_view(topic, table)
    functions = (ROOT / "udfs/functions.sql").read_text(encoding="utf-8").strip().removesuffix(";").split(";\n")
    for statement in [*functions, *VIEWS]:
        t_env.execute_sql(statement)
    yield sources
    for statement in VIEWS:
        t_env.drop_temporary_view(_name(statement))
    for statement in functions:
        t_env.drop_temporary_function(_name(statement))
    for topic in TOPICS:
        t_env.drop_temporary_view(topic)


def _name(statement: str) -> str:
    found = NAME.search(statement)
    assert found, statement
    return found[1]


def test_the_plan_is_the_jobs(t_env: TableEnvironment, tables: dict[str, Table]) -> None:
    job = outputs(*tables.values(), toxic_from=settings().toxic_from)
    for sink in job:
        columns, _options = re.split(r"\)\s*(?:PARTITIONED BY \(`date`\) )?WITH \(", ddl(sink))
        t_env.execute_sql(f"{columns}) WITH ('connector' = 'blackhole')")
    try:
        planned = str(statements(t_env, job).explain())
        explain = STATEMENT_SET.removesuffix(";").replace("EXECUTE", "EXPLAIN", 1)
        with t_env.execute_sql(explain).collect() as results:
            ((shown,),) = results
    finally:
        for sink in job:
            t_env.execute_sql(f"DROP TABLE {sink}")

    assert _optimized(shown) == _optimized(planned)


def _optimized(explained: str) -> str:
    plan = explained.partition("== Optimized Execution Plan ==")[2]
    assert plan
    return plan


def test_it_gives_the_jobs_rows(t_env: TableEnvironment, tables: dict[str, Table]) -> None:
    shown = latest(t_env.from_path("checks"), KEYS["background_checks"])

    job: dict[str, Any] = latest(
        outputs(*tables.values(), toxic_from=settings().toxic_from)["background_checks"], KEYS["background_checks"]
    )
    assert shown == job
    assert set(shown) == {"bob", "cem", "ann"}
