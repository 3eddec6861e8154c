"""What the jobs of Wikipedia should find, counted once more in plain Python, without their code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

Event = dict[str, Any]
Revision = tuple[str, int]


def of_revisions(events: Iterable[Event]) -> dict[Revision, Event]:
    """Each revision by wiki and id: the shapes that tell of it, and its scores, intent and change of length."""
    found: defaultdict[Revision, Event] = defaultdict(lambda: {"shapes": set()})
    for event in events:
        stream = event["meta"]["stream"]
        if stream == "mediawiki.revision-create":
            one = found[event["database"], event["rev_id"]]
            one["shapes"].add("revision/create")
            one["page_id"] = event["page_id"]
            if "rev_parent_id" not in event:
                one["bytes_changed"] = event["rev_len"]
        elif stream == "mediawiki.recentchange":
            if event["type"] in ("edit", "new"):
                one = found[event["wiki"], event["revision"]["new"]]
                one["shapes"].add("recentchange")
                one["bytes_changed"] = event["length"]["new"] - event["length"].get("old", 0)
        elif stream == "mediawiki.revision-score":
            one = found[event["database"], event["rev_id"]]
            one["shapes"].add("revision/score")
            one["page_id"] = event["page_id"]
            for name in ("damaging", "goodfaith", "reverted"):
                if name in event.get("scores", {}):
                    score = event["scores"][name]
                    one[name] = score["prediction"] == ["true"]
                    one[f"{name}_probability"] = score["probability"]["true"]
        elif "predicted_classification" in event:
            one = found[event["wiki_id"], event["revision"]["rev_id"]]
            one["shapes"].add("page/prediction_classification_change")
            one["page_id"] = event["page"]["page_id"]
            classified = event["predicted_classification"]
            if classified["model_name"].startswith("revertrisk"):
                one["revert_risk_probability"] = classified["probabilities"]["true"]
    for one in found.values():
        one["intent"] = intent(one)
    return dict(found)


def intent(one: Event) -> str | None:
    """Damaging and good faith are two axes; a risk of a revert alone leaves the intent open."""
    if "damaging" in one and "goodfaith" in one:
        return {
            (False, True): "constructive",
            (True, True): "good_faith_damage",
            (True, False): "vandalism",
            (False, False): "bad_faith_harmless",
        }[one["damaging"], one["goodfaith"]]
    known = ("damaging_probability", "goodfaith_probability", "reverted_probability", "revert_risk_probability")
    return None if any(name in one for name in known) else "unscored"


ACTS = {
    "mediawiki.page-create": "created",
    "mediawiki.page-delete": "deleted",
    "mediawiki.page-move": "moved",
    "create": "created",
    "delete": "deleted",
    "move": "moved",
    "undelete": "restored",
}
ORDER = ("created", "moved", "deleted", "restored")


def of_pages(events: Iterable[Event]) -> dict[tuple[str, int], Event]:
    """Each page by wiki and id: its latest act and title, its state, and how often it was moved."""
    acts: defaultdict[tuple[str, int], list[tuple[str, int, str, str, str]]] = defaultdict(list)
    for event in events:
        if "page_change_kind" in event:
            act = ACTS.get(event["page_change_kind"])
            page = event["wiki_id"], event["page"]["page_id"]
            time, title = event["dt"], event["page"]["page_title"]
        else:
            act = ACTS[event["meta"]["stream"]]
            page, time, title = (event["database"], event["page_id"]), event["meta"]["dt"], event["page_title"]
        if act:
            acts[page].append((time, ORDER.index(act), act, title.replace("_", " "), event["meta"]["request_id"]))
    found = {}
    for page, told in acts.items():
        _, _, last_act, title, _ = max(told)
        found[page] = {
            "title": title,
            "last_act": last_act,
            "state": "deleted" if last_act == "deleted" else "live",
            "recent_moves": len({request for _, _, act, _, request in told if act == "moved"}),
        }
    return found


def time_of(event: Event) -> datetime:
    return datetime.fromisoformat(event["meta"]["dt"])


def is_edit(event: Event) -> bool:
    return event["type"] in ("edit", "new")


def identity(event: Event) -> tuple[str, Any]:
    return event["wiki"], event["revision"]["new"] if is_edit(event) else event["meta"]["id"]


def distinct(events: Iterable[Event]) -> list[Event]:
    """Each event once; canaries, Wikimedia's heartbeat, are no events."""
    return list({identity(event): event for event in events if event["meta"].get("domain") != "canary"}.values())


def change_of_length(event: Event) -> int | None:
    length = event.get("length") or {}
    old = length.get("old", 0 if event["type"] == "new" else None)
    return None if old is None or length.get("new") is None else length["new"] - old


def recounted_activity(events: Iterable[Event]) -> dict[tuple[str, bool, str], Event]:
    """`wiki_activity` by plain Python: (wiki, is_bot, window_start) -> its counts."""
    groups: dict[tuple[str, bool, str], list[Event]] = defaultdict(list)
    for event in distinct(events):
        minute = time_of(event).astimezone(UTC).replace(second=0, microsecond=0)
        groups[event["wiki"], event["bot"], minute.strftime("%Y-%m-%dT%H:%M:00.000Z")].append(event)
    counts = {}
    for group, members in groups.items():
        types = Counter(event["type"] for event in members)
        edits = [event for event in members if is_edit(event)]
        changes = [change for change in map(change_of_length, edits) if change is not None]
        counts[group] = {
            "events": len(members),
            "edits": types["edit"],
            "new_pages": types["new"],
            "categorizations": types["categorize"],
            "log_actions": types["log"],
            "other_events": len(members) - sum(types[name] for name in ("edit", "new", "categorize", "log")),
            "edits_without_change": changes.count(0),
            "bytes_added": sum(change for change in changes if change > 0),
            "bytes_removed": -sum(change for change in changes if change < 0),
            "users": len({event["user"] for event in edits}),
            "pages": len({event["title"] for event in edits}),
        }
    return counts


def recounted_bots(events: Iterable[Event]) -> dict[str, tuple[int, int, int, int]]:
    """Edits, pages, wikis and all edits by bot, for events of one ten-minute window."""
    edits = [event for event in distinct(events) if is_edit(event)]
    by_bot: dict[str, list[Event]] = defaultdict(list)
    for event in edits:
        if event["bot"]:
            by_bot[event["user"]].append(event)
    return {
        bot: (
            len(members),
            len({(event["wiki"], event["title"]) for event in members}),
            len({event["wiki"] for event in members}),
            len(edits),
        )
        for bot, members in by_bot.items()
    }
