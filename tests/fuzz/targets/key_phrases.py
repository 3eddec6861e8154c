"""Key phrases: where they stand is where they are, in order and apart from each other; with or without what follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import orjson

from producers import synthetic_posts
from tests.hostile import TEXTS
from udfs.key_phrases import MAX_WORD_CHARACTERS, MAX_WORDS, key_phrases

IS_JSON = False
MOST_BYTES = 20_000


def seeds() -> Iterator[bytes]:
    made = synthetic_posts.events(seed=2, start=datetime(2026, 1, 2, tzinfo=UTC), limit=10, odd=0)
    yield from (orjson.loads(post.value)["text"].encode() for post in islice(made, 10))
    yield "\n".join(TEXTS).encode("utf-8", "surrogatepass")
    yield "C++ and C# code for node.js at AT&T. Côte d'Ivoire’s #solar_power, t.co/AbC a@b.c &amp; 1️⃣ हिन्दी".encode()
    yield b"a." * 2000 + b"&" * 2000 + b"-" * 2000 + b"@a" * 2000


def test(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    found = key_phrases(text)
    end = 0
    scores: dict[str, float] = {}
    for phrase in found:
        begin = phrase["BeginOffset"]
        assert end <= begin < phrase["EndOffset"]
        end = phrase["EndOffset"]
        written = text[begin:end]
        assert phrase["Text"] == written
        assert "\n" not in written
        assert written == written.strip()
        words = written.split()
        assert 1 <= len(words) <= MAX_WORDS
        assert all(len(word) <= MAX_WORD_CHARACTERS for word in words)
        assert 0 < phrase["Score"] < 1
        assert scores.setdefault(written, phrase["Score"]) == phrase["Score"]
    assert key_phrases(text) == found
