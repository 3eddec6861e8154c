"""What a policy, or other models, would have made of the chat's history: what would change, before it is published.

    python -m jobs.backtest --policy F                               all of the history in moderation_decisions
    python -m jobs.backtest --policy F --since 2026-01-31 --room kids --limit 10000
    python -m jobs.backtest --policy F --challenger NAME             with the models of models/challengers/NAME
    python -m jobs.backtest --policy F --output changes.jsonl        every change with its reasons and probabilities

Each message is scored and judged again, with the copies and bursts that were counted then, and strikes are reckoned
anew in event time. It is compared with what the job decided then, by whatever policy and models were in force. What
people would have written otherwise, and what a mute would have kept back, nobody knows. Nothing is published.

Exit code 0: done, or there was nothing to judge. 1: Kafka did not answer. 2: wrong arguments, a wrong policy, no such
challenger or topic.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from jobs.policy import attempted, read
from jobs.replay import InputError, iso_time, messages_of
from models.policy import DECISIONS, REASONS, UNSCORED, Judgement, Moderator, Policy
from settings import settings

DECIDED, FEEDBACK = "moderation_decisions", "moderation_feedback"
BATCH = 1000
EXAMPLES = 20
EXAMPLE_CHARACTERS = 80
ROOMS = 20
USERS = 20
TOLD_SECONDS = 10.0

Move = tuple[str, str]


class Decided(NamedTuple):
    """A message as the job decided it; `seconds` since 1970, in whole milliseconds."""

    message_id: str
    room: str
    user_name: str
    text: str | None
    seconds: float
    decision: str
    reasons: Sequence[str]
    copies: int
    burst: int
    action: str
    model_version: str
    is_late: bool


class Verdict(NamedTuple):
    """The last word of moderators on a message; `pardoned_at`, in seconds: when a flag was first overturned."""

    is_harmful: bool
    pardoned_at: float | None


def parse(message: bytes) -> Decided | None:
    """A record of moderation_decisions; None for what is none."""
    try:
        fields = json.loads(message)
        message_id, room, user_name = (fields[name] for name in ("message_id", "room", "user_name"))
        decision, action = fields["decision"], fields.get("action") or "none"
        (message_id + room + user_name + decision + action).encode()  # half a character is no part of a name
        text = fields.get("text")
        return Decided(
            message_id=message_id,
            room=room,
            user_name=user_name,
            text=text if isinstance(text, str) else None,
            seconds=_utc(fields["server_time"]).timestamp(),
            decision=decision,
            reasons=[str(reason) for reason in fields.get("reasons") or ()],
            # As a number that a double can hold: it is compared with thresholds.
            copies=int(float(fields.get("copies") or 1)),
            burst=int(float(fields.get("burst") or 1)),
            action=action,
            model_version=fields.get("model_version") or "",
            is_late=bool(fields.get("is_late")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def verdicts(messages: Iterable[bytes]) -> dict[str, Verdict]:
    """What moderators said, by message_id, from records of moderation_feedback."""
    told: defaultdict[str, list[tuple[float, bool, bool]]] = defaultdict(list)
    for message in messages:
        try:
            fields = json.loads(message)
            is_verdict = fields["kind"] == "verdict" and fields["verdict"] in ("uphold", "overturn")
            if is_verdict and isinstance(fields["message_id"], str):
                overturned = fields["verdict"] == "overturn"
                struck = fields.get("decision") in ("flag", "hold")
                at = _utc(fields["server_time"]).timestamp()
                told[fields["message_id"]].append((at, struck != overturned, struck and overturned))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    found = {}
    for message_id, words in told.items():
        words.sort()
        found[message_id] = Verdict(words[-1][1], next((at for at, _, is_pardon in words if is_pardon), None))
    return found


class Strikes:
    """The strikes of users, told in the order of time.

    A strike of p points counts p * (1 - age / window), nothing once it is older than the window; one that is pardoned
    loses at that moment what is left of it, by a negative strike that fades likewise, as in jobs/moderation.py.
    """

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self._acts: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)

    def add(self, user: str, seconds: float, points: float, pardoned_at: float | None) -> float:
        """The strikes of the user with this one, in points."""
        window, now = self._window, int(seconds)
        acts = self._acts[user]
        acts.append((now, points))
        if pardoned_at is not None and 0 <= int(pardoned_at) - now < window:
            acts.append((int(pardoned_at), -points * (1 - (int(pardoned_at) - now) / window)))
        acts[:] = [act for act in acts if act[0] > now - window]
        return sum(weight * (1 - (now - then) / window) for then, weight in acts if then <= now)


@dataclass
class Report:
    """What would change, counted over the messages that are asked for."""

    moves: Counter[Move] = field(default_factory=Counter)
    by_room: defaultdict[str, Counter[Move]] = field(default_factory=lambda: defaultdict(Counter))
    by_reason: defaultdict[str, Counter[tuple[bool, bool]]] = field(default_factory=lambda: defaultdict(Counter))
    examples: defaultdict[Move, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    actions: Counter[Move] = field(default_factory=Counter)
    muted_before: Counter[str] = field(default_factory=Counter)
    muted_after: Counter[str] = field(default_factory=Counter)
    judged: Counter[tuple[bool, bool, bool]] = field(default_factory=Counter)  # harmful; flagged before; flagged after
    other_models: int = 0

    def add(self, before: Decided, after: Judgement, action: str, verdict: Verdict | None) -> None:
        move = before.decision, after.decision
        self.moves[move] += 1
        self.by_room[before.room][move] += 1
        for reason in {*before.reasons, *after.reasons}:
            self.by_reason[reason][reason in before.reasons, reason in after.reasons] += 1
        if before.decision != after.decision and len(self.examples[move]) < EXAMPLES:
            self.examples[move].append((before.room, _example(before.text)))
        self.actions[before.action, action] += 1
        if before.action == "mute":
            self.muted_before[before.user_name] += 1
        if action == "mute":
            self.muted_after[before.user_name] += 1
        if verdict:
            flagged = tuple(decision in ("flag", "hold") for decision in move)
            self.judged[verdict.is_harmful, flagged[0], flagged[1]] += 1
        self.other_models += before.model_version != after.model_version

    def tables(self) -> Iterator[Table | str]:
        """What is told, in its order."""
        total = self.moves.total()
        shown = Table("then", "now", "messages", "share", title="Decisions")
        for (before, after), count in _sorted(self.moves):
            shown.add_row(before, after, f"{count:,}", f"{count / total:.2%}")
        yield shown

        names = (*DECISIONS, UNSCORED)
        shown = Table("room", "messages", *names, "changed", title="Rooms: then→now")
        for room, moves in sorted(self.by_room.items(), key=lambda item: -item[1].total())[:ROOMS]:
            sides = ([sum(n for move, n in moves.items() if move[side] == name) for name in names] for side in (0, 1))
            cells = [f"{before:,}→{after:,}" for before, after in zip(*sides, strict=True)]
            changed = sum(count for (before, after), count in moves.items() if before != after)
            shown.add_row(_example(room), f"{moves.total():,}", *cells, f"{changed / moves.total():.2%}")
        yield shown
        if len(self.by_room) > ROOMS:
            yield f"And {len(self.by_room) - ROOMS:,} rooms with no more messages than these."

        shown = Table("reason", "then", "now", "new", "gone", title="Reasons")
        for reason in REASONS:
            if counts := self.by_reason.get(reason):
                both, new, gone = counts[True, True], counts[False, True], counts[True, False]
                shown.add_row(reason, f"{both + gone:,}", f"{both + new:,}", f"{new:,}", f"{gone:,}")
        yield shown

        for (before, after), examples in sorted(self.examples.items()):
            shown = Table("room", "text", title=f"{before} then, {after} now ({self.moves[before, after]:,})")
            for room, text in examples:
                shown.add_row(_example(room), text)
            yield shown

        shown = Table("action", "then", "now", title="What strikes led to, in messages")
        for name in ("warn", "mute"):
            then, now = (sum(n for move, n in self.actions.items() if move[side] == name) for side in (0, 1))
            shown.add_row(name, f"{then:,}", f"{now:,}")
        yield shown
        yield _users("would be muted and were not", self.muted_after.keys() - self.muted_before.keys())
        yield _users("were muted and would not be", self.muted_before.keys() - self.muted_after.keys())
        yield from self._agreement()
        if self.other_models:
            yield f"{self.other_models:,} of the messages were decided by other models, which change decisions too."

    def _agreement(self) -> Iterator[Table | str]:
        if not self.judged:
            yield "There are no verdicts of moderators on these messages."
            return
        shown = Table("moderators", "messages", "flagged then", "flagged now", title="Against moderators' verdicts")
        for harmful in (True, False):
            of_these = {move: count for move, count in self.judged.items() if move[0] is harmful}
            then, now = (sum(count for move, count in of_these.items() if move[side]) for side in (1, 2))
            total = sum(of_these.values())
            shown.add_row("harmful" if harmful else "fine", f"{total:,}", f"{then:,}", f"{now:,}")
        yield shown
        right = [sum(count for move, count in self.judged.items() if move[side] is move[0]) for side in (1, 2)]
        total = self.judged.total()
        yield f"Agreement with {total:,} verdicts: {right[0] / total:.1%} then, {right[1] / total:.1%} now."


def _sorted(moves: Counter[Move]) -> list[tuple[Move, int]]:
    order = (*DECISIONS, UNSCORED)
    return sorted(moves.items(), key=lambda item: [order.index(name) if name in order else 9 for name in item[0]])


def _users(what: str, names: Iterable[str]) -> str:
    found = sorted(names)
    if not found:
        return f"Users who {what}: none."
    more = f" and {len(found) - USERS} more" if len(found) > USERS else ""
    return f"Users who {what}: {len(found):,} ({', '.join(map(_example, found[:USERS]))}{more})."


def _example(text: str | None) -> str:
    """A text as a terminal can show it."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text or "")
    return shown if len(shown) <= EXAMPLE_CHARACTERS else shown[: EXAMPLE_CHARACTERS - 1] + "…"


class History:
    """The decided messages, each once and in the order of their times; in a temporary file, as they may be many."""

    def __init__(self, messages: Iterable[bytes], tell: Progress) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute("CREATE TABLE decided (message_id PRIMARY KEY, seconds, room, message, chosen DEFAULT 0)")
        for number, message in enumerate(messages, 1):
            if one := parse(message):
                row = (one.message_id, one.seconds, one.room, message)
                self._rows.execute("INSERT OR IGNORE INTO decided VALUES (?, ?, ?, ?, 0)", row)
            tell(f"{number:,} records read.")
        self._rows.execute("CREATE INDEX times ON decided (seconds, message_id)")

    def choose(self, since: datetime | None, until: datetime | None, room: str | None, limit: int | None) -> int:
        """Marks the newest messages that are asked for; returns how many there are."""
        found = self._rows.execute(
            """
            UPDATE decided SET chosen = 1 WHERE rowid IN (
                SELECT rowid FROM decided
                WHERE seconds >= ? AND seconds < ? AND (? IS NULL OR room = ?)
                ORDER BY seconds DESC, message_id DESC LIMIT ?
            )
            """,
            (
                since.timestamp() if since else float("-inf"),
                until.timestamp() if until else float("inf"),
                room,
                room,
                -1 if limit is None else limit,
            ),
        )
        return found.rowcount

    def batches(self, before_seconds: float) -> Iterator[list[tuple[Decided, bool]]]:
        """The messages from so long before the first chosen one to the last one, each with whether it is chosen."""
        rows = self._rows.execute(
            """
            SELECT message, chosen FROM decided
            WHERE seconds BETWEEN (SELECT MIN(seconds) - ? FROM decided WHERE chosen)
                AND (SELECT MAX(seconds) FROM decided WHERE chosen)
            ORDER BY seconds, message_id
            """,
            (before_seconds,),
        )
        while batch := list(islice(rows, BATCH)):
            yield [(one, bool(chosen)) for message, chosen in batch if (one := parse(message))]

    def close(self) -> None:
        self._rows.close()


class Progress:
    """Tells on long work how far it is, every TOLD_SECONDS."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = time.monotonic()

    def __call__(self, sentence: str) -> None:
        if time.monotonic() - self._told >= TOLD_SECONDS:
            self._console.print(sentence, soft_wrap=True)
            self._told = time.monotonic()


def backtest(
    history: History,
    chosen: int,
    said: dict[str, Verdict],
    policy: Policy,
    moderator: Moderator,
    tell: Progress,
    output: IO[str] | None = None,
) -> Report:
    """Judges the history again; what changes goes to `output` too, a JSON object a line."""
    report, done = Report(), 0
    window_seconds = settings().moderation_strike_minutes * 60
    strikes = Strikes(window_seconds)
    for batch in history.batches(2 * window_seconds):
        judged = moderator.judge(
            [one.text for one, _ in batch],
            [one.room for one, _ in batch],
            policy,
            [one.copies for one, _ in batch],
            [one.burst for one, _ in batch],
        )
        for (before, is_chosen), after in zip(batch, judged, strict=True):
            verdict, action = said.get(before.message_id), "none"
            if after.strike_points and not before.is_late:
                pardoned_at = verdict.pardoned_at if verdict else None
                points = strikes.add(before.user_name, before.seconds, after.strike_points, pardoned_at)
                rule = policy.room(before.room).strikes
                action = (
                    "mute" if points >= 1000 * rule.mute_at else "warn" if points >= 1000 * rule.warn_at else "none"
                )
            if is_chosen:
                report.add(before, after, action, verdict)
                done += 1
                if output and (before.decision, before.action) != (after.decision, action):
                    output.write(json.dumps(_line(before, after, action, policy)) + "\n")
        tell(f"{done:,} of {chosen:,} messages judged.")
    return report


def _line(before: Decided, after: Judgement, action: str, policy: Policy) -> dict[str, Any]:
    return {
        "message_id": before.message_id,
        "room": before.room,
        "user_name": before.user_name,
        "server_time": _shown(before.seconds),
        "text": before.text,
        "decision": before.decision,
        "reasons": before.reasons,
        "action": before.action,
        "model_version": before.model_version,
        "new_decision": after.decision,
        "new_reasons": after.reasons,
        "new_ngrams": after.ngrams,
        "new_probabilities": after.probabilities,
        "new_action": action,
        "new_policy_version": policy.version,
        "new_model_version": after.model_version,
    }


def _utc(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _shown(seconds: float) -> str:
    told = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(1000 * seconds))
    return told.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.backtest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", type=Path, required=True, metavar="F", help="the policy, YAML or JSON")
    parser.add_argument("--since", type=iso_time, metavar="TIME", help="only messages from this ISO time on")
    parser.add_argument("--until", type=iso_time, metavar="TIME", help="only messages before this ISO time")
    parser.add_argument("--room", metavar="R", help="only messages of this room; strikes are of all")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the newest N of them")
    parser.add_argument("--challenger", default="", metavar="NAME", help="models of models/challengers/NAME")
    parser.add_argument("--output", type=Path, metavar="FILE", help="every change as a JSON line; it holds the texts")
    options = parser.parse_args(arguments)
    if options.since and options.until and options.since >= options.until:
        parser.error("--since must be before --until")

    out = Console(markup=False, emoji=False, highlight=False)
    error = Console(stderr=True, markup=False, emoji=False, highlight=False)
    tell = Progress(error)

    def work() -> int:
        policy = read(options.policy)
        try:
            moderator = Moderator.load(options.challenger)
        except (LookupError, ValueError) as problem:
            raise InputError(str(problem.args[0])) from None
        with closing(History(messages_of(settings().prefix + DECIDED), tell)) as history:
            chosen = history.choose(options.since, options.until, options.room, options.limit)
            if not chosen:
                out.print(f"{settings().prefix}{DECIDED} has no messages {_asked(options)}.", soft_wrap=True)
                return 0
            said = verdicts(messages_of(settings().prefix + FEEDBACK))
            try:
                with options.output.open("w", encoding="utf-8") if options.output else nullcontext() as output:
                    report = backtest(history, chosen, said, policy, moderator, tell, output)
            except OSError as problem:
                raise InputError(f"{options.output} cannot be written: {problem.strerror}.") from None
        out.print(
            f"{chosen:,} messages {_asked(options)}, by policy {policy.version} and {moderator.version}.",
            soft_wrap=True,
        )
        for shown in report.tables():
            out.print(shown, soft_wrap=isinstance(shown, str))
        return 0

    return attempted(work, error)


def _asked(options: argparse.Namespace) -> str:
    said = [f"of room {options.room}"] if options.room else []
    said += [f"from {options.since.isoformat()}"] if options.since else []
    said += [f"before {options.until.isoformat()}"] if options.until else []
    return " ".join(said) or "of the whole history"


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
