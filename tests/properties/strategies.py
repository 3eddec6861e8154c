"""What the property tests draw from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from random import Random
from typing import Any

from hypothesis import strategies as st

from producers import synthetic_posts, synthetic_wikimedia
from tests.hostile import TEXTS, VALUES, changed

# Any text, halves of surrogate pairs among it, and the texts that are known to be awkward.
ANY_TEXT = st.one_of(
    st.text(st.characters(codec=None), max_size=60), st.sampled_from(TEXTS), st.text("a.b-0@#!/ é😀\n")
)
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
ANY_JSON = st.recursive(
    st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def spoilt(good: Any) -> st.SearchStrategy[Any]:
    """A value that JSON can hold with one to three things in it changed (tests/hostile.py), or none."""

    def changed_by(chance: Random) -> Any:
        value = json.loads(json.dumps(good))
        for _ in range(chance.randint(0, 3)):
            value = changed(value, chance)
        return value

    return st.builds(changed_by, st.randoms(use_true_random=False))


@cache
def wiki_events() -> tuple[tuple[str, bytes], ...]:
    """A few generated events of every stream, with its name."""

    def told() -> Iterator[tuple[str, bytes]]:
        for stream in synthetic_wikimedia._STREAMS:
            made = synthetic_wikimedia.events([stream], seed=3, start=datetime(2026, 1, 2, tzinfo=UTC), rate=10)
            yield from ((stream, event.value) for event in islice(made, 3))

    return tuple(told())


@cache
def post_texts() -> tuple[str, ...]:
    """Texts of generated posts, a third of them abusive."""
    made = synthetic_posts.events(seed=3, start=datetime(2026, 1, 2, tzinfo=UTC), limit=60, odd=0, abusive=0.3)
    return tuple(json.loads(post.value)["text"] for post in made)
