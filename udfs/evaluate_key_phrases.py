"""Judges key_phrases on Inspec: `python -m udfs.evaluate_key_phrases [--data DIR] [--fit]`.

Inspec (Hulth 2003): 1,000 abstracts in English with the phrases that professional indexers gave them; about 40 % of
those do not occur in their abstract, so that no method that extracts can reach a recall of 1. `DIR` is the folder with
`keyphrase/inspec.jsonl` (a line: `{"id", "text", "keys"}`), by default the one that CROWDPULSE_DATA names, else
`../shared/data`.

How it counts. A phrase's form is its words in lower case, split at white space, each stemmed (Porter), joined by a
space. Gold: the set of forms of all of a document's keys, found in the text or not. Answer: the phrases sorted by Score
(ties: the earlier first), those of a form that came before left out, the first 10. A hit is an answer whose form is in
the gold set. With h hits of a answers and g gold forms: P = h/a, R = h/g, F1 = 2h/(a+g).

- macro: P, R and F1 of each document, averaged over documents; **F1@10 macro is the headline**
- micro: from the sums of h, a and g over all documents

Weights and word lists were chosen on the even lines (0, 2, …) and on posts; the odd lines are the judge.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import snowballstemmer

from settings import ROOT
from udfs.key_phrases import WEIGHTS, Features, features_of, key_phrases, phrases_of

TOP = 10
_stem = cache(snowballstemmer.stemmer("porter").stemWord)


class Document(NamedTuple):
    """A text and the forms of its gold phrases."""

    text: str
    gold: frozenset[str]


class Quality(NamedTuple):
    """Precision, recall and F1 at TOP, averaged over documents (macro) and from sums (micro)."""

    documents: int
    macro_precision: float
    macro_recall: float
    macro_f1: float
    micro_precision: float
    micro_recall: float
    micro_f1: float


def form(phrase: str) -> str:
    """What counts as the same phrase: lower case, Porter stems, single spaces."""
    return " ".join(_stem(word) for word in phrase.lower().split())


def read(path: Path) -> list[Document]:
    """The documents of a file of `{"text", "keys"}` lines, in its order."""
    with path.open(encoding="utf-8") as lines:
        return [Document(row["text"], frozenset(map(form, row["keys"]))) for row in map(json.loads, lines)]


def answers(text: str) -> list[str]:
    """The forms of the TOP best phrases of a text."""
    ranked = sorted(key_phrases(text), key=lambda phrase: -phrase["Score"])
    return list(dict.fromkeys(form(phrase["Text"]) for phrase in ranked))[:TOP]


def judge(documents: list[Document]) -> Quality:
    """The quality of key_phrases on documents that each have at least one gold phrase."""
    counts = []
    for document in documents:
        answered = answers(document.text)
        counts.append((len(document.gold.intersection(answered)), len(answered), len(document.gold)))
    hits, found, gold = np.array(counts, float).T
    return Quality(
        len(documents),
        float(np.mean(hits / np.maximum(found, 1))),  # no answer: precision 0
        float(np.mean(hits / gold)),
        float(np.mean(2 * hits / (found + gold))),
        float(hits.sum() / max(found.sum(), 1)),
        float(hits.sum() / gold.sum()),
        float(2 * hits.sum() / (found.sum() + gold.sum())),
    )


def fit(documents: list[Document], penalty: float = 1.0) -> Features:
    """The weights of a logistic regression (Newton's method, L2 penalty), `capital` given: is a candidate gold?"""
    rows, labels = [], []
    for text, gold in documents:
        phrases = phrases_of(text)
        written = {phrase.name: text[phrase.begin : phrase.end] for phrase in reversed(phrases)}
        for name, features in features_of(phrases).items():
            rows.append(features)
            labels.append(form(written[name]) in gold)
    given = Features._fields.index("capital")
    everything, y = np.array(rows, float), np.array(labels, float)
    x, offset = np.delete(everything, given, axis=1), everything[:, given] * WEIGHTS.capital
    weights = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-x @ weights - offset))
        curvature = (x.T * (p * (1 - p))) @ x + penalty * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, x.T @ (p - y) + penalty * weights)
    return Features(*(round(float(weight), 2) for weight in np.insert(weights, given, WEIGHTS.capital)))


def main() -> None:
    """Prints the quality on all documents and on both halves; with --fit, weights fitted to the even half."""
    parser = argparse.ArgumentParser(description="Judge key_phrases on Inspec.")
    default = Path(os.environ.get("CROWDPULSE_DATA") or ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help=f"folder with keyphrase/ (default: {default})")
    parser.add_argument("--fit", action="store_true", help="print weights fitted to the even lines instead")
    arguments = parser.parse_args()
    path = arguments.data / "keyphrase" / "inspec.jsonl"
    if not path.is_file():
        sys.exit(f"{path} is missing. Put Inspec there as lines of id, text and keys, or name its folder with --data.")
    documents = read(path)
    if arguments.fit:
        print(fit(documents[::2]))
        return
    print(f"{'':24}{'documents':>9}  {'macro P':>8}{'R':>7}{'F1@10':>7}  {'micro P':>8}{'R':>7}{'F1@10':>7}")
    parts = {"all": documents, "even lines (tuned on)": documents[::2], "odd lines (held out)": documents[1::2]}
    for name, part in parts.items():
        quality = judge(part)
        macro = f"{quality.macro_precision:8.3f}{quality.macro_recall:7.3f}{quality.macro_f1:7.3f}"
        micro = f"{quality.micro_precision:8.3f}{quality.micro_recall:7.3f}{quality.micro_f1:7.3f}"
        print(f"{name:24}{quality.documents:9}  {macro}  {micro}")


if __name__ == "__main__":
    main()
