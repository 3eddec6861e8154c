"""key_phrases(text): what an English text is about, offline, in the shape of Comprehend's DetectKeyPhrases.

A method of our own in the line of RAKE (Rose et al. 2010) and YAKE (Campos et al. 2020): phrases are the runs of words
between punctuation and words that say little by themselves; a logistic model of a few features (length, frequency,
first position, form of the words) gives their score. `python -m udfs.evaluate_key_phrases` judges it, and `--fit`
finds the model's weights.

What a caller can rely on:

- Phrases do not overlap and come in the order of the text; a phrase that occurs twice comes twice, with one score, as
  Comprehend's do. To rank a text's topics, sort by Score and keep one of each.
- BeginOffset and EndOffset count code points, as Comprehend's do and as Python's indices: Text is
  text[BeginOffset:EndOffset]. An emoji of four UTF-8 bytes counts 1.
- Unlike Comprehend's, phrases have no determiners ("a", "the"), and scores are lower: about the probability that
  someone who indexes the text would choose the phrase.
- A hashtag's word is a phrase like any other, without "#". URLs, e-mail addresses and @names are no phrases.
- Line breaks end a phrase. Other languages than English give long, poor phrases: nothing is known of their stop words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from operator import mul
from typing import Final, Literal, NamedTuple, TypedDict

import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import udf

from models.english import (
    FUNCTION_WORDS,
    GENERIC_NOUNS,
    IRREGULAR_VERBS,
    NOUNS_LIKE_VERBS,
    OTHER_NOUNS,
    VERBS,
    WEAK_WORDS,
    forms,
    plural,
)

MAX_CHARACTERS: Final = 100_000  # what follows is not read; Comprehend itself refuses texts over 100 KB
MAX_WORDS: Final = 5  # a longer run is a list or another language rather than a phrase
MAX_WORD_CHARACTERS: Final = 40  # a longer "word" is an identifier, encoded data or a script without spaces


class KeyPhrase(TypedDict):
    """One occurrence of a phrase, as in a response of DetectKeyPhrases."""

    Text: str
    BeginOffset: int
    EndOffset: int
    Score: float


# The kinds of words.
BREAK, WEAK, GENERIC, NUMBER, LETTER, PARTICIPLE, GERUND, ADJECTIVE, NOUN = range(9)
NOT_FIRST: Final = frozenset({WEAK, NUMBER, LETTER})
NOT_LAST: Final = frozenset({WEAK, LETTER, PARTICIPLE})


KINDS: Final[dict[str, int]] = (
    dict.fromkeys(OTHER_NOUNS.split(), NOUN)
    | {form: GENERIC for noun in GENERIC_NOUNS.split() for form in (noun, plural(noun))}
    | dict.fromkeys(WEAK_WORDS.split(), WEAK)
    | {form: BREAK for verb in VERBS.split() for form in forms(verb)}
    | dict.fromkeys((FUNCTION_WORDS + IRREGULAR_VERBS).split(), BREAK)
    | dict.fromkeys(NOUNS_LIKE_VERBS.split(), GERUND)
)

# Marks belong to the letter before them (café written with U+0301, vowel signs of Indic scripts): \w lacks them.
_MARKS: Final = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff\u0e31-\u0e4e\u0f71-\u0fbc\u200c"
# Repetitions are bounded, so that no text takes more than linear time.
TOKEN: Final = re.compile(
    r"(?:https?://|www\.|\w{1,63}\.\w{2,24}/)\S*"  # a URL
    r"|[\w.+-]{0,64}@[\w.@-]+"  # an e-mail address or an @name
    r"|&\#?\w{1,10};"  # an HTML entity
    r"|[\d\#*]\ufe0f?\u20e3"  # a keycap emoji
    rf"|([^\W_][\w{_MARKS}]*(?:(?:['’._-]|&(?!\w{{1,10}};))[^\W_][\w{_MARKS}]*)*(?:\+\+|\#(?!\w))?)",  # a word
    re.IGNORECASE,
)
SENTENCE_END: Final = frozenset('.!?:\n"“')
CONTRACTION: Final = ("n't", "'m", "'re", "'ve", "'ll", "'d")
ADJECTIVE_ENDINGS: Final = ("al", "ive", "ous", "ic", "able", "ible", "ary", "ful", "less", "ent", "ant")
STRETCHED: Final = re.compile(r"(.)\1{2,}")


class Word(NamedTuple):
    """A word of a text: where it stands (code points), its kind, if it looks like a name, its form in lower case."""

    begin: int
    end: int
    kind: int
    capital: bool  # one after its first letter, or a first one that does not begin a sentence
    lower: str


class Phrase(NamedTuple):
    """An occurrence of a phrase: text[begin:end]; its name is the same for singular and plural."""

    name: str
    begin: int
    end: int
    words: list[Word]


class Features(NamedTuple):
    """What the score of a phrase is made from; the fields of WEIGHTS are what each counts (log odds)."""

    words_1: float  # the number of words, one-hot
    words_2: float
    words_3: float
    words_4: float
    words_5: float
    frequency: float  # log of how often it occurs, singular or plural
    position: float  # log(1 + characters before its first occurrence / 100)
    word_length: float  # mean length of its words, in tens of characters (with a space)
    capital: float  # a word looks like a name or an acronym
    generic_last: float  # of several words, the last is a generic noun
    gerund_first: float  # of several words, the first ends in -ing
    adjective_last: float  # the last word looks like an adjective
    number: float  # it has a number or a single letter


# Found by `python -m udfs.evaluate_key_phrases --fit` on the even half of Inspec, but for `capital`: abstracts have few
# names, posts are about them. 0.8 leaves F1 on Inspec as it is and puts names before other words of posts.
WEIGHTS: Final = Features(
    words_1=-2.78,
    words_2=-0.96,
    words_3=-0.73,
    words_4=-1.23,
    words_5=-1.86,
    frequency=0.69,
    position=-0.42,
    word_length=1.18,
    capital=0.8,
    generic_last=-0.73,
    gerund_first=-0.63,
    adjective_last=-1.2,
    number=-2.05,
)


def key_phrases(text: object) -> list[KeyPhrase]:
    """The key phrases of a text: every occurrence, in order, with offsets in code points and a score in (0, 1).

    Never raises: what is no string, or has no words, gives an empty list. Only the first MAX_CHARACTERS are read.
    """
    if not isinstance(text, str):
        return []
    phrases = phrases_of(text)
    scores = {name: _score(features) for name, features in features_of(phrases).items()}
    return [
        {"Text": text[begin:end], "BeginOffset": begin, "EndOffset": end, "Score": scores[name]}
        for name, begin, end, _words in phrases
    ]


def phrases_of(text: str) -> list[Phrase]:
    """The candidates: runs of words that say something, without weak words at their ends."""
    phrases = []
    for run in _runs(text[:MAX_CHARACTERS]):
        first, last = 0, len(run)
        while first < last and run[first].kind in NOT_FIRST:
            first += 1
        while first < last and run[last - 1].kind in NOT_LAST:
            last -= 1
        words = run[first:last]
        if len(words) <= MAX_WORDS and any(word.kind not in (GENERIC, NUMBER) for word in words):
            name = " ".join([_singular(word.lower) for word in words])
            phrases.append(Phrase(name, words[0].begin, words[-1].end, words))
    return phrases


def features_of(phrases: list[Phrase]) -> dict[str, Features]:
    """The features of each distinct phrase, by name."""
    occurrences = Counter([phrase.name for phrase in phrases])
    features: dict[str, Features] = {}
    for name, begin, _end, words in phrases:
        if name in features:
            continue
        count, first, last = len(words), words[0].kind, words[-1].kind
        several = count > 1
        features[name] = Features(
            count == 1,
            count == 2,
            count == 3,
            count == 4,
            count == 5,
            math.log(occurrences[name]),
            math.log1p(begin / 100),
            (len(name) + 1) / count / 10,
            any(word.capital for word in words),
            several and last == GENERIC,
            several and first == GERUND,
            last == ADJECTIVE,
            any(word.kind in (NUMBER, LETTER) for word in words),
        )
    return features


def _score(features: Features) -> float:
    """The logistic function of the weighted sum."""
    return 1 / (1 + math.exp(-sum(map(mul, WEIGHTS, features))))


def _runs(text: str) -> Iterator[list[Word]]:
    """Words with nothing but spaces between them and no word that ends a phrase."""
    run: list[Word] = []
    end = 0
    for token in TOKEN.finditer(text):
        begin = token.start()
        between = text[end:begin]
        if run and between != " " and (not between.isspace() or "\n" in between):
            yield run
            run = []
        end = token.end()
        written = token[1]
        kind = BREAK if written is None or end - begin > MAX_WORD_CHARACTERS else _kind(lower := written.lower())
        if kind != BREAK:
            inside = begin > 0 and SENTENCE_END.isdisjoint(between)
            capital = written != lower and (inside or written[1:] != lower[1:])
            run.append(Word(begin, end, kind, capital, lower))
        elif run:
            yield run
            run = []
    if run:
        yield run


@lru_cache(maxsize=1 << 15)
def _kind(word: str) -> int:
    """The kind of a word in lower case: from the lists, else from its form."""
    word = word.replace("’", "'")
    if "'" in word:
        if word.endswith(CONTRACTION):
            return BREAK
        word = word.removesuffix("'s")
    known = KINDS.get(word)
    if known is None and STRETCHED.search(word):  # "sooo", "goood"
        known = KINDS.get(STRETCHED.sub(r"\1", word), KINDS.get(STRETCHED.sub(r"\1\1", word)))
    if known is not None:
        return known
    if word.endswith("ly") and len(word) > 4:
        return BREAK
    if word[0].isdigit():
        return NUMBER
    if len(word) == 1:
        return LETTER
    if word.endswith("ed") and len(word) > 4:
        return PARTICIPLE
    if word.endswith("ing") and len(word) > 5:
        return GERUND
    return ADJECTIVE if word.endswith(ADJECTIVE_ENDINGS) and len(word) > 5 and not word.endswith("ment") else NOUN


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


# ARRAY<ROW<…>> would be the natural type, but PyFlink 2.3 has no Arrow type for an array of rows ("ROW is not supported
# to be used as the element type of ArrayType") and its worker dies of it; a row of arrays of one length is the nearest.
# A null text has null arrays. PyFlink's collect() cannot read a null array inside a row: there, select the fields.
COLUMNS: Final[dict[str, Literal["Text", "BeginOffset", "EndOffset", "Score"]]] = {
    "text": "Text",
    "begin_offset": "BeginOffset",
    "end_offset": "EndOffset",
    "score": "Score",
}


def key_phrase_columns(texts: pd.Series[str]) -> pd.DataFrame:
    """The key phrases of a batch of texts: a row a text, an array a column of COLUMNS; null arrays for a null text."""
    found = [None if text is None else key_phrases(text) for text in texts]
    return pd.DataFrame(
        {
            column: [None if phrases is None else [phrase[field] for phrase in phrases] for phrases in found]
            for column, field in COLUMNS.items()
        }
    )


key_phrases_udf = udf(
    key_phrase_columns,
    result_type=DataTypes.ROW(
        [
            DataTypes.FIELD("text", DataTypes.ARRAY(DataTypes.STRING())),
            DataTypes.FIELD("begin_offset", DataTypes.ARRAY(DataTypes.INT())),
            DataTypes.FIELD("end_offset", DataTypes.ARRAY(DataTypes.INT())),
            DataTypes.FIELD("score", DataTypes.ARRAY(DataTypes.DOUBLE())),
        ]
    ),
    func_type="pandas",
)
