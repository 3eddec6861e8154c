"""The services that run beside the jobs: the live view of the dashboards, and what samples the jobs' metrics."""

from __future__ import annotations

import sys
import time

import requests

from stack import cluster, ports, processes
from stack.errors import StackError

LIVE_VIEW = "live-view"
JOB_METRICS = "job-metrics"
START_SECONDS = 30


def start_job_metrics() -> bool:
    """Start the sampler of the jobs' metrics; False if it runs already."""
    if processes.pid(JOB_METRICS):
        return False
    processes.run(JOB_METRICS, [sys.executable, "-m", "services.job_metrics"])
    return True


def live_view_url() -> str:
    """Where the live view is."""
    return f"http://{ports.HOST}:{ports.port('live-view')}"


def start_live_view() -> bool:
    """Start the live view and wait until it answers; False if it ran already. Raises StackError."""
    ran_already = bool(processes.pid(LIVE_VIEW))
    if not ran_already:
        number = ports.port("live-view")
        if ports.is_taken(number) and not ports.becomes_free(number):
            raise StackError(f"Port {number}, the live view's, is taken by {ports.holder(number)}.")
        processes.run(LIVE_VIEW, [sys.executable, "-m", "services.live_view"])
    deadline = time.monotonic() + START_SECONDS
    while not _answers():
        if not processes.pid(LIVE_VIEW):
            last = cluster.last_lines(processes.log_file(LIVE_VIEW), 5)
            raise StackError("\n".join(["The live view has ended:", *last]))
        if time.monotonic() > deadline:
            raise StackError(
                f"The live view does not answer after {START_SECONDS} s: `python -m stack logs {LIVE_VIEW}`."
            )
        time.sleep(0.2)
    return not ran_already


def _answers() -> bool:
    try:
        return requests.get(f"{live_view_url()}/healthz", timeout=2).ok
    except requests.RequestException:
        return False
