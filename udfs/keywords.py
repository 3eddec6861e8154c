"""keywords(words)(text, language): which words of a list a text has, by theme, as whole words, and if they are denied.

`config/keywords.yaml` is the list, and says at its top what an entry means. How a text is matched:

- Words are compared, never parts of words: "skill" has no "kill". Upper and lower case, full-width and other
  compatibility forms (NFKC) are one; characters without a width are dropped. Words under `words:` and `unless:` match
  by their Snowball stem ("guns" is "gun"), those under `exact:` only as they are written.
- A hashtag's words are words: #GunControl is "gun control", by its capitals and underscores; #gunsense is one word. A
  phrase may also be written together: #guncontrol, guncontrol. Addresses and @names have no words.
- The English list is always looked at, since a short caption's language is often found wrongly, and that of the text's
  language beside it. Words that are something else there ("war" in German) stand under that language's `unless:`.
- Where phrases of one theme overlap, the one that begins first counts, then the longest; `unless:` before others.
- Negated, as VADER has it (Hutto and Gilbert, 2014): a negation among the three words before, in the same sentence and
  after any "but"; "anti-", "non-" directly before; "-free" directly after. What is denied later on ("guns? no thanks")
  or by its sense ("stop drinking") is not seen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd
import snowballstemmer
from pyflink.table import DataTypes, Expression
from pyflink.table.udf import ScalarFunction, udf

from config import read_yaml

MAX_CHARACTERS: Final = 10_000  # what follows is not read; Instagram's captions have 2,200 at most
MAX_WORDS: Final = 8  # of an entry
NEGATION_WORDS: Final = 3
DEFAULT: Final = "config/keywords.yaml"

# Snowball's stemmers by ISO 639-1 code; the Serbian one is made for Latin letters too.
STEMMERS: Final = {
    **{"ar": "arabic", "bs": "serbian", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek"},
    **{"en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian"},
    **{"fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hr": "serbian", "hu": "hungarian"},
    **{"hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch"},
    **{"no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian"},
    **{"sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish"},
}


class Negation(NamedTuple):
    """A language's words of negation."""

    words: frozenset[str]
    before: frozenset[str]  # a negation directly before one of these is none: "not only", "can't wait"
    but: frozenset[str]  # words that a negation does not reach across


def _negation(words: str, before: str, but: str) -> Negation:
    return Negation(frozenset(words.split()), frozenset(before.split()), frozenset(but.split()))


# English words in n't are negations too.
NEGATIONS: Final = {
    "en": _negation(
        "not no never without against none nor neither cannot cant dont wont didnt doesnt isnt arent wasnt werent"
        " havent hasnt hadnt wouldnt couldnt shouldnt aint nobody",
        "only just merely simply doubt wonder matter problem worries joke wait stop resist forget miss mind without"
        " surprise",
        "but however yet",
    ),
    "de": _negation(
        "nicht kein keine keinen keinem keiner keines nie niemals ohne gegen weder",
        "nur ohne",
        "aber sondern doch",
    ),
    "es": _negation("no nunca jamás sin contra ni tampoco ningún ninguna", "solo sólo solamente sin", "pero sino"),
    "fr": _negation("pas jamais sans contre ni aucun aucune non", "seulement que sans", "mais"),
    "it": _negation("non mai senza contro né nessun nessuna nessuno", "solo soltanto senza", "ma però bensì"),
    "pt": _negation("não nunca jamais sem contra nem nenhum nenhuma", "só somente apenas sem", "mas porém"),
}
FREE: Final = frozenset({"of", "from"})  # "free of", "free from"
ATTACHED: Final = frozenset({"anti", "non"})

END: Final = "."  # stands for what ends a sentence
BREAK: Final = ","  # stands for what ends a phrase


def _class(wanted: Callable[[str], bool]) -> str:
    """The characters of the basic plane that are wanted, as a character class without brackets."""
    return "".join(re.escape(char) for char in map(chr, range(0x80, 0x10000)) if wanted(char))


# Marks belong to the letter before them (vowel signs of Indic scripts), which \w does not know.
_MARKS: Final = _class(lambda char: unicodedata.category(char) in ("Mn", "Mc"))
_INVISIBLE: Final = re.compile(
    rf"[{_class(lambda char: unicodedata.category(char) == 'Cf')}\u034f\ufe00-\ufe0f\U000e0000-\U000e01ef]+"
)
_ENDS: Final = ".!?;\n…。؟।"
_ADDRESS: Final = re.compile(r"(?:https?://|www\.)\S*|\b\w{1,63}\.\w{2,24}/\S*|[\w.+-]{0,64}@[\w.@-]+", re.IGNORECASE)
_E_MAIL: Final = re.compile(r"[\w.+-]@")
_TOKEN: Final = re.compile(
    rf"@[\w.@-]*|\#?[^\W_][\w{_MARKS}]*(?:'(?i:s|t|re|ve|ll|d|m)(?![^\W_]))?|[{_ENDS}]|[^\w\s@#'‐-]+"
)
_YEAR: Final = re.compile(r"(?<=[^\W\d])(?=(?:19|20)\d\d$)")


class Match(NamedTuple):
    """A keyword of a text, as it is listed; negated: every time that the text has it."""

    theme: str
    keyword: str
    negated: bool


class Pattern(NamedTuple):
    """A phrase to look for: its words as keys (see `_keys`); no keyword: one of `unless:`."""

    keys: tuple[str, ...]
    theme: str
    keyword: str | None


@dataclass(frozen=True, eq=False)  # by identity, as a key of the cache below
class Keywords:
    """A checked list: themes in the order of the file; by language and first key the patterns, longest first."""

    themes: tuple[str, ...]
    patterns: dict[str, dict[str, tuple[Pattern, ...]]]


def find(text: str, keywords: Keywords, language: str | None = None) -> list[Match]:
    """The distinct keywords of a text, in the order in which they first come.

    language: ISO 639-1 code of the text ("pt-BR" is "pt"); None, `und` or one without a list: the English list alone.
    Only the first MAX_CHARACTERS are read. Never raises.
    """
    words = _words(text)
    own = (language or "en").split("-")[0].lower()
    languages = dict.fromkeys((own, "en"))
    candidates: dict[int, list[Pattern]] = {}
    for one in languages:
        if one in keywords.patterns:
            for at, word in enumerate(words):
                for pattern in _beginning(keywords, one, word):
                    if _stands(pattern.keys, words, at, one):
                        candidates.setdefault(at, []).append(pattern)
    if not candidates:
        return []
    found: dict[tuple[str, str], bool] = {}
    taken: dict[str, int] = {}  # by theme: where the last phrase ended
    negations = [NEGATIONS[one] for one in languages if one in NEGATIONS]
    for at in sorted(candidates):
        for pattern in sorted(candidates[at], key=lambda one: (-len(one.keys), one.keyword is not None)):
            if at < taken.get(pattern.theme, 0):
                continue
            end = taken[pattern.theme] = at + len(pattern.keys)
            if pattern.keyword is not None:
                name = pattern.theme, pattern.keyword
                found[name] = found.get(name, True) and _negated(words, at, end, negations)
    return [Match(theme, keyword, negated) for (theme, keyword), negated in found.items()]


def _stands(keys: tuple[str, ...], words: list[str], at: int, language: str) -> bool:
    """If the words from `at` on are those of a pattern; its first one is known to be."""
    return len(words) - at >= len(keys) and all(
        key in _keys(word, language) for key, word in zip(keys[1:], words[at + 1 : at + len(keys)], strict=True)
    )


def _negated(words: list[str], begin: int, end: int, negations: list[Negation]) -> bool:
    """If words[begin:end] are denied by the words around them."""
    if (begin > 0 and words[begin - 1] in ATTACHED) or words[end : end + 1] == ["free"]:
        return True
    left = NEGATION_WORDS
    for at in range(begin - 1, -1, -1):
        word = words[at]
        if word == BREAK:
            continue
        if left == 0 or word == END or any(word in negation.but for negation in negations):
            return False
        left -= 1
        follows = words[at + 1]
        if word == "free" and follows in FREE:
            return True
        undone = any(follows in one.before for one in negations) or (  # "not only"; "not without"
            at > 0 and any(word in one.before for one in negations) and _denies(words[at - 1], negations)
        )
        if _denies(word, negations) and not undone:
            return True
    return False


def _denies(word: str, negations: list[Negation]) -> bool:
    return word.endswith("n't") or any(word in one.words for one in negations)


def _words(text: str) -> list[str]:
    """The words of a text in lower case, with END and BREAK between them."""
    text = text[:MAX_CHARACTERS]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("’", "'")
    # Few captions have an address, and to look for one takes as long as all the rest.
    if "/" in text or "www." in text or ("@" in text and _E_MAIL.search(text)):
        text = _ADDRESS.sub(" , ", text)
    return [word for token in _TOKEN.findall(text) for word in _split(token)]


@lru_cache(maxsize=1 << 16)
def _split(token: str) -> tuple[str, ...]:
    """The words of a token: several only where it has underscores, or is a hashtag with capitals or a year inside."""
    if not (token[0] == "#" or token[0].isalnum()):
        return (END,) if len(token) == 1 and token in _ENDS else (BREAK,)
    parts = [part for part in token.lstrip("#").split("_") if part]
    if token[0] == "#":
        parts = [piece for part in parts for piece in _capitals(part)]
    return tuple(part.casefold().removesuffix("'s") for part in parts)


def _capitals(tag: str) -> Iterator[str]:
    """GunControl2024 is Gun, Control, 2024; NRAMember is NRA, Member; GUNCONTROL is one word."""
    begin = 0
    for at in range(1, len(tag)):
        if tag[at].isupper() and (not tag[at - 1].isupper() or tag[at + 1 : at + 2].islower()):
            yield from _YEAR.split(tag[begin:at])
            begin = at
    yield from _YEAR.split(tag[begin:])


@lru_cache(maxsize=1 << 16)
def _beginning(keywords: Keywords, language: str, word: str) -> tuple[Pattern, ...]:
    """The patterns whose first word a word is; those under `exact:` first."""
    stem, exact = _keys(word, language)
    patterns = keywords.patterns[language]
    return patterns.get(exact, ()) + patterns.get(stem, ())


@lru_cache(maxsize=1 << 16)
def _keys(word: str, language: str) -> tuple[str, str]:
    """What a word is looked up by: its stem, and "=" with the word itself."""
    # A new stemmer each time: it keeps the word that it works on, and a worker may have several threads.
    return snowballstemmer.stemmer(STEMMERS[language]).stemWord(word), "=" + word


def read(path: Path | None = None) -> Keywords:
    """The keywords of a YAML file; None: those of config/keywords.yaml, from a folder or the zip that Flink ships.

    Raises ValueError with a sentence for each wrong entry, which names the file, the theme and the entry.
    """
    name = DEFAULT if path is None else str(path)
    try:
        source = path or files("config").joinpath("keywords.yaml")
        content = read_yaml(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no UTF-8 from byte {error.start} on: save it as UTF-8.") from None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    problems: list[str] = []
    if not isinstance(content, dict) or not content:
        problems.append("it has no themes; begin with one, as in `weapons:`.")
        content = {}
    found: dict[str, dict[str, list[Pattern]]] = {}
    for theme, languages in content.items():
        for language, pattern in _theme(theme, languages, problems):
            found.setdefault(language, {}).setdefault(pattern.keys[0], []).append(pattern)
    if problems:
        raise ValueError("\n".join(f"{name}: {problem}" for problem in problems))
    return Keywords(
        tuple(content),
        {
            language: {key: tuple(sorted(some, key=lambda one: -len(one.keys))) for key, some in patterns.items()}
            for language, patterns in found.items()
        },
    )


SECTIONS: Final = ("words", "exact", "unless")


def _theme(theme: object, languages: object, problems: list[str]) -> Iterator[tuple[str, Pattern]]:
    """The patterns of a theme with their languages; what is wrong is added to problems."""
    if not isinstance(theme, str) or not theme.strip():
        problems.append(f"the theme {theme!r} is no text; put it in quotes.")
        return
    if not isinstance(languages, dict) or not languages:
        problems.append(f"theme {theme} has no languages; write `en:` below it, and `words:` below that.")
        return
    for language, sections in languages.items():
        if language not in STEMMERS:
            problems.append(
                f"theme {theme}: {language!r} is none of the languages {', '.join(STEMMERS)}"
                + (' (write "no" in quotes).' if language is False else ".")
            )
        elif not isinstance(sections, dict) or not sections:
            problems.append(f"theme {theme}, {language}, has no entries; write `words: [...]` below it.")
        else:
            yield from ((language, one) for one in _sections(theme, language, sections, problems))


def _sections(theme: str, language: str, sections: dict[object, object], problems: list[str]) -> Iterator[Pattern]:
    seen: dict[str, str] = {}
    for section, entries in sections.items():
        place = f"theme {theme}, {language}, {section}"
        if section not in SECTIONS:
            problems.append(f"{place}: there is no such part; use {', '.join(SECTIONS)}.")
        elif not isinstance(entries, list):
            problems.append(
                f"{place}: a list is wanted, as in [{entries if isinstance(entries, str) else 'gun, rifle'}]."
            )
        else:
            for entry in entries:
                words = _words(entry) if isinstance(entry, str) else []
                plain = " ".join(words)
                if not isinstance(entry, str):
                    problems.append(f"{place}: the entry {entry!r} is no text; put it in quotes.")
                elif not words or END in words or BREAK in words:
                    problems.append(f"{place}: the entry {entry!r} must be words alone, without punctuation.")
                elif len(words) > MAX_WORDS:
                    problems.append(f"{place}: the entry {entry!r} has more than {MAX_WORDS} words; shorten it.")
                elif plain in seen:
                    problems.append(f"{place}: the entry {entry!r} is there already, under {seen[plain]}; remove one.")
                else:
                    seen[plain] = section
                    keyword = None if section == "unless" else entry.strip()
                    for form in dict.fromkeys((tuple(words), ("".join(words),))):  # a phrase may be written together
                        keys = tuple(_keys(word, language)[section == "exact"] for word in form)
                        yield Pattern(keys, theme, keyword)


def keyword_columns(texts: pd.Series[str], languages: pd.Series[str], words: Keywords) -> pd.DataFrame:
    """The keywords of a batch of texts: a row a text, arrays of one length; null arrays for a null text."""
    found = [
        None if text is None else find(text, words, language)
        for text, language in zip(texts.tolist(), languages.tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            column: [None if matches is None else [match[at] for match in matches] for matches in found]
            for at, column in enumerate(("themes", "words", "negated"))
        }
    )


class KeywordFinder(ScalarFunction):  # type: ignore[misc]
    """The Flink wrapper. The list travels with it, since workers see no settings."""

    def __init__(self, words: Keywords) -> None:
        self._words = words

    def eval(self, texts: pd.Series[str], languages: pd.Series[str]) -> pd.DataFrame:
        return keyword_columns(texts, languages, self._words)


def keywords(words: Keywords) -> Callable[..., Expression]:
    """The function (text, language) -> ROW(themes, words, negated), arrays of one length, for the words of a list."""
    function: Callable[..., Expression] = udf(
        KeywordFinder(words),
        result_type=DataTypes.ROW(
            [
                DataTypes.FIELD("themes", DataTypes.ARRAY(DataTypes.STRING())),
                DataTypes.FIELD("words", DataTypes.ARRAY(DataTypes.STRING())),
                DataTypes.FIELD("negated", DataTypes.ARRAY(DataTypes.BOOLEAN())),
            ]
        ),
        func_type="pandas",
    )
    return function
