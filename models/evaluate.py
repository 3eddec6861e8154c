"""How good a classifier's answers are: figures of quality, calibration, robustness, and errors on identity terms."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support, recall_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.svm import LinearSVC

BINS = 15
REFERENCE_STRENGTHS = (0.05, 0.1, 0.2, 0.5, 1.0)

Answers = NDArray[np.str_]
Quality = Callable[[Sequence[str], Sequence[str]], float]


def macro_f1(truth: Sequence[str], answers: Sequence[str]) -> float:
    """The mean of the classes' F1."""
    return float(f1_score(truth, answers, average="macro", zero_division=0))


def macro_recall(truth: Sequence[str], answers: Sequence[str]) -> float:
    """The mean of the classes' recall, the figure of SemEval-2017 task 4 A."""
    return float(recall_score(truth, answers, average="macro", zero_division=0))


def figures(truth: Sequence[str], answers: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1, macro-recall; precision, recall, F1 and number of each class; the confusion matrix."""
    per_class = precision_recall_fscore_support(truth, answers, labels=classes, zero_division=0)
    return {
        "texts": len(truth),
        "accuracy": float(np.mean(np.asarray(truth) == np.asarray(answers))),
        "macro_f1": macro_f1(truth, answers),
        "macro_recall": macro_recall(truth, answers),
        "classes": {
            name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "texts": int(support)}
            for name, precision, recall, f1, support in zip(classes, *per_class, strict=True)
        },
        "confusion": confusion_matrix(truth, answers, labels=classes).tolist(),
    }


def reliability(
    truth: Sequence[str], probabilities: NDArray[np.float32], classes: Sequence[str]
) -> tuple[float, list[tuple[float, float, int]]]:
    """The expected calibration error and, per bin that is not empty, mean confidence, accuracy and number of texts.

    ECE = sum over bins of (texts in bin / texts) * |accuracy - mean confidence|, confidence the largest probability, in
    15 bins of equal width (Guo et al. 2017, On Calibration of Modern Neural Networks).
    """
    confidence = probabilities.max(axis=1)
    right = np.asarray(classes)[probabilities.argmax(axis=1)] == np.asarray(truth)
    of_bin = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        (float(confidence[of_bin == one].mean()), float(right[of_bin == one].mean()), int((of_bin == one).sum()))
        for one in np.unique(of_bin)
    ]
    return sum(number / len(right) * abs(accuracy - mean) for mean, accuracy, number in bins), bins


def _of_letters(change: Callable[[str], str], share: float) -> Callable[[str], str]:
    """Changes this share of a text's words; the same words of the same text each time."""

    def changed(one: str) -> str:
        chance = random.Random(one)
        return re.sub(
            r"(?<![@#\w/])[A-Za-z]{3,}", lambda word: change(word[0]) if chance.random() < share else word[0], one
        )

    return changed


_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_HOMOGLYPHS = str.maketrans("aeopcyxiAEOPCXHKMT", "аеорсухіАЕОРСХНКМТ")
# What people do to get past a filter. Each changes every word but `spacing`, which would leave no word in any text.
ATTACKS: dict[str, Callable[[str], str]] = {
    "leetspeak": _of_letters(lambda word: word.translate(_LEET), 1.0),
    "spacing": _of_letters(" ".join, 0.3),
    "stretched letters": _of_letters(lambda word: re.sub(r"([aeiouAEIOU])", r"\1\1\1\1", word), 1.0),
    "homoglyphs": _of_letters(lambda word: word.translate(_HOMOGLYPHS), 1.0),
}

IDENTITY_TERMS = {
    "women": r"wom[ae]n|girls?|female",
    "men": r"m[ae]n|boys?|male",
    "gay, lesbian": r"gays?|lesbians?|lgbt\w*|trans",
    "Muslim": r"muslims?|islam\w*",
    "Christian": r"christians?|christianity",
    "Jewish": r"jew(?:s|ish)?",
    "Black": r"black",
    "white": r"white",
    "Asian": r"asians?|chinese",
    "Mexican, immigrant": r"mexicans?|immigrants?|latin[oa]s?",
    "old, young": r"old|young|teen\w*|kids?",
}


def subgroups(
    texts: Sequence[str], truth: Sequence[str], answers: Sequence[str], harmless: str
) -> dict[str, dict[str, float | None]]:
    """Per identity term: texts with it, and how often harmless ones are held for harmful and harmful for harmless.

    None where there is no such text. `all` tells of all texts.
    """
    is_harmless = np.asarray(truth) == harmless
    taken_harmless = np.asarray(answers) == harmless
    found = {}
    for name, pattern in {"all": "", **IDENTITY_TERMS}.items():
        has = np.array(
            [re.search(rf"\b(?:{pattern})\b" if pattern else "", one, re.IGNORECASE) is not None for one in texts]
        )
        good, bad = has & is_harmless, has & ~is_harmless
        found[name] = {
            "texts": int(has.sum()),
            "false_positive_rate": float((~taken_harmless[good]).mean()) if good.any() else None,
            "false_negative_rate": float(taken_harmless[bad].mean()) if bad.any() else None,
        }
    return found


def reference(strength: float, balanced: bool) -> Pipeline:
    """What one would use instead: scikit-learn's TF-IDF of words and of characters, with a linear SVM."""
    return make_pipeline(
        FeatureUnion(
            [
                ("words", TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode")),
                ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True)),
            ]
        ),
        LinearSVC(C=strength, class_weight="balanced" if balanced else None),
    )


def tuned_reference(
    texts: Sequence[str],
    truth: Sequence[str],
    groups: NDArray[np.int64],
    balanced: bool,
    quality: Quality,
    progress: Callable[[str], None],
) -> Pipeline:
    """The reference, its strength chosen on one grouped fifth of these texts, fitted on all of them."""
    rows, labels = np.asarray(texts, object), np.asarray(truth)
    train, held_out = next(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(rows, labels, groups))
    vectorizer = reference(1.0, balanced).steps[0][1]
    learnt, judged = vectorizer.fit_transform(rows[train]), vectorizer.transform(rows[held_out])
    reached = {}
    for strength in REFERENCE_STRENGTHS:
        svm = reference(strength, balanced).steps[1][1].fit(learnt, labels[train])
        reached[strength] = quality(labels[held_out], svm.predict(judged))
        progress(f"  reference with C = {strength:g}: {reached[strength]:.4f}")
    return reference(max(reached, key=lambda one: reached[one]), balanced).fit(rows, labels)


def rate(answer: Callable[[Sequence[str]], object], texts: Sequence[str], batch: int) -> float:
    """Texts per second that `answer` does, in batches."""
    answer(texts[:batch])
    began = time.perf_counter()
    for begin in range(0, len(texts), batch):
        answer(texts[begin : begin + batch])
    return len(texts) / (time.perf_counter() - began)
