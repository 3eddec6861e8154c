"""models/features.py against a plain implementation, text by text and n-gram by n-gram."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import features, text
from models.features import BUCKETS, NOTHING

MASK = (1 << 32) - 1
BASE, SPREAD = 0x01000193, 0x9E3779B1


def bucket(hashed: int) -> int:
    return (hashed * SPREAD & MASK) >> 14


def plain_characters(one: bytes) -> Counter[int]:
    """The n-grams of 2 to 5 bytes of each word with the space before and behind it."""
    found: Counter[int] = Counter()
    for word in re.findall(rb"[^ ]+", one):
        spaced = b" " + word + b" "
        for size in range(2, 6):
            for begin in range(len(spaced) - size + 1):
                hashed = 0
                for sign in spaced[begin : begin + size]:
                    hashed = hashed * BASE + sign & MASK
                found[bucket(hashed)] += 1
    return found


def plain_words(one: bytes) -> Counter[int]:
    hashes = []
    for word in re.findall(rb"[a-z0-9'_#\x01\x80-\xfe]+", one):
        hashed, power = 0, 1
        for place, sign in enumerate(word):
            power = power * BASE & MASK if place < 256 else power
            hashed = hashed + sign * power & MASK
        hashes.append(hashed ^ 0x27D4EB2F)
    pairs = [(first * 0x85EBCA6B ^ second) & MASK for first, second in pairwise(hashes)]
    return Counter(map(bucket, hashes + pairs))


def counted(buckets: features.Buckets) -> Counter[int]:
    return Counter(one for one in buckets.ravel().tolist() if one != NOTHING)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab cl.'😀1", max_size=30), min_size=1, max_size=5))
@example(["", "a", " ", "", "ab ab"])
@example(["x" * 600])
def test_the_features_are_those_of_the_definition(texts: list[str]) -> None:
    found = features.extract(texts)

    assert len(found) == len(texts)
    ends = [*found.character_starts[1:], found.characters.shape[1]]
    for number, one in enumerate(texts):
        normal = bytes(text.normalise([one])).strip(b"\xff").replace(b"l", b"i")
        characters = found.characters[:, found.character_starts[number] : ends[number]]
        words = found.words[found.word_starts[number] : found.word_starts[number + 1]]
        assert counted(characters) == plain_characters(normal)
        assert counted(words) == plain_words(normal)


def test_all_buckets_are_used_alike() -> None:
    found = features.extract([f"word{number} and{number * 7919}" for number in range(20_000)])

    shares = np.bincount(found.words[found.words != NOTHING] * 16 // BUCKETS, minlength=16) / 60_000

    assert shares.min() > 0.05
    assert shares.max() < 0.08


def test_the_pieces_of_a_text_are_its_features_by_name() -> None:
    pieces = features.pieces("You FOOL")

    assert {piece for piece, _, of_words in pieces if of_words} == {"you", "fool", "you fool"}
    assert {" fo", "fool ", "ou "} <= {piece for piece, _, of_words in pieces if not of_words}
    found = features.extract(["You FOOL"])
    assert Counter(number for _, number, _ in pieces) == counted(found.characters) + counted(found.words)


SHAPES = {
    "": {},
    "abc": {"length": math.log(4), "length squared": math.log(4) ** 2},
    "Who?? ÄB!": {
        "length": math.log(11), "length squared": math.log(11) ** 2, "?": math.log(3), "!": math.log(2),
        "upper case": 0.5,
    },
    "@a #b\n1 22": {
        "length": math.log(11), "length squared": math.log(11) ** 2, "@": math.log(2), "#": math.log(2),
        "digits": math.log(4), "lines": math.log(2),
    },
}  # fmt: skip


def test_the_shape_of_texts() -> None:
    found = features.extract(list(SHAPES)).shape

    for row, expected in zip(found, SHAPES.values(), strict=True):
        scaled = {name: value * features.SHAPE[name] for name, value in expected.items()}
        assert dict(zip(features.SHAPE, row.tolist(), strict=True)) == pytest.approx(
            dict.fromkeys(features.SHAPE, 0.0) | scaled, abs=1e-6
        )
