"""The loops, ready to run: a line `JOB PREFIX SECONDS` in, a line of JSON out (events, seconds, documents).

    python -m bench.plain                 the loops that ask no model of texts
    python -m bench.plain --models own    all, with the jobs' own models, one text a call
    python -m bench.plain --models scikit-learn     all; in the training environment, which trains first

It says `ready` when the models are there. Exit codes: 0 done, 2 a data set is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from bench.plain import _models
from bench.plain._loop import Loop, Writer, consume
from bench.plain._models import Label
from models import data

ALL = ("cyberbullying", "toxicity", "sentiment", "removal")


def maker(job: str, labels: Mapping[str, Label]) -> Callable[[Writer], Loop]:
    """How the loop of a job is made, with the models that it asks."""
    module: Any = import_module(f"bench.plain.{job}")
    wanted = getattr(module, "MODELS", ())

    def make(writer: Writer) -> Loop:
        loop: Loop = module.Loop(writer, {name: labels[name] for name in wanted}) if wanted else module.Loop(writer)
        return loop

    return make


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.plain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", choices=("none", "own", "scikit-learn"), default="none", help="who judges texts")
    options = parser.parse_args(arguments)
    labels: Mapping[str, Label] = {}
    if options.models == "own":
        labels = _models.own(ALL)
    elif options.models == "scikit-learn":
        try:
            labels = _models.scikit_learn(ALL)
        except data.MissingDataError as error:
            print(error, file=sys.stderr)
            return 2
    print("ready", flush=True)
    for line in sys.stdin:
        job, prefix, seconds = line.split()
        print(json.dumps(consume(maker(job, labels), prefix, float(seconds))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
