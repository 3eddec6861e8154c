"""models/tokens.py: sums by remembered tokens against those of each text as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import features, tokens
from models.tokens import Tokens

WORDS = [
    "you",
    "fool",
    "f.o",
    "o",
    "L",
    "1",
    "don't",
    "$illy",
    "sooo",
    "…",
    "é",
    "&lt;",
    "&amp",
    ";",
    "www.a",
    "#x",
    "-",
]
BLANKS = [" ", "  ", "   ", "\n", "\t", "\x07", "\x1c", "\xa0", "\u2028", "\u200b", ""]


def table() -> tokens.Table:
    """Three random columns, as tables are: within 127, 0 for what is no feature."""
    made = np.random.default_rng(5).integers(-127, 128, (features.BUCKETS + 1, 3)).astype(np.int8)
    made[features.NOTHING] = 0
    return made


REMEMBERING = Tokens(table())
FILLING = ["you fool"] * tokens.FEW  # makes a batch of so many texts that it goes by tokens


def whole(texts: list[str]) -> tokens.Sums:
    """Every text as a whole, by itself."""
    return np.concatenate([REMEMBERING._of_whole([one])[0] for one in texts])


one_text = st.lists(st.sampled_from(WORDS + BLANKS) | st.text(max_size=3), min_size=1, max_size=15).map("".join)


@settings(max_examples=500, deadline=None)
@given(st.lists(one_text.filter(lambda one: bool(one.strip())), min_size=1, max_size=5))
@example(["f o o l", "a b", "f.o o", "f\x07 \x07o o", "a \u200b b c", "é  o l", "x´ ´o l"])
@example(["&lt; you", "&amp ;", "x" * 60 + " you", "you you you"])
@example(["- - -", "you - fool", "you", "- you", "you -"])
def test_sums_are_those_of_the_whole_text(texts: list[str]) -> None:
    assert np.array_equal(REMEMBERING.sums(texts), whole(texts))
    assert np.array_equal(REMEMBERING.sums(texts + FILLING)[: len(texts)], whole(texts))


@pytest.mark.parametrize("count", [249, 250, 251, 400])
def test_texts_of_many_words_lose_nothing(count: int) -> None:
    extreme = np.full((features.BUCKETS + 1, 3), [127, -127, 127], np.int8)
    extreme[features.NOTHING] = 0
    found = Tokens(extreme).sums(["éa " * count + "éa", "ab" * 15_000, *FILLING])

    words, characters = 2 * count + 1, 4 * 30_002 - 10
    assert found[0, 3:6].tolist() == [127 * words, -127 * words, 127 * words]
    assert found[1, :3].tolist() == [127 * characters, -127 * characters, 127 * characters]


def test_what_is_forgotten_is_learnt_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED", 50)
    monkeypatch.setattr(tokens, "FEW", 1)
    memory = Tokens(table())
    batches = [[f"word{number * 3 % 100} fool you {number} " + "z" * (number % 60) for number in range(i, i + 60)]
               for i in range(0, 600, 60)]  # fmt: skip

    for batch in [*batches, *batches]:
        assert np.array_equal(memory.sums(batch), whole(batch))
        assert memory._numbers.known < 50 + 300
        assert max(map(len, memory._numbers)) <= tokens.LONGEST
