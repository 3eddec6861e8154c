"""Features of texts: hashed n-grams of characters (as bytes) and of words, of a whole batch at once, in numpy.

A feature is a bucket, an index below BUCKETS. A text's features are those of the n-grams of 2 to 5 bytes within its
words (the space around a word is part of it), of its words and of its pairs of words. The letters i and l are one: who
writes 1 for a letter means either. Beside these there is the shape of a text: its length, and what it has of signs. The
hash is polynomial (Karp and
Rabin 1987), with Knuth's multiplicative hash for the upper bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import text

VERSION = 1  # to be raised when a text's features change: a model fits only those it was trained on
BITS = 18
BUCKETS = 1 << BITS
NOTHING = BUCKETS  # the bucket of what is no feature; its weights are 0
SIZES = range(2, 6)

Buckets = NDArray[np.int64]

_BASE = np.uint32(0x01000193)
_SPREAD = np.uint32(0x9E3779B1)
_SHIFT = np.uint32(32 - BITS)
_WORD_POWERS = np.multiply.accumulate(np.full(256, _BASE, np.uint32))
_PAIR = np.uint32(0x85EBCA6B)
_WORD_SALT = np.uint32(0x27D4EB2F)

_SPACE = np.uint32(32)
_ALIKE = np.arange(256, dtype=np.uint8)
_ALIKE[ord("l")] = ord("i")

# The shape of a text: these, as they are before normalising, and the factor that brings each to some tenths. Such small
# values leave most of the say to the n-grams: a linear model's weights are held small.
SHAPE = {
    "length": 0.15,
    "length squared": 0.02,
    "?": 0.2,
    "!": 0.2,
    "upper case": 1.0,
    "@": 0.2,
    "#": 0.2,
    "digits": 0.15,
    "lines": 0.15,
}
_CLASS = np.zeros(256, np.int64)
for _number, _signs in enumerate(
    (b"?", b"!", b"@", b"#", b"0123456789", b"\n", bytes(range(65, 91)), bytes(range(97, 123))), 1
):
    _CLASS[list(_signs)] = _number

_IS_WORD = np.zeros(256, bool)
_IS_WORD[list(b"abcdefghijklmnopqrstuvwxyz0123456789'_#\x01")] = True
_IS_WORD[0x80 : text.END] = True


@dataclass(frozen=True)
class Features:
    """The features of n texts.

    characters: (SIZES, bytes) the bucket of the n-gram of each size that begins at each byte, NOTHING for none
    character_starts: (n,) where the bytes of each text begin
    words: buckets of the words and pairs of words of all texts, NOTHING for none
    word_starts: (n + 1,) where the words of each text begin and those of the last end
    shape: (n, SHAPE) the shape of each text
    """

    characters: Buckets
    character_starts: Buckets
    words: Buckets
    word_starts: Buckets
    shape: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.character_starts)


def extract(texts: Sequence[str]) -> Features:
    """The features of a batch of texts."""
    signs = _ALIKE[text.normalise(texts)]
    boundaries = np.flatnonzero(signs == text.END)
    words, word_starts = _words(signs, boundaries)
    return Features(_characters(signs), boundaries[:-1], words, word_starts, _shape(texts))


def _shape(texts: Sequence[str]) -> NDArray[np.float32]:
    """log(1 + bytes) and its square, the upper-case share of ASCII letters, log(1 + number) of the others."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    classes = _CLASS[np.frombuffer(b"".join(encoded), np.uint8)]
    of_text = np.repeat(np.arange(len(encoded)) * 9, lengths)
    numbers = np.bincount(of_text + classes, minlength=9 * len(encoded)).reshape(-1, 9)
    length, log = np.log1p(lengths), np.log1p(numbers[:, 1:7])
    upper = numbers[:, 7] / np.maximum(numbers[:, 7] + numbers[:, 8], 1)
    columns = (length, length**2, log[:, 0], log[:, 1], upper, log[:, 2], log[:, 3], log[:, 4], log[:, 5])
    shape: NDArray[np.float32] = (np.stack(columns, axis=1) * list(SHAPE.values())).astype(np.float32)
    return shape


def _characters(signs: text.Bytes) -> Buckets:
    length = len(signs) - 1  # nothing begins at the last END
    spaced = np.full(length + max(SIZES), _SPACE, np.uint32)
    spaced[: length + 1] = signs
    spaced[spaced == text.END] = _SPACE
    space = spaced == _SPACE
    hashes = np.empty((len(SIZES), length), np.uint32)
    nothing = np.empty((len(SIZES), length), bool)
    # Two spaces side by side are in no word, nor is what goes on behind a word's last space.
    np.add(spaced[:length] * _BASE, spaced[1 : length + 1], out=hashes[0])
    np.logical_and(space[:length], space[1 : length + 1], out=nothing[0])
    for row, size in enumerate(SIZES[1:], 1):
        np.multiply(hashes[row - 1], _BASE, out=hashes[row])
        hashes[row] += spaced[size - 1 : length + size - 1]
        np.logical_or(nothing[row - 1], space[size - 2 : length + size - 2], out=nothing[row])
    hashes *= _SPREAD
    hashes >>= _SHIFT
    return np.where(nothing, np.int64(NOTHING), hashes)


def _words(signs: text.Bytes, boundaries: Buckets) -> tuple[Buckets, Buckets]:
    starts, stops = word_edges(signs)
    first_words = np.searchsorted(starts, boundaries)
    if not len(starts):
        return np.empty(0, np.int64), 2 * first_words
    at = np.flatnonzero(_IS_WORD[signs])
    places = np.minimum(at - np.repeat(starts, stops - starts), len(_WORD_POWERS) - 1)
    values = signs[at].astype(np.uint32) * _WORD_POWERS[places]
    hashes = (
        np.add.reduceat(values, np.concatenate(([0], np.cumsum(stops - starts)[:-1])), dtype=np.uint32) ^ _WORD_SALT
    )
    buckets = np.full(2 * len(hashes), NOTHING, np.int64)
    buckets[::2] = (hashes * _SPREAD) >> _SHIFT
    pairs = (hashes[:-1] * _PAIR) ^ hashes[1:]
    buckets[1:-2:2] = (pairs * _SPREAD) >> _SHIFT
    last_words = first_words[1:][first_words[1:] > first_words[:-1]] - 1
    buckets[2 * last_words + 1] = NOTHING
    return buckets, 2 * first_words


def word_edges(signs: text.Bytes) -> tuple[Buckets, Buckets]:
    """Where words begin and end; the buffer itself begins and ends with END."""
    is_word = _IS_WORD[signs]
    edges = np.flatnonzero(is_word[1:] != is_word[:-1]) + 1
    return edges[::2], edges[1::2]


def pieces(one: str) -> list[tuple[str, int, bool]]:
    """What the features of one text are made of: the normalised piece, its bucket, and whether it is of words."""
    signs = text.normalise([one])
    found: list[tuple[str, int, bool]] = []
    features = extract([one])
    shown = bytes(signs).replace(b"\xff", b" ").replace(text.ADDRESS, b"~")
    for size, buckets in zip(SIZES, features.characters, strict=True):
        at = np.flatnonzero(buckets != NOTHING)
        found += [(shown[i : i + size].decode("utf-8", "replace"), int(buckets[i]), False) for i in at]
    starts, stops = word_edges(signs)
    for number, bucket in enumerate(features.words):
        if bucket != NOTHING:
            word, of_pair = divmod(number, 2)
            found.append((shown[starts[word] : stops[word + of_pair]].decode("utf-8", "replace"), int(bucket), True))
    return found
