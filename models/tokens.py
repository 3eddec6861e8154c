"""What each token adds to the sums of its text, remembered: most tokens of a stream came before.

A token is what stands between spaces. No n-gram goes across spaces, and but for pairs of words a text's features are
those of its tokens. So a text's sums are those of its tokens (one row to gather for each, instead of one for each
n-gram) and of the pairs of words across its spaces. They are the same whole numbers as without remembering. What
tokens do to each other (letters that are spaced out, HTML character references) is left to the text as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import features, language, text

# What is gathered for so many characters stays in a core's cache: of n-grams, and of remembered tokens.
CHUNK_CHARACTERS, BATCH_CHARACTERS = 16_000, 128_000
REMEMBERED = 1 << 17  # tokens; when there are more, all are forgotten. Some 50 MB with four models.
FEW = 200  # texts of a batch for which looking for tokens costs more calls of numpy than it saves
LONGEST = 40  # characters of a token that is remembered; longer ones do not come again
LONGEST_TEXT = language.MAX_CHARACTERS
MOST_TOKENS = 250  # of a text: the sum of 16-bit numbers of so many pairs fits

_BEGINS_ALONE, _ENDS_ALONE, _ONE_LETTER, _HAS_WORDS = 1, 2, 4, 8
_SIGNS, _ENGLISH = len(features.SIGNS), 3
_LINES = features.SIGNS.index(b"\n")

Table = NDArray[np.int8]
Sums = NDArray[np.int32]
Packed = NDArray[np.int64]
Kind = np.int16 | np.int32


class Columns:
    """The columns of sums: those of the table over a text's characters, and over its words; its bytes; its signs of
    each class (`features.SIGNS`); its words that tell English (`language.counts`)."""

    def __init__(self, width: int) -> None:
        self.characters = slice(0, width)
        self.words = slice(width, 2 * width)
        self.bytes = 2 * width
        self.signs = slice(2 * width + 1, 2 * width + 1 + _SIGNS)
        self.english = slice(2 * width + 1 + _SIGNS, 2 * width + 1 + _SIGNS + _ENGLISH)
        self.number = 2 * width + 1 + _SIGNS + _ENGLISH


class _Numbers(dict[str, int]):
    """Numbers the tokens as they come; `new` are those from the number `known`."""

    def __init__(self) -> None:
        super().__init__()
        self.known = 0
        self.new: list[str] = []

    def __missing__(self, token: str) -> int:
        number = self[token] = self.known + len(self.new)
        self.new.append(token)
        return number

    def learnt(self) -> None:
        for token in self.new:
            if len(token) > LONGEST:
                del self[token]
        self.known += len(self.new)
        self.new = []


class Tokens:
    """Sums a table's rows over texts. Not for several threads at once."""

    def __init__(self, table: Table) -> None:
        self.columns = Columns(table.shape[1])
        self._table = table
        self._pairs = _pack(table, np.int16)
        self._forget()

    def _forget(self) -> None:
        room = REMEMBERED + BATCH_CHARACTERS  # at most so many come before that is noticed
        self._numbers = _Numbers()
        self._sums: Packed = np.empty((room, (self.columns.number + 1) // 2), np.int64)
        self._first, self._last = np.empty(room, np.uint32), np.empty(room, np.uint32)
        self._flags = np.empty(room, np.uint8)

    def sums(self, texts: Sequence[str], english: bool = True) -> Sums:
        """(n, columns) sums of each text; what tells English only on demand."""
        found = np.empty((len(texts), self.columns.number), np.int32)
        begin = 0
        for part in chunks(texts, BATCH_CHARACTERS):
            found[begin : begin + len(part)] = self._of_batch(part, english)
            begin += len(part)
        return found

    def _of_batch(self, texts: Sequence[str], english: bool) -> Sums:
        if len(texts) < FEW:
            return self._whole(texts, english)
        found = np.empty((len(texts), self.columns.number), np.int32)
        plain = [text.unescaped(one) for one in texts]
        # What is escaped twice would be unescaped once more, token by token.
        whole = np.array([len(one) > LONGEST_TEXT or text.is_escaped(one) or not one.strip() for one in plain], bool)
        parts = np.flatnonzero(~whole)
        if len(parts):
            found[parts], whole[parts] = self._by_tokens([plain[one] for one in parts])
        escaped = [number for number, (one, other) in enumerate(zip(texts, plain, strict=True)) if one is not other]
        if escaped:
            written = [texts[one] for one in escaped]
            found[escaped, self.columns.bytes], found[escaped, self.columns.signs] = features.count_signs(written)
            found[escaped, self.columns.english] = language.counts_of_texts(written)
        at = np.flatnonzero(whole)
        if len(at):
            found[at] = self._whole([texts[one] for one in at], english)
        return found

    def _whole(self, texts: Sequence[str], english: bool) -> Sums:
        counts = language.counts_of_texts if english else _uncounted
        return np.concatenate([self._of_whole(part, counts)[0] for part in chunks(texts)])

    def _by_tokens(self, texts: Sequence[str]) -> tuple[Sums, NDArray[np.bool_]]:
        """The sums, and which texts have to be summed as a whole."""
        if self._numbers.known > REMEMBERED:
            self._forget()
        # Of white space beyond ASCII not all is a space to `text.normalise`.
        split = [one.split() if one.isascii() else [token for token in one.split(" ") if token] for one in texts]
        counts = np.fromiter(map(len, split), np.int64, len(split))
        stops = np.cumsum(counts)
        starts = stops - counts
        tokens = np.fromiter(map(self._numbers.__getitem__, chain.from_iterable(split)), np.int64, int(stops[-1]))
        if self._numbers.new:
            self._learn()
        found = _unpack(
            np.add.reduceat(self._sums.take(tokens, axis=0, mode="clip"), starts, axis=0), np.int32, self.columns.number
        )
        found[:, self.columns.bytes] = [len(one) if one.isascii() else len(_encoded(one)) for one in texts]
        found[:, self.columns.signs.start + _LINES] = [one.count("\n") for one in texts]
        flags = self._flags.take(tokens)
        has_words = flags & _HAS_WORDS != 0
        numbers = np.add.reduceat(has_words, starts, dtype=np.int64)
        self._add_pairs(found[:, self.columns.words], tokens[has_words], numbers)
        whole = counts > MOST_TOKENS
        touching = (flags[:-1] & _ENDS_ALONE != 0) & (flags[1:] & _BEGINS_ALONE != 0)
        touching[starts[1:] - 1] = False
        # Three letters are joined: of two tokens that touch one has two, or three tokens touch.
        joined = touching & (flags[:-1] & flags[1:] & _ONE_LETTER == 0)
        joined[1:] |= touching[1:] & touching[:-1]
        whole[np.searchsorted(stops, np.flatnonzero(joined), side="right")] = True
        return found, whole

    def _add_pairs(self, sums: Sums, tokens: Packed, numbers: Packed) -> None:
        """Adds the rows of pairs of words across tokens, of which each text has these numbers."""
        if not len(tokens):
            return
        buckets = np.empty(len(tokens), np.int64)
        buckets[:-1] = features.pairs(self._last.take(tokens[:-1]), self._first.take(tokens[1:]))
        stops = np.cumsum(numbers)
        some = numbers > 0
        buckets[stops[some] - 1] = features.NOTHING
        rows = self._pairs.take(buckets, axis=0, mode="clip")
        sums[some] += _unpack(np.add.reduceat(rows, (stops - numbers)[some], axis=0), np.int16, sums.shape[1])

    def _learn(self) -> None:
        new = self._numbers.new
        ascii_only = np.array([token.isascii() for token in new], bool)
        for numbers in (np.flatnonzero(ascii_only), np.flatnonzero(~ascii_only)):  # ASCII goes faster
            begin = 0
            for part in chunks([new[number] for number in numbers]):
                self._describe(part, self._numbers.known + numbers[begin : begin + len(part)])
                begin += len(part)
        self._numbers.learnt()

    def _describe(self, tokens: Sequence[str], numbers: Packed) -> None:
        sums, found, unjoined = self._of_whole(tokens, language.counts_of_tokens)
        self._sums[numbers] = _pack(sums, np.int32)
        starts, stops = found.word_starts[:-1] // 2, found.word_starts[1:] // 2
        has_words = stops > starts
        padded = np.append(found.hashes, np.uint32(0))
        self._first[numbers], self._last[numbers] = padded[starts], padded[stops - 1]
        begins, ends, one = text.lone_letters(unjoined)
        self._flags[numbers] = begins * _BEGINS_ALONE | ends * _ENDS_ALONE | one * _ONE_LETTER | has_words * _HAS_WORDS

    def _of_whole(
        self, texts: Sequence[str], counts: Callable[[Sequence[str]], object] = language.counts_of_texts
    ) -> tuple[Sums, features.Features, text.Bytes]:
        """The sums of each text as a whole, its features, and its bytes before spaced letters are joined."""
        unjoined = text.unjoined(texts)
        lengths, signs = features.count_signs(texts)
        features_of = features.of_signs(text.join_spaced(unjoined), lengths, signs)
        sums = np.zeros((len(texts), self.columns.number), np.int32)
        rows = self._table.take(features_of.characters, axis=0, mode="clip").sum(axis=0, dtype=np.int16)
        sums[:, self.columns.characters] = np.add.reduceat(rows, features_of.character_starts, axis=0, dtype=np.int32)
        starts, stops = features_of.word_starts[:-1], features_of.word_starts[1:]
        some = stops > starts
        if some.any():
            rows = self._table.take(features_of.words, axis=0, mode="clip")
            sums[some, self.columns.words] = np.add.reduceat(rows, starts[some], axis=0, dtype=np.int32)
        sums[:, self.columns.bytes] = lengths
        sums[:, self.columns.signs] = signs
        sums[:, self.columns.english] = counts(texts)
        return sums, features_of, unjoined


def chunks(texts: Sequence[str], most: int = CHUNK_CHARACTERS) -> Iterator[Sequence[str]]:
    """Texts in order, in parts of one text or of at most so many characters, with a space for each text."""
    begin = characters = 0
    for end, one in enumerate(texts):
        characters += len(one) + 1
        if characters > most and end > begin:
            yield texts[begin:end]
            begin, characters = end, len(one) + 1
    if begin < len(texts):
        yield texts[begin:]


def _uncounted(_: Sequence[str]) -> int:
    return 0


def _encoded(one: str) -> bytes:
    return one.encode("utf-8", "replace")


def _middle(kind: type[Kind]) -> tuple[NDArray[Any], np.int64]:
    """Half of the range of a kind of number, as such a number and in each place of 64 bits."""
    bits = np.iinfo(kind).bits
    half = np.array([1 << bits - 1] * (64 // bits), f"uint{bits}")
    return half[:1], half.view(np.int64)[0]


def _pack(rows: NDArray[Any], kind: type[Kind]) -> Packed:
    """(n, columns) as numbers of 64 bits with several columns in each, which are added at once.

    Column k of a number stands for value * 2 ** (bits * k): sums are those of the columns while each fits its bits.
    """
    half, halves = _middle(kind)
    places = 64 // np.iinfo(kind).bits
    padded = np.zeros((len(rows), -(-rows.shape[1] // places) * places), half.dtype)
    padded[:, : rows.shape[1]] = rows.astype(half.dtype)
    packed: Packed = (padded + half).view(np.int64) - halves
    return packed


def _unpack(packed: Packed, kind: type[Kind], columns: int) -> Sums:
    """What `_pack` packed, or sums of it."""
    half, halves = _middle(kind)
    found: Sums = ((packed + halves).view(half.dtype) - half).view(kind)[:, :columns].astype(np.int32)
    return found
