"""The language of a text (ISO 639-1), by py3langid; `und` (undetermined) where the text is too short to tell.

English is by far the commonest here, so a text that is plainly English by its function words is not asked about:
py3langid takes some 80 µs a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

UNDETERMINED = "und"
MIN_LETTERS = 10
MIN_CONFIDENCE = 0.4
MAX_CHARACTERS = 2000  # of a long text the beginning tells

# Words that few other languages have; at least two, and a sixth of all words, make a text English.
ENGLISH = frozenset(
    """
    the and of to is are was were you your that this it its he she they them with for have has had not but what who
    which would there their from been about if my we our how when where why will can could should just don't i'm it's
    can't you're that's didn't doesn't isn't these those than then because into only over out up know like think want
    get got some more his her him us being does did going said say good right really never always people someone
    everyone every any much very too also even still back time day make need please thank thanks
    """.split()  # noqa: SIM905
)
_NO_LANGUAGE = re.compile(r"https?://\S+|[@#]\w+|[^\w\s']|\d")


def language(text: str) -> str:
    """The language of a text; mentions, hashtags, addresses and emoji have none."""
    text = text[:MAX_CHARACTERS]
    words = text.lower().replace("\u2019", "'").split()
    if sum(map(ENGLISH.__contains__, words)) >= max(2, len(words) / 6):
        return "en"
    plain = _NO_LANGUAGE.sub(" ", text)
    if sum(map(len, plain.split())) < MIN_LETTERS and plain.isascii():
        return UNDETERMINED
    found: str = _identifier().classify(plain)[0] if not plain.isspace() else UNDETERMINED
    return found


def languages(texts: Sequence[object]) -> list[str | None]:
    """The language of each text; None for what is no text."""
    return [language(text) if isinstance(text, str) and text else None for text in texts]


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.min_confidence = MIN_CONFIDENCE
    return identifier
