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
from stack import layout

Label = Callable[[str], str | None]


def pipelines(names: Iterable[str]) -> dict[str, Any]:
    """scikit-learn's pipelines by model, trained once and kept in .stack/bench.

    Raises data.MissingDataError, and ImportError outside of the training environment.
    """
    import joblib  # type: ignore[import-not-found,unused-ignore]
    import sklearn

    from models import evaluate
    from models.registry import Registry
    from models.train import TASKS, read

    found = {}
    for name in names:
        task = TASKS[name]
        data.require(set(task.sets))
        strength = (Registry().champion(name) or {"reference": {"strength": 0.2}})["reference"]["strength"]
        file = layout.state_dir() / "bench" / f"{name}-{strength:g}-scikit-learn-{sklearn.__version__}.joblib"
        if not file.exists():
            split = read(task)
            trained = evaluate.reference(strength, task.balanced).fit(split.texts, split.labels)
            file.parent.mkdir(parents=True, exist_ok=True)
            joblib.dump(trained, file)
        found[name] = joblib.load(file)
    return found


def scikit_learn(names: Iterable[str]) -> dict[str, Label]:
    """Those pipelines, one text a call. Raises as `pipelines` does."""

    def label(pipeline: Any) -> Label:
        return lambda text: str(pipeline.predict([text])[0])

    return {name: label(pipeline) for name, pipeline in pipelines(names).items()}


def own(names: Iterable[str]) -> dict[str, Label]:
    """The job's own models, one text a call."""

    def label(name: str) -> Label:
        model = load(name)
        return lambda text: model.score([text]).labels[0]

    return {name: label(name) for name in names}
