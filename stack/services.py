"""The services that run beside the jobs: the live view, the chat's moderation, and what samples the jobs' metrics."""

from __future__ import annotations

import sys
import time

import requests

from stack import cluster, ports, processes, security
from stack.errors import StackError

LIVE_VIEW = "live-view"
MODERATION = "moderation"
JOB_METRICS = "job-metrics"
START_SECONDS = 60  # the chat's history of half a day takes half a minute to read


def start_job_metrics() -> bool:
    """Start the sampler of the jobs' metrics; False if it runs already."""
    if processes.pid(JOB_METRICS):
        return False
    module = "services.job_metrics"
    processes.run(JOB_METRICS, [sys.executable, "-m", module], security.environment(security.role_of(module)))
    return True


def live_view_url() -> str:
    """Where the live view is."""
    return f"http://{ports.HOST}:{ports.port('live-view')}"


def start_live_view() -> bool:
    """Start the live view and wait until it answers; False if it ran already. Raises StackError."""
    return _start(LIVE_VIEW, "services.live_view", f"{live_view_url()}/healthz")


def moderation_url() -> str:
    """Where the chat and its moderators' desk are."""
    return f"http://{ports.HOST}:{ports.port('moderation')}"


def start_moderation() -> bool:
    """Start the moderation service and wait until it has read the chat's history; False if it ran already.

    Raises StackError.
    """
    return _start(MODERATION, "services.moderation", f"{moderation_url()}/readyz")


def _start(name: str, module: str, url: str) -> bool:
    """Start a service, which listens on the port of its name, and wait until `url` answers; False if it ran already."""
    ran_already = bool(processes.pid(name))
    if not ran_already:
        number = ports.port(name)
        if ports.is_taken(number) and not ports.becomes_free(number):
            raise StackError(f"Port {number}, that of {name}, is taken by {ports.holder(number)}.")
        processes.run(name, [sys.executable, "-m", module], security.environment(security.role_of(module)))
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if not processes.pid(name):
            last = cluster.last_lines(processes.log_file(name), 5)
            raise StackError("\n".join([f"The service {name} has ended:", *last]))
        if time.monotonic() > deadline:
            raise StackError(
                f"The service {name} does not answer after {START_SECONDS} s: `python -m stack logs {name}`."
            )
        time.sleep(0.2)
    return not ran_already


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
