"""Texts without secrets: what is written for people, to logs above all, shows no password, key or token."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence

HIDDEN = "***"
LEAST_CHARACTERS = 4  # of a secret that is looked for as it is: a shorter one would be found in any text

# Each pattern is bounded, so that a long text takes no longer than its length.
_PATTERNS = (
    # The login in an address.
    (re.compile(r"(?<=://)[^\s/'\"]{1,512}@"), HIDDEN + "@"),
    # The credentials of a header.
    (re.compile(r"(?i)\b((?:basic|bearer|apikey)\s{1,3})(?=\S{0,64}[\d=_-])[\w+/.=~-]{12,}"), r"\1" + HIDDEN),
    # The value behind a name that tells of a secret, as options, JSON, variables and queries write it.
    (
        re.compile(
            r"(?i)((?:password|passwd|secret|token|api[-_]?key|access[-_]?key|signature|credential|authorization)"
            r"[\w.-]{0,32}\\?['\"]?\s{0,3}[=:]\s{0,3})(?!['\"]?(?:basic|bearer|apikey)\s)"
            r"('[^']{0,4096}'|\\?\"[^\"]{0,4096}\"|[^\s,;&'\")}\]]{1,4096})"
        ),
        r"\1" + HIDDEN,
    ),
)


def redacted(text: str, secrets: Sequence[str] = ()) -> str:
    """The text with `***` for each of the secrets, and for all that looks like one."""
    for secret in secrets:
        if len(secret) >= LEAST_CHARACTERS:
            text = text.replace(secret, HIDDEN)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


class _Redacted(io.TextIOWrapper):
    """A stream for people; what is written at once, as a log's record is, is looked at as a whole."""

    secrets: Sequence[str] = ()

    def write(self, text: str) -> int:
        super().write(redacted(text, self.secrets))
        return len(text)


def hide_secrets(secrets: Sequence[str]) -> None:
    """From now on nothing that this process writes to standard error shows a secret: logs, sentences, tracebacks.

    To be called before logging is set up. Standard output stays as it is: it carries data.
    """
    if isinstance(sys.stderr, io.TextIOWrapper):  # not where a test has put something else there
        hiding = _Redacted(sys.stderr.buffer, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)
        hiding.secrets = secrets
        sys.stderr = hiding
