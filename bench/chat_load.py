"""The whole path of a chat message under load: page's WebSocket, service, Kafka, jobs/moderation.py, Kafka, WebSocket.

    python -m bench.chat_load                      200 messages a second for 60 s, by 320 people, five in a room
    python -m bench.chat_load --seconds 5 --json   shorter, the result as JSON

The service and the job run. Everybody in a room has to see each of its messages and its decision: what one of them does
not see is lost; a message or a decision that they are told twice is doubled. A message's times run from its send until
its author sees it, and until they see its decision. Texts are friendly, and nobody says so much that it is a flood, so
that no mute is in the way. On Linux each client comes from an address of its own of this machine (127.0.x.y), since the
service's rate limit is by address. The service hides what is in Kafka twice, so the topics are counted too, when
the service's Kafka is that of the settings; a decision may be there twice. Exit codes: 0 nothing lost or doubled,
1 something was, or the service cannot be reached, 2 wrong options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import urlsplit

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from connections import kafka_options
from producers._chat_texts import friendly
from producers._command_line import positive, whole_number
from settings import settings
from stack import ports

MOST_IN_A_BURST = 7  # the policy calls eight messages within moderation_burst_seconds a flood
CLIENTS_OF_A_ROOM = 5
DECIDED = ("clean", "flagged", "held")
READ_SECONDS = 60
CLOCKS_DIFFER_SECONDS = 60
JOIN_SECONDS = 30
LINGER_SECONDS = 1.0  # after the last, for what would come twice
ON_LINUX = sys.platform == "linux"


class LoadError(Exception):
    """The load cannot be made; the message says what to do."""


@dataclass
class Sent:
    """A message: who sent it when, by time.perf_counter()."""

    room: str
    author: str
    at: float


@dataclass
class Tally:
    """What was sent, and what each client saw of it: clients and message_ids."""

    sent: dict[str, Sent] = field(default_factory=dict)
    messages: set[tuple[str, str]] = field(default_factory=set)
    decisions: set[tuple[str, str]] = field(default_factory=set)
    told: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # kind, client, message_id
    states: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    overdue: set[str] = field(default_factory=set)
    message_seconds: list[float] = field(default_factory=list)
    decision_seconds: list[float] = field(default_factory=list)

    def take(self, client: str, said: dict[str, Any], now: float) -> None:
        """Count what a client was told."""
        if said["type"] == "error":
            self.errors[f"{said['code']}: {said['detail']}"] += 1
        if said["type"] not in ("message", "decision"):
            return
        message = said["message"]
        identity, state = message["message_id"], message["state"]
        if identity not in self.sent:
            return  # of somebody who is no client of ours
        if said["type"] == "decision" and state not in DECIDED:
            self.overdue.add(identity)
            return
        self.told[said["type"], client, identity] += 1
        if said["type"] == "message":
            self._see(self.messages, self.message_seconds, client, identity, now)
        if state in DECIDED and self._see(self.decisions, self.decision_seconds, client, identity, now):
            self.states[state] += 1  # also of a message that is decided when it is shown first

    def _see(self, seen: set[tuple[str, str]], seconds: list[float], client: str, identity: str, now: float) -> bool:
        """Note what a client sees, and time it; True when a message's author sees it for the first time."""
        sent = self.sent[identity]
        is_first = client == sent.author and (client, identity) not in seen
        if is_first:
            seconds.append(now - sent.at)
        seen.add((client, identity))
        return is_first


class Client:
    """One person in a room."""

    def __init__(self, name: str, room: str, socket: ClientConnection, tally: Tally) -> None:
        self.name, self.room = name, room
        self._socket, self._tally = socket, tally
        self._random = Random(name)
        self._joined = asyncio.Event()

    async def listen(self) -> None:
        """Count what comes until the connection ends."""
        async for text in self._socket:
            said = json.loads(text)
            if said["type"] == "joined":
                self._joined.set()
            self._tally.take(self.name, said, time.perf_counter())

    async def join(self) -> None:
        """Enter the room; returns when the service says so."""
        await self._socket.send(json.dumps({"type": "join", "room": self.room, "user_name": self.name}))
        async with asyncio.timeout(JOIN_SECONDS):
            await self._joined.wait()

    async def send(self) -> None:
        """Say something."""
        identity = str(uuid.uuid4())
        told = {
            "type": "send",
            "message_id": identity,
            "text": f"{friendly('lobby', self._random)} {self._random.randrange(10**6)}",  # nobody says it twice
            "client_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        self._tally.sent[identity] = Sent(self.room, self.name, time.perf_counter())
        await self._socket.send(json.dumps(told))


async def load(url: str, rate: float, seconds: float, clients: int, rooms: int, wait_seconds: float) -> dict[str, Any]:
    """Make the load and return what came of it, times in milliseconds. Raises LoadError."""
    tally = Tally()
    run = uuid.uuid4().hex[:6]
    people: list[Client] = []
    listeners: list[asyncio.Task[None]] = []
    try:
        for number in range(clients):
            own = (f"127.0.{1 + number // 250}.{1 + number % 250}", 0) if ON_LINUX else None
            socket = await connect(url, local_addr=own, proxy=None, max_queue=None, ping_interval=None)
            person = Client(f"load-{run}-{number}", f"load-{run}-room-{number % rooms}", socket, tally)
            people.append(person)
            listeners.append(asyncio.create_task(person.listen()))
            await person.join()
        began, sending = await _send(people, rate, seconds)
        of_room = Counter(person.room for person in people)
        expected = sum(of_room[sent.room] for sent in tally.sent.values())
        deadline = time.perf_counter() + wait_seconds
        while time.perf_counter() < deadline and len(tally.messages) + len(tally.decisions) < 2 * expected:
            await asyncio.sleep(0.1)
        waited = time.perf_counter() - began - sending
        await asyncio.sleep(LINGER_SECONDS)
    except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
        said = "; ".join(tally.errors)
        raise LoadError(
            f"The moderation service at {url} cannot be reached or hung up ({type(error).__name__}: {error or said})."
            " `python -m services.moderation` starts it."
        ) from None
    finally:
        for person in people:
            await person._socket.close()
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    return {"rooms": f"load-{run}-room-"} | _result(tally, expected, sending, waited)


async def _send(people: list[Client], rate: float, seconds: float) -> tuple[float, float]:
    """Everybody in turn, evenly in time; returns when it began, and for how long it went on."""
    began = time.perf_counter()
    for number in range(round(rate * seconds)):
        ahead = began + number / rate - time.perf_counter()
        await asyncio.sleep(max(ahead, 0))
        await people[number % len(people)].send()
    return began, time.perf_counter() - began


def _result(tally: Tally, expected: int, sending: float, waited: float) -> dict[str, Any]:
    sent = len(tally.sent)
    authors = {(each.author, identity) for identity, each in tally.sent.items()}
    return {
        "sent": sent,
        "a_second": sent / sending if sending else 0.0,
        "acknowledged": sum(key in tally.messages for key in authors),
        "decided": sum(key in tally.decisions for key in authors),
        "states": dict(tally.states),
        "overdue": len(tally.overdue),
        "lost": 2 * expected - len(tally.messages) - len(tally.decisions),
        "doubled": tally.told.total() - len(tally.told),
        "told": tally.told.total(),
        "waited_seconds": waited,
        "errors": dict(tally.errors),
        "send_to_message_ms": percentiles(tally.message_seconds),
        "send_to_decision_ms": percentiles(tally.decision_seconds),
    }


def in_kafka(rooms: str, since: float) -> dict[str, int] | None:
    """What Kafka has of the rooms whose names begin so, since a Unix time; None when it does not answer or has nothing.

    How many messages, how many records of messages and of decisions repeat a message_id, and how many messages have no
    decision.
    """
    ids: list[Counter[str]] = []
    try:
        consumer = KafkaConsumer(**kafka_options(), bootstrap_timeout_ms=3_000)
        for topic in (settings().prefix + "chat_messages", settings().prefix + "moderation_decisions"):
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            for partition, found in consumer.offsets_for_times(dict.fromkeys(partitions, int(since * 1000))).items():
                consumer.seek(partition, found.offset if found else ends[partition])
            ids.append(Counter())
            deadline = time.monotonic() + READ_SECONDS
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                if time.monotonic() > deadline:
                    return None
                for records in consumer.poll(timeout_ms=200).values():
                    own = (one.value for one in records if one.value and (one.key or b"").startswith(rooms.encode()))
                    ids[-1].update(json.loads(value)["message_id"] for value in own)
        consumer.close()
    except KafkaError:
        return None
    messages, decisions = ids
    counts = {
        "messages": len(messages),
        "messages_again": messages.total() - len(messages),
        "decisions_again": decisions.total() - len(decisions),
        "decisions_missing": len(messages.keys() - decisions.keys()),
    }
    return counts if messages else None


def most_a_second() -> float:
    """How many messages a second one person may say without a flood."""
    return MOST_IN_A_BURST / settings().moderation_burst_seconds


def people_needed(rate: float) -> int:
    """For so many messages a second, with an eighth to spare."""
    return max(round(rate / most_a_second() * 1.12), 2)


def percentiles(seconds: list[float]) -> dict[str, float | None]:
    """p50, p95, p99 and max, in milliseconds: of the nearest rank, None where there is nothing."""
    ordered = sorted(seconds)
    ranks = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {
        name: ordered[max(-(-len(ordered) * rank // 100) - 1, 0)] * 1000 if ordered else None
        for name, rank in ranks.items()
    }


def table(result: dict[str, Any]) -> Table:
    """The result for people."""
    shown = Table("", "", *("p50", "p95", "p99", "max"), title="Chat under load; times in ms", title_justify="left")
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(result["states"].items()))
    for name, value in {
        "sent": f"{result['sent']:,} ({result['a_second']:,.0f}/s)",
        "acknowledged": f"{result['acknowledged']:,}",
        "decided": f"{result['decided']:,}" + (f" ({states})" if states else ""),
        "shown as unscored meanwhile": f"{result['overdue']:,}",
        "lost": f"{result['lost']:,}",
        "doubled": f"{result['doubled']:,}",
        **{f"in Kafka: {name.replace('_', ' ')}": f"{number:,}" for name, number in (result["kafka"] or {}).items()},
    }.items():
        shown.add_row(name, value, "", "", "", "")
    for name, key in (("send -> message", "send_to_message_ms"), ("send -> decision", "send_to_decision_ms")):
        shown.add_row(name, "", *("-" if value is None else f"{value:,.0f}" for value in result[key].values()))
    return shown


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m bench.chat_load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--rate", type=positive, default=200.0, metavar="R", help="messages a second (default: 200)")
    top.add_argument("--seconds", type=positive, default=60.0, metavar="S", help="for so long (default: 60)")
    top.add_argument(
        "--clients", type=whole_number, default=0, metavar="N", help="people (default: so many that nobody floods)"
    )
    top.add_argument("--rooms", type=whole_number, default=0, metavar="N", help="rooms (default: five people in each)")
    top.add_argument(
        "--wait-seconds", type=positive, default=30.0, metavar="S", help="wait so long for the last (default: 30)"
    )
    top.add_argument(
        "--url",
        default=f"http://127.0.0.1:{ports.port('moderation')}",
        help="the service, on this machine (default: %(default)s)",
    )
    top.add_argument("--json", action="store_true", help="print the result as JSON")
    return top


def main(arguments: list[str] | None = None) -> int:
    top = parser()
    options = top.parse_args(arguments)
    service = urlsplit(options.url)
    if service.scheme != "http" or service.hostname != "127.0.0.1":
        top.error("--url must be http://127.0.0.1:PORT: a load is not made on other machines.")
    clients = options.clients or people_needed(options.rate)
    if options.rate / clients > most_a_second():
        print("--clients are so few that the policy may take them for floods.", file=sys.stderr)
    rooms = min(options.rooms or max(clients // CLIENTS_OF_A_ROOM, 1), clients)
    began = time.time()
    try:
        result = asyncio.run(
            load(f"ws://{service.netloc}/ws", options.rate, options.seconds, clients, rooms, options.wait_seconds)
        )
    except LoadError as error:
        print(error, file=sys.stderr)
        return 1
    kafka = result["kafka"] = in_kafka(result["rooms"], began - CLOCKS_DIFFER_SECONDS)
    if not kafka:
        print("The topics are not counted: the settings' Kafka is away or has none of this load.", file=sys.stderr)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(table(result))
    for complaint, times in result["errors"].items():
        print(f"{times:,} times the service said: {complaint}", file=sys.stderr)
    wrong_in_kafka = kafka and (kafka["messages_again"] or kafka["decisions_missing"])
    return 1 if result["lost"] or result["doubled"] or wrong_in_kafka else 0


if __name__ == "__main__":
    sys.exit(main())
