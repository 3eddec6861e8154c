"""jobs/wiki_intent.py by hand: what is told of a revision, joined in a dict; the fallback's score, one a call.

It leaves out: hiding, most of the performer's fields, and that several scores of one revision may differ.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from bench.plain._loop import Event, Windows, Writer, iso, seconds_of
from bench.plain.wiki_edits import country_of, language_of, user_kind_of
from models.reverts import load

WAIT_SECONDS = 120
INTENTS = ("constructive", "good_faith_damage", "vandalism", "bad_faith_harmless")


class Loop:
    """The work, event by event."""

    topics = (
        "wiki_revision_create", "wiki_recentchange", "wiki_revision_score", "wiki_revert_risk", "wiki_outlink_topics",
    )  # fmt: skip
    time = "meta.dt"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._model = load()
        self._revisions = Windows(dict, 1)
        self._by_wiki = Windows(Counter, 300)
        self._by_topic = Windows(Counter, 300)

    def take(self, topic: str, event: Event, now: float) -> None:
        if event["meta"]["domain"] == "canary":
            return
        wiki = event.get("wiki_id") or event.get("database") or event.get("wiki")
        told: dict[str, Any] = {"domain": event["meta"]["domain"], "url": event["meta"]["uri"]}
        at = event["meta"]["dt"]
        if topic == "wiki_recentchange":
            if event["type"] not in ("edit", "new"):
                return
            revision = event["revision"]["new"]
            at = iso(event["timestamp"])
            told |= {
                "type": event["type"], "title": event["title"], "namespace": event["namespace"],
                "user_name": event.get("user"), "is_bot": event.get("bot", False), "comment": event.get("comment"),
                "bytes_changed": event["length"]["new"] - (event["length"].get("old") or 0),
            }  # fmt: skip
        elif topic in ("wiki_revision_create", "wiki_revision_score"):
            revision, at = event["rev_id"], event.get("rev_timestamp", at)
            told |= self._of_revision(event)
        else:
            revision, at = event["revision"]["rev_id"], event["revision"].get("rev_dt", at)
            classified = event["predicted_classification"]
            if classified["model_name"].startswith("revertrisk"):
                told["revert_risk"] = classified["predictions"][0] == "true"
                told["revert_risk_probability"] = classified["probabilities"]["true"]
            else:
                told["topics"] = classified["predictions"]
        for found in self._revisions.of(seconds_of(at), (wiki, revision)):
            found |= told | {"revised_at": at}
            found.setdefault("shapes", set()).add(topic)
        self._write(now - WAIT_SECONDS)

    def _of_revision(self, event: Event) -> dict[str, Any]:
        performer = event.get("performer", {})
        told = {
            "page_id": event["page_id"], "title": event["page_title"].replace("_", " "),
            "namespace": event["page_namespace"], "parent_id": event.get("rev_parent_id"),
            "user_name": performer.get("user_text"), "is_bot": performer.get("user_is_bot", False),
            "registered_at": performer.get("user_registration_dt"), "edit_count": performer.get("user_edit_count"),
            "is_trusted": bool({"bot", "sysop"} & set(performer.get("user_groups", ()))),
        }  # fmt: skip
        for name in ("damaging", "goodfaith"):
            if score := event.get("scores", {}).get(name):
                told[name] = score["prediction"] == ["true"]
                told[f"{name}_probability"] = score["probability"]["true"]
        return told

    def _write(self, now: float) -> None:
        for _, _, revisions in self._revisions.closed(now):
            for (wiki, revision), told in revisions.items():
                self._index(wiki, revision, told)
        for start, end, groups in [*self._by_wiki.closed(now), *self._by_topic.closed(now)]:
            for group, counts in groups.items():
                judged = sum(counts[intent] for intent in INTENTS)
                document = {
                    **dict(group), "window_start": iso(start), "window_end": iso(end), "edits": counts.total(),
                    "judged": judged, "unscored": counts["unscored"],
                    **{intent: counts[intent] for intent in INTENTS},
                    **{f"{intent}_share": counts[intent] / judged for intent in INTENTS if judged},
                }  # fmt: skip
                index = "wiki_intent_by_topic" if "topic" in document else "wiki_intent_by_wiki"
                identity = "_".join(str(value) for _, value in group)
                self._writer.index(index, f"{identity}_{start}", document)

    def _index(self, wiki: str, revision: int, told: dict[str, Any]) -> None:
        at, language = seconds_of(told["revised_at"]), language_of(told["domain"])
        kind = user_kind_of(told.get("user_name"))
        age = at - seconds_of(told["registered_at"]) if told.get("registered_at") else None
        trusted = told.get("is_trusted") or told.get("is_bot", False)
        features = (age, None if kind == "hidden" else kind == "registered", trusted, told.get("bytes_changed"))
        (score,) = self._model.score(*(np.array([value], dtype=np.float64) for value in features))
        damaging, good = told.get("damaging"), told.get("goodfaith")
        intent = None
        if damaging is not None and good is not None:
            intent = ("constructive" if good else "bad_faith_harmless") if not damaging else (
                "good_faith_damage" if good else "vandalism"
            )  # fmt: skip
        elif "revert_risk_probability" not in told:
            intent = "unscored"
        document = told | {
            "wiki": wiki, "revision_id": revision, "language": language, "country": country_of(language),
            "user_kind": kind, "account_age_days": None if age is None else age / 86400, "intent": intent,
            "shapes": sorted(told["shapes"]), "has_revision": "wiki_revision_create" in told["shapes"],
            "has_score": intent != "unscored", "fallback_score": None if np.isnan(score) else float(score),
            "fallback_version": self._model.version,
        }  # fmt: skip
        document.pop("is_trusted", None)
        self._writer.index("wiki_intent", f"{wiki}_{revision}", document)
        group = {"wiki": wiki, "is_bot": told.get("is_bot"), "user_kind": kind, "namespace": told.get("namespace")}
        for counts in self._by_wiki.of(at, tuple(group.items())):
            counts[intent] += 1
        for topic in told.get("topics", ()):
            for counts in self._by_topic.of(at, (("wiki", wiki), ("topic", topic))):
                counts[intent] += 1
