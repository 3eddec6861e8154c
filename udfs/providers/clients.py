"""Every client of AWS: credentials only by boto3's default chain, timeouts, our name as the user agent.

An S3 or a Kinesis on this machine, such as moto of the local stack, needs none: any are good.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

AGENT = "crowdpulse/0.1"
CONNECT_SECONDS = 5
LOCAL_SERVICES = ("s3", "kinesis")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def s3_client(endpoint: str, region: str) -> Any:
    """A client of S3 at an address (empty: AWS's own), with buckets in the path; botocore retries what failed."""
    return _client(
        "s3", endpoint, region, 30, {"mode": "standard", "total_max_attempts": 5}, {"addressing_style": "path"}
    )


def kinesis_client(endpoint: str, region: str) -> Any:
    """A client of Kinesis. It makes each request once: see `connectors.kinesis_bridge`."""
    return _client("kinesis", endpoint, region, 10, {"total_max_attempts": 1})


def comprehend_client(endpoint: str, region: str, timeout_seconds: float, connections: int = 10) -> Any:
    """A client of Comprehend for so many requests at once. It makes each request once: see `udfs.providers.aws`."""
    return _client("comprehend", endpoint, region, timeout_seconds, {"total_max_attempts": 1}, None, connections)


def rekognition_client(endpoint: str, region: str, timeout_seconds: float, connections: int = 10) -> Any:
    """A client of Rekognition for so many requests at once. It makes each request once: see `udfs.providers.aws`."""
    return _client("rekognition", endpoint, region, timeout_seconds, {"total_max_attempts": 1}, None, connections)


def _client(
    service: str,
    endpoint: str,
    region: str,
    timeout_seconds: float,
    retries: dict[str, object],
    s3: dict[str, str] | None = None,
    connections: int = 10,
) -> Any:
    config = Config(
        connect_timeout=min(CONNECT_SECONDS, timeout_seconds),
        read_timeout=timeout_seconds,
        max_pool_connections=connections,
        retries=retries,
        s3=s3,
        user_agent_extra=AGENT,
    )
    # A session of its own: the default one of boto3 must not be used by several threads at once.
    session = boto3.session.Session()
    keys = {}
    if service in LOCAL_SERVICES and urlsplit(endpoint).hostname in LOOPBACK and not session.get_credentials():
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return session.client(service, endpoint_url=endpoint or None, region_name=region, config=config, **keys)
