"""Fits the linear models that `models.runtime` scores with: logistic regression on two TF-IDF vectors, calibrated.

Needs scikit-learn and SciPy, so the training environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from models import features, runtime

FOLDS = 3
TIE = 0.003
CHUNK = 5000

Array = NDArray[np.float64]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Linear:
    """A fitted model, in the terms of `models.runtime`."""

    labels: list[str]
    weights: Array
    idf: Array
    shape: Array
    bias: Array
    offsets: Array
    c: float

    def save(self, folder: Path) -> None:
        """Write it for the runtime."""
        runtime.save(
            folder,
            labels=self.labels,
            weights=self.weights,
            idf=self.idf,
            shape=self.shape,
            bias=self.bias,
            offsets=self.offsets,
        )


@dataclass(frozen=True)
class Counts:
    """How often each feature comes in each text, of characters and of words, each (texts, BUCKETS); their shape."""

    characters: csr_matrix
    words: csr_matrix
    shape: NDArray[np.float32]

    def rows(self, chosen: NDArray[np.int64]) -> Counts:
        return Counts(self.characters[chosen], self.words[chosen], self.shape[chosen])

    def idf(self, power: float) -> Array:
        """log((1 + n) / (1 + df)) + 1 of each feature, as scikit-learn has it, to this power."""
        present = csr_matrix(self.characters + self.words)
        frequency = np.bincount(present.indices, minlength=features.BUCKETS)
        idf: Array = (np.log((1 + present.shape[0]) / (1 + frequency)) + 1) ** power
        return idf

    def weighted(self, idf: Array) -> csr_matrix:
        """The two TF-IDF vectors, each of length 1 as the runtime has it, added since they share buckets; the shape."""
        vectors = sum(
            diags(1 / np.sqrt(np.maximum(counts @ np.square(idf), 1e-6))) @ counts @ diags(idf)
            for counts in (self.characters, self.words)
        )
        return hstack([vectors, csr_matrix(self.shape)]).tocsr()


def count(texts: Sequence[str]) -> Counts:
    """The features of the texts, counted."""
    characters, words, shapes = [], [], []
    for begin in range(0, len(texts), CHUNK):
        found = features.extract(texts[begin : begin + CHUNK])
        ends = np.append(found.character_starts[1:], found.characters.shape[1])
        of_text = np.repeat(np.arange(len(found)), ends - found.character_starts)
        characters.append((np.tile(of_text, len(features.SIZES)) + begin, found.characters.ravel()))
        words.append((np.repeat(np.arange(len(found)), np.diff(found.word_starts)) + begin, found.words))
        shapes.append(found.shape)
    return Counts(_counted(characters, len(texts)), _counted(words, len(texts)), np.concatenate(shapes))


def _counted(parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]], texts: int) -> csr_matrix:
    of_text = np.concatenate([part[0] for part in parts])
    buckets = np.concatenate([part[1] for part in parts])
    real = buckets != features.NOTHING
    ones = np.ones(int(real.sum()))
    counted = csr_matrix((ones, (of_text[real], buckets[real])), shape=(texts, features.BUCKETS))
    counted.sum_duplicates()
    return counted


def fit(
    texts: Sequence[str],
    labels: Sequence[str],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    strengths: Sequence[float],
    balanced: bool,
    idf_power: float,
    quality: Callable[[Sequence[str], Sequence[str]], float],
    progress: Progress,
) -> Linear:
    """A model of the texts: `strengths` (inverse regularisation, C) are tried by cross-validation over the groups.

    `balanced` gives all classes the same weight in the loss; `idf_power` says how much a feature's rarity counts.
    `quality(truth, answers)` judges the strengths; the smallest within TIE of the best is taken. Its scores out of fold
    calibrate the model: with s the scores, a*s + b (b one per class) are the logits of least log loss ("vector scaling"
    with one temperature, Guo et al. 2017). The labels stay those before calibration.
    """
    truth = np.asarray(labels)
    codes = np.array([list(classes).index(label) for label in labels])
    counts = count(texts)
    folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(truth, truth, groups))
    tried: list[tuple[float, float, Array]] = []
    designs = [_design(counts, train, held_out, idf_power) for train, held_out in folds]
    for c in strengths:
        scores = np.zeros((len(truth), _columns(classes)))
        for (train, held_out), (learnt, judged) in zip(folds, designs, strict=True):
            model = _regression(c, balanced).fit(learnt, codes[train])
            scores[held_out] = model.decision_function(judged).reshape(len(held_out), -1)
        reached = quality(labels, [classes[answer] for answer in _answers(scores)])
        progress(f"  C = {c:g}: {reached:.4f} by cross-validation")
        tried.append((c, reached, scores))
    best = max(reached for _, reached, _ in tried)
    c, _, scores = next(one for one in sorted(tried, key=itemgetter(0)) if one[1] >= best - TIE)
    temperature, shift = _calibration(scores, codes)
    idf = counts.idf(idf_power)
    progress(f"  training on {len(truth):,} texts with C = {c:g}")
    model = _regression(c, balanced).fit(counts.weighted(idf), codes)
    return Linear(
        labels=list(classes),
        weights=temperature * model.coef_.T[: features.BUCKETS],
        idf=idf,
        shape=temperature * model.coef_.T[features.BUCKETS :],
        bias=temperature * model.intercept_ + shift,
        offsets=np.append(0.0, -shift) if len(classes) == 2 else -shift,
        c=c,
    )


def _design(
    counts: Counts, train: NDArray[np.int64], held_out: NDArray[np.int64], idf_power: float
) -> tuple[csr_matrix, csr_matrix]:
    learnt = counts.rows(train)
    idf = learnt.idf(idf_power)
    return learnt.weighted(idf), counts.rows(held_out).weighted(idf)


def _columns(classes: Sequence[str]) -> int:
    return 1 if len(classes) == 2 else len(classes)


def _regression(c: float, balanced: bool) -> LogisticRegression:
    return LogisticRegression(C=c, class_weight="balanced" if balanced else None, max_iter=500)


def _answers(scores: Array) -> NDArray[np.int64]:
    answers: NDArray[np.int64] = (scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)
    return answers


def _calibration(scores: Array, codes: NDArray[np.int64]) -> tuple[float, Array]:
    """Temperature a and shift b of least log loss of the logits a*scores + b."""
    two = scores.shape[1] == 1

    def loss(parameters: Array) -> float:
        logits = np.exp(parameters[0]) * scores + parameters[1:]
        if two:
            logits = np.column_stack((np.zeros(len(logits)), logits))
        logits = logits - logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(codes)), codes] - np.log(np.exp(logits).sum(axis=1))
        return float(-chosen.mean() + 1e-6 * np.square(parameters[1:]).sum())  # classes' common shift is free

    found = minimize(loss, np.zeros(1 + scores.shape[1]), method="L-BFGS-B")
    return float(np.exp(found.x[0])), found.x[1:]


def folds(labels: Sequence[str], groups: NDArray[np.int64], number: int) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Train and held-out rows of each fold; no group is on both sides."""
    truth = np.asarray(labels)
    yield from StratifiedGroupKFold(number, shuffle=True, random_state=0).split(truth, truth, groups)
