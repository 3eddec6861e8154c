"""What jobs/wiki_intent.py should find, counted once more in plain Python, without any of the project's code."""

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
