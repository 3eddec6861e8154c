"""How to behave towards Wikimedia's public services: say who asks, and wait when told to."""

from __future__ import annotations

import math
import random
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from producers._command_line import InputError
from settings import settings

LONGEST_BACKOFF_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 900.0


def user_agent(url: str) -> str:
    """Who asks, by the settings. Raises InputError for what Wikimedia would refuse; servers of this machine do not."""
    name = settings().wikimedia_user_agent
    if not name and urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise InputError(
            "Wikimedia wants to know who reads: set CROWDPULSE_WIKIMEDIA_USER_AGENT, for example to"
            " `my-crowdpulse/1.0 (https://example.org/me; me@example.org)`."
        )
    if not (name.isascii() and name.isprintable()):
        raise InputError(
            "CROWDPULSE_WIKIMEDIA_USER_AGENT is wrong: a User-Agent holds printable ASCII characters only."
        )
    return name or "crowdpulse-local"


def pause_seconds(failures: int, backoff_seconds: float, told_seconds: float | None) -> float:
    """How long to wait after so many failures in a row: as long as was told, or ever longer, with jitter."""
    longest = min(LONGEST_BACKOFF_SECONDS, backoff_seconds * 2.0 ** min(failures, 10))
    # A Retry-After of 0 from a server that repeats it would be no back-off at all.
    jittered: float = longest * random.uniform(0.5, 1)
    return min(max(told_seconds or 0.0, jittered), LONGEST_RETRY_AFTER_SECONDS)


def retry_after(header: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, which is a number of seconds or a date; None where it is neither."""
    if not header:
        return None
    with suppress(ValueError):
        seconds = float(header)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    return None


def in_short(error: Exception) -> str:
    """The last part of what went wrong, without the classes around it."""
    return str(error).rsplit(": ", 1)[-1].strip("()'\" ")[:120]
