"""What `flink run` runs for several jobs: one client, whose JVM and planner start once, submits one after the other.

    flink run --detached --python jobs/_several.py … wiki_edits wiki_users=file:///…/chk-7

A job with `=` goes on from that checkpoint. `stack.jobs.submit_all` reads the lines that this prints, and Flink's own
line with the job's id after each.
"""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import signature

from jobs import _tables


def main(arguments: list[str]) -> None:
    for argument in arguments:
        job, _, checkpoint = argument.partition("=")
        # CLAIM: Flink deletes that checkpoint once the job has newer ones.
        _tables.flink_options = (
            {"execution.state-recovery.path": checkpoint, "execution.state-recovery.claim-mode": "CLAIM"}
            if checkpoint
            else {}
        )
        print(f"Submitting {job}", flush=True)
        submit = import_module(f"jobs.{job}").main
        submit([]) if signature(submit).parameters else submit()


if __name__ == "__main__":
    main(sys.argv[1:])
