"""models/promote.py: which challenger becomes champion."""

from __future__ import annotations

from typing import Any

import pytest

from models.promotion import decide


def evaluation(macro_f1: float, *f1: float, held_out: str = "same", **fields: Any) -> dict[str, Any]:
    classes = {f"class {number}": {"f1": value} for number, value in enumerate(f1)}
    return {"headline": "macro_f1", "macro_f1": macro_f1, "classes": classes, "held_out": held_out} | fields


CHAMPION = evaluation(0.80, 0.9, 0.7)
CASES = {
    "no champion": (None, evaluation(0.10, 0.1, 0.1), True, "no champion"),
    "better in all": (CHAMPION, evaluation(0.82, 0.92, 0.72), True, "0.8000 -> 0.8200"),
    "better, a class worse within the margin": (CHAMPION, evaluation(0.805, 0.91, 0.691), True, "better"),
    "better, a class worse by just the margin": (CHAMPION, evaluation(0.81, 0.93, 0.69), True, "better"),
    "better, a class worse by more": (CHAMPION, evaluation(0.85, 1.0, 0.68), False, "Class class 1 is worse"),
    "equal": (CHAMPION, CHAMPION, False, "not better"),
    "worse": (CHAMPION, evaluation(0.79, 0.9, 0.7), False, "0.8000 -> 0.7900"),
    "a class missing": (CHAMPION, evaluation(0.90, 0.9), False, "does not know the class class 1"),
    "a class more": (CHAMPION, evaluation(0.85, 0.9, 0.8, 0.9), True, "better"),
    "other held-out texts": (CHAMPION, evaluation(0.99, 0.99, 0.99, held_out="other"), False, "other held-out texts"),
    "other held-out texts, the champion judged on the same": (
        CHAMPION | {"version": "m@1"},
        evaluation(
            0.65, 0.7, 0.6, held_out="other", champion=evaluation(0.6, 0.7, 0.5, held_out="other", version="m@1")
        ),
        True,
        "0.6000 -> 0.6500",
    ),
    "other held-out texts, another champion judged on the same": (
        CHAMPION | {"version": "m@2"},
        evaluation(
            0.65, 0.7, 0.6, held_out="other", champion=evaluation(0.6, 0.7, 0.5, held_out="other", version="m@1")
        ),
        False,
        "other held-out texts",
    ),
    "another headline": (
        CHAMPION | {"macro_recall": 0.7},
        evaluation(0.9, 0.9, 0.9, headline="macro_recall", macro_recall=0.6),
        False,
        "macro_recall 0.7000 -> 0.6000",
    ),
}


@pytest.mark.parametrize(("champion", "challenger", "promote", "reason"), CASES.values(), ids=CASES)
def test_a_challenger_is_promoted_only_if_better_and_no_class_is_worse(
    champion: dict[str, Any] | None, challenger: dict[str, Any], promote: bool, reason: str
) -> None:
    decision = decide(champion, challenger, margin=0.01)

    assert decision.promote is promote
    assert any(reason in one for one in decision.reasons)
