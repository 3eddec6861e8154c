"""The versions of the chat's moderation policy: publishes them to the topic moderation_policies, and shows them.

    python -m jobs.policy publish FILE                     in force ten seconds from now
    python -m jobs.policy publish FILE --from TIME         in force from an ISO time on, for messages of that time
    python -m jobs.policy publish FILE --shadow            runs beside the one in force; recorded, never acted on
    python -m jobs.policy withdraw-shadow
    python -m jobs.policy show

A version, once published, is never changed: a replay judges old messages by it. The first one holds for all history.

Exit code 0: done, or there already. 1: Kafka did not answer, or so late that readers may not have the version in time:
publish another. 2: wrong arguments or a wrong policy: nothing is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from kafka import KafkaProducer
from kafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from connections import kafka_options
from jobs.replay import BROKER_WAIT_MS, InputError, iso_time, messages_of
from models.policy import Policy
from settings import settings

TOPIC = "moderation_policies"
# By then every reader has it: so no message is judged before that should be judged by it.
NOTICE = timedelta(seconds=10)
# A version that Kafka has no longer than this before it is in force may reach readers too late.
LEAST_NOTICE = timedelta(seconds=5)
# A version that is scheduled cannot be overtaken by an earlier one.
MOST_AHEAD = timedelta(days=7)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Slot = Literal["champion", "shadow"]


class LateError(Exception):
    """A version was published so late that readers may not have it in time; the text is for users."""


class Published(NamedTuple):
    """A record of the topic; no policy: from then on none is in the shadow."""

    slot: str
    version: str
    valid_from: datetime
    policy: str | None


def published() -> list[Published]:
    """What the topic holds, in the order of publication.

    Raises InputError when there is no topic, KafkaError when Kafka does not answer.
    """
    records = map(record_of, messages_of(settings().prefix + TOPIC))
    return [record for record in records if record]


def record_of(message: bytes) -> Published | None:
    """A record of the topic; None for what is none, which the job keeps as a dead letter."""
    try:
        fields = json.loads(message)
        slot, version, policy = fields["slot"], fields["version"], fields["policy"]
        if slot not in get_args(Slot) or not isinstance(version, str) or not isinstance(policy, str | None):
            return None
        return Published(slot, version, _utc(datetime.fromisoformat(fields["valid_from"])), policy)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def publish(policy: Policy, slot: Slot = "champion", valid_from: datetime | None = None) -> str:
    """Publishes a version of the policy, if it is not there already; returns a sentence that says from when it holds.

    Raises InputError for a policy that readers could not read, a version that is there with other content, a time
    before the newest version's and one more than MOST_AHEAD from now; KafkaError when Kafka does not answer, LateError
    when it answers too late.
    """
    if valid_from and valid_from > datetime.now(UTC) + MOST_AHEAD:
        raise InputError(
            f"A version can be published at most {MOST_AHEAD.days} days ahead, since until then no other can be in"
            " force: give an earlier time by --from."
        )
    try:
        Policy.parse(policy.to_json())
    except ValueError as error:
        raise InputError(f"Readers could not read {policy.version}: {error}") from None
    there = published()
    name = f"Policy {policy.version}" if slot == "champion" else f"Shadow policy {policy.version}"
    same = [one for one in there if one.version == policy.version]
    if any(one.policy != policy.to_json() for one in same):
        raise InputError(
            f"Version {policy.version} is published already with other content: give the file a new version."
        )
    of_slot = [one for one in there if one.slot == slot]
    own = [one for one in of_slot if one.version == policy.version]
    if own and of_slot[-1] == own[-1]:
        return f"{name} is published already, in force from {_shown(own[-1].valid_from)}."
    if own:
        raise InputError(
            f"{name} was in force before {of_slot[-1].version}. To return to it, publish it under a new version."
        )
    if slot == "champion" and not of_slot:
        with _connected() as producer:
            _send(producer, Published(slot, policy.version, BEGINNING, policy.to_json()))
        return f"{name} is published, the first one: in force for all messages, those of the past too."
    with _connected() as producer:
        begins = max(_whole(valid_from or BEGINNING), _soon())
        if of_slot and begins <= of_slot[-1].valid_from:
            raise InputError(
                f"{of_slot[-1].version} is in force from {_shown(of_slot[-1].valid_from)}: give a later time by --from."
            )
        _send(producer, Published(slot, policy.version, begins, policy.to_json()))
    return f"{name} is published: in force for messages from {_shown(begins)}."


def withdraw_shadow() -> str:
    """Ends the shadow policy, if there is one; returns a sentence. Raises as `publish` does."""
    of_slot = [one for one in published() if one.slot == "shadow"]
    if not of_slot or of_slot[-1].policy is None:
        return "There is no shadow policy."
    with _connected() as producer:
        begins = max(_soon(), of_slot[-1].valid_from + timedelta(milliseconds=1))
        # A key of its own: compaction would take away the version itself, which a replay needs.
        _send(producer, Published("shadow", f"withdrawn-{_shown(begins)}", begins, None))
    return f"Shadow policy {of_slot[-1].version} is withdrawn: not in force for messages from {_shown(begins)}."


def ensure_published() -> str:
    """Publishes the default policy when there is no policy at all; returns a sentence.

    Raises ValueError for a default policy that is wrong, else as `publish` does.
    """
    of_slot = [one for one in published() if one.slot == "champion"]
    return publish(Policy.default()) if not of_slot else f"Policy {of_slot[-1].version} is the newest one."


@contextmanager
def _connected() -> Iterator[KafkaProducer]:
    """A producer that knows who leads the topic: what is sent with it waits for nothing else."""
    producer = KafkaProducer(
        **kafka_options(),
        bootstrap_timeout_ms=BROKER_WAIT_MS,
        max_block_ms=BROKER_WAIT_MS,
        acks="all",
    )
    try:
        producer.partitions_for(settings().prefix + TOPIC)
        yield producer
    finally:
        producer.close(timeout=10)


def _send(producer: KafkaProducer, record: Published) -> None:
    """Publishes a record. Raises LateError when Kafka has it so late that readers may not have it in time."""
    value = record._asdict() | {"valid_from": _shown(record.valid_from)}
    future = producer.send(
        settings().prefix + TOPIC,
        key=f"{record.slot}:{record.version}".encode(),
        value=json.dumps(value, ensure_ascii=False).encode(),
    )
    future.get(timeout=BROKER_WAIT_MS / 1000)
    if record.valid_from != BEGINNING and datetime.now(UTC) > record.valid_from - LEAST_NOTICE:
        raise LateError(
            f"Kafka took version {record.version} too late: it is in force for messages from"
            f" {_shown(record.valid_from)}, and some may have been judged without it. Publish the policy again under"
            " a new version."
        )


def _soon() -> datetime:
    """The earliest time from which a version that is published now can hold."""
    return _whole(datetime.now(UTC) + NOTICE)


def _whole(time: datetime) -> datetime:
    """A time in whole milliseconds, as it is written."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _utc(time: datetime) -> datetime:
    """A time in UTC; one without a zone is. Raises OverflowError for one that is before the year 1 there."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _shown(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def table(now: datetime) -> Table:
    """The versions, newest last, each with whether it is in force now."""
    there = published()
    shown = Table("slot", "version", "in force from", "now", title=f"Policies in {settings().prefix}{TOPIC}")
    for one in there:
        of_slot = [other for other in there if other.slot == one.slot]
        begun = [other for other in of_slot if other.valid_from <= now]
        state = "from then" if one.valid_from > now else "in force" if one == begun[-1] else "past"
        since = "the beginning" if one.valid_from == BEGINNING else _shown(one.valid_from)
        shown.add_row(one.slot, one.version, since, state if one.policy else f"{state}: none")
    return shown


def read(file: Path) -> Policy:
    """The policy of a file. Raises InputError for one that cannot be read or is wrong."""
    try:
        return Policy.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def attempted(work: Callable[[], int], console: Console) -> int:
    """What `work` returns; 2 with its sentence when the user can mend it, 1 when Kafka does not answer in time."""
    try:
        return work()
    except InputError as error:
        console.print(str(error), soft_wrap=True)
        return 2
    except LateError as error:
        console.print(str(error), soft_wrap=True)
        return 1
    except KafkaError as error:
        console.print(
            f"Kafka at {settings().kafka_bootstrap_servers} did not answer: {error}. Is the stack up?", soft_wrap=True
        )
        return 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.policy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    publishing = commands.add_parser("publish", help="publish a version")
    publishing.add_argument("file", type=Path, metavar="FILE", help="the policy, YAML or JSON")
    publishing.add_argument("--shadow", action="store_true", help="beside the one in force, without effect")
    publishing.add_argument(
        "--from",
        dest="valid_from",
        type=iso_time,
        metavar="TIME",
        help="in force from this ISO time (default: soon)",
    )
    commands.add_parser("show", help="the published versions")
    commands.add_parser("withdraw-shadow", help="end the shadow policy")
    options = parser.parse_args(arguments)

    out = Console(markup=False, emoji=False, highlight=False)
    error = Console(stderr=True, markup=False, emoji=False, highlight=False)

    def work() -> int:
        if options.command == "show":
            out.print(table(datetime.now(UTC)))
        elif options.command == "withdraw-shadow":
            out.print(withdraw_shadow(), soft_wrap=True)
        else:
            slot: Slot = "shadow" if options.shadow else "champion"
            out.print(publish(read(options.file), slot, options.valid_from), soft_wrap=True)
        return 0

    return attempted(work, error)


if __name__ == "__main__":
    sys.exit(main())
