"""The statements of docs/background_check.md, which are those of jobs/background_check.py for the SQL client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from pyflink.table import Table, TableEnvironment

from jobs import background_check
from jobs._tables import ddl, sink_columns, sql
from settings import ROOT
from tests.conftest import Row
from tests.jobs.test_background_check import picture, post, profile, tombstone

SHOWN = re.findall(
    r"^<!-- sql -->\n```sql\n(.*?);\n```$",
    (ROOT / "docs/background_check.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
*_, STATEMENT_SET = SHOWN
VIEWS = dict(
    re.findall(r"^CREATE TEMPORARY VIEW (\w+) AS\n(.*?);$", ";\n".join(SHOWN[:-1]) + ";", re.MULTILINE | re.DOTALL)
)
FUNCTIONS = (ROOT / "udfs/functions.sql").read_text(encoding="utf-8").strip().removesuffix(";").split(";\n")

TOLD: dict[str, list[Row]] = {
    "user_basic_info": [profile("ann"), profile("bob", "private"), profile("cem"), tombstone(), profile("ann")],
    "user_posts_description": [
        post("ann", "p1", "My old rifle"), tombstone(), post("ann", "p2", "My new rifle and a cold beer"),
        post("ann", "p3", "Shut up, you stupid idiot"), post("cem", "p4", None),
    ],
    "user_post_images": [picture("ann", "p1"), tombstone(), picture("ann", "p2"), picture("ann", "p2")],
}  # fmt: skip


@pytest.fixture
def sources(t_env: TableEnvironment, given: Callable[..., Table]) -> Iterator[dict[str, Table]]:
    """The topics under their names, with the functions and views that the SQL client has."""
    tables = {topic: given(topic, *told) for topic, told in TOLD.items()}
    for topic, table in tables.items():
        t_env.create_temporary_view(topic, table)
    for statement in FUNCTIONS:
        t_env.execute_sql(statement)
    for view, query in VIEWS.items():
        t_env.execute_sql(f"CREATE TEMPORARY VIEW {view} AS {query}")
    yield tables
    for view in [*VIEWS, *tables]:
        t_env.drop_temporary_view(view)
    for statement in FUNCTIONS:
        t_env.drop_temporary_function(re.findall(r"CREATE TEMPORARY FUNCTION (\w+)", statement)[0])


def test_the_views_are_the_queries_of_the_job(sources: dict[str, Table], monkeypatch: pytest.MonkeyPatch) -> None:
    views = {_in_a_line(query): view for view, query in VIEWS.items()}
    names = {id(table): topic for topic, table in sources.items()}
    found = []

    def named(query: str, **tables: Table) -> Table:
        table = sql(query, **tables)
        for name, of in tables.items():
            query = query.replace(f"{{{name}}}", names[id(of)])
        assert _in_a_line(query) in views
        names[id(table)] = views[_in_a_line(query)]
        found.append(table)  # kept, so that its id stays its own
        return table

    monkeypatch.setattr(background_check, "sql", named)
    basic_info, descriptions, pictures = (sources[topic] for topic in background_check.TOPICS)
    background_check.outputs(basic_info, descriptions, pictures, toxic_from=0.5)

    assert {names[id(table)] for table in found} == set(VIEWS)


def _in_a_line(query: str) -> str:
    return " ".join(query.split())


def test_what_is_written_fits_the_sinks_by_position(t_env: TableEnvironment, sources: dict[str, Table]) -> None:
    sinks = re.findall(r"^INSERT INTO (\w+)", STATEMENT_SET, re.MULTILINE)
    for sink in sinks:
        columns, _options = re.split(r"\)\s*(?:PARTITIONED BY \(`date`\) )?WITH \(", ddl(sink))
        t_env.execute_sql(f"{columns}) WITH ('connector' = 'blackhole')")
    try:
        declared = {sink: sink_columns(t_env, sink) for sink in sinks}
        with t_env.execute_sql(STATEMENT_SET.replace("EXECUTE", "EXPLAIN", 1)).collect() as lines:
            ((explained,),) = lines
    finally:
        for sink in sinks:
            t_env.execute_sql(f"DROP TABLE {sink}")

    plan = explained.partition("== Optimized Execution Plan ==")[2]
    written = re.findall(r"^Sink\(table=\[[\w.]*\.(\w+)\], fields=\[(.*)\]\)$", plan, re.MULTILINE)
    assert {sink: fields.split(", ") for sink, fields in written} == declared
    assert plan.count("enriched_caption(") == plan.count("enriched_image(") == 1
    assert "UpdateFastStrategy" not in plan
