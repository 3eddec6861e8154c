"""The scoring runtime: any texts give scores that are probabilities, the same in a batch as one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import numpy as np
import orjson

from models import features, runtime, text
from models.language import languages
from models.policy import MODELS
from producers import synthetic_posts
from tests.fuzz.mutate import SEPARATOR
from tests.hostile import TEXTS

IS_JSON = False
MOST_BYTES = 8192
LOADED = [runtime.load(name) for name in MODELS]
SCORER = runtime.Scorer(LOADED)


def seeds() -> Iterator[bytes]:
    made = synthetic_posts.events(seed=1, start=datetime(2026, 1, 2, tzinfo=UTC), limit=40, odd=0, abusive=0.3)
    posts = [orjson.loads(post.value)["text"].encode() for post in islice(made, 40)]
    yield SEPARATOR.join(posts[:20])
    yield from posts[20:24]
    yield SEPARATOR.join(one.encode("utf-8", "surrogatepass")[:300] for one in TEXTS)
    yield "f00l f o o l f.o.o.l h473 $illy id!ot so!!! &lt;3 &#x2764; http://a.b www.d 𝖿𝗈𝗈𝗅 ｆｏｏｌ fооl fó̈ol".encode()


def texts_of(data: bytes) -> list[str]:
    """The texts of an input; of bytes that are no UTF-8 surrogates are made, which a text can hold."""
    return [one.decode("utf-8", "surrogateescape") for one in data.split(SEPARATOR)][:50]


def test(data: bytes) -> None:
    texts = texts_of(data)
    assert bytes(text.normalise(texts)).count(text.END) == len(texts) + 1
    found = features.extract(texts)
    assert len(found) == len(found.word_starts) - 1 == len(found.shape) == len(texts)
    assert np.isfinite(found.shape).all()
    assert found.characters.min(initial=0) >= 0
    assert found.characters.max(initial=0) <= features.NOTHING
    assert found.words.min(initial=0) >= 0
    assert found.words.max(initial=0) <= features.NOTHING
    together = SCORER.score(texts)
    for model, scores in zip(LOADED, together, strict=True):
        for label, reason, row in zip(scores.labels, scores.reasons, scores.probabilities, strict=True):
            if reason:
                assert label is None
                assert np.isnan(row).all()
            else:
                assert label in model.labels
                assert ((row >= 0) & (row <= 1)).all()
                assert abs(row.sum() - 1) < 1e-4
    for number, one in enumerate(texts[:3]):
        for scores, alone in zip(together, SCORER.score([one]), strict=True):
            assert scores.labels[number] == alone.labels[0]
            assert scores.probabilities[number].tobytes() == alone.probabilities[0].tobytes()
        if together[0].reasons[number] is None:
            _explained(one)
    for code in languages(texts):
        assert code is None or (code.islower() and 2 <= len(code) <= 3)


def _explained(one: str) -> None:
    """What is said to have decided adds up to what decided."""
    model = LOADED[0]
    label = model.labels[1]
    added = model.contributions(one, label)
    assert all(np.isfinite(value) for value in added.values())
    score = sum(added.values()) + float(model.bias[0])
    probability = float(model.score([one]).probabilities[0, 1])
    assert abs(1 / (1 + np.exp(-score)) - probability) < 1e-3
    for piece, value in model.strongest(one, label, 5):
        assert np.isfinite(value)
        piece.encode()
