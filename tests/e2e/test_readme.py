"""What README shows is what a user gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from settings import ROOT
from stack.demo import PRODUCERS
from tests.e2e.conftest import Pipeline

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def shown(name: str) -> str:
    """The block of README under the comment of this name."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", readme, re.DOTALL)
    assert found, f"README has no block {name}"
    return found[1]


def test_the_sql_query_gives_the_output_that_is_shown(pipeline: Pipeline, tmp_path: Path) -> None:
    query = tmp_path / "query.sql"
    query.write_text(shown("sql-example"), encoding="utf-8")
    story = PRODUCERS["synthetic"]
    same_content = [*story[: story.index("--backfill-minutes")], *story[story.index("--late") :]]
    sent = pipeline.python("producers.wikimedia", *same_content, "--limit", "8000")
    assert sent.returncode == 0, sent.stderr

    answer = pipeline.python("stack", "sql", "-f", str(query))

    assert answer.returncode == 0, answer.stderr
    lines = [line for line in answer.stdout.splitlines() if line.startswith("|")]
    assert lines == [line for line in shown("sql-output").splitlines() if line.startswith("|")]
