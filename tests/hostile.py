"""Values that a careless reader of JSON stumbles over, for the property tests and the fuzzer alike."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

# Each as Python's json module writes it; NaN, Infinity and lone surrogates are among what it writes and reads.
VALUES: tuple[object, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, 0.1, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), "", " ", "0", "true", "null", "\0", "\ud800", "\udfff\ud800", "\ufffd", "\u202e", "é",
    "e\u0301", "İ", "ﬃ", "😀", "👩‍👩‍👧‍👦", "a" * 70, "a" * 5000, "1" * 5000,
    "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59.999Z",
    "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59", "+99999-01-01T00:00:00Z", "2026-01-01T00:00:60Z",
    [], {}, [None], [[]], {"": None}, ["a", 1, None, {}], {"a": {"a": {"a": []}}},
)  # fmt: skip

TEXTS = tuple(value for value in VALUES if isinstance(value, str))


def changed(value: Any, chance: Random) -> Any:
    """The value with one thing in it changed: another value, one that is left out, doubled, or in another's place."""
    places = list(_places(value))
    if not places:
        return deepcopy(chance.choice(VALUES))
    inside, key = chance.choice(places)
    what = chance.random()
    if what < 0.5:
        inside[key] = deepcopy(chance.choice(VALUES))
    elif what < 0.7:
        del inside[key]
    elif what < 0.85:
        other, its = chance.choice(places)
        inside[key] = deepcopy(other[its])
    elif isinstance(inside, list):
        inside.insert(chance.randrange(len(inside) + 1), deepcopy(inside[key]))
    else:
        inside[str(key) + chance.choice(("", "_", " ", "\0"))] = deepcopy(inside[key])
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where values stand within a value: each with the object or list around it."""
    waiting = [value]
    while waiting:
        inside = waiting.pop()
        for key in inside if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ():
            yield inside, key
            waiting.append(inside[key])
