"""What the producers' command lines share: arguments, progress on the terminal, writing to a file, being stopped."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Protocol


class InputError(Exception):
    """Something that the user can mend; the message says how. Exit code 2."""


class Unavailable(Exception):
    """What is needed cannot be reached; the message says what to do. Exit code 1."""


class Record(Protocol):
    """What is sent: the bytes, and the event's time as ISO 8601 or Unix seconds."""

    @property
    def value(self) -> bytes: ...

    @property
    def time(self) -> str | float | None: ...


class Progress:
    """What a person sees meanwhile, on standard error: one line that changes, or one every ten seconds."""

    def __init__(self, noun: str) -> None:
        self.sent = 0
        self._noun = noun
        self._began = time.monotonic()
        self._line = sys.stderr.isatty()
        self._next = self._began + (0.5 if self._line else 10)
        self._latest: str | float | None = None

    def event(self, event: Record) -> None:
        self.sent += 1
        self._latest = event.time or self._latest
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (0.5 if self._line else 10)
            print(
                f"\r\x1b[K{self}" if self._line else str(self),
                end="" if self._line else "\n",
                file=sys.stderr,
                flush=True,
            )

    def say(self, sentence: str) -> None:
        print(f"\r\x1b[K{sentence}" if self._line else sentence, file=sys.stderr, flush=True)

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        lag = ""
        if (latest := _unix_seconds(self._latest)) is not None:
            lag = f", event time {time.time() - latest:,.0f} s behind"
        return f"{self.sent:,} {self._noun}, {self.sent / seconds:,.0f}/s{lag}"


def _unix_seconds(event_time: str | float | None) -> float | None:
    """None where a time as it came is none, or has no zone."""
    if not isinstance(event_time, str):
        return event_time
    try:
        found = datetime.fromisoformat(event_time)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo else None


def write(events: Iterable[Record], output: str, progress: Progress) -> None:
    """Write the values as lines, to a file or to standard output (`-`)."""
    try:
        with nullcontext(sys.stdout.buffer) if output == "-" else Path(output).open("wb") as file:
            for event in events:
                file.write(event.value + b"\n")
                progress.event(event)
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from None


def run(action: Callable[[], None], progress: Progress) -> int:
    """Do it until it is done or stopped by SIGTERM or SIGINT, and say how it ended; returns the exit code."""
    stop_on_signals()
    try:
        action()
    except InputError as error:
        progress.say(str(error))
        return 2
    except Unavailable as error:
        progress.say(str(error))
        return 1
    except KeyboardInterrupt:
        progress.say("Stopped.")
    progress.say(f"{progress}.")
    return 0


def stop_on_signals() -> None:
    """SIGTERM and SIGINT raise KeyboardInterrupt."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def non_negative(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return found


def positive(text: str) -> float:
    if not non_negative(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return float(text)


def share(text: str) -> float:
    if non_negative(text) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return float(text)


def whole_number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 0 or more")
    return int(text)
