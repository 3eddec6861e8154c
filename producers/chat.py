"""A made-up chat -> Kafka topic `chat_messages`, keyed by room: what people say in a demo.

    python -m producers.chat                          five messages a second, until it is stopped
    python -m producers.chat --rate 50 --limit 10000  faster, and not for ever
    python -m producers.chat --limit 100 --output -   lines on the terminal at once, no Kafka needed

Everybody has a name and a character: most are friendly, some grumpy, some rude, one in ten speaks another language.
Spammers send one text several times, and now and then somebody floods a room. Muted people go on: this producer asks
nobody. The seed decides who says what; message_id and the times are those of the run.
Exit codes: 0 done or stopped, 1 Kafka could not be reached, 2 wrong input.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import islice
from random import Random
from typing import Any, NamedTuple

from producers._chat_texts import FLOOD, FOREIGN, ROOMS, SPAM, friendly, grumpy, rude
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
from redaction import hide_secrets
from services.chat_log import ChatLog, NotWritten
from settings import settings

RATE = 5.0
FEWEST_USERS = 40
# So many that nobody says two things within some seconds unless they flood on purpose.
SECONDS_BETWEEN = 8
LIVELY_USERS = 2_000  # where there is no rate
MOST_WAITING = 5_000
COPIES, FLOOD_MESSAGES = 5, 10
FIRST_NAMES = (
    "amber", "basil", "clover", "daisy", "ember", "fern", "ginger", "hazel", "iris", "juniper", "kiwi", "linden",
    "maple", "nutmeg", "olive", "pepper", "quince", "rowan", "sage", "tansy",
)  # fmt: skip
LAST_NAMES = ("fox", "owl", "otter", "wren", "badger", "heron", "lynx", "finch", "hare", "newt")


class Said(NamedTuple):
    """Who says what, and where."""

    room: str
    user_name: str
    text: str

    def message(self) -> dict[str, Any]:
        """A new message of it, as chat_messages has it but for the server's time."""
        now = time.time()
        client_time = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        return {"message_id": str(uuid.uuid4()), **self._asdict(), "client_time": client_time}


class Line(NamedTuple):
    """A message as it is written to a file, or as it came to Kafka."""

    value: bytes
    time: str | None


def conversation(
    seed: int, rooms: tuple[str, ...], users: int, abusive: float, spam: float, flood: float
) -> Iterator[Said]:
    """What is said, without end. The shares are of the messages; `users` must be 10 or more."""
    random = Random(seed)
    names = _names(users)
    rude_ones, foreigners, grumpy_ones = set(names[::10]), set(names[1::10]), set(names[2::10])
    lately: deque[str] = deque(maxlen=len(names) // 2)  # who spoke: they wait for their turn
    said_by: dict[str, deque[str]] = {}  # what they said: nobody repeats themselves but spammers
    planned: deque[Said | None] = deque()  # what comes next; None: anything
    while True:
        if planned and (said := planned.popleft()):
            yield said
            continue
        speaker = random.choice([name for name in random.sample(names, min(64, len(names))) if name not in lately])
        lately.append(speaker)
        room = random.choice(rooms)
        chance = random.random()
        if chance < spam / COPIES and not planned:
            copy = Said(room, speaker, random.choice(SPAM).format(random.randrange(100, 999)))
            planned.extend([copy, None, None] * COPIES)
            continue
        if chance < spam / COPIES + flood / FLOOD_MESSAGES and not planned:
            planned.extend(Said(room, speaker, text) for text in random.sample(FLOOD, FLOOD_MESSAGES))
            continue
        if random.random() < abusive:
            speaker = random.choice(sorted(rude_ones))
            yield Said(room, speaker, rude(random.choice(names), random))
            continue
        before = said_by.setdefault(speaker, deque(maxlen=8))
        text = ""
        while not text or text in before:
            if speaker in foreigners and random.random() < 0.6:
                text = random.choice(FOREIGN)
            elif speaker in grumpy_ones and random.random() < 0.5:
                text = grumpy(room, random)
            else:
                text = friendly(room, random)
        before.append(text)
        yield Said(room, speaker, text)


def _names(users: int) -> list[str]:
    """So many different names; the first 200 have no number."""
    plain = [f"{first}_{last}" for last in LAST_NAMES for first in FIRST_NAMES]
    return [plain[number % 200] + (f"_{number // 200 + 1}" if number >= 200 else "") for number in range(users)]


def at_rate(said: Iterator[Said], rate: float, seconds: float | None) -> Iterator[Said]:
    """Each at its time (`rate` a second, 0: at once), until so many seconds are over."""
    began = time.monotonic()
    for number, each in enumerate(said):
        if rate and (ahead := began + number / rate - time.monotonic()) > 0:
            time.sleep(ahead)
        if seconds is not None and time.monotonic() - began >= seconds:
            return
        yield each


def send(said: Iterator[Said], log: ChatLog, progress: Progress) -> None:
    """Send until it ends. Raises Unavailable when Kafka does not take a message."""
    waiting: deque[Future[dict[str, Any]]] = deque()

    def acknowledged() -> None:
        record = waiting.popleft().result()
        progress.event(Line(b"", record["server_time"]))

    try:
        for each in said:
            waiting.append(log.send_message(each.message()))
            while waiting and (waiting[0].done() or len(waiting) > MOST_WAITING):
                acknowledged()
        while waiting:
            acknowledged()
    except NotWritten as error:
        raise Unavailable(str(error)) from None


def connected(wait_seconds: float, progress: Progress) -> ChatLog:
    """The chat's log; waits so long for Kafka. Raises Unavailable."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return ChatLog(settings().prefix)
        except NotWritten as error:
            if time.monotonic() >= deadline:
                raise Unavailable(str(error)) from None
            progress.say(f"Waiting: {error}")
            time.sleep(1)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m producers.chat", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--rate",
        type=non_negative,
        default=RATE,
        metavar="R",
        help="messages a second; 0: as fast as it goes (default: 5)",
    )
    top.add_argument(
        "--limit", type=whole_number, default=0, metavar="N", help="stop after N messages (default: never)"
    )
    top.add_argument("--duration", type=positive, metavar="SECONDS", help="stop after so many seconds (default: never)")
    top.add_argument(
        "--rooms", default=",".join(ROOMS), metavar="A,B", help="rooms, with commas (default: lobby,games,music,kids)"
    )
    top.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another talk (default: 1)")
    top.add_argument(
        "--users", type=whole_number, metavar="N", help="people (default: 40, or eight for each message a second)"
    )
    top.add_argument(
        "--abusive-share", type=share, default=0.03, metavar="SHARE", help="share of insults (default: 0.03)"
    )
    top.add_argument(
        "--spam-share", type=share, default=0.03, metavar="SHARE", help="share of copied advertisements (default: 0.03)"
    )
    top.add_argument(
        "--flood-share",
        type=share,
        default=0.02,
        metavar="SHARE",
        help="share of messages in floods of ten by one user (default: 0.02)",
    )
    top.add_argument(
        "--kafka-wait-seconds", type=non_negative, default=60.0, metavar="S", help="how long to wait for Kafka"
    )
    top.add_argument(
        "--output", metavar="F", help="write the messages as lines to F (- is standard output), not to Kafka"
    )
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    progress = Progress("messages")
    return run(lambda: _produce(options, progress), progress)


def _produce(options: argparse.Namespace, progress: Progress) -> None:
    rooms = tuple(filter(None, (room.strip() for room in options.rooms.split(","))))
    if not rooms or any(len(room) > 64 for room in rooms):
        raise InputError("--rooms must name one room or more, each of at most 64 characters.")
    users = options.users or max(FEWEST_USERS, math.ceil(options.rate * SECONDS_BETWEEN))
    if not options.users and not options.rate:
        users = LIVELY_USERS
    if users < 10:
        raise InputError("--users must be 10 or more: a chat needs people.")
    if options.abusive_share + options.spam_share + options.flood_share > 1:
        raise InputError("--abusive-share, --spam-share and --flood-share are more than 1 together.")
    said = conversation(options.seed, rooms, users, options.abusive_share, options.spam_share, options.flood_share)
    paced = at_rate(islice(said, options.limit or None), options.rate, options.duration)
    if options.output:
        messages = (each.message() for each in paced)
        lines = (Line(json.dumps(each, ensure_ascii=False).encode(), each["client_time"]) for each in messages)
        write(lines, options.output, progress)
        return
    log = connected(options.kafka_wait_seconds, progress)
    try:
        send(paced, log, progress)
    finally:
        log.close()


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
