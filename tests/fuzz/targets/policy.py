"""What says what is allowed: policies, keywords, weights of a score, API keys. Refused by a sentence, or usable."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np

from models.policy import REASONS, Policy
from services.moderation.access import Keys, KeysError
from udfs import background, keywords

IS_JSON = True
MOST_BYTES = 4096
FILE = Path(tempfile.mkdtemp(prefix="crowdpulse-fuzz-")) / "given.yaml"


def seeds() -> Iterator[bytes]:
    room = {"classes": {"toxic": {"flag": 0.5}, "age": None}, "spam": {"copies": 3, "decision": "hold"}}
    policy = {
        "version": "1.0.0", "unscored": "hold", "classes": {"toxic": {"flag": 0.7, "hold": 0.9}},
        "flood": {"messages": 8, "decision": "flag"}, "strikes": {"flag": 1, "hold": 2, "warn_at": 2, "mute_at": 4},
        "rooms": {"kids": room, "games": {}},
    }  # fmt: skip
    yield json.dumps(policy).encode()
    yield b'version: "1"\nclasses:\n  toxic: {flag: 0.5}\nrooms:\n  kids:\n    unscored: hold\n'
    yield b"a: &x [1, 2]\nb: *x\n? {c: d}\n: !!binary aGk=\n<<: {d: 2026-01-01}\n"
    yield b"weapons:\n  en:\n    words: [gun, machine gun]\n    exact: [AK]\n    unless: [a b]\n  de: {exact: [a]}\n"
    yield resources.files("config").joinpath("background_score.yaml").read_bytes()
    yield b"ann:a-key-of-anns,mod:a-key-of-mods:moderator"


def test(data: bytes) -> None:
    text = data.decode(errors="replace")
    _policy(text)
    FILE.write_bytes(data)
    try:
        found = keywords.read(FILE)
    except ValueError as error:
        assert str(error).startswith(str(FILE))
    else:
        assert found.themes
        keywords.find("no gun, machine guns and Waffen", found, "de")
    try:
        weights = background.read_weights(FILE)
    except ValueError as error:
        assert str(FILE) in str(error)
    else:
        assert set(weights.parts) == set(background.PARTS)
    try:
        Keys(text)
    except KeysError as error:
        assert str(error)


def _policy(text: str) -> None:
    try:
        policy = Policy.parse(text)
    except ValueError as error:
        assert str(error).startswith("The policy ")
        str(error).encode()
        return
    again = Policy.parse(policy.to_json())
    assert again == policy
    assert again.to_json() == policy.to_json()
    for room in (policy.base, *policy.rooms.values()):
        assert room.thresholds.shape == (2, len(REASONS))
        assert not np.isnan(room.thresholds).any()
        assert 0 < room.strikes.warn_at <= room.strikes.mute_at
