"""Which texts are nearly the same, and a split that never parts them.

Tweets are quoted, retweeted and copied with small changes. A random split puts copies on both sides and so measures
memory; here whole groups of near duplicates go to one side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SHINGLE = 5  # characters
BANDS, ROWS = 16, 8
CHUNK = 2_000_000  # characters hashed at a time, about 100 MB

NOISE = re.compile(r"https?://\S*|www\.\S*|@\w+|\brt\b|[\W_]+")


def groups(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """The number of the group of near duplicates of each text, 0, 1, … in the order of first appearance.

    Two texts are compared by the sets of their 5-character shingles, without case, addresses, mentions and punctuation.
    MinHash (Broder 1997) with 128 hash functions in 16 bands of 8 joins two texts whose Jaccard similarity is s with
    probability 1 - (1 - s^8)^16: 1.00 at .9, .95 at .8, .61 at .7, .06 at .5. Groups are the connected components.
    The result depends on the texts and their order alone.
    """
    if not len(texts):
        return np.zeros(0, np.int64)
    signatures = _signatures([NOISE.sub(" ", text.lower()).strip().ljust(SHINGLE) for text in texts])
    factors = np.random.default_rng(7).integers(2**63, size=ROWS, dtype=np.uint64) * 2 + 1
    bands = []
    for first in range(0, BANDS * ROWS, ROWS):
        keys = (signatures[:, first : first + ROWS] * factors).sum(axis=1)
        bands.append(np.unique(keys, return_inverse=True)[1])

    # Each text takes the smallest number within reach, until none changes.
    numbers = np.arange(len(texts))
    while True:
        before = numbers
        for band in bands:
            smallest = np.full(len(texts), len(texts))
            np.minimum.at(smallest, band, numbers)
            numbers = smallest[band]
        if np.array_equal(numbers, before):
            result: npt.NDArray[np.int64] = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
            return result


def split(
    groups: npt.NDArray[np.int64], labels: Sequence[str], share: float = 0.2, seed: int = 0
) -> npt.NDArray[np.bool_]:
    """Which texts are held out: whole groups, at most and nearly `share` of each label (of a group's commonest label).

    A group too large for what is still missing stays on the side of training. The same seed gives the same split.
    """
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.zeros((int(groups.max(initial=-1)) + 1, len(classes)), np.int64)
    np.add.at(counts, (groups, codes), 1)
    missing = share * counts.sum(axis=0)
    held_out = np.zeros(len(counts), bool)
    for group in np.random.default_rng(seed).permutation(len(counts)):
        label = counts[group].argmax()
        if counts[group].sum() <= missing[label]:
            held_out[group] = True
            missing -= counts[group]
    return held_out[groups]


def _signatures(texts: list[str]) -> npt.NDArray[np.uint32]:
    """MinHash signatures, (texts, BANDS * ROWS); each text has at least SHINGLE characters."""
    chance = np.random.default_rng(5)
    factors = chance.integers(2**63, size=BANDS * ROWS, dtype=np.uint64) * 2 + 1
    powers = chance.integers(2**63, size=SHINGLE, dtype=np.uint64) * 2 + 1
    lengths = np.array([len(text) for text in texts])
    signatures = np.empty((len(texts), BANDS * ROWS), np.uint32)
    for rows in np.split(np.arange(len(texts)), np.flatnonzero(np.diff(np.cumsum(lengths) // CHUNK)) + 1):
        joined = "".join(texts[rows[0] : rows[-1] + 1])
        characters = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        hashes = np.zeros(len(characters), np.uint64)
        for place, power in enumerate(powers):
            hashes[: len(hashes) - place] += characters[place:] * power
        # The last 4 places of a text begin no shingle of its own.
        ends = np.cumsum(lengths[rows])
        begins = np.ones(len(hashes), bool)
        for place in range(1, SHINGLE):
            begins[ends - place] = False
        hashes = hashes[begins] ^ (hashes[begins] >> np.uint64(29))
        starts = np.concatenate([[0], np.cumsum(lengths[rows] - SHINGLE + 1)[:-1]])
        for column, factor in enumerate(factors):
            signatures[rows, column] = np.minimum.reduceat((hashes * factor) >> np.uint64(32), starts)
    return signatures
