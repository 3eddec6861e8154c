"""revert_fallback(age_seconds, is_registered, is_trusted, bytes_changed): how likely a revision is to be reverted.

Judged from its performer and the size of the change alone (`models.reverts`), for revisions that Wikimedia has not
scored. A ROW each: `score`, the probability in [0, 1], and `model_version`; both are null where `is_registered` is, as
for a hidden user. The other arguments may be null: an unknown age or size neither raises nor lowers the score, and
`is_trusted` (bot or administrator) counts as false.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyflink.table import DataTypes, Expression
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from models.reverts import RevertModel, load


def score(
    age_seconds: pd.Series[float],
    is_registered: pd.Series[bool],
    is_trusted: pd.Series[bool],
    bytes_changed: pd.Series[int],
    model: RevertModel,
) -> pd.DataFrame:
    """The ROWs of a batch, one a revision."""
    columns = map(_numbers, (age_seconds, is_registered, is_trusted, bytes_changed))
    probabilities = model.score(*columns)
    rows = pd.DataFrame({"score": probabilities, "model_version": model.version}, index=is_registered.index)
    rows["model_version"] = rows["model_version"].where(rows["score"].notna(), None)
    return rows


def _numbers(values: pd.Series[float]) -> NDArray[np.float64]:
    """As numbers, nan for null: Arrow gives booleans among which there are nulls as objects."""
    numbers: NDArray[np.float64] = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


class RevertFallback(ScalarFunction):  # type: ignore[misc]
    """The Flink wrapper: the model is loaded when a task opens, then scores batches."""

    def open(self, function_context: FunctionContext) -> None:
        self._model = load()

    def eval(
        self,
        age_seconds: pd.Series[float],
        is_registered: pd.Series[bool],
        is_trusted: pd.Series[bool],
        bytes_changed: pd.Series[int],
    ) -> pd.DataFrame:
        return score(age_seconds, is_registered, is_trusted, bytes_changed, self._model)


revert_fallback: Callable[..., Expression] = udf(
    RevertFallback(),
    result_type=DataTypes.ROW(
        [DataTypes.FIELD("score", DataTypes.DOUBLE()), DataTypes.FIELD("model_version", DataTypes.STRING())]
    ),
    func_type="pandas",
)
