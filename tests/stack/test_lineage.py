"""docs/lineage.md says what the declared tables, the jobs and the dashboards say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs._tables import declared_tables
from settings import ROOT
from stack import jobs as stack_jobs
from stack import kafka, lineage
from stack.errors import StackError


def test_the_page_is_current() -> None:
    assert lineage.PAGE.read_text(encoding="utf-8") == lineage.page(), "`make lineage` writes it"


def test_every_table_is_there_with_who_writes_it() -> None:
    text = lineage.page()
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \| .*\|$", text, re.MULTILINE))
    assert sorted(rows) == declared_tables()
    assert {name for name, writers in rows.items() if not writers.strip()} == set()


def test_every_job_topic_and_index_is_in_a_graph() -> None:
    nodes = {node for edges in lineage.edges_by_suite().values() for edge in edges for node in edge}
    assert {name for kind, name in nodes if kind == "job"} == set(stack_jobs.known_jobs())
    assert {name for kind, name in nodes if kind == "topic"} == {topic.name for topic in kafka.topics()}
    templates = {file.stem for file in (ROOT / "kibana/index_templates").glob("*.json")}
    assert {name for kind, name in nodes if kind == "index"} == templates


def test_what_is_known_of_the_jobs() -> None:
    suites = lineage.edges_by_suite()
    assert {
        (("program", "producers/posts"), ("topic", "social_media")),
        (("topic", "social_media"), ("job", "social_posts")),
        (("job", "social_posts"), ("topic", "scored_posts")),
        (("topic", "scored_posts"), ("job", "social_metrics")),
        (("job", "social_metrics"), ("index", "social_hashtags")),
    } <= suites["social"]
    # wiki_intent gives its reads by a variable; liftwing fills one of the two topics of wiki_predictions.
    assert (("topic", "wiki_revision_create"), ("job", "wiki_intent")) in suites["wiki"]
    assert (("program", "producers/liftwing"), ("topic", "wiki_revert_risk")) in suites["wiki"]
    assert (("program", "producers/liftwing"), ("topic", "wiki_outlink_topics")) not in suites["wiki"]
    assert {
        (("program", "producers/instagram"), ("topic", "user_post_images")),
        (("job", "background_check"), ("folder", "background/images")),
        (("index", "background_images"), ("dashboard", "Background check")),
    } <= suites["background"]
    assert {(("program", name), ("topic", "chat_messages")) for name in ("services/moderation", "producers/chat")} | {
        (("program", "jobs/policy"), ("topic", "moderation_policies")),
        (("job", "moderation"), ("index", "moderation_users")),
        (("index", "moderation_users"), ("dashboard", "Chat moderation")),
    } <= suites["moderation"]
    assert (("program", "models/monitor"), ("index", "model_monitoring")) in suites["kept"]
    assert (("job", "wiki_edits"), ("topic", "late_events")) in suites["kept"]
    assert not {node for edge in suites["wiki"] for node in edge if node[1] in ("late_events", "dead_letters")}


def test_mermaid_can_read_each_graph() -> None:
    graphs = re.findall(r"```mermaid\nflowchart LR\n(.*?)```", lineage.page(), re.DOTALL)
    assert len(graphs) >= 3
    shapes = re.compile(r'    (\w+)(\[/".+"/\]|\(\[".+"\]\)|\[".+"\]|\[\(".+"\)\]|\[\[".+"\]\]|\{\{".+"\}\})')
    for graph in graphs:
        declared = set()
        for line in graph.splitlines():
            if node := shapes.fullmatch(line):
                assert node[1] not in declared
                declared.add(node[1])
            else:
                edge = re.fullmatch(r"    (\w+) --> (\w+)", line)
                assert edge, line
                assert {edge[1], edge[2]} <= declared


def test_the_check_fails_where_the_page_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lineage, "PAGE", tmp_path / "lineage.md")
    assert lineage.main(["--check"]) == 1
    assert not lineage.PAGE.exists()
    assert lineage.main([]) == 0
    assert lineage.main(["--check"]) == 0
    lineage.PAGE.write_text(lineage.PAGE.read_text() + "more")
    assert lineage.main(["--check"]) == 1
    assert capsys.readouterr().err.count("docs/lineage.md is not current: `make lineage` writes it.") == 2


def test_a_dashboard_is_behind_each_index_that_its_panels_read() -> None:
    edges = set().union(*lineage.edges_by_suite().values())
    read = {(name, title) for (kind, name), (_, title) in edges if kind == "index"}
    assert read == {(index, title) for title, indices in lineage.dashboards().items() for index in indices}
    assert {("social_posts", "Social overview"), ("dead_letters", "Pipeline health")} <= read


def test_a_file_of_dashboards_that_is_wrong_is_said(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("dashboards: [{id: one, name: One}]")
    with pytest.raises(StackError, match=r"d\.yaml is wrong"):
        lineage.dashboards(tmp_path)


def test_a_dashboard_on_an_index_that_is_not_declared_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lineage, "dashboards", lambda: {"One": {"social_posts", "nothing"}})
    assert lineage.main(["--check"]) == 1
    assert "The dashboard One reads nothing, which has no template" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("t_env = table_environment('j', reads=['a', 'b'], writes=())", ("a", "b")),
        ("READS = ['a']\nt_env = table_environment('j', reads=[*READS, 'b'], writes=[])", ("a", "b")),
        ("def main():\n    r = ['a']\n    return table_environment('j', r, [])", ("a",)),
    ],
)
def test_a_jobs_tables_are_read_from_its_source(tmp_path: Path, source: str, reads: tuple[str, ...]) -> None:
    (tmp_path / "j.py").write_text(source)
    (tmp_path / "_shared.py").write_text("def table_environment(): ...")
    assert lineage.jobs(tmp_path) == {"j": lineage.Job("j", reads, ())}


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("table_environment('j', reads=names(), writes=[])", r"not understood: names\(\)"),
        ("table_environment('j', writes=[])", "reads"),
        ("r = []; r = ['a']; table_environment('j', reads=r, writes=[])", "r is assigned 2 times"),
    ],
)
def test_tables_that_cannot_be_read_are_said(tmp_path: Path, call: str, problem: str) -> None:
    (tmp_path / "j.py").write_text(call)
    with pytest.raises(
        StackError,
        match=rf"jobs/j\.py: give table_environment `reads` and `writes` as lists of names \(.*{problem}",
    ):
        lineage.jobs(tmp_path)


def test_a_table_of_an_unknown_connector_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.sql").write_text("-- One row.\nCREATE TABLE t (a INT) WITH (\n    'connector' = 'kinesis'\n);\n")
    with pytest.raises(StackError, match=r"t\.sql has the connector kinesis"):
        lineage.tables(tmp_path)
