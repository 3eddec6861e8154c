"""Wikimedia EventStreams -> Kafka: live over SSE, from a recorded file, or generated; each stream to its own topic.

    python -m producers.wikimedia                                  the public stream recentchange, live
    python -m producers.wikimedia --stream recentchange --stream revision-create --since 2026-01-31T12:00:00Z
    python -m producers.wikimedia --file recorded.raw --rate 100    a recording, 100 events a second
    python -m producers.wikimedia --synthetic --limit 10000         generated events, no network needed

An event reaches Kafka byte for byte, also when it is not JSON: judging it is the jobs' part. Delivery is at least once:
the position in the live streams is stored only when Kafka has everything before it, and jobs drop what comes twice.
Exit codes: 0 done or stopped, 1 Kafka or the streams could not be reached, 2 wrong input.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import sys
import time
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import requests
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from sseclient import SSEClient
from urllib3.exceptions import HTTPError, ReadTimeoutError

from producers import synthetic_wikimedia
from producers._command_line import (
    InputError,
    Progress,
    Unavailable,
    non_negative,
    positive,
    run,
    share,
    whole_number,
    write,
)
from producers._kafka import Sender, sending
from producers._wikimedia_http import in_short, pause_seconds, retry_after, user_agent
from producers._wikimedia_streams import NAMES, STREAMS, Event, as_event
from redaction import hide_secrets
from settings import settings

FIRST_CONNECTION_SECONDS = 60.0
STORE_SECONDS = 2.0
MOST_EVENT_BYTES = 16 * 1024 * 1024  # Wikimedia's have some kilobytes
PUBLIC_URL = "https://stream.wikimedia.org/v2/stream"
SSE_BEGINNINGS = (b":", b"data", b"event", b"id", b"retry")


class StreamUnavailable(Unavailable):
    """The event streams cannot be reached. Exit code 1."""


class EventTooLong(OSError):
    """What comes is no event, or one that would fill the memory."""


class SseEvents(SSEClient):
    """sseclient-py, but for what the end of a connection leaves behind, and with the bytes of the data untouched.

    A last event without its closing blank line was cut off. It is given out only when its data is whole JSON (as at the
    end of a trimmed recording); else it is dropped, for a live stream sends it again after the reconnect, and
    `cut_off` is true. Raises EventTooLong.
    """

    cut_off = False

    def __init__(self, chunks: Iterable[bytes]) -> None:
        # Latin-1 maps each byte to one character and back, so invalid UTF-8 passes through unharmed.
        super().__init__(_without_bom(chunks), char_enc="latin-1")

    def read(self) -> Iterator[tuple[bytes, str | None]]:
        """Data and id of each event; an event without an id has that of the event before it."""
        last_id = None
        for event in self.events():
            last_id = event.id.encode("latin-1").decode(errors="replace") if event.id else last_id
            yield event.data.encode("latin-1"), last_id

    def _read(self) -> Iterator[bytes]:
        """The lines of each event. sseclient-py's own finds its end only where both line ends are of one kind."""
        event: list[bytes] = []
        length = 0
        for line, has_ended in _lines(self._event_source):  # type: ignore[attr-defined]  # sseclient-py has no types
            length = length + len(line) + 1 if line else 0
            if length > MOST_EVENT_BYTES:
                raise EventTooLong(f"an event of more than {MOST_EVENT_BYTES:,} bytes")
            if line:
                event.append(line)
            elif has_ended and event:
                yield b"\n".join(event)
                event = []
        if _is_whole(event):
            yield b"\n".join(event)
        else:
            self.cut_off = any(not line.startswith(b":") for line in event)


def _lines(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Lines without their ends, \\n, \\r or \\r\\n, as soon as they end; false: what is behind the last end."""
    rest, after_return = b"", False
    for piece in filter(None, pieces):
        piece = piece.removeprefix(b"\n") if after_return else piece  # the other half of a \r\n
        after_return = piece.endswith(b"\r")
        lines = (rest + piece).splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        if len(rest) > MOST_EVENT_BYTES:
            raise EventTooLong(f"a line of more than {MOST_EVENT_BYTES:,} bytes")
        for line in lines:
            yield line.rstrip(b"\r\n"), True
    yield rest, False


def _without_bom(chunks: Iterable[bytes]) -> Iterator[bytes]:
    beginning = b""
    pieces = iter(chunks)
    for chunk in pieces:
        beginning += chunk
        if len(beginning) >= len(BOM_UTF8):
            break
    yield beginning.removeprefix(BOM_UTF8)
    yield from pieces


def _is_whole(event: list[bytes]) -> bool:
    """If the data of an event without its closing blank line is JSON."""
    data = [line[5:].strip() for line in event if line.startswith(b"data:")]
    try:
        orjson.loads(b"\n".join(data))
    except orjson.JSONDecodeError:
        return False
    return True


def read_file(path: Path, stream: str | None = None, said: Callable[[str], None] | None = None) -> Iterator[Event]:
    """The events of a recording: an SSE response (`.raw`) or JSON lines, plain or gzip; `-` is standard input.

    `stream` is what they are; None: each says it itself. `said` gets a sentence when the last event was cut off. Raises
    InputError for a file that cannot be read or is neither.
    """
    try:
        with _opened(path) as file:
            if _has_lines(path, file.peek()):
                file.read(len(BOM_UTF8) if file.peek().startswith(BOM_UTF8) else 0)
                for line in file:
                    if line.strip():
                        yield as_event(line.rstrip(b"\r\n"), stream)
            else:
                recorded = SseEvents(iter(lambda: file.read1(65536), b""))
                for data, position in recorded.read():
                    yield as_event(data, stream, position)
                if recorded.cut_off and said:
                    said(f"{path} ends in the middle of an event, which is left out.")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    with os.fdopen(os.dup(0), "rb") if str(path) == "-" else path.open("rb") as file:
        if file.peek().startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield io.BufferedReader(unpacked)
        else:
            yield file


def _has_lines(path: Path, beginning: bytes) -> bool:
    """Whether a recording is JSON lines rather than SSE.

    By content too, since recordings of both shapes are called .json; SSE never begins with a brace.
    """
    name = path.name.removesuffix(".gz")
    beginning = beginning.removeprefix(BOM_UTF8).lstrip()
    if name.endswith((".jsonl", ".ndjson")) or beginning.startswith(b"{"):
        return True
    if not beginning or name.endswith((".raw", ".sse")) or beginning.startswith(SSE_BEGINNINGS):
        return False
    raise InputError(f"{path} holds neither an SSE response nor JSON lines (name it .raw or .jsonl if it does).")


class Live:
    """The live streams as one endless iterator of events, through every kind of break in the connection.

    `said` gets a sentence for everything that a person would want to know. `position` is the id to resume after.
    """

    def __init__(
        self,
        url: str,
        streams: list[str],
        *,
        user_agent: str,
        said: Callable[[str], None],
        position: str | None = None,
        since: datetime | None = None,
        stall_seconds: float = 30,
        backoff_seconds: float = 1,
        give_up_seconds: float = 0,
    ) -> None:
        self.address = f"{url.rstrip('/')}/{','.join(streams)}"
        self.position = position
        self.reconnects = 0
        self.canaries = 0
        self._heard = 0
        self._only_stream = streams[0] if len(streams) == 1 else None
        self._since = since
        self._said = said
        self._stall_seconds = stall_seconds
        self._backoff_seconds = backoff_seconds
        self._give_up_seconds = give_up_seconds
        self._headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # a compressed stream would arrive in bursts
            "User-Agent": user_agent,
        }

    def events(self) -> Iterator[Event]:
        """Events as they come, without Wikimedia's canaries.

        Raises InputError when refused for good, and StreamUnavailable when nothing is heard for `give_up_seconds` (0:
        never), or when the first connection does not come about within a minute.
        """
        failures = 0
        connected_once = False
        heard_at = time.monotonic()
        while True:
            heard = self._heard
            wait: float | None = None
            too_many = False
            try:
                with self._connect() as response:
                    too_many = response.status_code == 429
                    if too_many:
                        wait = retry_after(response.headers.get("Retry-After"))
                        reason = "was told 429: too many connections from this address or too many requests"
                    elif response.status_code >= 400:
                        self._refuse(response.status_code)
                        reason = f"was told {response.status_code}: the service is in trouble"
                    elif not (kind := response.headers.get("Content-Type", "")).startswith("text/event-stream"):
                        reason = f"answered with {kind or 'something unnamed'} instead of an event stream"
                        if not connected_once:
                            raise InputError(f"{self.address} {reason}: check --url.")
                    else:
                        connected_once = True
                        yield from self._read(response)
                        reason = "the connection was closed"
            except (InvalidURL, InvalidSchema, MissingSchema):
                raise InputError(f"{self.address} is no address: --url is for example {PUBLIC_URL}.") from None
            except (ReadTimeoutError, requests.exceptions.ReadTimeout):
                reason = f"heard nothing for {self._stall_seconds:g} s"
            except (requests.exceptions.RequestException, HTTPError, EventTooLong) as error:
                what = "the connection broke" if connected_once else "it cannot be reached"
                reason = f"{what} ({in_short(error)})" + ("" if connected_once else "; --synthetic needs no network")
            if self._heard > heard:
                # A connection that told something was a good one: the back-off begins anew.
                failures, heard_at = 0, time.monotonic()
            else:
                failures += 1
            self.reconnects += 1
            pause = pause_seconds(failures, self._backoff_seconds, wait)
            patience = self._give_up_seconds or (0 if connected_once else FIRST_CONNECTION_SECONDS)
            if patience and not too_many:
                left = heard_at + patience - time.monotonic()
                if left <= 0:
                    raise StreamUnavailable(f"{self.address}: {reason}. Given up after {patience:g} s.")
                pause = min(pause, left)
            self._said(f"{self.address}: {reason}; trying again in {pause:.1f} s.")
            time.sleep(pause)

    def _connect(self) -> requests.Response:
        headers: dict[str, str | bytes] = dict(self._headers)
        parameters = {}
        if self.position:
            headers["Last-Event-ID"] = self.position.encode()
        elif self._since:
            parameters["since"] = self._since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # The second timeout is that of a read: canaries and keep-alives come oftener, so silence is a stall.
        return requests.get(
            self.address, params=parameters, headers=headers, stream=True, timeout=(10, self._stall_seconds)
        )

    def _read(self, response: requests.Response) -> Iterator[Event]:
        for data, position in SseEvents(_as_it_comes(response)).read():
            event = as_event(data, self._only_stream, position)
            self.position = position or self.position
            self._heard += 1
            if event.canary:
                self.canaries += 1
            else:
                yield event

    def _refuse(self, status: int) -> None:
        """Raise InputError for an answer that another try will not change."""
        if status == 403:
            raise InputError(
                f"{self.address} answered 403: Wikimedia refuses clients that do not say who they are. Set"
                " CROWDPULSE_WIKIMEDIA_USER_AGENT to a name with an address, as its User-Agent policy asks."
            )
        if status == 404:
            raise InputError(f"{self.address} answered 404: the service has no such stream.")
        if status < 500 and status != 408:
            raise InputError(f"{self.address} answered {status}: check --stream, --since and --url.")


def _as_it_comes(response: requests.Response) -> Iterator[bytes]:
    """The body in the pieces in which it arrives; requests' own iterators wait for whole chunks or for the end."""
    while piece := response.raw.read1(65536):
        yield piece


class Position:
    """The id of the last event that Kafka has, kept in a file for the next run."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> str | None:
        try:
            return str(json.loads(self._file.read_text(encoding="utf-8"))["last_event_id"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"The stored position in {self._file} cannot be read ({error}): delete it, or use --no-resume."
            ) from None

    def store(self, last_event_id: str) -> None:
        new = self._file.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"last_event_id": last_event_id}), encoding="utf-8")
            new.replace(self._file)
        except OSError as error:
            raise InputError(
                f"The position cannot be stored in {self._file} ({error.strerror}): set CROWDPULSE_STATE_DIR to a"
                " folder that can be written."
            ) from None


class WikimediaProgress(Progress):
    """Also tells of reconnects and canaries."""

    def __init__(self) -> None:
        super().__init__("events")
        self.canaries = 0
        self.live: Live | None = None

    def __str__(self) -> str:
        canaries = self.canaries + (self.live.canaries if self.live else 0)
        more = f", {self.live.reconnects} reconnects" if self.live else ""
        more += f", {canaries} canaries dropped" if self.live or canaries else ""
        return f"{super().__str__()}{more}"


def paced(events: Iterable[Event], rate: float) -> Iterator[Event]:
    """The same events, at most `rate` a second; 0: as fast as they are taken."""
    if not rate:
        yield from events
        return
    began = time.monotonic()
    for number, event in enumerate(events):
        ahead = number / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
        yield event


def generated(options: argparse.Namespace, streams: list[str], progress: WikimediaProgress) -> Iterator[Event]:
    """Synthetic events: those of the past at once, then each at its time.

    As fast as possible (`--rate 0`) with a limit, they are spread over the past: the last of them is of now.
    """
    past = timedelta(minutes=options.backfill_minutes)
    rate = options.rate or synthetic_wikimedia.NOMINAL_RATE
    if options.limit and not options.rate:
        past = past or timedelta(seconds=options.limit / rate)
        rate = options.limit / past.total_seconds()
    start = datetime.now(UTC) - past
    for event in synthetic_wikimedia.events(
        streams,
        seed=options.seed,
        start=start,
        rate=rate,
        limit=options.limit or None,
        duplicates=options.duplicates,
        malformed=options.malformed,
        late=options.late,
        oversized_bytes=settings().max_record_bytes,
    ):
        if event.kind == "canary":
            progress.canaries += 1
            continue
        ahead = (event.time - datetime.now(UTC)).total_seconds()
        if ahead > 0 and (options.rate or not options.limit):
            time.sleep(ahead)
        # Kafka would put a record without a key anywhere; with one, each run fills the partitions alike.
        yield Event(event.stream, event.key or b"malformed", event.value, time=event.time.isoformat())


def send(
    events: Iterable[Event],
    sender: Sender,
    progress: Progress,
    *,
    stored: Position | None = None,
    stored_seconds: float = STORE_SECONDS,
) -> None:
    """Send events to the topics of their streams until they end; store the position of what Kafka has."""
    position = None
    next_store = time.monotonic() + stored_seconds
    try:
        for event in events:
            sender.send(STREAMS[event.stream].topic, event.key, event.value)
            progress.event(event)
            position = event.position or position
            if stored and position and time.monotonic() >= next_store:
                sender.flush()
                stored.store(position)
                next_store = time.monotonic() + stored_seconds
    finally:
        # Also when stopped: what was read is sent, and only then is it passed over by the next run.
        sender.flush()
        if stored and position:
            stored.store(position)


def parser() -> argparse.ArgumentParser:
    aliases = ", ".join(sorted(stream.alias for stream in STREAMS.values() if stream.alias))
    top = argparse.ArgumentParser(
        prog="python -m producers.wikimedia", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--stream",
        action="append",
        metavar="NAME",
        help=f"repeatable, or NAME,NAME: {', '.join(sorted(STREAMS))}; short: {aliases} (default: recentchange)",
    )
    top.add_argument("--limit", type=whole_number, default=0, metavar="N", help="stop after N events (default: never)")
    top.add_argument(
        "--rate",
        type=non_negative,
        default=0.0,
        metavar="R",
        help="events a second; 0: as fast as it goes (generated"
        f" events without --limit: {synthetic_wikimedia.NOMINAL_RATE:g})",
    )
    top.add_argument(
        "--kafka-wait-seconds", type=non_negative, default=60.0, metavar="S", help="how long to wait for Kafka"
    )
    top.add_argument(
        "--output", metavar="F", help="write the events as lines to F (- is standard output), not to Kafka"
    )

    live = top.add_argument_group("live streams")
    live.add_argument("--url", help="base address (default: CROWDPULSE_WIKIMEDIA_URL)")
    live.add_argument(
        "--since", type=_time, metavar="TIME", help="begin at this ISO time, as far back as the service keeps events"
    )
    live.add_argument("--no-resume", action="store_true", help="do not begin where the last run ended")
    live.add_argument(
        "--stall-seconds", type=positive, default=30.0, metavar="S", help="reconnect after this long a silence"
    )
    live.add_argument(
        "--backoff-seconds", type=positive, default=1.0, metavar="S", help="the first pause before a reconnect"
    )
    live.add_argument(
        "--give-up-seconds",
        type=non_negative,
        default=0.0,
        metavar="S",
        help="end with exit code 1 after hearing nothing for this long; 0: never, but for a first connection that does"
        f" not come about within {FIRST_CONNECTION_SECONDS:g} s. An answer 429 (too many requests) is waited out"
        " however long it takes",
    )

    recorded = top.add_argument_group("recordings")
    recorded.add_argument(
        "--file", type=Path, metavar="F", help="an SSE response or JSON lines, plain or gzip; - is standard input"
    )

    made = top.add_argument_group("generated events")
    made.add_argument("--synthetic", action="store_true", help="generate events")
    made.add_argument("--seed", type=int, default=1, help="another seed, another story (default: 1)")
    made.add_argument(
        "--backfill-minutes",
        type=non_negative,
        default=0.0,
        metavar="M",
        help="begin M minutes ago, as fast as it goes",
    )
    made.add_argument("--duplicates", type=share, default=0.002, metavar="SHARE", help="told twice (default: 0.002)")
    made.add_argument("--late", type=share, default=0.0, metavar="SHARE", help="15 minutes late (default: 0)")
    made.add_argument(
        "--malformed", type=share, default=0.0, metavar="SHARE", help="unusable records on top (default: 0)"
    )
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    progress = WikimediaProgress()
    return run(lambda: _produce(options, progress), progress)


def _produce(options: argparse.Namespace, progress: WikimediaProgress) -> None:
    if options.file and options.synthetic:
        raise InputError("Give either --file or --synthetic.")
    names = [name for given in options.stream or [] for name in given.split(",")]
    streams = list(dict.fromkeys(map(_stream, names)))
    stored = None
    if options.file:
        events = paced(_limited(_recorded(options, streams, progress), options.limit), options.rate)
    elif options.synthetic:
        events = generated(options, streams or ["recentchange"], progress)
    else:
        live, stored = _live(options, streams or ["recentchange"], progress)
        progress.live = live
        events = _limited(live.events(), options.limit)
    if options.output:
        write(events, options.output, progress)
    else:
        with sending(options.kafka_wait_seconds, progress) as sender:
            send(events, sender, progress, stored=stored)


def _recorded(options: argparse.Namespace, streams: list[str], progress: WikimediaProgress) -> Iterator[Event]:
    if len(streams) > 1:
        raise InputError("A file is of one --stream, or says itself what each event is of.")
    for event in read_file(options.file, streams[0] if streams else None, progress.say):
        if event.canary:
            progress.canaries += 1
        else:
            yield event


def _live(options: argparse.Namespace, streams: list[str], progress: WikimediaProgress) -> tuple[Live, Position]:
    url = options.url or settings().wikimedia_url
    agent = user_agent(url)
    # One position for each service, too: an id of one means nothing to another.
    names = "+".join(sorted(streams))
    if len(names) > 150:  # the name of a file has 255 bytes at most
        names = hashlib.sha256(names.encode()).hexdigest()
    name = f"{settings().prefix}{urlsplit(url).netloc.replace(':', '_')}+{names}.json"
    stored = Position(settings().state_dir / "positions" / name)
    live = Live(
        url,
        streams,
        user_agent=agent,
        said=progress.say,
        position=None if options.no_resume or options.since else stored.load(),
        since=options.since,
        stall_seconds=options.stall_seconds,
        backoff_seconds=options.backoff_seconds,
        give_up_seconds=options.give_up_seconds,
    )
    return live, stored


def _limited(events: Iterator[Event], limit: int) -> Iterator[Event]:
    for number, event in enumerate(events, start=1):
        yield event
        if number == limit:
            return


def _stream(name: str) -> str:
    try:
        return NAMES[name]
    except KeyError:
        raise InputError(f"There is no stream {name!r}. Streams: {', '.join(sorted(STREAMS))}.") from None


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO time such as 2026-01-31T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
