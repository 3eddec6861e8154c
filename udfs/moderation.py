"""judge(text, room, copies, burst, policy, shadow_policy): what is decided of a chat message, and why, one ROW a text.

copies, burst: how many copies of the message, and messages in all, its user has sent of late, itself included; null: 1.
policy: the policy in force, as JSON; null: the one that the function was made with. shadow_policy: the one that runs
beside it, null for none. With a shadow policy or a challenger of the models the `shadow_` fields tell what would have
been decided with these; else they are null.

The ROW: `decision` (allow, flag, hold, unscored), `reasons`, `ngrams`; the probabilities `toxic`, `removed` and
`bullying`, the label `cyberbullying` and the mean `sentiment` in [-1, 1], all null where there is an
`unscored_reason`; `language`; `strike_points`, `warn_at` and `mute_at` (all times 1000) and `mute_minutes` of the
policy; and the versions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from pyflink.table import DataTypes, Expression
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from models.policy import Judgement, Moderator, Policy

TEXT, NUMBER, COUNT = DataTypes.STRING(), DataTypes.DOUBLE(), DataTypes.BIGINT()
FIELDS = {
    "decision": TEXT,
    "reasons": DataTypes.ARRAY(TEXT),
    "ngrams": DataTypes.ARRAY(TEXT),
    "toxic": NUMBER,
    "removed": NUMBER,
    "bullying": NUMBER,
    "cyberbullying": TEXT,
    "sentiment": NUMBER,
    "language": TEXT,
    "unscored_reason": TEXT,
    "strike_points": COUNT,
    "warn_at": COUNT,
    "mute_at": COUNT,
    "mute_minutes": DataTypes.INT(),
    "policy_version": TEXT,
    "model_version": TEXT,
    "shadow_decision": TEXT,
    "shadow_policy_version": TEXT,
    "shadow_model_version": TEXT,
}

log = logging.getLogger(__name__)


def judge(
    texts: pd.Series[str],
    rooms: pd.Series[str],
    copies: pd.Series[int],
    bursts: pd.Series[int],
    policies: pd.Series[str],
    shadow_policies: pd.Series[str],
    champion: Moderator,
    challenger: Moderator | None,
    default: Policy,
) -> pd.DataFrame:
    """The ROWs of a batch, one a message."""
    values, names = texts.tolist(), rooms.tolist()
    counts = _counts(copies, len(values)), _counts(bursts, len(values))
    in_force = [_policy(text) or default for text in policies.tolist()]
    beside = [_policy(text) for text in shadow_policies.tolist()]
    of_room = [policy.room(room) for policy, room in zip(in_force, names, strict=True)]

    scored = champion.score(values)
    judged = champion.decide(values, scored, of_room, *counts)

    shadow = challenger or champion
    shadowed: Sequence[Judgement | None] = [None] * len(values)
    if challenger or any(beside):
        policy_beside = [policy or main for policy, main in zip(beside, in_force, strict=True)]
        of_shadow = [policy.room(room) for policy, room in zip(policy_beside, names, strict=True)]
        again = shadow.decide(values, challenger.score(values) if challenger else scored, of_shadow, *counts)
        shadowed = [one if challenger or policy else None for one, policy in zip(again, beside, strict=True)]
    rows = [
        (
            one.decision,
            one.reasons,
            one.ngrams,
            *(one.probabilities[name] if one.probabilities else None for name in ("toxic", "removed", "bullying")),
            one.cyberbullying,
            one.sentiment,
            one.language,
            one.unscored_reason,
            one.strike_points,
            round(1000 * room.strikes.warn_at),
            round(1000 * room.strikes.mute_at),
            room.strikes.mute_minutes,
            policy.version,
            one.model_version,
            other.decision if other else None,
            (own or policy).version if other else None,
            other.model_version if other else None,
        )
        for one, room, policy, other, own in zip(judged, of_room, in_force, shadowed, beside, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(FIELDS), index=texts.index)


def _counts(values: pd.Series[int] | int | None, size: int) -> list[float]:
    """As numbers, 1 for null. Flink gives a literal of a query as it is, and not as a column."""
    if not isinstance(values, pd.Series):
        return [1.0 if values is None else float(values)] * size
    counts: list[float] = np.nan_to_num(values.to_numpy(dtype=np.float64, na_value=np.nan), nan=1).tolist()
    return counts


def _policy(text: str | None) -> Policy | None:
    """The policy of a JSON text; None for none, and for one that is wrong."""
    return _parsed(text) if isinstance(text, str) else None


@lru_cache(maxsize=64)
def _parsed(text: str) -> Policy | None:
    """`Policy.parse`, once for each text; None for one that is wrong, which is logged."""
    try:
        return Policy.parse(text)
    except Exception as error:  # noqa: BLE001, a job must not end by what a topic holds
        log.error("A published policy cannot be used, the default is: %s", error)
        return None


class Judge(ScalarFunction):  # type: ignore[misc]
    """The Flink wrapper: policy and challenger are chosen where the job is made, since workers do not know settings."""

    def __init__(self, default_policy_json: str, challenger: str = "") -> None:
        self._default = default_policy_json
        self._challenger = challenger

    def open(self, function_context: FunctionContext) -> None:
        self._policy = Policy.parse(self._default)
        self._champion = Moderator.load()
        self._beside = None
        if self._challenger:
            try:
                self._beside = Moderator.load(self._challenger)
            except Exception as error:  # noqa: BLE001, what runs beside the champion must not end it
                log.error("The challenger %s cannot be used, none is in the shadow: %s", self._challenger, error)

    def eval(
        self,
        texts: pd.Series[str],
        rooms: pd.Series[str],
        copies: pd.Series[int],
        bursts: pd.Series[int],
        policies: pd.Series[str],
        shadow_policies: pd.Series[str],
    ) -> pd.DataFrame:
        return judge(
            texts, rooms, copies, bursts, policies, shadow_policies, self._champion, self._beside, self._policy
        )


def judge_function(default_policy_json: str, challenger: str = "") -> Callable[..., Expression]:
    """judge(…) for SQL, with this policy where none is given, and the models of this challenger in the shadow.

    Raises LookupError for a challenger that is not there, ValueError for one of other classes: workers, which are told
    of no mistake, run without it.
    """
    if challenger:
        Moderator.load(challenger)
    row = DataTypes.ROW([DataTypes.FIELD(name, kind) for name, kind in FIELDS.items()])
    function: Callable[..., Expression] = udf(
        Judge(default_policy_json, challenger), result_type=row, func_type="pandas"
    )
    return function
