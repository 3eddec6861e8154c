"""What the service knows of the chat: messages, decisions, verdicts, mutes and policies of the last hours, in memory.

All of it comes from Kafka's records, handed to `Chat.apply` in the order in which they are read; nothing else changes
it but the time (`Chat.sweep`). The same records give the same state, in any order of the topics, and a record that
comes twice changes nothing. Times are Unix milliseconds.
"""

from __future__ import annotations

import hashlib
import logging
import time as clock
from bisect import insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import orjson

from models.policy import Policy

Json = dict[str, Any]
Key = tuple[str, str]  # room and message_id: another room may have a message of the same id
State = Literal["checking", "clean", "flagged", "held", "unscored"]

MESSAGES, DECISIONS, FEEDBACK = "chat_messages", "moderation_decisions", "moderation_feedback"
POLICIES = "moderation_policies"
QUEUES = ("flagged", "held", "sampled", "unscored")
JOIN_MESSAGES = 100  # what somebody who joins a room sees of it
USER_MESSAGES = 50  # what a moderator sees of a user
USER_VERDICTS = 50
MAX_MESSAGES = 100_000  # in memory, about 2 kB each with its decision, however long the history may be
MAX_NAME, MAX_TEXT, MAX_ID, MAX_TIME = 64, 2000, 64, 40
MAX_MINUTES = 525_600  # of a mute: a year
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = 253_402_300_799_000  # Unix milliseconds: ISO 8601 ends with the year 9999
STATES: Mapping[str, State] = {"allow": "clean", "flag": "flagged", "hold": "held", "unscored": "unscored"}

logger = logging.getLogger(__name__)


class Record(NamedTuple):
    """A record of a topic (named without prefix): its partition, its Kafka timestamp and its value."""

    topic: str
    partition: int
    timestamp: int
    value: bytes


@dataclass(slots=True, eq=False)
class Message:
    """A message as its sender wrote it; `queue` is the moderators' queue that it is in."""

    message_id: str
    room: str
    user_name: str
    text: str
    client_time: str | None
    server_time: str
    time: int
    is_sampled: bool
    is_overdue: bool = False
    queue: str | None = None

    @property
    def key(self) -> Key:
        """By which decisions and verdicts are known to be of this message."""
        return self.room, self.message_id


@dataclass(slots=True)
class Decision:
    """What the job decided; `record` is the rest of it, in JSON."""

    decision: str
    reasons: list[str]
    ngrams: list[str]
    time: int
    record: bytes


@dataclass(slots=True)
class User:
    """A name: its last messages, its strikes by message as (time, weight), its newest mute as (since, until)."""

    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=USER_MESSAGES))
    verdicts: deque[Json] = field(default_factory=lambda: deque(maxlen=USER_VERDICTS))
    strikes: dict[Key, tuple[int, float]] = field(default_factory=dict)
    mute: tuple[int, int] = (0, 0)


class Event(NamedTuple):
    """A change that people are to see.

    kind: `message` (a new one), `decision` (its state, its reasons or its verdict is another) or `you` (of a user)
    action: of a user, warn, mute or unmute
    is_from_job: the job has decided just now
    """

    kind: Literal["message", "decision", "you"]
    message: Message | None
    user_name: str
    action: str = ""
    is_from_job: bool = False


class Force(NamedTuple):
    """A policy and from when it is in force; a challenger that was withdrawn is None."""

    valid_from: int
    number: int
    policy: Policy | None


class Chat:
    """The chat of the last `history_minutes`, of at most MAX_MESSAGES messages."""

    def __init__(
        self,
        default_policy: Policy,
        *,
        history_minutes: float,
        strike_minutes: float,
        unscored_seconds: float,
        review_share: float,
    ) -> None:
        self.messages: dict[str, Message] = {}
        self.queues: dict[str, dict[str, Message]] = {name: {} for name in QUEUES}
        self.users: dict[str, User] = {}
        self._decisions: dict[Key, Decision] = {}
        self._verdicts: dict[Key, Json] = {}  # the newest of each message
        self._rooms: dict[str, deque[Message]] = {}
        self._undecided: dict[str, Message] = {}  # within the time in which a decision is awaited
        self._feedback: dict[str, Key | None] = {}  # the message by feedback_id
        self._default = default_policy
        self._policies: dict[str, list[Force]] = {"champion": [], "shadow": []}
        self._read: dict[tuple[str, int], deque[tuple[int, Key]]] = {}  # what to forget, by partition
        self.history, self._strike = round(history_minutes * 60_000), strike_minutes * 60_000
        self._unscored = unscored_seconds * 1000
        self._review_share = review_share

    # --- what is read

    def apply(self, records: Iterable[Record]) -> list[Event]:
        """Take in records as they are read; returns what people are to see of them. What is no record of the topic's
        shape is left out (the job keeps it as a dead letter)."""
        takes = {
            MESSAGES: self._message,
            DECISIONS: self._decision,
            FEEDBACK: self._of_moderator,
            POLICIES: self._policy,
        }
        events: list[Event] = []
        left_out: Counter[tuple[str, str]] = Counter()
        for record in records:
            try:
                if not 0 <= record.timestamp <= LAST:
                    raise ValueError
                value = orjson.loads(record.value)
                events += takes[record.topic](value, record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                left_out[record.topic, type(error).__name__] += 1
            except Exception:  # one record must not end the reading
                logger.exception("A record of %s, partition %d, is left out.", record.topic, record.partition)
        for (topic, reason), count in left_out.items():  # one line, not one a record: a storm of them fills no disk
            logger.warning("Left out of %s: %d of what was just read (%s).", topic, count, reason)
        return events

    def _message(self, value: Json, record: Record) -> Iterator[Event]:
        identity, room, name, text = (value[key] for key in ("message_id", "room", "user_name", "text"))
        _check_texts((identity, MAX_ID), (room, MAX_NAME), (name, MAX_NAME), (text, MAX_TEXT))
        client_time = value.get("client_time")
        if identity in self.messages:
            return
        message = Message(
            identity,
            room,
            name,
            text,
            client_time if isinstance(client_time, str) and len(client_time) <= MAX_TIME else None,
            iso(record.timestamp),
            record.timestamp,
            share_of(identity) < self._review_share,
        )
        self.messages[identity] = message
        self._rooms.setdefault(room, deque(maxlen=JOIN_MESSAGES)).append(message)
        self._user(name).messages.append(message)
        self._remember(record, record.timestamp, (room, identity))
        if (room, identity) not in self._decisions:
            self._undecided[identity] = message
        self._place(message)
        yield Event("message", message, name)

    def _decision(self, value: Json, record: Record) -> Iterator[Event]:
        identity, room, name = value["message_id"], value["room"], value["user_name"]
        _check_texts((identity, MAX_ID), (room, MAX_NAME), (name, MAX_NAME))
        decision, action, key = value["decision"], value.get("action") or "none", (room, identity)
        reasons, ngrams = value.pop("reasons", None) or [], value.pop("ngrams", None) or []
        if decision not in STATES or action not in ("none", "warn", "mute") or not _is_flat(value):
            raise ValueError
        if not all(isinstance(each, list) and all(isinstance(one, str) for one in each) for each in (reasons, ngrams)):
            raise ValueError
        if key in self._decisions:
            return
        time, weight = milliseconds(value["server_time"]), (value.get("strike_points") or 0) / 1000
        if weight < 0:
            raise ValueError
        until = milliseconds(value["muted_until"]) if action == "mute" and value.get("muted_until") else None
        value.pop("text", None)  # the message has it
        self._decisions[key] = Decision(decision, reasons, ngrams, time, orjson.dumps(value))
        self._remember(record, time, key)
        if weight:
            self._user(name).strikes[key] = (time, weight)
        if message := self._message_of(key):
            self._undecided.pop(identity, None)
            self._place(message)
            yield Event("decision", message, message.user_name, is_from_job=True)
        if until is not None:
            self._mute(name, time, until)
        if action != "none":
            yield Event("you", None, name, action)

    def _of_moderator(self, value: Json, record: Record) -> Iterator[Event]:
        identity, kind, name, time = value["feedback_id"], value["kind"], value["user_name"], record.timestamp
        _check_texts(
            (identity, MAX_ID), (name, MAX_NAME), (value["moderator"], MAX_NAME), (value["server_time"], MAX_TIME)
        )
        if not _is_flat(value):
            raise ValueError
        key: Key | None = None
        until = 0
        if kind == "verdict":
            key = room, message_id = value["room"], value["message_id"]
            _check_texts((room, MAX_NAME), (message_id, MAX_ID))
            if value["verdict"] not in ("uphold", "overturn") or value["decision"] not in (None, *STATES):
                raise ValueError
        elif kind == "mute":
            if not 1 <= value["minutes"] <= MAX_MINUTES:
                raise ValueError
            until = time + int(value["minutes"] * 60_000)
        elif kind != "unmute":
            raise ValueError
        if identity in self._feedback:
            return
        self._feedback[identity] = key
        self._remember(record, time, ("", identity))
        self._user(name).verdicts.append(value)
        if key is None:
            self._mute(name, time, until)
            yield Event("you", None, name, kind)
            return
        self._verdicts[key] = value
        if message := self._message_of(key):
            self._place(message)
            yield Event("decision", message, name)

    def _policy(self, value: Json, record: Record) -> Iterator[Event]:
        policy = None if value["policy"] is None else Policy.parse(value["policy"])
        forces = self._policies[value["slot"]]
        if policy is None and value["slot"] == "champion":
            raise ValueError
        force = Force(milliseconds(value["valid_from"]), len(forces), policy)
        insort(forces, force, key=lambda each: (each.valid_from, each.number))
        return iter(())

    def _mute(self, name: str, since: int, until: int) -> None:
        user = self._user(name)
        if since >= user.mute[0]:
            user.mute = (since, min(until, LAST))

    def _message_of(self, key: Key) -> Message | None:
        message = self.messages.get(key[1])
        return message if message and message.room == key[0] else None

    def _user(self, name: str) -> User:
        return self.users.setdefault(name, User())

    def _remember(self, record: Record, time: int, key: Key) -> None:
        self._read.setdefault((record.topic, record.partition), deque()).append((time, key))

    def _place(self, message: Message) -> None:
        """Put a message into the moderators' queue in which it belongs now."""
        decision = self._decisions.get(message.key)
        queue: str | None = None
        if message.key in self._verdicts:
            pass
        elif decision is None:
            queue = "unscored" if message.is_overdue else None
        elif decision.decision != "allow":
            queue = STATES[decision.decision]
        elif message.is_sampled:
            queue = "sampled"
        if queue != message.queue:
            if message.queue:
                del self.queues[message.queue][message.message_id]
            if queue:
                self.queues[queue][message.message_id] = message
            message.queue = queue

    # --- what time does

    def sweep(self, now: int) -> list[Event]:
        """The messages that have waited too long for a decision, now unscored."""
        late = [each for each in self._undecided.values() if now - each.time > self._unscored]
        for message in late:
            del self._undecided[message.message_id]
            message.is_overdue = True
            self._place(message)
        return [Event("decision", message, message.user_name) for message in late]

    def forget(self, now: int) -> None:
        """Forget what is older than the history, and the oldest of what is more than MAX_MESSAGES."""
        for (topic, _), read in self._read.items():
            while read and read[0][0] < now - self.history:
                self._drop(topic, read.popleft()[1])
        for topic, known in ((MESSAGES, self.messages), (DECISIONS, self._decisions), (FEEDBACK, self._feedback)):
            while len(known) > MAX_MESSAGES:
                fullest = min(
                    (read for (of, _), read in self._read.items() if of == topic and read), key=lambda r: r[0]
                )
                self._drop(topic, fullest.popleft()[1])
        for room, of_room in list(self._rooms.items()):
            while of_room and of_room[0].message_id not in self.messages:
                of_room.popleft()
            if not of_room:
                del self._rooms[room]
        for name, user in list(self.users.items()):
            while user.messages and user.messages[0].message_id not in self.messages:
                user.messages.popleft()
            while user.verdicts and user.verdicts[0]["feedback_id"] not in self._feedback:
                user.verdicts.popleft()
            for key in [key for key, (time, _) in user.strikes.items() if time < now - self._strike]:
                del user.strikes[key]
            if not user.messages and not user.verdicts and not user.strikes and user.mute[1] < now:
                del self.users[name]

    def _drop(self, topic: str, key: Key) -> None:
        identity = key[1]
        if topic == MESSAGES:
            message = self.messages.pop(identity)
            self._undecided.pop(identity, None)
            if message.queue:
                del self.queues[message.queue][identity]
        elif topic == DECISIONS:
            del self._decisions[key]
        else:
            of = self._feedback.pop(identity)
            if of and self._verdicts.get(of, {}).get("feedback_id") == identity:
                del self._verdicts[of]

    # --- what is asked

    def policy(self, now: int, slot: str = "champion") -> Policy | None:
        """The published policy in force at a time; None where there is none."""
        found: Policy | None = None
        for force in self._policies[slot]:
            if force.valid_from > now:
                break
            found = force.policy
        return found

    def champion(self, now: int) -> Policy:
        """The policy by which messages are judged at a time: until one is published, that of the settings."""
        return self.policy(now) or self._default

    def state(self, message: Message) -> State:
        """A message's state: the moderator's verdict, else the decision, else how long it has waited for one."""
        decision, verdict = self._decisions.get(message.key), self._verdicts.get(message.key)
        if verdict:
            stopped, overturned = verdict["decision"] in ("flag", "hold"), verdict["verdict"] == "overturn"
            if stopped == overturned:  # it was stopped and was fine, or it was let through and is
                return "clean"
            if overturned:
                return "held"
        if decision:
            return STATES[decision.decision]
        return "unscored" if message.is_overdue else "checking"

    def is_hidden(self, message: Message) -> bool:
        """Whether others than its author and the moderators do not get the text."""
        state = self.state(message)
        if state in ("checking", "unscored"):
            return bool(self.champion(message.time).room(message.room).unscored == "hold")
        return state == "held"

    def shown(self, message: Message, whole: bool) -> Json:
        """A message as the chat shows it; unless `whole`, without what is hidden from others."""
        decision, verdict = self._decisions.get(message.key), self._verdicts.get(message.key)
        open_to_all = whole or not self.is_hidden(message)
        state = self.state(message)
        return {
            "message_id": message.message_id,
            "room": message.room,
            "user_name": message.user_name,
            "text": message.text if open_to_all else None,
            "server_time": message.server_time,
            "state": state,
            "reasons": decision.reasons if decision else [],
            "ngrams": decision.ngrams if decision and open_to_all else [],
            "verdict": verdict["verdict"] if verdict else None,
        }

    def detail(self, message: Message) -> Json:
        """A message with all that is known of it, for moderators."""
        decision, verdict = self._decisions.get(message.key), self._verdicts.get(message.key)
        return {
            **(orjson.loads(decision.record) if decision else {"decision": None}),
            **self.shown(message, whole=True),
            "client_time": message.client_time,
            "is_sampled": self.is_for_review(message),
            "queue": message.queue,
            "moderator": verdict["moderator"] if verdict else None,
            "verdict_time": verdict["server_time"] if verdict else None,
        }

    def last_of(self, room: str) -> list[Message]:
        """The last messages of a room, in order."""
        return list(self._rooms.get(room, ()))

    def queue(self, name: str, room: str | None, limit: int) -> list[Message]:
        """The newest messages of a queue, the newest first."""
        chosen = (each for each in reversed(self.queues[name].values()) if room is None or each.room == room)
        return [message for message, _ in zip(chosen, range(limit), strict=False)]

    def counts(self, room: str | None = None) -> dict[str, int]:
        """How many messages each queue has, of one room or of all."""
        if room is None:
            return {name: len(messages) for name, messages in self.queues.items()}
        return {name: sum(each.room == room for each in found.values()) for name, found in self.queues.items()}

    def rooms_waiting(self) -> list[str]:
        """The rooms that have messages in a queue."""
        return sorted({each.room for messages in self.queues.values() for each in messages.values()})

    def decision_of(self, message: Message) -> Json | None:
        """What the job decided, as it wrote it (without the text); None where it has not."""
        decision = self._decisions.get(message.key)
        return orjson.loads(decision.record) if decision else None

    def verdict_of(self, message: Message) -> Json | None:
        """The verdict that holds."""
        return self._verdicts.get(message.key)

    def concerns_moderators(self, message: Message) -> bool:
        """Whether it is, or may have been, in one of the queues."""
        return message.queue is not None or message.is_overdue or message.key in self._verdicts

    def is_for_review(self, message: Message) -> bool:
        """Whether it is an allowed message of the share that moderators are asked to look at."""
        decision = self._decisions.get(message.key)
        return message.is_sampled and decision is not None and decision.decision == "allow"

    def has_feedback(self, feedback_id: str) -> bool:
        """Whether this event of a moderator was read."""
        return feedback_id in self._feedback

    def standing(self, name: str, now: int) -> Json:
        """A user's strikes now, each less by the time that it is old, and until when the user is muted, or None.

        A strike of weight w at age a is worth w * (1 - a / strike_minutes); one whose decision a moderator has
        overturned is worth nothing.
        """
        user = self.users.get(name, User())
        strikes = sum(
            weight * max(0.0, min(1.0, 1 - (now - time) / self._strike))
            for key, (time, weight) in user.strikes.items()
            if (self._verdicts.get(key) or {}).get("verdict") != "overturn"
        )
        until = user.mute[1]
        return {"strikes": round(strikes, 3), "muted_until": iso(until) if until > now else None}


def now() -> int:
    """Unix milliseconds."""
    return clock.time_ns() // 1_000_000


def iso(time: int) -> str:
    """Unix milliseconds in ISO 8601, UTC, with milliseconds and Z."""
    return (EPOCH + timedelta(milliseconds=time)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(text: str) -> int:
    """The Unix milliseconds of a time in ISO 8601. Raises ValueError, TypeError for what is none."""
    time = round(datetime.fromisoformat(text).timestamp() * 1000)
    if not 0 <= time <= LAST:
        raise ValueError
    return time


def share_of(identity: str) -> float:
    """A number in [0, 1) that only the id decides, the same in each process, evenly spread."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) / 2**64


def _check_texts(*texts: tuple[Any, int]) -> None:
    """Raises ValueError unless each is text of 1 to so many characters."""
    if not all(isinstance(text, str) and 1 <= len(text) <= limit for text, limit in texts):
        raise ValueError


def _is_flat(value: Json) -> bool:
    return not any(isinstance(each, (dict, list)) for each in value.values())
