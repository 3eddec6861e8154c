"""Texts per second of the models, against scikit-learn's pipeline that learnt the same and against VADER, text by text.

Runs in the training environment, on one core, in memory. Texts are the first 140 characters of texts that have as many.
"""

from __future__ import annotations

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"  # before NumPy is loaded

import sys  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: E402

from models import data, evaluate  # noqa: E402
from models.registry import Registry  # noqa: E402
from models.runtime import Scorer, load, names  # noqa: E402
from models.train import TASKS, read  # noqa: E402

LENGTH = 140
BATCHES = {1000: 20_000, 100: 10_000, 1: 2000}  # and how many texts are timed

Answer = Callable[[Sequence[str]], object]


def main() -> int:
    """Measure and print. Returns 0, also where there are no data sets to measure with."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        posts = [text[:LENGTH] for text in data.read("cyberbullying").texts if len(text) >= LENGTH]
        data.require({name for task in TASKS.values() for name in (task.data, task.held_out) if name})
    except data.MissingDataError as error:
        console.print(f"The models' speed is measured on their data sets.\n{error}", highlight=False)
        return 0
    table = Table("texts/s", *(f"batches of {batch:,}" for batch in BATCHES), "÷ reference", title="Models, one core")
    for column in table.columns[1:]:
        column.justify = "right"

    def row(name: str, answer: Answer, reference: list[float] | None = None) -> list[float]:
        rates = [evaluate.rate(answer, posts[:number], batch) for batch, number in BATCHES.items()]
        ratios = [f"{rate / other:.0f}" for rate, other in zip(rates, reference or [], strict=bool(reference))]
        table.add_row(name, *(f"{rate:,.0f}" for rate in rates), " / ".join(ratios))
        return rates

    for name in names():
        console.print(f"{name}: training the reference …")
        task, split = TASKS[name], read(TASKS[name])
        strength = (Registry().champion(name) or {"reference": {"strength": 0.2}})["reference"]["strength"]
        pipeline = evaluate.reference(strength, task.balanced).fit(split.texts, split.labels)
        reference = row(f"{name}: scikit-learn (reference)", pipeline.predict)
        row(name, load(name).score, reference)
    vader = SentimentIntensityAnalyzer()
    reference = row("sentiment: VADER, text by text", lambda texts: [vader.polarity_scores(text) for text in texts])
    row("moderation: all four models", Scorer([load(name) for name in names()]).score, reference)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
