"""Groups of near duplicates, and splits that keep them together."""

from __future__ import annotations

import random

import numpy as np

from models.near_duplicates import groups, split

WORDS = [f"{first}{second}" for first in "bcdfghjklm" for second in ("ala", "ero", "imi", "onu", "ust", "yve")]


def sentence(seed: int, words: int = 25) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def test_copies_and_small_changes_are_of_one_group() -> None:
    base = sentence(1)
    texts = [
        base,
        sentence(2),
        f"RT @ann: {base.upper()}!!! https://example.org/1",
        base + " indeed",
        sentence(2),
        sentence(3),
        "",
    ]

    assert groups(texts).tolist() == [0, 1, 0, 0, 1, 2, 3]


def test_texts_that_share_half_are_apart() -> None:
    texts = [sentence(seed, 12) + " " + sentence(seed + 1, 12) for seed in range(200)]

    assert len(np.unique(groups(texts))) > 190


def test_a_split_parts_no_group_and_holds_out_the_share_of_each_label() -> None:
    texts = [sentence(seed // 3) + f" {seed}" for seed in range(3000)]
    labels = [("rare" if seed // 3 % 10 == 0 else "common") for seed in range(3000)]
    numbers = groups(texts)

    out = split(numbers, labels, 0.2, seed=0)

    assert not set(numbers[out]) & set(numbers[~out])
    for label in ("rare", "common"):
        of_label = np.array(labels) == label
        assert abs(out[of_label].mean() - 0.2) < 0.02
    assert np.array_equal(out, split(numbers, labels, 0.2, seed=0))
    assert not np.array_equal(out, split(numbers, labels, 0.2, seed=1))


def test_no_texts_have_no_groups() -> None:
    assert groups([]).tolist() == []
