"""A mutation that keeps JSON to be JSON: the fuzzer's own, of bytes, rarely gets past the parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from tests.hostile import changed

SEPARATOR = b"\x1e"  # between the JSON values of one input


def json_mutator(of_bytes: Callable[[bytes, int], bytes]) -> Callable[[bytes, int, int], bytes]:
    """A mutator for atheris: of three inputs it changes two as JSON values, one by `of_bytes(data, most)`."""

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        chance = Random(seed)
        if chance.random() < 1 / 3:
            return of_bytes(data, most)
        values = data.split(SEPARATOR)
        at = chance.randrange(len(values))
        try:
            value = json.loads(values[at])
        except (ValueError, RecursionError):
            return of_bytes(data, most)
        for _ in range(chance.randint(1, 3)):
            value = changed(value, chance)
        values[at] = json.dumps(value).encode()
        if chance.random() < 0.1:
            values.insert(chance.randrange(len(values) + 1), chance.choice(values))
        whole = SEPARATOR.join(values)
        return whole if len(whole) <= most else of_bytes(data, most)

    return mutated
