"""models/text.py: what is undone to texts, and what is no text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import text

NORMALISED = {
    "Hello WORLD": "hello world",
    "two\nlines\tand\x07 a bell": "two lines and  a bell",
    "see https://example.org/a?b=1 and www.example.org/x.": "see \x01 and \x01",
    "@ann, look": "@ann, look",
    "you &amp; me &lt;3 AT&T;": "you & me <3 at&t;",
    # Full-width, mathematical, small capitals, accents, look-alikes, invisible and combining characters.
    "ｆｕｌｌ ｗｉｄｔｈ": "full width",
    "𝓼𝓬𝓻𝓲𝓹𝓽": "script",
    "ᴄᴀᴘs": "caps",
    "naïve ÉCLAIR ẞ": "naive eclair ss",
    "раураl": "paypal",  # Cyrillic but for its l
    "ПРИВЕТ": "п" + "p" + "и" + "bet",
    "he\u200bll\u00ado": "hello",
    "z\u0351a\u0334lgo": "zalgo",
    "“quoted” — it’s": '"quoted" - it\'s',
    # Digits and signs beside letters.
    "f00l l33t id!ot b@d $illy": "fool leet idiot bad silly",
    "h473 57up1d 1d10t 8u99y": "hate stupid idiot buggy",
    "great! 100% 2026 15 @ann5": "great! 100% 2026 15 @anns",
    # Stretched: three or more of the same.
    "sooooo stupiiid!!!!": "so stupid!",
    "book aaa       b": "book a b",
    # Spaced out: three letters or more.
    "f o o l": "fool",
    "you f.o.o.l!": "you fool!",
    "a b or i am": "a b or i am",
    "plan b - c d e f": "plan b - cdef",
    "日本語": "日本語",
    "👩\u200d👧 ❤\ufe0f": "👩👧 ❤",
}


@pytest.mark.parametrize(("written", "normal"), NORMALISED.items(), ids=[ascii(one) for one in NORMALISED])
def test_what_people_do_to_words_is_undone(written: str, normal: str) -> None:
    assert bytes(text.normalise([written])) == b"\xff" + normal.encode() + b"\xff"


def test_a_batch_is_its_texts_one_by_one() -> None:
    texts = [*NORMALISED, "", " ", *NORMALISED]

    together = bytes(text.normalise(texts))

    assert together == b"\xff" + b"".join(bytes(text.normalise([one]))[1:] for one in texts)


UNSCORED = {
    "null": (None, "no_text"),
    "a number": (3.5, "no_text"),
    "bytes": (b"text", "no_text"),
    "empty": ("", "empty"),
    "white space": (" \n\t\u00a0", "empty"),
    "a megabyte": ("x" * 1_000_000, "too_long"),
    "binary": ("\x00\x01\x89PNG\x1a\x00\x00\x02", "not_text"),
    "binary read as UTF-8": ("\ufffd\ufffd\x13J\ufffd", "not_text"),
    "half characters": ("\ud800\udfff\ud800", "not_text"),
    "one broken character": ("caf\ufffd is open today", None),
    "one control character": ("a bell\x07 in a line of text", None),
    "only an emoji": ("😀", None),
    "only an address": ("https://example.org", None),
    "the longest": ("x" * text.MAX_CHARACTERS, None),
}


@pytest.mark.parametrize(("value", "reason"), UNSCORED.values(), ids=UNSCORED)
def test_what_is_no_text_is_told_with_the_reason(value: object, reason: str | None) -> None:
    assert text.unscored_reason(value) == reason


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(codec=None), max_size=40), max_size=5))
def test_any_texts_stay_apart(texts: list[str]) -> None:
    assert bytes(text.normalise(texts)).count(b"\xff") == len(texts) + 1
