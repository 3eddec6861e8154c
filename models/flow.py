"""Training as Prefect flows: each step a task, so that runs can be scheduled, watched and tried again.

    python -m models.flow --cron "0 4 * * 1"    on Mondays at four (UTC) learn from the verdicts until then

keeps running and starts `retraining` at these times; without --cron, when it is asked to (`prefect deployment run
retraining/toxicity`, or in Prefect's page). It needs a Prefect server, which PREFECT_API_URL names: `prefect server
start` is one. Each run leaves a challenger of its own in models/challengers; nothing is promoted.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Nothing is reported to Prefect, by the client or by a temporary server.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

from models import retrain, train  # first: it says so where the libraries are missing

# isort: split
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.schedules import Cron
from prefect.settings import PREFECT_API_URL


@flow(name="training", persist_result=False)  # type: ignore[untyped-decorator]
def training(name: str, where: Path | None = None, sample: int | None = None) -> str:
    """Trains the model of this name; returns the version of the new challenger."""
    return train.train(name, where, sample, step=task(cache_policy=NO_CACHE, persist_result=False))


@flow(name="retraining", persist_result=False)  # type: ignore[untyped-decorator]
def retraining(model: str = "toxicity", source: str = "elasticsearch", where: str | None = None) -> bool:
    """Makes a challenger from all verdicts that there are; whether the rules would promote it.

    With too few verdicts the run fails, with a sentence.
    """
    step = task(cache_policy=NO_CACHE, persist_result=False)
    messages = step(retrain.verdicts)(source, None)
    name = f"feedback-{datetime.now(UTC):%Y%m%d-%H%M}"
    return retrain.retrain(model, messages, name, Path(where) if where else None, step=step)


def _times(text: str) -> Any:
    try:
        return Cron(text, timezone="UTC")
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no cron line such as "0 4 * * 1"') from None


def main(given: list[str] | None = None) -> int:
    """Serves the flow until it is stopped; returns the exit status: 2 without a server."""
    parser = argparse.ArgumentParser(
        prog="python -m models.flow",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[retrain.arguments()],
    )
    parser.add_argument("--cron", type=_times, metavar="TIMES", help="when: minute hour day month weekday (UTC)")
    options = parser.parse_args(given)
    if not PREFECT_API_URL.value():
        print(
            "Prefect's server is not named: start one (.venv-training/bin/prefect server start) and set "
            "PREFECT_API_URL, for example to http://127.0.0.1:4200/api.",
            file=sys.stderr,
        )
        return 2
    where = str(options.data) if options.data else None
    retraining.serve(
        name=options.model,
        parameters={"model": options.model, "source": options.source, "where": where},
        schedule=options.cron,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
