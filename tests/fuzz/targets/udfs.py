"""The functions of the jobs, on batches: a row for each text, the same as by itself; nothing raised or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import orjson
import pandas as pd

from models.policy import DECISIONS, UNSCORED, Moderator, Policy
from models.reverts import load as load_reverts
from models.runtime import Scorer, load
from tests.fuzz.mutate import SEPARATOR
from tests.fuzz.targets.scoring import seeds as texts
from tests.fuzz.targets.scoring import texts_of
from udfs import background, classifiers, keywords, moderation, reverts
from udfs.key_phrases import key_phrase_columns

IS_JSON = False
MOST_BYTES = 4096
MODERATOR = Moderator.load()
POLICY = Policy.default()
SCORER = Scorer([load(name) for name in classifiers.HEADS])
WORDS = keywords.read()
LANGUAGES = (None, "und", "en", "de", "pt-BR", "xx", "")
WEIGHTS = background.read_weights()
REVERTS = load_reverts()


def seeds() -> Iterator[bytes]:
    for seed in texts():
        yield seed[:4000].decode(errors="ignore").encode()
    yield SEPARATOR.join((b"no guns, not only #GunControl2024 gun-free", b"gun control", b'{"version": "2"}', b"kids"))
    yield b"keine Waffen, aber ein Krieg\x1e#NRAMember_ship don't shoot\x1esin armas"


def test(data: bytes) -> None:
    given: list[str | None] = [*texts_of(data), None]
    series = pd.Series(given, dtype=object)
    _classified(series)
    _judged(series)
    _keywords(series)
    columns = key_phrase_columns(series)
    assert columns.iloc[-1].isna().all()
    _background(given, data)


def _classified(series: pd.Series[str]) -> None:
    rows = classifiers.score(series, SCORER, list(classifiers.HEADS.values()))
    scored = rows["unscored_reason"].isna()
    numbers = rows.select_dtypes(np.floating)
    assert np.isfinite(numbers[scored].to_numpy(np.float64)).all()
    assert numbers[~scored].isna().all(axis=None)
    assert (numbers[scored].abs() <= 1).all(axis=None)
    alone = classifiers.score(series.iloc[:1], SCORER, list(classifiers.HEADS.values()))
    assert _plain(rows.iloc[:1]) == _plain(alone)


def _judged(series: pd.Series[str]) -> None:
    rooms = series.where(series.notna(), "kids")
    counts = pd.Series(range(len(series)))
    nothing = pd.Series([None] * len(series), dtype=object)
    policies = pd.Series([None, *series[:-1]], dtype=object)  # each text a policy too, mostly a wrong one
    rows = moderation.judge(series, rooms, counts, counts, policies, nothing, MODERATOR, None, POLICY)
    assert list(rows.columns) == list(moderation.FIELDS)
    assert set(rows["decision"]) <= {*DECISIONS, UNSCORED}
    assert rows.iloc[-1]["unscored_reason"] == "no_text"
    alone = moderation.judge(
        series[:1], rooms[:1], counts[:1], counts[:1], policies[:1], nothing[:1], MODERATOR, None, POLICY
    )
    assert _plain(rows.iloc[:1]) == _plain(alone)


def _keywords(series: pd.Series[str]) -> None:
    codes = pd.Series([LANGUAGES[at % len(LANGUAGES)] for at in range(len(series))], dtype=object)
    rows = keywords.keyword_columns(series, codes, WORDS)
    for text, themes, words, negated in zip(series, rows["themes"], rows["words"], rows["negated"], strict=True):
        if text is None:
            assert themes is words is negated is None
            continue
        assert len(themes) == len(words) == len(negated) == len(set(zip(themes, words, strict=True)))
        assert set(themes) <= set(WORDS.themes)


def _background(given: list[str | None], data: bytes) -> None:
    counted = background.counts(given)
    assert [one.times for one in counted] == sorted((one.times for one in counted), reverse=True)
    assert sum(one.times for one in background.sum_counts([counted, None, counted])) == 2 * sum(
        one.times for one in counted
    )
    numbers = np.frombuffer(data[: len(data) // 8 * 8])[:20]
    shares = [
        None if math.isnan(value) else abs(math.fmod(value, 1.0)) if math.isfinite(value) else 1.0 for value in numbers
    ]
    shares += [None] * 3
    toxic, bullying, mean = shares[:3]
    found = background.Found(
        ("ok", "private", "missing")[len(data) % 3], len(given), len(given) // 2, toxic, bullying, mean,
        background.present_keywords(
            [(str(at), ["weapons"], [text or ""], [at % 2 == 0]) for at, text in enumerate(given)]
        ),
        len(data) % 7, 0,
        background.label_counts([background.labels(["Violence"], [""], [1], [99.0])]),
    )  # fmt: skip
    result = background.score(found, WEIGHTS)
    assert result.score is None or 0 <= result.score <= 100
    assert all(points is None or 0 <= points <= 100 for points in result.points.values())
    orjson.dumps([each.encode("utf-8", "replace").decode() for each in result.evidence])
    series = pd.Series(numbers)
    rows = reverts.score(series, series[::-1] > 0, series > 0, series, REVERTS)
    assert rows["score"].dropna().between(0, 1).all()


def _plain(rows: pd.DataFrame) -> list[str]:
    """Values to compare. A column without any number has None where another has nan; both are null to Flink."""
    return [repr(None if value != value else value) for value in rows.to_numpy(dtype=object).ravel().tolist()]
