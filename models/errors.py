"""`python -m models.errors NAME`: a model's worst mistakes on its held-out texts, with the n-grams that decided them.

The texts are what people wrote; many are abusive.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from models import data, runtime
from models.train import TASKS, read

SHOWN = 8


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 when a data set or the model is missing."""
    parser = argparse.ArgumentParser(prog="python -m models.errors", description=__doc__)
    parser.add_argument("name", choices=list(TASKS), help="the model")
    parser.add_argument("--worst", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("--truth", metavar="CLASS", help="only texts of this class")
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"folder of the data sets (default: {data.folder()})")
    options = parser.parse_args(arguments)
    try:
        model = runtime.load(options.name)
        split = read(TASKS[options.name], options.data)
    except (data.MissingDataError, LookupError) as error:
        print(error.args[0], file=sys.stderr)
        return 2
    scores = model.score(split.held_out_texts)
    truth = np.array([model.labels.index(label) for label in split.held_out_labels])
    # The worst: the least probability of the truth where the answer is another.
    wrong = [
        number
        for number, (answer, label) in enumerate(zip(scores.labels, split.held_out_labels, strict=True))
        if answer not in (None, label) and options.truth in (None, label)
    ]
    wrong.sort(key=lambda number: scores.probabilities[number, truth[number]])
    print(f"{model.version}: {len(wrong):,} mistakes in {len(truth):,} texts")
    for number in wrong[: options.worst]:
        text, answer = split.held_out_texts[number], scores.labels[number]
        probability = scores.probabilities[number, model.labels.index(answer or "")]
        print(
            f"\n{split.held_out_labels[number]} taken for {answer} ({probability:.2f}): {' '.join(text.split())[:300]}"
        )
        added = model.contributions(text, answer or "")
        for piece in sorted(added, key=lambda one: -added[one])[:SHOWN]:
            print(f"    {added[piece]:+.2f}  {piece!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
