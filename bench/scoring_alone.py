"""The scoring of bench/scoring.py without a stream: the same texts, in memory, in batches, in as many processes.

    python -m bench.scoring_alone numpy 100000 2           the four models' own runtime
    python -m bench.scoring_alone scikit-learn 10000 2     four scikit-learn pipelines; in the training environment

It prints the seconds from the first batch to the last; models are loaded or trained before. Exit code 2: a data set is
missing.
"""

from __future__ import annotations

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # before NumPy is loaded

import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from multiprocessing import get_context  # noqa: E402
from random import Random  # noqa: E402
from typing import Any  # noqa: E402

from bench.plain._models import pipelines  # noqa: E402
from models import data  # noqa: E402
from models.english import FUNCTION_WORDS, VERBS  # noqa: E402
from models.runtime import Scorer, load  # noqa: E402

MODELS = ("cyberbullying", "toxicity", "sentiment", "removal")
BATCH = 1000  # as Flink's workers get them
LENGTH = 140

Score = Callable[[Sequence[str]], Any]


def texts(count: int, seed: int = 7) -> list[str]:
    """Texts of English words in no order."""
    chance, words = Random(seed), sorted({*FUNCTION_WORDS.split(), *VERBS.split()})
    return [" ".join(chance.choices(words, k=40))[:LENGTH] for _ in range(count)]


def numpy_score() -> Score:
    """All four models by their own runtime, which makes the features of a text once."""
    return Scorer([load(name) for name in MODELS]).score


def scikit_learn_score() -> Score:
    """Four pipelines one after the other. Raises data.MissingDataError."""
    every = pipelines(MODELS).values()
    return lambda batch: [pipeline.predict(batch) for pipeline in every]


def main() -> int:
    """Returns the exit status."""
    who, count, processes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        score = numpy_score() if who == "numpy" else scikit_learn_score()
    except data.MissingDataError as error:
        print(error, file=sys.stderr)
        return 2
    every = texts(count)
    score(every[:BATCH])
    context = get_context("fork")  # so that each has the models

    def work(part: list[str]) -> None:
        for begin in range(0, len(part), BATCH):
            score(part[begin : begin + BATCH])

    workers = [context.Process(target=work, args=(every[number::processes],)) for number in range(processes)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(time.perf_counter() - began)
    return max(worker.exitcode or 0 for worker in workers)


if __name__ == "__main__":
    sys.exit(main())
