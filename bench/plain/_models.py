"""The models of the loops, asked for one text at a time.

In the training environment, with its data sets, they are scikit-learn pipelines: TF-IDF of words and of characters with
a linear SVM, the reference that the models' cards are judged beside, trained on all of the training data with the
strength that was best for them. Elsewhere they are the job's own models, whose features are made in far fewer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from models import data
from models.runtime import load

Label = Callable[[str], str | None]


def scikit_learn(names: Iterable[str]) -> dict[str, Label]:
    """Pipelines by model. Raises data.MissingDataError, and ImportError outside of the training environment."""
    from models import evaluate
    from models.registry import Registry
    from models.train import TASKS, read

    names = list(names)
    data.require({one for name in names for one in TASKS[name].sets})

    def label(name: str) -> Label:
        task, split = TASKS[name], read(TASKS[name])
        strength = (Registry().champion(name) or {"reference": {"strength": 0.2}})["reference"]["strength"]
        pipeline: Any = evaluate.reference(strength, task.balanced).fit(split.texts, split.labels)
        return lambda text: str(pipeline.predict([text])[0])

    return {name: label(name) for name in names}


def own(names: Iterable[str]) -> dict[str, Label]:
    """The job's own models, one text a call."""

    def label(name: str) -> Label:
        model = load(name)
        return lambda text: model.score([text]).labels[0]

    return {name: label(name) for name in names}
