"""models/language.py: the language of posts."""

from __future__ import annotations

import pytest

from models.language import language, languages

LANGUAGES = {
    "what do you think of the new song": "en",
    "great game tonight guys": "en",
    "I don’t know what to say about this": "en",
    "Je pense que c'est une très bonne idée": "fr",
    "Das ist doch nicht zu glauben, oder?": "de",
    "Dat is wat we over het weer van morgen horen": "nl",
    "Esto no me gusta nada, amigo": "es",
    "Bu çok güzel bir gün": "tr",
    "Я не знаю, что сказать": "ru",
    "これはペンです": "ja",
    # Nothing to tell it by.
    "ok": "und",
    "lol u r dumb": "und",
    "😀😀😀": "und",
    "@ann https://example.org/le-chat-est-la #bonjour": "und",
}


@pytest.mark.parametrize(("text", "expected"), LANGUAGES.items())
def test_the_language_of_a_text(text: str, expected: str) -> None:
    assert language(text) == expected


def test_what_is_no_text_has_no_language() -> None:
    assert languages(["what do you think", None, "", 3]) == ["en", None, None, None]


def test_a_long_text_is_told_by_its_beginning() -> None:
    assert language("Das ist doch nicht zu glauben. " * 100_000) == "de"
