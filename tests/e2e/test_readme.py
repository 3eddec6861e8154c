"""What README shows is what a user gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from settings import ROOT
from stack.demo import WIKIMEDIA
from tests.e2e.conftest import Pipeline

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def shown(name: str) -> str:
    """The block of README under the comment of this name."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", readme, re.DOTALL)
    assert found, f"README has no block {name}"
    return found[1]


def ask(pipeline: Pipeline, query: str, folder: Path) -> list[str]:
    """The rows of the table that the SQL client prints, its head first."""
    file = folder / "query.sql"
    file.write_text(query, encoding="utf-8")
    answer = pipeline.python("stack", "sql", "-f", str(file))
    assert answer.returncode == 0, answer.stderr
    return [line for line in answer.stdout.splitlines() if line.startswith("|")]


def test_the_sql_query_gives_the_output_that_is_shown(pipeline: Pipeline, tmp_path: Path) -> None:
    story = WIKIMEDIA["synthetic"]
    same_content = [*story[: story.index("--backfill-minutes")], *story[story.index("--late") :]]
    sent = pipeline.python("producers.wikimedia", *same_content, "--limit", "30000")
    assert sent.returncode == 0, sent.stderr

    lines = ask(pipeline, shown("sql-example"), tmp_path)

    assert lines == [line for line in shown("sql-output").splitlines() if line.startswith("|")]


def test_sql_can_call_the_functions(pipeline: Pipeline, tmp_path: Path) -> None:
    sent = pipeline.python("producers.wikimedia", "--synthetic", "--limit", "500")
    assert sent.returncode == 0, sent.stderr

    head, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in ask(pipeline, shown("sql-functions"), tmp_path)
    )

    assert head == ["title", "label", "mean", "language"]
    assert len(rows) == 5
    for _title, label, mean, _language in rows:
        assert label in {"negative", "neutral", "positive"}
        assert -1 <= float(mean) <= 1
