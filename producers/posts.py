"""Generated social posts of six platforms -> Kafka topic `social_media`, keyed by user.

    python -m producers.posts                                  50 posts a second, until it is stopped
    python -m producers.posts --backfill 1 --rate 200          the posts of the last hour at once, then live
    python -m producers.posts --rate 0 --limit 200000          200,000 posts as fast as it goes
    python -m producers.posts --limit 1000 --output posts.jsonl --rate 0    to a file, no Kafka needed

Exit codes: 0 done or stopped, 1 Kafka could not be reached, 2 wrong input.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from producers import synthetic_posts
from producers._command_line import (
    InputError,
    Progress,
    non_negative,
    positive,
    run,
    share,
    whole_number,
    write,
)
from producers._kafka import Sender, sending
from producers.synthetic_posts import SyntheticPost
from redaction import hide_secrets
from settings import settings

TOPIC = "social_media"
MOST_PAST = timedelta(days=3653)


class Span(NamedTuple):
    """How long ago the first record is told, in seconds; records a second; how many at most."""

    past: float
    rate: float
    limit: int | None


def span(options: argparse.Namespace) -> Span:
    """The posts of a backfill, then live ones.

    As fast as possible (`--rate 0`) with a limit, they are spread over the past: the last of them is of now. Raises
    InputError for options that do not go together.
    """
    past = options.backfill * 3600
    rate = options.rate or synthetic_posts.NOMINAL_RATE
    limit = options.limit or None
    if options.rate:
        if options.duration:
            by_duration = max(1, round((past + options.duration) * rate))
            limit = min(limit or by_duration, by_duration)
    elif limit:
        past = past or limit / rate
        rate = limit / past
    elif past:
        raise InputError("With --rate 0, --backfill needs a --limit: so many posts are spread over these hours.")
    if past > MOST_PAST.total_seconds():
        raise InputError("The posts would begin more than ten years ago: give a smaller --backfill or --limit.")
    if not options.users:
        raise InputError("--users must be 1 or more: somebody has to post.")
    return Span(past, rate, limit)


def generated(options: argparse.Namespace, span: Span) -> Iterator[SyntheticPost]:
    """Posts of the past at once, then each at its time; `--rate 0` without a limit: of when each is made."""
    now = datetime.now(UTC)
    until = None
    for post in synthetic_posts.events(
        seed=options.seed,
        start=now - timedelta(seconds=span.past),
        rate=span.rate,
        limit=span.limit,
        users=options.users,
        late=options.late,
        duplicates=options.duplicates,
        malformed=options.malformed,
        odd=options.odd,
        corrections=options.corrections,
        abusive=options.abusive,
        oversized_bytes=settings().max_record_bytes,
        now=now,
        clock=None if options.rate or options.limit else time.time,
    ):
        if options.rate:
            ahead = post.time - time.time()
            if ahead > 0:
                time.sleep(ahead)
        elif options.duration:
            until = until or time.monotonic() + options.duration
            if time.monotonic() >= until:
                return
        yield post


def send(posts: Iterable[SyntheticPost], sender: Sender, progress: Progress) -> None:
    """Send posts until they end; also when stopped, what was made is with Kafka afterwards."""
    try:
        for post in posts:
            sender.send(TOPIC, post.key, post.value)
            progress.event(post)
    finally:
        sender.flush()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m producers.posts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--rate",
        type=_rate,
        default=synthetic_posts.NOMINAL_RATE,
        metavar="R",
        help="records a second; 0: as fast as it goes (default: 50)",
    )
    top.add_argument(
        "--limit",
        type=whole_number,
        default=0,
        metavar="N",
        help="stop after N records, corrections, late ones and copies among them, malformed ones not (default: never)",
    )
    top.add_argument(
        "--duration",
        type=positive,
        metavar="SECONDS",
        help="stop after so many seconds, those of a backfill not counted (default: never)",
    )
    top.add_argument(
        "--backfill",
        type=non_negative,
        default=0.0,
        metavar="HOURS",
        help="begin so many hours ago, as fast as it goes; then live. With --rate 0, --limit posts are spread over"
        " these hours, and it ends (without --backfill: over the time that they take at 50 a second)",
    )
    top.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another story (default: 1)")
    top.add_argument(
        "--users", type=whole_number, default=synthetic_posts.USERS, metavar="N", help="people (default: 20000)"
    )
    top.add_argument(
        "--abusive",
        type=share,
        default=0.02,
        metavar="SHARE",
        help="usual share of abusive texts; in a surge of bad mood four times that (default: 0.02)",
    )
    top.add_argument(
        "--corrections",
        type=share,
        default=0.05,
        metavar="SHARE",
        help="told again within 15 s of the post's time, with higher counts (default: 0.05)",
    )
    top.add_argument(
        "--late", type=share, default=0.001, metavar="SHARE", help="told 30 to 90 minutes late (default: 0.001)"
    )
    top.add_argument("--duplicates", type=share, default=0.002, metavar="SHARE", help="told twice (default: 0.002)")
    top.add_argument(
        "--odd", type=share, default=0.001, metavar="SHARE", help="posts with one unusable field (default: 0.001)"
    )
    top.add_argument(
        "--malformed", type=share, default=0.001, metavar="SHARE", help="unusable records on top (default: 0.001)"
    )
    top.add_argument(
        "--kafka-wait-seconds", type=non_negative, default=60.0, metavar="S", help="how long to wait for Kafka"
    )
    top.add_argument("--output", metavar="F", help="write the posts as lines to F (- is standard output), not to Kafka")
    return top


def _rate(text: str) -> float:
    found = non_negative(text)
    if found and not 0.001 <= found <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0 nor from 0.001 to 1,000,000 a second")
    return found


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    progress = Progress("posts")
    return run(lambda: _produce(options, progress), progress)


def _produce(options: argparse.Namespace, progress: Progress) -> None:
    chosen = span(options)
    if options.output:
        write(generated(options, chosen), options.output, progress)
    else:
        with sending(options.kafka_wait_seconds, progress) as sender:
            send(generated(options, chosen), sender, progress)


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
