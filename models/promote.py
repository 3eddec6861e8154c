"""The challenger of a model takes the champion's place, if it is better: `python -m models.promote NAME`.

It is better if its headline figure on the held-out part is higher, while no class's F1 is lower by more than a margin.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.registry import Registry

MARGIN = 0.01


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why or why not, in sentences."""

    promote: bool
    reasons: list[str]


def decide(champion: Mapping[str, Any] | None, challenger: Mapping[str, Any], margin: float = MARGIN) -> Decision:
    """Compares two evaluations, as `evaluation.json` has them: `headline`, that figure, `classes`, `held_out`.

    Without a champion the challenger is promoted. Evaluations of different held-out texts cannot be compared.
    """
    if champion is None:
        return Decision(True, ["There is no champion yet."])
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
        elif of_challenger["f1"] < of_champion["f1"] - margin:
            change = f"F1 {of_champion['f1']:.4f} -> {of_challenger['f1']:.4f}"
            reasons.append(f"Class {name} is worse by more than {margin:g}: {change}.")
    return Decision(False, reasons) if reasons else Decision(True, [f"It is better: {headline_change}."])


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 if the challenger is not better."""
    parser = argparse.ArgumentParser(prog="python -m models.promote", description=__doc__)
    parser.add_argument("name", metavar="NAME", help="the model")
    parser.add_argument(
        "--margin", type=float, default=MARGIN, help=f"how much worse a class's F1 may be (default: {MARGIN})"
    )
    options = parser.parse_args(arguments)
    registry = Registry()
    challenger = registry.challenger(options.name)
    if challenger is None:
        print(f"{options.name} has no challenger: `python -m models.train {options.name}` makes one.", file=sys.stderr)
        return 2
    decision = decide(registry.champion(options.name), challenger, options.margin)
    for reason in decision.reasons:
        print(reason)
    if decision.promote:
        print(f"The new champion is {registry.promote(options.name)}.")
    return 0 if decision.promote else 1


if __name__ == "__main__":
    sys.exit(main())
