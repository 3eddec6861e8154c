"""The challenger of a model takes the champion's place, if it is better: `python -m models.promote NAME`.

It is better if its headline figure on the held-out part is higher, while no class's F1 is lower by more than a margin.
The new champion's card goes to `models/cards`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.promotion import MARGIN, decide
from models.train import TASKS  # first: it says so where its libraries are missing

# isort: split
from models import card
from models.registry import Registry


def main(arguments: list[str] | None = None, registry: Registry | None = None, cards: Path = card.CARDS) -> int:
    """Returns the exit status: 1 if the challenger is not better, 2 if there is none."""
    parser = argparse.ArgumentParser(prog="python -m models.promote", description=__doc__)
    parser.add_argument("name", choices=list(TASKS), help="the model")
    parser.add_argument(
        "--margin", type=float, default=MARGIN, help=f"how much worse a class's F1 may be (default: {MARGIN})"
    )
    options = parser.parse_args(arguments)
    registry = registry or Registry()
    challenger = registry.challenger(options.name)
    if challenger is None:
        print(f"{options.name} has no challenger: `python -m models.train {options.name}` makes one.", file=sys.stderr)
        return 2
    decision = decide(registry.champion(options.name), challenger, options.margin)
    for reason in decision.reasons:
        print(reason)
    if decision.promote:
        print(f"The new champion is {registry.promote(options.name)}.")
        task = TASKS[options.name]
        card.write(options.name, task.title, task.sets, challenger, cards)
    return 0 if decision.promote else 1


if __name__ == "__main__":
    sys.exit(main())
