"""cyberbullying(text), toxicity(text), sentiment(text), removal(text): the scores of one model, one ROW a text.

moderation(text): those of all four, for one normalising and cutting of the text; social(text): those of the first
three.

Every ROW ends with: `language` (ISO 639-1, `und` where it cannot be told), `trained_language` (false: the models have
not learnt this language, so their scores mean little), `model_version`, and `unscored_reason` (see
`models.text.unscored_reason`), which is null where there are scores; where it is not, the scores are null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyflink.table import DataTypes, Expression
from pyflink.table.types import DataType
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from models.language import languages
from models.runtime import Model, Scorer, Scores, load

Columns = dict[str, object]


@dataclass(frozen=True)
class Head:
    """What a ROW tells of one model's scores: the columns with their types, and how they are made."""

    model: str
    types: dict[str, DataType]
    columns: Callable[[Model, Scores], Columns]


def _probability(of: str) -> Callable[[Model, Scores], Columns]:
    return lambda model, scores: {
        "label": scores.labels,
        of: scores.probabilities[:, model.labels.index(of)],
    }


def _cyberbullying(model: Model, scores: Scores) -> Columns:
    """`score`: the probability of the label; `bullying`: of any kind of bullying."""
    none = model.labels.index("not_cyberbullying")
    return {
        "label": scores.labels,
        "score": scores.probabilities[np.arange(len(scores.labels)), _indices(model, scores)],
        "bullying": 1 - scores.probabilities[:, none],
    }


def _indices(model: Model, scores: Scores) -> list[int]:
    number = {label: index for index, label in enumerate(model.labels)}
    return [0 if label is None else number[label] for label in scores.labels]


def sentiment_mean(model: Model, scores: Scores) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The expected sentiment in [-1, 1]: the probability of positive less that of negative."""
    positive, negative = model.labels.index("positive"), model.labels.index("negative")
    mean: np.ndarray[tuple[int], np.dtype[np.float32]] = (
        scores.probabilities[:, positive] - scores.probabilities[:, negative]
    )
    return mean


TEXT, NUMBER = DataTypes.STRING(), DataTypes.DOUBLE()
HEADS = {
    "cyberbullying": Head("cyberbullying", {"label": TEXT, "score": NUMBER, "bullying": NUMBER}, _cyberbullying),
    "toxicity": Head("toxicity", {"label": TEXT, "toxic": NUMBER}, _probability("toxic")),
    "sentiment": Head(
        "sentiment",
        {"label": TEXT, "mean": NUMBER},
        lambda model, scores: {"label": scores.labels, "mean": sentiment_mean(model, scores)},
    ),
    "removal": Head("removal", {"label": TEXT, "removed": NUMBER}, _probability("removed")),
}
LAST = {
    "language": TEXT,
    "trained_language": DataTypes.BOOLEAN(),
    "model_version": TEXT,
    "unscored_reason": TEXT,
}


def score(texts: pd.Series[str], scorer: Scorer, heads: Sequence[Head]) -> pd.DataFrame:
    """The ROWs of a batch, one a text; with several heads each column begins with its head's name."""
    values: list[object] = texts.tolist()
    results = scorer.score(values)
    columns: Columns = {}
    for head, model, scores in zip(heads, scorer.models, results, strict=True):
        prefix = f"{head.model}_" if len(heads) > 1 else ""
        columns |= {prefix + name: column for name, column in head.columns(model, scores).items()}
    found = languages(values)
    trained = set.intersection(*(set(model.languages) for model in scorer.models))
    columns["language"] = found
    columns["trained_language"] = [None if one is None else one in trained for one in found]
    columns["model_version"] = " ".join(model.version for model in scorer.models)
    columns["unscored_reason"] = results[0].reasons
    return pd.DataFrame(columns, index=texts.index)


class Classifier(ScalarFunction):  # type: ignore[misc]
    """The Flink wrapper: the models are loaded when a task opens, then score batches."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def open(self, function_context: FunctionContext) -> None:
        self._scorer = Scorer([load(name) for name in self._names])

    def eval(self, texts: pd.Series[str]) -> pd.DataFrame:
        return score(texts, self._scorer, [HEADS[name] for name in self._names])


def _function(*names: str) -> Callable[..., Expression]:
    fields = {
        (f"{name}_{column}" if len(names) > 1 else column): kind
        for name in names
        for column, kind in HEADS[name].types.items()
    } | LAST
    row = DataTypes.ROW([DataTypes.FIELD(name, kind) for name, kind in fields.items()])
    function: Callable[..., Expression] = udf(Classifier(*names), result_type=row, func_type="pandas")
    return function


cyberbullying = _function("cyberbullying")
toxicity = _function("toxicity")
sentiment = _function("sentiment")
removal = _function("removal")
moderation = _function(*HEADS)
social = _function("cyberbullying", "toxicity", "sentiment")
