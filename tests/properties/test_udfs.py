"""The functions of the jobs: counts against Python's own, scores within their bounds, batches as their rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reverts import load
from tests.fuzz.mutate import SEPARATOR
from tests.fuzz.targets import udfs as target
from tests.properties.strategies import ANY_TEXT, post_texts
from udfs import background, keywords, reverts
from udfs.background import MOST_POSTS, MOST_VALUES, PARTS, Found, Keyword, Label, Weights

TEXTS = ANY_TEXT | st.sampled_from(post_texts())
WORDS = st.sampled_from(["a", "b", "é", "", "gun", *map(str, range(30))])
LISTED = keywords.read()
KNOWN = sorted(
    {pattern.keyword for some in LISTED.patterns["en"].values() for one in some for pattern in [one] if pattern.keyword}
)


@settings(max_examples=12)
@given(st.lists(TEXTS, max_size=5))
def test_a_batch_gives_a_row_for_each_text(texts: list[str]) -> None:
    target.test(SEPARATOR.join(one.encode("utf-8", "replace") for one in texts))


@given(st.lists(st.none() | WORDS, max_size=60))
def test_values_are_counted_as_by_hand(values: list[str | None]) -> None:
    found = background.counts(values)
    counted = Counter(value for value in values if value is not None)
    assert {one.value: one.times for one in found} == dict(
        sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
    )


@given(st.lists(st.lists(WORDS, max_size=15), max_size=4))
def test_counts_of_periods_are_the_counts_of_all_where_nothing_was_cut(periods: list[list[str]]) -> None:
    if len({value for period in periods for value in period}) <= MOST_VALUES:
        together = background.counts(value for period in periods for value in period)
        assert background.sum_counts(map(background.counts, periods)) == together


POSTS = st.lists(
    st.tuples(WORDS, st.lists(st.tuples(WORDS, WORDS, st.booleans()), max_size=4, unique_by=lambda one: one[:2])),
    max_size=12,
).map(
    lambda posts: [
        (post, [t for t, _, _ in some], [w for _, w, _ in some], [n for *_, n in some]) for post, some in posts
    ]
)


@given(POSTS, st.integers(0, 12))
def test_keywords_of_periods_are_the_keywords_of_all(posts: list[Any], cut: int) -> None:
    together = background.present_keywords(posts)
    assert (
        background.sum_keywords(
            [background.present_keywords(posts[:cut]), None, background.present_keywords(posts[cut:])]
        )
        == together
    )
    for one in together:
        assert 0 <= one.negated_posts <= one.posts
        assert len(one.post_ids) == min(one.posts, MOST_POSTS)
        assert one.post_ids == sorted(one.post_ids)


SHARE = st.none() | st.floats(0, 1)
NUMBER = st.integers(0, 50)
FOUND = st.builds(
    Found,
    st.sampled_from(["ok", "private", "missing"]),
    NUMBER, NUMBER, SHARE, SHARE, st.none() | st.floats(-1, 1),
    st.lists(
        st.builds(
            lambda theme, word, posts, negated: Keyword(theme, word, posts + negated, negated, []),
            st.sampled_from([*LISTED.themes, "other"]), WORDS, NUMBER, NUMBER,
        ),
        max_size=4,
    ),
    NUMBER.map(lambda number: number + 50), NUMBER,
    st.lists(
        st.builds(
            Label, st.sampled_from(["Violence", "Hate Symbols", "other"]), st.just(""), st.integers(1, 3),
            st.floats(0, 100),
        ),
        max_size=4,
    ).map(lambda labels: background.label_counts([labels])),
)  # fmt: skip


@settings(max_examples=100)
@given(FOUND)
def test_the_summary_score_is_within_its_bounds_and_grows_with_what_is_found(found: Found) -> None:
    weights = background.read_weights()
    result = background.score(found, weights)
    points = [value for value in result.points.values() if value is not None]

    assert (result.score is None) == (not points)
    assert set(result.points) == set(PARTS)
    if result.score is not None:
        assert 0 <= result.score <= 100
        assert result.score >= max(points) - 0.01
        worse = background.score(replace(found, toxic_share=1.0), weights).score
        assert worse is not None
        assert found.toxic_share is None or worse >= result.score
    none = Weights(parts={part: background.Weight(weight=0, full_at=1) for part in PARTS}, themes={}, categories={})
    assert background.score(found, none).score in (None, 0)


@settings(max_examples=80)
@given(
    TEXTS,
    st.sampled_from(target.LANGUAGES),
    st.sampled_from(KNOWN),
    st.sampled_from(["", "xx ", "I like ", "#", "😀 "]),
)
def test_a_listed_word_is_found_wherever_it_stands_alone(
    text: str, language: str | None, word: str, before: str
) -> None:
    names = [(one.theme, one.keyword) for one in keywords.find(text, LISTED, language)]
    assert len(names) == len(set(names))
    assert keywords.find(text, LISTED, language) == keywords.find(text, LISTED, language)
    if before != "#":
        assert word in {one.keyword for one in keywords.find(f"{before}{word}.", LISTED, "en")}
        assert word in {one.keyword for one in keywords.find(f"{before}{word.upper()}!", LISTED, None)}


ODD_NUMBERS = st.none() | st.floats() | st.integers(-(2**63), 2**63 - 1).map(float)


@given(
    st.lists(
        st.tuples(ODD_NUMBERS, st.none() | st.booleans(), st.none() | st.booleans(), ODD_NUMBERS),
        min_size=1,
        max_size=8,
    )
)
def test_a_revision_has_a_probability_unless_its_user_is_hidden(rows: list[tuple[Any, Any, Any, Any]]) -> None:
    ages, registered, trusted, changes = (pd.Series(list(column), dtype=object) for column in zip(*rows, strict=True))
    found = reverts.score(ages, registered, trusted, changes, load())
    for (_, is_registered, *_), score, version in zip(rows, found["score"], found["model_version"], strict=True):
        assert math.isnan(score) == (is_registered is None)
        assert (version is None) == (is_registered is None)
        assert is_registered is None or 0 <= score <= 1
    alone = reverts.score(ages[:1], registered[:1], trusted[:1], changes[:1], load())
    assert np.array_equal(alone["score"][:1], found["score"][:1], equal_nan=True)
