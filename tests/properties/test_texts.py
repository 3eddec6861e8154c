"""Scoring, language and key phrases: any texts, in any batch, give the same finite numbers as each text alone."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import features, text
from tests.fuzz.mutate import SEPARATOR
from tests.fuzz.targets import key_phrases as of_phrases
from tests.fuzz.targets import scoring
from tests.properties.strategies import ANY_TEXT, post_texts
from udfs.key_phrases import MAX_CHARACTERS, MAX_WORDS, key_phrases, phrases_of

TEXTS = ANY_TEXT | st.sampled_from(post_texts())


@given(st.lists(TEXTS, max_size=6))
def test_scores_are_probabilities_and_the_same_in_any_batch(texts: list[str]) -> None:
    scoring.test(SEPARATOR.join(one.encode("utf-8", "replace") for one in texts))


@given(st.lists(TEXTS | st.none() | st.integers(), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_a_batch_changes_nothing(texts: list[object], chance: Random) -> None:
    order = list(range(len(texts)))
    chance.shuffle(order)
    for before, after in zip(
        scoring.SCORER.score(texts), scoring.SCORER.score([texts[at] for at in order]), strict=True
    ):
        assert before.probabilities[order].tobytes() == after.probabilities.tobytes()
        assert [before.labels[at] for at in order] == after.labels
        assert [before.reasons[at] for at in order] == after.reasons


@settings(max_examples=8)
@given(st.integers(0, 40), st.integers(1, 9))
def test_a_batch_that_is_cut_into_chunks_is_the_same(begin: int, times: int) -> None:
    texts = [one * times for one in post_texts()[begin:]] * 4  # tens of thousands of characters
    for together, some in zip(scoring.SCORER.score(texts), scoring.SCORER.score(texts[:3]), strict=True):
        assert together.probabilities[:3].tobytes() == some.probabilities.tobytes()


@given(st.sampled_from(post_texts()), st.sampled_from(["\u200b", "\u00ad", "\ufe0f", "\u202e"]))
def test_what_nobody_sees_changes_no_features_of_letters(one: str, unseen: str) -> None:
    hidden = unseen.join(one)
    assert bytes(text.normalise([hidden])) == bytes(text.normalise([one])) or not one.isascii()


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_features_of_a_batch_are_those_of_each_text(texts: list[str]) -> None:
    together = features.extract(texts)
    ends = [*together.character_starts[1:], together.characters.shape[1]]
    for number, one in enumerate(texts):
        alone = features.extract([one])
        own = together.characters[:, together.character_starts[number] : ends[number]]
        # Each text has an END before it; the last n-grams of a text look at nothing of the next.
        assert np.array_equal(own, alone.characters)
        words = together.words[together.word_starts[number] : together.word_starts[number + 1]]
        assert np.array_equal(words, alone.words)
        assert np.array_equal(together.shape[number], alone.shape[0])


@settings(max_examples=120)
@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "machine",
                " learning",
                " ",
                ".",
                "\n",
                "#",
                "@",
                "&",
                "amp;",
                "'",
                "’s",
                "é",
                "\u0301",
                "1",
                "-",
                "_",
                "😀",
                "\ud800",
                "the",
                "www.",
                "/",
            ]
        )
    ).map("".join)
)
def test_key_phrases_stand_where_they_say(one: str) -> None:
    of_phrases.test(one.encode("utf-8", "surrogatepass"))


@given(TEXTS)
def test_key_phrases_do_not_hang_on_what_stands_on_other_lines(one: str) -> None:
    before = "Coffee beans.\n"
    shifted = [
        phrase["BeginOffset"] - len(before)
        for phrase in key_phrases(before + one)
        if phrase["BeginOffset"] >= len(before)
    ]
    assert shifted == [phrase["BeginOffset"] for phrase in key_phrases(one)]


@given(TEXTS)
def test_phrases_are_runs_of_the_texts_words(one: str) -> None:
    for phrase in phrases_of(one):
        assert 1 <= len(phrase.words) <= MAX_WORDS
        assert (phrase.words[0].begin, phrase.words[-1].end) == (phrase.begin, phrase.end)


@pytest.mark.timeout(60)  # what tries each match again from each character takes hours; this takes a second
def test_no_text_takes_more_than_its_share_of_time() -> None:
    for part in ("a.", "&", "-", "@a", "a'", "#", "www.", "a&amp;", "\ufe0f", "é", "1\u20e3", "a@", "._"):
        long = part * (2 * MAX_CHARACTERS // len(part))
        found = key_phrases(long)
        assert all(phrase["EndOffset"] <= MAX_CHARACTERS for phrase in found)
