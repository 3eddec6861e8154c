"""jobs/moderation.py by hand: four models asked for each message, spam and floods in deques, a decision and a document.

It leaves out: the topic of decisions, published policies, the words that decided, pardons and mutes by hand.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from bench.plain._loop import Event, Windows, Writer, iso, seconds_of
from bench.plain._models import Label

MODELS = ("cyberbullying", "toxicity", "sentiment", "removal")
COPIES_SECONDS, MOST_COPIES = 60, 3
BURST_SECONDS, MOST_MESSAGES = 10, 8
STRIKE_SECONDS = 3600


class Loop:
    """The work, event by event."""

    topics = ("chat_messages",)
    time = "server_time"

    def __init__(self, writer: Writer, labels: Mapping[str, Label]) -> None:
        self._writer, self._labels = writer, labels
        self._said: dict[str, deque[tuple[float, str]]] = {}
        self._struck: dict[str, deque[float]] = {}
        self._metrics = Windows(Counter, 60)

    def take(self, topic: str, event: Event, now: float) -> None:
        at, user, text = seconds_of(event["server_time"]), event["user_name"], event["text"]
        said = self._said.setdefault(user, deque())
        said.append((at, " ".join(text.lower().split())))
        while said[0][0] < at - COPIES_SECONDS:
            said.popleft()
        copies = sum(one == said[-1][1] for _, one in said)
        burst = sum(when >= at - BURST_SECONDS for when, _ in said)
        labels = {name: label(text) for name, label in self._labels.items()}
        rules = {
            "toxic": labels["toxicity"] == "toxic",
            "removed": labels["removal"] == "removed",
            "bullying": labels["cyberbullying"] != "not_cyberbullying",
            "spam": copies >= MOST_COPIES,
            "flood": burst >= MOST_MESSAGES,
        }
        reasons = [name for name, broken in rules.items() if broken]
        decision = "flag" if reasons else "allow"
        document = {name: event[name] for name in ("message_id", "room", "user_name", "text", "server_time")} | {
            "decision": decision, "reasons": reasons, "copies": copies, "burst": burst,
            "cyberbullying": labels["cyberbullying"], "action": "none",
        }  # fmt: skip
        if reasons:
            strikes = self._struck.setdefault(user, deque())
            strikes.append(at)
            while strikes[0] < at - STRIKE_SECONDS:
                strikes.popleft()
            points = sum(1 - (at - when) / STRIKE_SECONDS for when in strikes)
            action = "mute" if points >= 5 else "warn" if points >= 3 else "none"
            document |= {"strikes": points, "action": action}
            of_user = {
                "user_name": user, "struck_at": event["server_time"], "strikes": points, "flags": len(strikes),
                "action": action, "last_message_id": event["message_id"], "last_room": event["room"],
            }  # fmt: skip
            self._writer.index("moderation_users", user, of_user)
        self._writer.index("moderation_messages", event["message_id"], document)
        for counts in self._metrics.of(at, event["room"]):
            counts.update(["messages", decision, *reasons])
        for start, end, rooms in self._metrics.closed(now):
            for room, counts in rooms.items():
                counted = {
                    "room": room, "window_start": iso(start), "window_end": iso(end), "messages": counts["messages"],
                    "allowed": counts["allow"], "flagged": counts["flag"], "spam": counts["spam"],
                    "floods": counts["flood"],
                }  # fmt: skip
                self._writer.index("moderation_metrics", f"{room}_{start}", counted)
