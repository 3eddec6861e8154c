"""Instagram profiles -> Kafka topics `user_basic_info`, `user_posts_description` and `user_post_images`, keyed by name.

    python -m producers.instagram                                      five made up people, the posts of a year
    python -m producers.instagram --user some_name other.name          made up people of these names
    python -m producers.instagram --rate 2                             then two new posts a minute, until stopped
    python -m producers.instagram --source recorded FOLDER             what instaloader has stored in a folder
    python -m producers.instagram --source live --user some_name --session-file session-me
    python -m producers.instagram --output people.jsonl --no-pictures  to a file, neither Kafka nor S3 needed

Pictures go to S3, each once, under the hash of their bytes. docs/instagram.md tells of live use: its limits, and what
is lawful. Synthetic people follow from the seed and the name; a name that begins with `missing_` is of nobody.

Exit codes: 0 done or stopped, 1 Kafka, S3 or Instagram could not be reached or refuses, 2 wrong input.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import orjson

from producers import synthetic_instagram
from producers._command_line import InputError, Progress, non_negative, positive, run, whole_number, write
from producers._instagram_live import Live, folder_of_states
from producers._instagram_recorded import recorded
from producers._instagram_records import Post, Profile, Record, records
from producers._kafka import Sender, sending
from producers._pictures import FolderPictures, PictureStore, S3Pictures
from producers._usernames import username, usernames_of
from redaction import hide_secrets
from settings import settings

SOURCES = ("live", "recorded", "synthetic")
BACKFILL_DAYS = 365.0
STORE_SECONDS = 30.0
FEWEST_PACE_SECONDS = 1.0


class Span(NamedTuple):
    """The posts that are wanted: from `since` on, before `until`; None: without an end."""

    since: datetime | None
    until: datetime | None


class Line(NamedTuple):
    """A record as a line of a file."""

    value: bytes
    time: str


def span(options: argparse.Namespace) -> Span:
    """The time that the options name. Raises InputError for options that do not go together."""
    since = moment(options.since) if options.since else None
    until = moment(options.until, end_of_day=True) if options.until else None
    if options.backfill_days is not None:
        if since:
            raise InputError("Give either --since or --backfill-days.")
        try:
            since = (until or datetime.now(UTC)) - timedelta(days=options.backfill_days)
        except OverflowError:
            raise InputError("--backfill-days goes further back than time does: give a smaller number.") from None
    if since and until and since >= until:
        raise InputError(f"--until ({options.until}) is not after --since ({options.since}).")
    return Span(since, until)


def moment(text: str, *, end_of_day: bool = False) -> datetime:
    """An ISO time, in UTC unless it says otherwise. A date alone is its first moment, or with `end_of_day` its last.

    Raises InputError.
    """
    try:
        found = datetime.fromisoformat(text)
        if end_of_day and len(text) <= len("2026-01-31"):
            found += timedelta(days=1)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{text!r} is no date such as 2026-01-31, nor a time such as 2026-01-31T12:00:00Z.") from None


def usernames(options: argparse.Namespace) -> list[str]:
    """Whom the options name, each once. Raises InputError for the first that is no username."""
    named = [username(text) for text in options.user or []]
    if options.users_file:
        named += usernames_of(options.users_file)
        if not named:
            raise InputError(f"There is no username in {options.users_file}.")
    return list(dict.fromkeys(named))


def source(options: argparse.Namespace) -> tuple[str, list[Path]]:
    """The source's name and the folders of a recorded one. Raises InputError."""
    name, *given = options.source
    folders = [*map(Path, given), *(options.recorded_dir or [])]
    if name not in SOURCES:
        raise InputError(f"There is no --source {name!r}: it is live, recorded FOLDER or synthetic.")
    if name == "recorded" and not folders:
        raise InputError("--source recorded needs a folder: --source recorded FOLDER.")
    if name != "recorded" and folders:
        raise InputError(f"--source {name} takes no folder ({folders[0]}); --source recorded FOLDER does.")
    return name, folders


def made_up(options: argparse.Namespace, wanted: Span, names: list[str]) -> Iterator[Profile | Post]:
    """Synthetic people: their past at once, then with a rate each new post at its time, without an end."""
    people = [synthetic_instagram.person(name, options.seed) for name in names or synthetic_instagram.DEMO_USERS]
    now = datetime.now(UTC)
    until = min(wanted.until or now, now)
    since = wanted.since or until - timedelta(days=BACKFILL_DAYS)
    yield from synthetic_instagram.told(people, since, until, options.max_posts or None)
    if options.rate:
        yield from synthetic_instagram.new_posts(people, options.rate)


def again(gather: Callable[[], Iterator[Profile | Post]], every: float | None) -> Iterator[Profile | Post]:
    """One round, or rounds without an end, so many seconds after one another."""
    yield from gather()
    while every:
        time.sleep(every)
        yield from gather()


def send(
    told: Iterable[Record],
    sender: Sender,
    progress: Progress,
    *,
    store: Callable[[], None],
    store_seconds: float = STORE_SECONDS,
) -> None:
    """Send records until they end; then, and every so often, `store` how far Kafka has them."""
    next_store = time.monotonic() + store_seconds
    try:
        for record in told:
            sender.send(record.topic, record.key, record.value)
            progress.event(record)
            if time.monotonic() >= next_store:
                sender.flush()
                store()
                next_store = time.monotonic() + store_seconds
    finally:
        # Also when stopped: what was gathered is sent, and only then is it passed over by the next run.
        sender.flush()
        store()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m producers.instagram", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--user",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="whom to gather, with or without @; repeatable (default: synthetic: five people of the demo; recorded:"
        " everybody who is there)",
    )
    top.add_argument("--users-file", type=Path, metavar="F", help="usernames, one a line; # begins a comment")
    top.add_argument(
        "--source",
        nargs="+",
        default=["synthetic"],
        metavar=("SOURCE", "FOLDER"),
        help="live, recorded FOLDER… or synthetic (default)",
    )
    top.add_argument(
        "--recorded-dir", nargs="+", type=Path, action="extend", metavar="FOLDER", help="more such folders"
    )
    top.add_argument("--since", metavar="DATE", help="posts from then on, an ISO date or time (UTC)")
    top.add_argument("--until", metavar="DATE", help="posts until then; a date alone is with that day")
    top.add_argument(
        "--backfill-days",
        type=non_negative,
        metavar="D",
        help="instead of --since: so many days before --until or now (default: all; synthetic: 365)",
    )
    top.add_argument(
        "--max-posts", type=whole_number, default=0, metavar="N", help="of each person the newest N (default: all)"
    )
    top.add_argument("--limit", type=whole_number, default=0, metavar="N", help="stop after N records (default: never)")
    top.add_argument("--no-pictures", action="store_true", help="leave pictures alone: no S3, no records of them")
    top.add_argument(
        "--kafka-wait-seconds", type=non_negative, default=60.0, metavar="S", help="how long to wait for Kafka"
    )
    top.add_argument(
        "--output",
        metavar="F",
        help='write lines {"topic": …, "value": …} to F (- is standard output), not to Kafka',
    )
    top.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="with --output: store pictures in this folder, not in S3"
    )

    made = top.add_argument_group("synthetic people")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other people (default: 1)")
    made.add_argument(
        "--rate",
        type=_rate,
        default=0.0,
        metavar="R",
        help="after the past, so many new posts a minute of all together, until stopped (default: 0, none)",
    )

    live = top.add_argument_group("live and recorded")
    live.add_argument(
        "--every", type=positive, metavar="SECONDS", help="gather again so long after each round, until stopped"
    )

    online = top.add_argument_group("live")
    online.add_argument(
        "--session-file",
        type=Path,
        metavar="F",
        help="a session that `instaloader --login NAME` has stored (default: not logged in). There is no password"
        " option on purpose",
    )
    online.add_argument("--login", metavar="NAME", help="whose session it is (default: from a file name session-NAME)")
    online.add_argument(
        "--pace", type=non_negative, default=5.0, metavar="SECONDS", help="pause between two requests (default: 5)"
    )
    online.add_argument(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="where to remember how far each person was gathered (default: in CROWDPULSE_STATE_DIR)",
    )
    online.add_argument("--no-resume", action="store_true", help="gather all again, not only what is new")
    return top


def _rate(text: str) -> float:
    found = non_negative(text)
    if found and not 0.001 <= found <= 60_000:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0 nor from 0.001 to 60,000 a minute")
    return found


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    progress = Progress("records")
    return run(lambda: _produce(options, progress), progress)


def _produce(options: argparse.Namespace, progress: Progress) -> None:
    name, folders = source(options)
    names = usernames(options)
    wanted = span(options)
    _check(options, name, names)
    live = _live(options, progress) if name == "live" else None
    chosen = (wanted.since, wanted.until, options.max_posts)
    if live:
        found = again(lambda: live.found(names, *chosen), options.every)
    elif name == "recorded":
        found = again(lambda: recorded(folders, names, *chosen, progress.say), options.every)
    else:
        found = made_up(options, wanted, names)
    told: Iterator[Record] = records(found, _pictures(options), progress.say)
    if options.limit:
        told = itertools.islice(told, options.limit)
    store = live.store if live else _nothing
    if options.output:
        try:
            write(map(_line, told), options.output, progress)
        finally:
            store()
    else:
        with sending(options.kafka_wait_seconds, progress) as sender:
            send(told, sender, progress, store=store)


def _check(options: argparse.Namespace, name: str, names: list[str]) -> None:
    """Raise InputError for options that do not go together."""
    if name == "live" and not names:
        raise InputError("--source live needs a --user or --users-file: whom to gather.")
    if name == "live" and options.pace < FEWEST_PACE_SECONDS:
        raise InputError(f"--pace is {FEWEST_PACE_SECONDS:g} s or more: Instagram locks out who asks faster.")
    if name == "synthetic" and options.every:
        raise InputError("--every is for live and recorded people; --rate makes synthetic ones go on.")
    if options.rate and options.until:
        raise InputError("--rate tells what is posted from now on: it does not go with --until.")
    if name != "synthetic" and options.rate:
        raise InputError(
            "--rate is for synthetic people; --every gathers live and recorded ones again, --pace is theirs."
        )
    if name != "live" and (options.session_file or options.login or options.state):
        raise InputError("--session-file, --login and --state are for --source live.")
    if options.pictures and (options.no_pictures or not options.output):
        raise InputError("--pictures FOLDER goes with --output, and not with --no-pictures.")


def _live(options: argparse.Namespace, progress: Progress) -> Live:
    return Live(
        session_file=options.session_file,
        login=username(options.login) if options.login else None,
        pace_seconds=options.pace,
        states=options.state or folder_of_states(),
        resume=not options.no_resume,
        with_pictures=not options.no_pictures,
        say=progress.say,
    )


def _pictures(options: argparse.Namespace) -> PictureStore | None:
    if options.no_pictures:
        return None
    bucket = settings().s3_bucket
    if options.pictures:
        return FolderPictures(options.pictures, bucket)
    return S3Pictures(settings().s3_endpoint, settings().aws_region, bucket)


def _line(record: Record) -> Line:
    return Line(b'{"topic":%b,"value":%b}' % (orjson.dumps(record.topic), record.value), record.time)


def _nothing() -> None:
    """There is nothing to store."""


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
