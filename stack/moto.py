"""moto: an S3 (and Kinesis) server of this machine, with the bucket of the settings."""

from __future__ import annotations

import sys

import requests

from settings import settings
from stack import ports, processes
from stack.errors import StackError

NAME = "moto"
ACCESS_KEY = SECRET_KEY = "crowdpulse"  # noqa: S105 (moto takes any)


def url() -> str:
    """The address of the S3 endpoint."""
    return f"http://{ports.HOST}:{ports.port('moto')}"


def is_s3() -> bool:
    """Whether S3 is this server, by the settings."""
    return settings().s3_endpoint == url()


def credentials() -> dict[str, str]:
    """Environment variables with keys that this server takes; none where they would stand for keys of AWS itself."""
    chosen = settings()
    enrichers = (
        chosen.enrich_sentiment,
        chosen.enrich_key_phrases,
        chosen.enrich_toxicity,
        chosen.enrich_language,
        chosen.enrich_images,
    )
    if not is_s3() or "aws" in enrichers:
        return {}
    return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


def start() -> None:
    """Start the server if it does not run. What it stores is in memory: stopping it empties it."""
    if processes.pid(NAME):
        return
    command = [sys.executable, "-m", "moto.server", "-H", ports.HOST, "-p", str(ports.port("moto"))]
    processes.start(NAME, command, log=processes.log_file(NAME))


def stop() -> None:
    """Stop the server."""
    processes.stop(NAME, timeout_seconds=10)


def health() -> str:
    """Empty when the server answers, else what is missing."""
    try:
        requests.get(f"{url()}/moto-api/", timeout=5).raise_for_status()
    except requests.RequestException as error:
        return f"does not answer yet ({type(error).__name__})"
    return ""


def create_bucket(name: str | None = None, address: str | None = None) -> None:
    """Make a bucket (default: that of the settings) if it is missing, at the stack's server or at `address`.

    Raises StackError when the server does not answer.
    """
    name, address = name or settings().s3_bucket, address or url()
    try:
        answer = requests.put(f"{address}/{name}", timeout=10)
    except requests.RequestException as error:
        raise StackError(f"moto at {address} does not answer: is the stack up?") from error
    if answer.status_code not in (200, 409):  # 409: it is there
        raise StackError(f"moto refuses the bucket {name}: {answer.text[:300]}")
