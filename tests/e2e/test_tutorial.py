"""What docs/tutorial.md says to write works: its files, in a copy of the tree, on the real stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyflink.table import Table

from jobs._tables import sql
from kibana import dashboards, queries
from settings import ROOT
from stack import jobs, layout
from tests.conftest import Row
from tests.e2e.conftest import Document, Pipeline, as_record

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", TUTORIAL, re.DOTALL))
JOB = "wiki_contested_pages"
TEMPLATE = f"kibana/index_templates/{JOB}.json"
DASHBOARD = "kibana/dashboards/23_wikipedia_contested.yaml"
STORY = (8000, "--seed", "1", "--backfill-minutes", "12", "--rate", "12")
COPIED = (
    "pyproject.toml", "connectors", "jobs", "kibana", "models", "services", "stack", "tests", "udfs",
    *(file.name for file in ROOT.glob("*.py")),
)  # fmt: skip

Window = tuple[str, str, datetime]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree with the tutorial's files in it."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns("target", "node_modules", "__pycache__", ".*")
            )
        else:
            shutil.copy(ROOT / name, copy / name)
    for name, text in FILES.items():
        (copy / name).write_text(text, encoding="utf-8")
    return copy


def python(tree: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What `python -m …` prints in the copy, which shares the stack of this tree."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tree,
        env={**os.environ, "CROWDPULSE_STATE_DIR": str(layout.state_dir()), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_tutorials_files_pass_its_test_and_those_that_are_there(tree: Path) -> None:
    assert len(FILES) == 5
    configuration = "tests/stack/test_configuration.py"

    said = python(
        tree, "pytest", "-q", f"tests/jobs/test_{JOB}.py",
        f"{configuration}::test_index_templates_are_json_with_the_three_patterns",
        f"{configuration}::test_each_index_takes_just_the_columns_of_its_tables",
        "tests/kibana/test_dashboards.py::test_every_panel_is_a_search_of_fields_that_are_declared[wikipedia-contested]",
    )  # fmt: skip

    assert "4 passed" in said


def test_the_tutorials_query_tells_what_a_recount_does(
    given: Callable[..., Table], rows: Callable[[Table], list[Row]], synthetic: Callable[..., list[Document]]
) -> None:
    events = synthetic(*STORY)
    records = given("wiki_recentchange", *(event | {"record_time": event["meta"]["dt"]} for event in events))
    query = shown("query").strip().removesuffix(";").replace("wiki_recentchange", "{records}")
    assert sql(query, records=records).get_schema().get_field_names() == [
        "wiki",
        "title",
        "window_start",
        "users",
        "edits",
    ]

    # Of a stream, an order is told anew with each row: the rows are looked at without.
    found = rows(sql(query.partition("ORDER BY")[0], records=records))

    told = {(row["wiki"], row["title"], row["window_start"]): (row["users"], row["edits"]) for row in found}
    assert {key: counts for key, counts in told.items() if counts[0] >= 3} == contested(events)


def test_the_tutorials_job_and_panels_tell_what_a_recount_does(
    pipeline: Pipeline,
    tree: Path,
    synthetic: Callable[..., list[Document]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = synthetic(*STORY)
    pipeline.produce("wiki_recentchange", map(as_record, events))
    expected = contested(events)
    assert len(expected) >= 10

    template = json.loads((tree / TEMPLATE).read_text(encoding="utf-8"))["template"]
    pipeline.elasticsearch.indices.create(index=pipeline.prefix + JOB, mappings=template["mappings"])
    python(
        tree, "stack", "submit", "--fresh", JOB,
        environment=pipeline.environment | {"CROWDPULSE_BOUNDED_MODE": "latest-offset"},
    )  # fmt: skip
    (run,) = (job for job in jobs.listed() if job.name == pipeline.prefix + JOB)
    jobs.wait(run.job_id, seconds=240)
    documents = pipeline.documents(JOB).values()
    found = {
        (each["wiki"], each["title"], at(each["window_start"])): (each["users"], each["edits"]) for each in documents
    }
    assert found == expected

    monkeypatch.setattr(dashboards, "TEMPLATES", tree / "kibana" / "index_templates")
    (dashboard,) = dashboards.read(tree / DASHBOARD)
    times = [key[2] for key in expected]
    view = queries.View(min(times), max(times) + timedelta(minutes=5))
    shown_rows = {}
    for panel in dashboard.panels:
        if panel.indices():
            (search,) = queries.searches(panel, view)
            reply = pipeline.elasticsearch.search(index=pipeline.prefix + search.index, body=search.body)
            shown_rows[panel.id] = queries.answer(panel, [dict(reply)], view).rows
    bars = {(when, wiki): articles for when, wiki, articles in shown_rows["over-time"] if articles}
    wikis = {wiki for _when, wiki in bars}
    windows = Counter((iso(start), wiki) for wiki, _title, start in expected if wiki in wikis)
    assert bars == windows
    table = shown_rows["most-contested"]
    assert table[0][2] == max(users for users, _edits in expected.values())
    for title, wiki, users, edits in table:
        counts = [counts for key, counts in expected.items() if key[:2] == (wiki, title)]
        assert (users, edits) == (max(users for users, _ in counts), sum(edits for _, edits in counts))


def contested(events: list[Document]) -> dict[Window, tuple[int, int]]:
    """Wiki, article and window of five minutes -> people and edits, of those with three people or more."""
    users: dict[Window, set[str]] = defaultdict(set)
    revisions: dict[Window, set[int]] = defaultdict(set)
    for event in events:
        if event["type"] == "edit" and event["namespace"] == 0 and not event["bot"]:
            time = at(event["meta"]["dt"])
            key = event["wiki"], event["title"], time - timedelta(seconds=time.timestamp() % 300)
            users[key].add(event["user"])
            revisions[key].add(event["revision"]["new"])
    return {key: (len(who), len(revisions[key])) for key, who in users.items() if len(who) >= 3}


def iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def shown(name: str) -> str:
    """The block of the tutorial under the comment of this name."""
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", TUTORIAL, re.DOTALL)
    assert found, f"docs/tutorial.md has no block {name}"
    return found[1]
