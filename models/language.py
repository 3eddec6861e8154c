"""The language of a text (ISO 639-1), by py3langid; `und` (undetermined) where the text is too short to tell.

English is by far the commonest here, so a text that is plainly English by its function words is not asked about:
py3langid takes some 80 µs a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models import english

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNDETERMINED = "und"
MIN_LETTERS = 10
MIN_CONFIDENCE = 0.4
MAX_CHARACTERS = 1000  # of a long text the beginning tells
ENOUGH = 150  # characters for py3langid, which takes 0.5 µs for each

# Words that hardly any other language has; two of them, and an eighth of all words, make a text English.
PLAINLY_ENGLISH = frozenset(
    """
    the and of are you your that this it its she they them with for have not but what who which would there their from
    about if my our how when where why could should just don't i'm it's can't you're that's didn't doesn't isn't these
    those than then because into only know like people think want get got some being does did going said say really
    never always someone everyone every any much very too even still back time day make need please thank thanks
    """.split()  # noqa: SIM905
)
# So do three common words, and a quarter of all words; not the short ones, which are words elsewhere too.
COMMON_ENGLISH = frozenset(word for word in english.words() if len(word) > 3) | PLAINLY_ENGLISH
_NO_LANGUAGE = re.compile(r"https?://\S+|[@#]\w+|[^\w\s']|\d")


def counts(text: str) -> tuple[int, int, int]:
    """How many words of a text's beginning are plainly English, how many are common English, and all of them."""
    words = text[:MAX_CHARACTERS].lower().replace("\u2019", "'").split()
    return sum(map(PLAINLY_ENGLISH.__contains__, words)), sum(map(COMMON_ENGLISH.__contains__, words)), len(words)


def counts_of_texts(texts: Sequence[str]) -> list[tuple[int, int, int]]:
    """The `counts` of each text."""
    return [counts(text) for text in texts]


def counts_of_tokens(tokens: Sequence[str]) -> NDArray[np.int32]:
    """(n, 3) the `counts` of texts that are short and, most of them, a single word."""
    joined = "\n".join(tokens)
    if not joined.isascii() or not "".join(tokens).isprintable():  # there may be white space in a token
        return np.array(counts_of_texts(tokens), np.int32)
    lowered = joined.lower().split("\n")
    found = np.ones((len(tokens), 3), np.int32)
    found[:, 0] = [word in PLAINLY_ENGLISH for word in lowered]
    found[:, 1] = [word in COMMON_ENGLISH for word in lowered]
    return found


def is_english(counted: Sequence[int] | NDArray[np.int32]) -> Any:
    """Whether the `counts` of a text, or of each text (3, n), tell English."""
    plain, common, words = counted
    return ((plain >= 2) & (8 * plain >= words)) | ((common >= 3) & (4 * common >= words))


def language(text: str) -> str:
    """The language of a text; mentions, hashtags, addresses and emoji have none."""
    return "en" if is_english(counts(text)) else _asked(text)


def _asked(text: str) -> str:
    plain = _NO_LANGUAGE.sub(" ", text[:MAX_CHARACTERS])[:ENOUGH]
    if sum(map(len, plain.split())) < MIN_LETTERS and plain.isascii():
        return UNDETERMINED
    found: str = _identifier().classify(plain)[0] if not plain.isspace() else UNDETERMINED
    return found


def languages(texts: Sequence[object]) -> list[str | None]:
    """The language of each text; None for what is no text."""
    return [language(text) if isinstance(text, str) and text else None for text in texts]


def languages_by_counts(texts: Sequence[str], counted: NDArray[np.int32]) -> list[str]:
    """The language of each text by its `counts` (n, 3)."""
    english_ones: list[bool] = is_english(counted.T).tolist()
    return ["en" if known else _asked(text) for text, known in zip(texts, english_ones, strict=True)]


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # here: not every job meets other languages

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.min_confidence = MIN_CONFIDENCE
    return identifier
