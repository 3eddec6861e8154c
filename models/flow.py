"""The training as a Prefect flow: each step a task, so that runs can be scheduled, watched and tried again."""

from __future__ import annotations

import os
from pathlib import Path

# Nothing is reported to Prefect, by the client or by a temporary server.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from models import train


@flow(name="training", persist_result=False)  # type: ignore[untyped-decorator]
def training(name: str, where: Path | None = None, sample: int | None = None) -> str:
    """Trains the model of this name; returns the version of the new challenger."""
    return train.train(name, where, sample, step=task(cache_policy=NO_CACHE, persist_result=False))
