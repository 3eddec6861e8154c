"""udfs/classifiers.py: plain on batches, and in Flink with the models of this repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyflink.table import DataTypes, Table, TableEnvironment

from models.runtime import Scorer, load
from tests.conftest import Row
from udfs import classifiers
from udfs.classifiers import HEADS, score

Rows = Callable[[Table], list[Row]]

KIND, HARSH = "What a lovely day, thank you all so much!", "you are a stupid worthless idiot, shut up"
FUNCTIONS = (Path(__file__).parents[2] / "udfs/functions.sql").read_text(encoding="utf-8")


def texts_table(t_env: TableEnvironment, *texts: str | None) -> Table:
    row = DataTypes.ROW([DataTypes.FIELD("id", DataTypes.INT()), DataTypes.FIELD("text", DataTypes.STRING())])
    return t_env.from_elements(list(enumerate(texts)), row)


def test_a_batch_keeps_its_order_and_index() -> None:
    texts = pd.Series([HARSH, None, KIND, ""], index=[7, 3, 5, 1])

    found = score(texts, Scorer([load("toxicity")]), [HEADS["toxicity"]])

    assert found.index.tolist() == [7, 3, 5, 1]
    assert found["label"].tolist() == ["toxic", None, "clean", None]
    assert found["toxic"][7] > 0.5 > found["toxic"][5]
    assert found["toxic"].isna().tolist() == [False, True, False, True]
    assert found["unscored_reason"].tolist() == [None, "no_text", None, "empty"]
    assert found["language"].tolist() == ["en", None, "en", None]
    assert set(found["model_version"]) == {load("toxicity").version}


def test_all_at_once_gives_the_scores_of_each_alone() -> None:
    texts = pd.Series([HARSH, KIND, None, "Ich finde das wirklich ganz und gar nicht lustig"])
    models = [load(name) for name in HEADS]

    together = score(texts, Scorer(models), list(HEADS.values()))

    for name, model in zip(HEADS, models, strict=True):
        alone = score(texts, Scorer([model]), [HEADS[name]])
        for column in HEADS[name].types:
            pd.testing.assert_series_equal(together[f"{name}_{column}"], alone[column], check_names=False)
    assert together["model_version"][0] == " ".join(model.version for model in models)
    assert together["trained_language"].tolist() == [True, True, None, False]


def test_numbers_are_in_their_ranges() -> None:
    texts = pd.Series(
        [HARSH, KIND, "the new phone is out", "I hate this terrible awful movie", "best day ever, love it"]
    )

    found = score(texts, Scorer([load(name) for name in HEADS]), list(HEADS.values()))

    assert found["sentiment_mean"].between(-1, 1).all()
    assert found["sentiment_mean"][3] < -0.3 < 0.3 < found["sentiment_mean"][4]
    assert found["sentiment_label"].tolist()[3:] == ["negative", "positive"]
    for column in ("toxicity_toxic", "removal_removed", "cyberbullying_bullying", "cyberbullying_score"):
        assert found[column].between(0, 1).all()


def test_in_flink_one_call_gives_all_columns(t_env: TableEnvironment, rows: Rows) -> None:
    t_env.create_temporary_function("moderation", classifiers.moderation)
    texts = texts_table(t_env, HARSH, None, KIND)
    found = t_env.sql_query(
        f"""
        SELECT
            id, m.toxicity_label AS label, m.toxicity_toxic AS toxic, m.sentiment_mean AS sentiment,
            m.cyberbullying_label AS bullying, m.removal_removed AS removed, m.unscored_reason AS reason
        FROM (SELECT id, moderation(text) AS m FROM {texts})
        """
    )

    harsh, none, kind = sorted(rows(found), key=lambda row: row["id"])
    t_env.drop_temporary_function("moderation")

    assert (harsh["label"], kind["label"], none["label"]) == ("toxic", "clean", None)
    assert harsh["toxic"] > kind["toxic"]
    assert {value for name, value in none.items() if name != "id"} == {None, "no_text"}
    assert harsh["reason"] is None
    plan = found.explain().split("== Optimized Execution Plan ==")[1]
    assert plan.count("PythonCalc(") == 1
    assert plan.count("moderation(") == 1


@pytest.mark.parametrize("name", [*HEADS, "moderation"])
def test_each_function_of_functions_sql_scores(t_env: TableEnvironment, rows: Rows, name: str) -> None:
    (statement,) = re.findall(rf"CREATE TEMPORARY FUNCTION {name} AS [^;]+", FUNCTIONS)
    t_env.execute_sql(statement)
    label = "toxicity_label" if name == "moderation" else "label"
    texts = texts_table(t_env, HARSH, None)

    found: list[Any] = rows(
        t_env.sql_query(f"SELECT id, {name}(text).{label} AS label, {name}(text).model_version AS version FROM {texts}")
    )
    t_env.execute_sql(f"DROP TEMPORARY FUNCTION {name}")

    scored, unscored = sorted(found, key=lambda row: row["id"])
    labels = load("toxicity" if name == "moderation" else name).labels
    assert scored["label"] in labels
    assert unscored["label"] is None
    assert scored["version"] == unscored["version"]
    assert load("toxicity" if name == "moderation" else name).version in scored["version"].split()
