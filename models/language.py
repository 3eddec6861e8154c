"""The language of a text (ISO 639-1), by py3langid; `und` (undetermined) where the text is too short to tell.

English is by far the commonest here, so a text that is plainly English by its function words is not asked about:
py3langid takes some 80 µs a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from models import english

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


def language(text: str) -> str:
    """The language of a text; mentions, hashtags, addresses and emoji have none."""
    words = text[:MAX_CHARACTERS].lower().replace("\u2019", "'").split()
    if sum(map(PLAINLY_ENGLISH.__contains__, words)) >= max(2, len(words) / 8):
        return "en"
    if sum(map(COMMON_ENGLISH.__contains__, words)) >= max(3, len(words) / 4):
        return "en"
    plain = _NO_LANGUAGE.sub(" ", text[:MAX_CHARACTERS])[:ENOUGH]
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
