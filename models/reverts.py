"""How likely a Wikipedia revision is to be reverted, by who made it and how much it changed: with numpy alone.

For revisions that Wikimedia has not scored. The model is additive in log odds. Registered accounts and others
(anonymous or temporary) have curves of their own, straight lines between knots and level beyond the outermost ones:

    unregistered: log odds = intercept + size(w)
    registered:   log odds = intercept + trusted + age(ln(1 + seconds since registration)) + size(w)

with w = sign(n) ln(1 + |n|) of the net words n = bytes changed / bytes a word. Each curve is shifted so that 0 is what
to add when its value is unknown; `models/reverts_training.py` says how they are found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = "reverts"
FILE = "curves.json"
FOLDER = resources.files("models") / "weights" / NAME

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Straight lines through (knots, log odds), knots ascending; level beyond them."""

    knots: Array
    log_odds: Array

    def of(self, values: Array) -> Array:
        """What the values add to the log odds; 0 for nan."""
        added: Array = np.interp(values, self.knots, self.log_odds)
        added[np.isnan(values)] = 0
        return added


@dataclass(frozen=True)
class RevertModel:
    """A trained model; `version` is its name and the hash of its file."""

    version: str
    bytes_per_word: float
    unregistered: float
    unregistered_size: Curve
    registered: float
    registered_size: Curve
    trusted: float
    age: Curve

    def score(self, age_seconds: Array, is_registered: Array, is_trusted: Array, bytes_changed: Array) -> Array:
        """The probability that each of n revisions is reverted, (n,); nan where `is_registered` is.

        age_seconds: since registration; nan: unknown. Not looked at where the user is not registered.
        is_registered: 1, or 0 for anonymous and temporary accounts; nan: unknown
        is_trusted: 1 for bots and administrators; nan counts as 0. Not looked at where the user is not registered.
        bytes_changed: length after less length before; nan: unknown
        """
        size = signed_log(bytes_changed / self.bytes_per_word)
        log_odds = np.full(len(size), np.nan)
        others = is_registered == 0
        log_odds[others] = self.unregistered + self.unregistered_size.of(size[others])
        accounts = is_registered == 1
        log_odds[accounts] = (
            self.registered
            + self.trusted * (is_trusted[accounts] == 1)
            + self.age.of(log_age(age_seconds[accounts]))
            + self.registered_size.of(size[accounts])
        )
        probability: Array = 1 / (1 + np.exp(-log_odds))
        return probability


def signed_log(words: Array) -> Array:
    """sign(n) ln(1 + |n|) of the net words n."""
    logarithm: Array = np.copysign(np.log1p(np.abs(words)), words)
    return logarithm


def log_age(seconds: Array) -> Array:
    """ln(1 + seconds) since registration; an edit before it, by clocks that differ, counts as made at once."""
    logarithm: Array = np.log1p(np.maximum(seconds, 0))
    return logarithm


def load(folder: Traversable | Path = FOLDER) -> RevertModel:
    """The model of this repository, or of another folder. Raises LookupError when there is none."""
    file = folder / FILE
    if not file.is_file():
        raise LookupError(f"There is no model of reverts at {file}: train it (python -m models train reverts).")
    content = file.read_bytes()
    values = json.loads(content)
    registered, unregistered = values["registered"], values["unregistered"]
    return RevertModel(
        version=f"{NAME}@{hashlib.sha256(content).hexdigest()[:12]}",
        bytes_per_word=values["bytes_per_word"],
        unregistered=unregistered["intercept"],
        unregistered_size=_size(unregistered),
        registered=registered["intercept"],
        registered_size=_size(registered),
        trusted=registered["trusted"],
        age=Curve(log_age(np.array(registered["age_seconds"], float)), np.array(registered["age_log_odds"], float)),
    )


def _size(values: Mapping[str, Any]) -> Curve:
    return Curve(signed_log(np.array(values["net_words"], float)), np.array(values["net_words_log_odds"], float))
