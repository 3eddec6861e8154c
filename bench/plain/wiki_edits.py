"""jobs/wiki_edits.py by hand: a document per edit, counts per minute and wiki, per ten minutes and bot."""

from __future__ import annotations

import re
from typing import Any

from bench.plain._loop import Event, Windows, Writer, iso, seconds_of
from jobs._wikis import COUNTRIES, IP_ADDRESS, LANGUAGE_HOST, TEMPORARY_ACCOUNT

LATE_SECONDS = 10


def language_of(domain: str) -> str | None:
    """The language of the wiki at this host, None where it is of no one language."""
    if domain.startswith("simple."):
        return "en"
    return domain.split(".")[0] if re.search(LANGUAGE_HOST, domain) else None


def country_of(language: str | None) -> str | None:
    """The country that stands for a language on a map."""
    return COUNTRIES.get(language, language.upper()) if language else None


def user_kind_of(user: str | None) -> str:
    """registered, temporary, anonymous or hidden."""
    if user is None:
        return "hidden"
    if re.search(IP_ADDRESS, user):
        return "anonymous"
    return "temporary" if re.search(TEMPORARY_ACCOUNT, user) else "registered"


def _activity() -> dict[str, Any]:
    return {
        "domain": "", "events": 0, "edits": 0, "new_pages": 0, "categorizations": 0, "log_actions": 0,
        "other_events": 0, "edits_without_change": 0, "bytes_added": 0, "bytes_removed": 0, "users": set(),
        "pages": set(),
    }  # fmt: skip


def _bot() -> dict[str, Any]:
    return {"edits": 0, "pages": set(), "wikis": set()}


COUNTED = {"edit": "edits", "new": "new_pages", "categorize": "categorizations", "log": "log_actions"}


class Loop:
    """The work, event by event."""

    topics = ("wiki_recentchange", "wiki_visibility_change")
    time = "meta.dt"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._told: set[tuple[int, str, object]] = set()
        self._activity = Windows(_activity, 60)
        self._bots = Windows(_bot, 600)

    def take(self, topic: str, event: Event, now: float) -> None:
        if event["meta"]["domain"] == "canary":
            return
        if topic == "wiki_visibility_change":
            self._hide(event)
            return
        is_edit = event["type"] in ("edit", "new")
        if is_edit:
            self._index(event)
        self._count(event, is_edit)
        self._write_windows(now - LATE_SECONDS)

    def _index(self, event: Event) -> None:
        language, user = language_of(event["meta"]["domain"]), event.get("user")
        before = event["length"].get("old", 0 if event["type"] == "new" else None)
        revision = event["revision"]["new"]
        document = {
            "wiki": event["wiki"], "revision_id": revision, "previous_revision_id": event["revision"].get("old"),
            "event_time": event["meta"]["dt"], "type": event["type"], "title": event["title"],
            "url": event["meta"]["uri"], "domain": event["meta"]["domain"], "language": language,
            "country": country_of(language), "namespace": event.get("namespace"), "user_name": user,
            "user_kind": user_kind_of(user), "is_anonymous": user_kind_of(user) == "anonymous",
            "is_bot": event.get("bot", False), "is_minor": event.get("minor", False), "comment": event.get("comment"),
            "bytes_before": before, "bytes_after": event["length"]["new"],
            "bytes_changed": None if before is None else event["length"]["new"] - before,
        }  # fmt: skip
        self._writer.index("wiki_edits", f"{event['wiki']}_{revision}", document)

    def _count(self, event: Event, is_edit: bool) -> None:
        at, is_bot = seconds_of(event["meta"]["dt"]), event.get("bot", False)
        told = int(at) // 60, event["wiki"], event["revision"]["new"] if is_edit else event["meta"]["id"]
        if told in self._told:
            return
        self._told.add(told)
        for counts in self._activity.of(at, (event["wiki"], is_bot)):
            counts["domain"] = max(counts["domain"], event["meta"]["domain"])
            counts["events"] += 1
            counts[COUNTED.get(event["type"], "other_events")] += 1
            if is_edit:
                changed = event["length"]["new"] - (event["length"].get("old") or 0)
                counts["edits_without_change"] += changed == 0
                counts["bytes_added"] += max(changed, 0)
                counts["bytes_removed"] += max(-changed, 0)
                counts["users"].add(event.get("user"))
                counts["pages"].add(event["title"])
        if is_edit:
            for counts in self._bots.of(at, event.get("user") if is_bot else None):
                counts["edits"] += 1
                counts["pages"].add((event["wiki"], event["title"]))
                counts["wikis"].add(event["wiki"])

    def _write_windows(self, now: float) -> None:
        for start, end, groups in self._activity.closed(now):
            self._told = {told for told in self._told if told[0] != start // 60}
            for (wiki, is_bot), counts in groups.items():
                language = language_of(counts.pop("domain"))
                document = counts | {
                    "wiki": wiki, "is_bot": is_bot, "window_start": iso(start), "window_end": iso(end),
                    "language": language, "country": country_of(language),
                    "users": len(counts["users"]), "pages": len(counts["pages"]),
                }  # fmt: skip
                self._writer.index("wiki_activity", f"{wiki}_{is_bot}_{start}", document)
        for start, end, bots in self._bots.closed(now):
            all_edits = sum(counts["edits"] for counts in bots.values())
            for user, counts in bots.items():
                if user is None:
                    continue
                document = {
                    "user_name": user, "window_start": iso(start), "window_end": iso(end), "edits": counts["edits"],
                    "pages": len(counts["pages"]), "wikis": len(counts["wikis"]), "all_edits": all_edits,
                    "share_of_edits": counts["edits"] / all_edits,
                }  # fmt: skip
                self._writer.index("wiki_bots", f"{user}_{start}", document)

    def _hide(self, event: Event) -> None:
        identity = f"{event['database']}_{event['rev_id']}"
        if not event["visibility"].get("user", True):
            self._writer.update(
                "wiki_edits", identity, {"user_name": None, "user_kind": "hidden", "is_anonymous": None}
            )
        if not event["visibility"].get("comment", True):
            self._writer.update("wiki_edits", identity, {"comment": None})
