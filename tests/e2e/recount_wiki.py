"""What jobs/wiki_intent.py and wiki_pages.py should find, counted once more in plain Python, without their code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
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
