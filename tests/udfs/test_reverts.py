"""udfs/reverts.py: plain on batches, and in Flink with the weights of this repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyflink.table import DataTypes, Table, TableEnvironment

from models.reverts import load
from tests.conftest import Row
from udfs.reverts import revert_fallback, score

FUNCTIONS = (Path(__file__).parents[2] / "udfs/functions.sql").read_text(encoding="utf-8")
VERSION = load().version
YEAR = 365 * 86400.0

# age, is_registered, is_trusted, bytes_changed; whether there is a score
REVISIONS = [
    (None, False, False, -20_000, True),  # an anonymous user blanks a page
    (10 * YEAR, True, True, 12, True),
    (60.0, True, False, None, True),
    (None, True, None, None, True),  # a recentchange alone does not tell the age
    (None, None, None, 12, False),  # hidden
    (YEAR, None, True, 12, False),
    (None, False, None, 2**62, True),
]


def test_a_batch_keeps_its_order_and_index() -> None:
    index = [9, 3, 5, 1, 2, 8, 4]
    age, registered, trusted, size, scored = (pd.Series(column, index=index) for column in zip(*REVISIONS, strict=True))

    found = score(age, registered, trusted, size, load())

    assert found.index.tolist() == index
    assert found["score"].notna().tolist() == scored.tolist()
    assert found["model_version"].tolist() == [VERSION if has else None for has in scored]
    assert found["score"][9] > 0.5 > 0.01 > found["score"][3]
    assert found["score"].dropna().between(0, 1).all()


@pytest.mark.parametrize("kind", ["float64", "object"])
def test_an_empty_batch_has_the_columns(kind: str) -> None:
    none = pd.Series([], dtype=kind)

    found = score(none, none, none, none, load())

    assert found.columns.tolist() == ["score", "model_version"]
    assert found.empty


def test_a_column_of_nulls_alone() -> None:
    nulls = pd.Series([None, None], dtype=object)

    found = score(nulls, nulls, nulls, nulls, load())

    assert found["score"].isna().all()
    assert found["model_version"].tolist() == [None, None]


def revisions(t_env: TableEnvironment) -> Table:
    kinds = {
        "id": DataTypes.INT(),
        "age_seconds": DataTypes.DOUBLE(),
        "is_registered": DataTypes.BOOLEAN(),
        "is_trusted": DataTypes.BOOLEAN(),
        "bytes_changed": DataTypes.BIGINT(),
    }
    row = DataTypes.ROW([DataTypes.FIELD(name, kind) for name, kind in kinds.items()])
    return t_env.from_elements([(number, *one[:-1]) for number, one in enumerate(REVISIONS)], row)


@pytest.mark.parametrize("by", ["functions.sql", "object"])
def test_in_flink(t_env: TableEnvironment, rows: Callable[[Table], list[Row]], by: str) -> None:
    if by == "object":
        t_env.create_temporary_function("revert_fallback", revert_fallback)
    else:
        (statement,) = re.findall(r"CREATE TEMPORARY FUNCTION revert_fallback AS [^;]+", FUNCTIONS)
        t_env.execute_sql(statement)
    call = "revert_fallback(age_seconds, is_registered, is_trusted, bytes_changed)"
    table = t_env.sql_query(
        f"SELECT id, r.score AS score, r.model_version AS version FROM (SELECT id, {call} AS r FROM {revisions(t_env)})"
    )

    found = sorted(rows(table), key=lambda row: row["id"])
    plan = table.explain().split("== Optimized Execution Plan ==")[1]
    t_env.execute_sql("DROP TEMPORARY FUNCTION revert_fallback")

    age, registered, trusted, size, _ = (pd.Series(column) for column in zip(*REVISIONS, strict=True))
    plain = score(age, registered, trusted, size, load())
    assert [row["score"] for row in found] == [None if pd.isna(one) else one for one in plain["score"]]
    assert [row["version"] for row in found] == plain["model_version"].tolist()
    assert [row["score"] is not None for row in found] == [has for *_, has in REVISIONS]
    assert plan.count("revert_fallback(") == 1
