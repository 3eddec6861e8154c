"""When a challenger takes the champion's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MARGIN = 0.01
ROUNDING = 1e-9  # a class that is worse by just the margin is within it


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why or why not, in sentences."""

    promote: bool
    reasons: list[str]


def decide(champion: Mapping[str, Any] | None, challenger: Mapping[str, Any], margin: float = MARGIN) -> Decision:
    """Compares two evaluations, as `evaluation.json` has them: `headline`, that figure, `classes`, `held_out`.

    Without a champion the challenger is promoted. Evaluations of different held-out texts cannot be compared; but where
    the champion was judged once more beside the challenger, on the same texts, that counts (`champion` in the
    challenger's evaluation).
    """
    if champion is None:
        return Decision(True, ["There is no champion yet."])
    beside = challenger.get("champion")
    if beside and beside["version"] == champion.get("version"):
        champion = beside
    if champion["held_out"] != challenger["held_out"]:
        return Decision(False, ["The champion was judged on other held-out texts: evaluate both on the same."])
    headline = challenger["headline"]
    before, after = champion[headline], challenger[headline]
    headline_change = f"{headline} {before:.4f} -> {after:.4f}"
    reasons = [] if after > before else [f"It is not better: {headline_change}."]
    for name, of_champion in champion["classes"].items():
        of_challenger = challenger["classes"].get(name)
        if of_challenger is None:
            reasons.append(f"It does not know the class {name}.")
        elif of_challenger["f1"] < of_champion["f1"] - margin - ROUNDING:
            change = f"F1 {of_champion['f1']:.4f} -> {of_challenger['f1']:.4f}"
            reasons.append(f"Class {name} is worse by more than {margin:g}: {change}.")
    return Decision(False, reasons) if reasons else Decision(True, [f"It is better: {headline_change}."])
