"""udfs/moderation.py: plain on batches, and in Flink with the models of this repository."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyflink.table import DataTypes, Table, TableEnvironment

from models import runtime
from models.policy import Moderator, Policy
from tests.conftest import Row
from udfs.moderation import FIELDS, Judge, judge, judge_function

HARSH, KIND = "you are a stupid worthless idiot, shut up", "What a lovely day, thank you all so much!"
DEFAULT = {
    "version": "1",
    "classes": {"toxic": {"flag": 0.7}},
    "spam": {"copies": 3, "decision": "flag"},
    "flood": {"messages": 8, "decision": "hold"},
    "strikes": {"flag": 1.5, "hold": 2, "warn_at": 2.5, "mute_at": 4.5, "mute_minutes": 10},
}
STRICT = json.dumps({"version": "2", "classes": {"toxic": {"hold": 0}}, "rooms": {"a": {"unscored": "hold"}}})
ODD = [
    f"<script>alert('{HARSH}')</script>",
    "{{ you }} 'idiot' \"; DROP TABLE users; --",
    "you id\u200biot \U0001f600\u202e\x00\ufeff stupid fool",
    "дурак ты идиот, stup\u0131d",
    "\u0000\u0001\u0002",
    "\ud83d half of a character, you idiot",
    "e\u0301" * 50,
    "  ",
]
# text, room, copies, burst, policy, shadow policy; the decision, its reasons, the shadow's decision and versions
CASES: list[tuple[Any, ...]] = [
    (KIND, "a", 1, 1, None, None, "allow", [], None, None),
    (HARSH, "a", 1, 1, None, None, "flag", ["toxic"], None, None),
    (HARSH, "a", 3, 1, None, STRICT, "flag", ["toxic", "spam"], "hold", "2"),
    (KIND, "a", 3, None, None, None, "flag", ["spam"], None, None),
    (KIND, "a", 3, 8, None, STRICT, "hold", ["flood"], "hold", "2"),
    (KIND, "a", None, None, STRICT, None, "hold", ["toxic"], None, None),
    (None, "a", 1, 1, None, STRICT, "unscored", [], "unscored", "2"),
    ("", "a", 3, 1, None, None, "flag", ["spam"], None, None),
    (KIND, "a", 1, 1, "{", "no: {policy", "allow", [], None, None),
]


@pytest.fixture(scope="module")
def champion() -> Moderator:
    return Moderator.load()


def plain(rows: list[tuple[Any, ...]], champion: Moderator, challenger: Moderator | None = None) -> pd.DataFrame:
    columns = [pd.Series(column, index=range(9, 9 + len(rows)), dtype=object) for column in zip(*rows, strict=True)]
    call: Any = judge  # mypy does not know how many columns there are
    return call(*columns, champion, challenger, Policy.parse(json.dumps(DEFAULT)))


def test_a_batch_is_judged_row_by_row(champion: Moderator) -> None:
    found = plain([case[:6] for case in CASES], champion)

    assert found.index.tolist() == list(range(9, 9 + len(CASES)))
    for (_, row), (text, *_, policy, _, decision, reasons, shadow, shadow_version) in zip(
        found.iterrows(), CASES, strict=True
    ):
        assert (row["decision"], row["reasons"]) == (decision, reasons)
        assert (row["shadow_decision"], row["shadow_policy_version"]) == (shadow, shadow_version)
        assert row["shadow_model_version"] == (champion.version if shadow else None)
        assert row["policy_version"] == ("2" if policy == STRICT else "1")
        assert (row["unscored_reason"] is None) == bool(text) == (not math.isnan(row["toxic"]))
        assert bool(row["ngrams"]) == ("toxic" in reasons)
    assert found["strike_points"].tolist() == [0, 1500, 1500, 1500, 2000, 1000, 0, 1500, 0]
    assert (found["warn_at"] == 2500).all()


def test_a_policy_that_cannot_be_read_is_none_and_is_told_once(
    champion: Moderator, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = ["[" * 3000, "version: a\nunscored: !!bool x", "version: !!timestamp x", '{"version": 1}']

    for _ in range(3):
        found = plain([(KIND, "a", 1, 1, text, text) for text in wrong], champion)

        assert found["policy_version"].tolist() == ["1"] * len(wrong)
        assert found["shadow_decision"].tolist() == [None] * len(wrong)
    assert [record.levelname for record in caplog.records] == ["ERROR"] * len(wrong)


def test_a_challenger_judges_by_the_policy_in_force_or_the_shadows(champion: Moderator) -> None:
    found = plain([(KIND, "a", 1, 1, policy, shadow) for policy in (None, STRICT) for shadow in (None, STRICT)],
                  champion, challenger=Moderator.load())  # fmt: skip

    assert found["decision"].tolist() == ["allow", "allow", "hold", "hold"]
    assert found["shadow_decision"].tolist() == ["allow", "hold", "hold", "hold"]
    assert found["shadow_policy_version"].tolist() == ["1", "2", "2", "2"]
    assert found["shadow_model_version"].tolist() == [champion.version] * 4


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("none", LookupError, "There is no challenger 'none'"), ("other", ValueError, "has other classes: clean, rude")],
)
def test_a_wrong_challenger_is_refused_where_the_job_is_made_and_left_out_by_workers(
    name: str,
    error: type[Exception],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "other/toxicity"
    shutil.copytree(str(runtime.WEIGHTS / "toxicity"), folder)
    text = (folder / "model.json").read_text(encoding="utf-8").replace('"toxic"', '"rude"')
    (folder / "model.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr("models.policy.CHALLENGERS", tmp_path)

    with pytest.raises(error, match=said):
        judge_function(json.dumps(DEFAULT), name)
    worker = Judge(json.dumps(DEFAULT), name)
    worker.open(None)
    columns = [pd.Series([value], dtype=object) for value in (HARSH, "a", 1, 1, None, None)]
    row = worker.eval(*columns).iloc[0]

    assert (row["decision"], row["shadow_decision"]) == ("flag", None)
    (told,) = caplog.records
    assert said in told.getMessage()


def test_in_flink_the_same(t_env: TableEnvironment, rows: Callable[[Table], list[Row]], champion: Moderator) -> None:
    t_env.create_temporary_function("judge", judge_function(json.dumps(DEFAULT)))
    odd = [text.encode("utf-8", "replace").decode() for text in ODD]
    given = [case[:6] for case in CASES] + [(text, "a", 1, 1, None, STRICT) for text in odd]
    kinds = [DataTypes.STRING(), DataTypes.STRING(), DataTypes.INT(), DataTypes.INT(), DataTypes.STRING(),
             DataTypes.STRING()]  # fmt: skip
    names = ["text", "room", "copies", "burst", "policy", "shadow_policy"]
    schema = DataTypes.ROW([DataTypes.FIELD("id", DataTypes.INT()), *map(DataTypes.FIELD, names, kinds)])
    messages = t_env.from_elements([(number, *row) for number, row in enumerate(given)], schema)
    fields = ", ".join(f"j.`{name}` AS `{name}`" for name in FIELDS)
    table = t_env.sql_query(f"SELECT id, {fields} FROM (SELECT id, judge({', '.join(names)}) AS j FROM {messages})")

    found = sorted(rows(table), key=lambda row: row["id"])
    plan = table.explain().split("== Optimized Execution Plan ==")[1]
    t_env.drop_temporary_function("judge")

    expected = plain(given, champion).replace({float("nan"): None})
    for row, (_, same) in zip(found, expected.iterrows(), strict=True):
        del row["id"]
        assert row == {name: pytest.approx(same[name]) if isinstance(same[name], float) else same[name] for name in row}
    assert plan.count("judge(") == 1
