"""Scores texts with a trained linear model, in batches, with numpy alone.

A model is a table of small integers, (BUCKETS + 1, classes + 1): a row per feature with its weight for each class, the
feature's idf within it, and in the last column idf squared. With c and w the features of a text's characters and words,

    score = sum(weight[c]) / sqrt(sum(idf2[c])) + sum(weight[w]) / sqrt(sum(idf2[w])) + shape @ shape_weights + bias

which is a linear model on two TF-IDF vectors, each of length 1 (counting a repeated feature once for each time), and on
the shape of the text.
The calibration is folded into weights and bias, so probabilities are the softmax of the scores, of the sigmoid for a
model of two classes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import features, text

WEIGHTS = resources.files("models") / "weights"
# Larger batches are cut: what is gathered for so many characters stays in a core's cache (a third faster than 100,000).
CHUNK_CHARACTERS = 16_000

Table = NDArray[np.int8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """The scores of n texts.

    labels: the label of each text, None where it is unscored
    probabilities: (n, classes), in the order of the model's labels; nan where the text is unscored
    reasons: why a text is unscored (see `models.text.unscored_reason`), None where it is scored
    """

    labels: list[str | None]
    probabilities: Floats
    reasons: list[str | None]


@dataclass(frozen=True)
class Model:
    """A trained model.

    labels: its classes, in the order of the columns of probabilities
    table: (BUCKETS + 1, columns + 1); one column for two classes, which tells for the second
    scale: (columns + 1,) what one unit of each of the table's columns is worth
    shape: (SHAPE, columns) weights of the text's shape
    bias: (columns,)
    offsets: (classes,) added to the logarithms of the probabilities before the largest is the label
    languages: those that it was trained on (ISO 639-1)
    """

    name: str
    version: str
    labels: tuple[str, ...]
    table: Table
    scale: Floats
    shape: Floats
    bias: Floats
    offsets: Floats
    languages: tuple[str, ...]

    def score(self, texts: Sequence[object]) -> Scores:
        """Scores a batch; a value that is no text that can be scored is unscored, with the reason."""
        return self._scorer.score(texts)[0]

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer([self])

    def probabilities(self, scores: Floats) -> Floats:
        """(n, classes) of the scores (n, columns)."""
        if len(self.labels) == 2:
            scores = np.concatenate((np.zeros_like(scores), scores), axis=1)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        normal: Floats = raised / raised.sum(axis=1, keepdims=True)
        return normal

    def contributions(self, one: str, label: str) -> dict[str, float]:
        """What each n-gram and word of a text adds to the score of a label, as it is written after normalising; what
        the text's shape adds is told as `(length)`, `(!)` and so on.

        The sum is the score of the label less its bias. In a model of two classes the first label's is the second's,
        negative.
        """
        column, sign = self._column(label)
        pieces = features.pieces(one)
        added: defaultdict[str, float] = defaultdict(float)
        for of_words in (False, True):
            buckets = [bucket for _, bucket, kind in pieces if kind is of_words]
            if buckets:
                rows = self.table[buckets] * self.scale
                values = sign * rows[:, column] / np.sqrt(max(rows[:, -1].sum(), _LEAST))
                for (piece, _, _), value in zip((p for p in pieces if p[2] is of_words), values, strict=True):
                    added[piece] += float(value)
        for name, value in zip(features.SHAPE, features.extract([one]).shape[0] * self.shape[:, column], strict=True):
            added[f"({name})"] = sign * float(value)
        return dict(added)

    def strongest(self, one: str, label: str, most: int) -> list[tuple[str, float]]:
        """The pieces of a text that add most to the score of a label, and how much, the strongest first; no shape.

        As `contributions` tells them, but for some 2 * `most` pieces at the utmost, in a tenth of the time on a long
        text: only these are written out. Pieces of one bucket count as one, the first of them.
        """
        column, sign = self._column(label)
        signs = text.normalise([one])
        shown = bytes(signs).replace(b"\xff", b" ").replace(text.ADDRESS, b"~")
        starts, stops = features.word_edges(signs)
        found = features.extract([one])
        added: defaultdict[str, float] = defaultdict(float)
        for of_words, buckets in ((False, found.characters.ravel()), (True, found.words)):
            at = np.flatnonzero(buckets != features.NOTHING)
            rows = self.table.take(buckets[at], axis=0)
            _, first, kinds = np.unique(buckets[at], return_index=True, return_inverse=True)
            length = np.sqrt(max(rows[:, -1].sum(dtype=np.int64) * self.scale[-1], _LEAST))
            sums = np.bincount(kinds, rows[:, column]) * sign * self.scale[column] / length
            for kind in np.argsort(-sums, kind="stable")[:most]:
                row, place = divmod(int(at[first[kind]]), 2 if of_words else found.characters.shape[1])
                begin, end = (starts[row], stops[row + place]) if of_words else (place, place + features.SIZES[row])
                added[shown[begin:end].decode("utf-8", "replace")] += float(sums[kind])
        return sorted(added.items(), key=lambda item: (-item[1], item[0]))

    def _column(self, label: str) -> tuple[int, float]:
        """The column of the table that tells for a label, and the sign with which it does."""
        column = self.labels.index(label)
        return (0, 1.0 if column else -1.0) if len(self.labels) == 2 else (column, 1.0)


_LEAST = 1e-6


class Scorer:
    """Several models that score the same texts: they are normalised and cut into features once."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = tuple(models)
        tables = [model.table for model in self.models]
        self._table = tables[0] if len(tables) == 1 else np.ascontiguousarray(np.concatenate(tables, axis=1))
        self._ends = np.cumsum([table.shape[1] for table in tables])

    def score(self, texts: Sequence[object]) -> list[Scores]:
        """The scores of each model, in the order of the models."""
        reasons = [text.unscored_reason(value) for value in texts]
        good = [
            value for value, reason in zip(texts, reasons, strict=True) if reason is None and isinstance(value, str)
        ]
        scored = np.array([reason is None for reason in reasons], bool)
        sums = [self._sums(chunk) for chunk in _chunks(good)]
        none = np.empty((0, self._ends[-1]), np.int32)
        characters = np.concatenate([of_chunk[0] for of_chunk in sums] or [none])
        words = np.concatenate([of_chunk[1] for of_chunk in sums] or [none])
        shape = np.concatenate([of_chunk[2] for of_chunk in sums] or [np.empty((0, len(features.SHAPE)), np.float32)])
        results = []
        for model, end in zip(self.models, self._ends, strict=True):
            own = slice(end - model.table.shape[1], end)
            scores = _normal(characters[:, own], model.scale) + _normal(words[:, own], model.scale)
            # One after the other: a matrix product rounds a text's sum differently in batches of other sizes.
            for column, weights in zip(shape.T, model.shape, strict=True):
                scores += column[:, np.newaxis] * weights
            scores += model.bias
            found = model.probabilities(scores)
            chosen = (np.log(np.maximum(found, _LEAST)) + model.offsets).argmax(axis=1)
            probabilities = np.full((len(texts), len(model.labels)), np.nan, np.float32)
            probabilities[scored] = found
            names = iter([model.labels[index] for index in chosen.tolist()])
            labels = [next(names) if reason is None else None for reason in reasons]
            results.append(Scores(labels, probabilities, reasons))
        return results

    def _sums(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
        """Sums of the table's rows over each text's characters and over its words, (n, columns), and its shape."""
        found = features.extract(texts)
        rows = self._table.take(found.characters, axis=0, mode="clip").sum(axis=0, dtype=np.int16)
        characters = np.add.reduceat(rows, found.character_starts, axis=0, dtype=np.int32)
        words = np.zeros_like(characters)
        has_words = found.word_starts[1:] > found.word_starts[:-1]
        if has_words.any():
            rows = self._table.take(found.words, axis=0, mode="clip")
            words[has_words] = np.add.reduceat(rows, found.word_starts[:-1][has_words], axis=0, dtype=np.int32)
        return characters, words, found.shape


def _normal(sums: NDArray[np.int32], scale: Floats) -> Floats:
    """A text's part of the scores by its sums: divided by the length of its TF-IDF vector."""
    scaled = sums * scale
    normal: Floats = scaled[:, :-1] / np.sqrt(np.maximum(scaled[:, -1:], _LEAST))
    return normal


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    begin = characters = 0
    for end, one in enumerate(texts):
        characters += len(one)
        if characters > CHUNK_CHARACTERS and end > begin:
            yield texts[begin:end]
            begin, characters = end, len(one)
    if begin < len(texts):
        yield texts[begin:]


def names(folder: Traversable | Path = WEIGHTS) -> list[str]:
    """The models that there are."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / "model.json").is_file())


def load(name: str, folder: Traversable | Path = WEIGHTS) -> Model:
    """The model of this name. Its version is its name and the hash of its files.

    From a folder the table is mapped, not read; from a zip, as Flink ships code, it is read. Raises LookupError when
    there is no such model, ValueError when its features are not those of this code.
    """
    described, stored = folder / name / "model.json", folder / name / "table.npy"
    if not described.is_file():
        raise LookupError(f"There is no model {name!r}. Models: {', '.join(names(folder)) or 'none'}.")
    description = described.read_bytes()
    content = stored.read_bytes()
    # As a plain array, whose slices and sums are several times faster made than those of np.memmap.
    table = np.asarray(np.load(stored, mmap_mode="r") if isinstance(stored, Path) else np.load(io.BytesIO(content)))
    values = json.loads(description)
    if values["features"] != features.VERSION or table.shape[0] != features.BUCKETS + 1:
        raise ValueError(
            f"The model {name!r} was trained for features {values['features']}, this code has {features.VERSION}: "
            f"train it again (python -m models.train {name})."
        )
    return Model(
        name=name,
        version=f"{name}@{hashlib.sha256(description + content).hexdigest()[:12]}",
        labels=tuple(values["labels"]),
        table=table,
        scale=np.array(values["scale"], np.float32),
        shape=np.array([values["shape"][name] for name in features.SHAPE], np.float32),
        bias=np.array(values["bias"], np.float32),
        offsets=np.array(values["offsets"], np.float32),
        languages=tuple(values["languages"]),
    )


def save(
    folder: Path,
    *,
    labels: Sequence[str],
    weights: NDArray[np.float64],
    idf: NDArray[np.float64],
    shape: NDArray[np.float64],
    bias: NDArray[np.float64],
    offsets: NDArray[np.float64],
    languages: Sequence[str] = ("en",),
) -> None:
    """Write a model: weights (BUCKETS, columns) of features weighted by idf (BUCKETS,), those of the shape
    (SHAPE, columns), bias (columns,).

    The weights are rounded to eight bits, each column by its own scale. The same model gives the same bytes.
    """
    columns = np.column_stack((weights * idf[:, None], np.square(idf)))
    scale = np.maximum(np.abs(columns).max(axis=0), _LEAST) / 127
    table = np.zeros((features.BUCKETS + 1, columns.shape[1]), np.int8)
    table[:-1] = np.rint(columns / scale)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "table.npy", table)
    values = {
        "features": features.VERSION,
        "labels": list(labels),
        "languages": list(languages),
        "scale": [float(value) for value in scale],
        "shape": {name: [float(value) for value in row] for name, row in zip(features.SHAPE, shape, strict=True)},
        "bias": [float(value) for value in bias],
        "offsets": [float(value) for value in offsets],
    }
    (folder / "model.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
