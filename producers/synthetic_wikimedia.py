"""Generated events of Wikimedia's streams: they fit the public JSON Schemas, and nothing in them is copied.

`events(...)` is a pure iterator. What happens depends on the seed alone, producers/_wikimedia_story.py has it; this
file has how each stream tells it. The clock only shifts the times, so `--seed 1` tells the same story on every run.
"""

from __future__ import annotations

import heapq
import itertools
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import orjson

from producers._wikimedia_story import Change, Story, User
from producers._wikimedia_streams import STREAMS, as_event

Fields = dict[str, Any]

OUT_OF_ORDER_SECONDS = 5.0
LATE_SECONDS = 900.0
CANARY_SHARE = 0.001
NOMINAL_RATE = 50.0  # events/s, about what the public stream has
LONGEST_PREDICTION_SECONDS = 8
# Of rare events alone: so many changes that no stream tells of come at one moment, after that time passes with each.
MOST_SILENT = 100


def _as_bytes(fields: object) -> bytes:
    """JSON, the times in it in ISO 8601: UTC, whole seconds."""
    return orjson.dumps(fields, option=orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS)


class SyntheticEvent(NamedTuple):
    """An event of a stream: when it is told, its key (wiki and page), and the bytes that Kafka gets.

    `kind` is event, copy, canary (Wikimedia's heartbeat) or malformed. The times inside of it are up to five seconds,
    for a late one fifteen minutes, before `time`.
    """

    stream: str
    time: datetime
    key: bytes | None
    value: bytes
    kind: Literal["event", "copy", "canary", "malformed"] = "event"


def events(
    streams: Sequence[str] = ("recentchange",),
    *,
    seed: int = 1,
    start: datetime,
    rate: float = NOMINAL_RATE,
    limit: int | None = None,
    duplicates: float = 0.002,
    malformed: float = 0.0,
    late: float = 0.0,
    oversized_bytes: int = 524_288,
) -> Iterator[SyntheticEvent]:
    """Events, `rate` a second from `start` on, up to five seconds out of order: `limit` of them or without end.

    `late` is the share of changes told 15 minutes after their time, `duplicates` the share of events that are copies
    of the one before. `malformed` is the share of records that no job can use, of MALFORMED_KINDS in rotation; these
    and the rare canaries come on top and are not counted. A record of the kind `oversized` is longer than
    `oversized_bytes`. Raises ValueError for a stream that cannot be generated.
    """
    if unknown := [stream for stream in streams if stream not in _STREAMS]:
        raise ValueError(f"Cannot generate {', '.join(unknown)}; the streams are: {', '.join(_STREAMS)}.")
    story = Story(seed, start)
    noise = random.Random(f"noise {seed}")
    makers = itertools.cycle(_MALFORMED.values())
    predictions: list[tuple[datetime, int, str, Change]] = []  # a heap by the time at which they are told
    predicted = itertools.count()
    at_once = [stream for stream in streams if stream not in _SECONDS_AFTER]
    afterwards = [stream for stream in streams if stream in _SECONDS_AFTER]
    good = broken = 0
    silent = 0  # changes in a row that no chosen stream tells of
    silent_seconds = 0.0
    while True:
        told = start + timedelta(seconds=good / rate + silent_seconds)
        if predictions and predictions[0][0] <= told:
            _, _, stream, change = heapq.heappop(predictions)
            telling = [stream]
        else:
            is_late = noise.random() < late
            time = told - timedelta(seconds=LATE_SECONDS if is_late else noise.random() * OUT_OF_ORDER_SECONDS)
            change = story.next(time, told, is_late)
            telling = at_once
            if change.is_edit:
                for stream in afterwards:
                    due = told + timedelta(seconds=_seconds_after(change, stream))
                    heapq.heappush(predictions, (due, next(predicted), stream, change))
            if noise.random() < CANARY_SHARE:
                yield _canary(streams[int(noise.random() * len(streams))], told, change.request_id)
        silent += 1
        if silent > MOST_SILENT:
            silent_seconds += 1 / rate
        for stream in telling:
            fields = _STREAMS[stream](change)
            if fields is None:
                continue
            silent = 0
            page = fields["title"] if stream == "recentchange" else change.page.id
            event = SyntheticEvent(stream, told, f"{change.page.wiki}:{page}".encode(), _as_bytes(fields))
            for record in (event, event._replace(kind="copy")) if noise.random() < duplicates else (event,):
                yield record
                good += 1
                while broken < int(good * malformed + 1e-9):
                    value = next(makers)(fields, oversized_bytes)
                    yield SyntheticEvent(stream, told, as_event(value, stream).key, value, "malformed")
                    broken += 1
                if good == limit:
                    return


def _canary(stream: str, told: datetime, request_id: str) -> SyntheticEvent:
    meta = {
        "domain": "canary",
        "dt": told,
        "id": str(uuid.uuid5(uuid.UUID(request_id), "canary")),
        "stream": STREAMS[stream].meta_stream,
    }
    return SyntheticEvent(stream, told, None, _as_bytes({"$schema": "/canary/1.0.0", "meta": meta}), "canary")


@lru_cache(maxsize=100_000)
def _path(title: str) -> str:
    return quote(title.replace(" ", "_"), safe="/:")


def _meta(change: Change, stream: str, seconds_after: int = 0) -> Fields:
    return {
        "uri": f"https://{change.page.domain}/wiki/{_path(change.page.title)}",
        "request_id": change.request_id,
        "id": change.id if stream == "mediawiki.recentchange" else str(uuid.uuid5(uuid.UUID(change.id), stream)),
        "dt": change.time + timedelta(seconds=seconds_after) if seconds_after else change.time,
        "domain": change.page.domain,
        "stream": stream,
    }


# recentchange's type and action of what it has other words for.
_LOG_ACTIONS = {"restore": ("delete", "restore"), "hide": ("delete", "revision")}


def _recentchange(change: Change) -> Fields | None:
    """Names no suppressed user: an edit of theirs is not told, anything else without `user`."""
    if change.restricted or (change.user_hidden and change.is_edit):
        return None
    page = change.page
    fields: Fields = {
        "$schema": "/mediawiki/recentchange/1.0.0",
        "meta": _meta(change, "mediawiki.recentchange"),
        "id": 1_500_000_000 + change.number,
        "type": change.kind,
        "namespace": page.namespace,
        "title": change.old_title or page.title,
        "comment": change.comment,
        "timestamp": int(change.time.timestamp()),
        "user": change.user.name,
        "bot": change.user.is_bot,
        "server_url": f"https://{page.domain}",
        "server_name": page.domain,
        "server_script_path": "/w",
        "wiki": page.wiki,
        "parsedcomment": change.comment,
    }
    if change.is_edit:
        fields["minor"] = change.minor
        fields["patrolled"] = change.user.is_bot
        fields["length"] = {"new": change.new_length}
        fields["revision"] = {"new": change.revision}
        if change.kind == "edit":
            fields["length"]["old"] = change.old_length
            fields["revision"]["old"] = change.parent
    elif change.kind == "log":
        log_type, log_action = _LOG_ACTIONS.get(change.action, (change.action, change.action))
        fields |= {
            "log_id": 80_000_000 + change.number, "log_type": log_type, "log_action": log_action, "log_params": [],
            "log_action_comment": f"{change.action}: {page.title}",
        }  # fmt: skip
        if change.old_title:
            fields["log_params"] = {"target": page.title, "noredir": "0"}
    if change.user_hidden:
        del fields["user"]
    return fields


def _performer(user: User) -> Fields:
    performer: Fields = {"user_text": user.name, "user_groups": user.groups, "user_is_bot": user.is_bot}
    if user.id is not None:
        performer |= {
            "user_id": user.id, "user_registration_dt": user.registered, "user_edit_count": user.edits,
        }  # fmt: skip
    return performer


def _page(change: Change, stream: str, schema: str, seconds_after: int = 0) -> Fields:
    """What the older streams say of any change.

    Of a suppressed user they say nothing: `performer` is optional, while an empty one is valid only from version 2 of
    mediawiki/revision/create on.
    """
    fields: Fields = {
        "$schema": schema,
        "meta": _meta(change, stream, seconds_after),
        "database": change.page.wiki,
        "page_id": change.page.id,
        "page_title": change.page.title.replace(" ", "_"),
        "page_namespace": change.page.namespace,
        "page_is_redirect": False,
        "rev_id": change.edit.revision,
    }
    if not (change.user_hidden or change.restricted):
        fields["performer"] = _performer(change.user)
    return fields


def _revision(change: Change, stream: str, schema: str, seconds_after: int = 0) -> Fields:
    fields = _page(change, stream, schema, seconds_after)
    fields["rev_timestamp"] = change.edit.time
    if change.edit.parent:
        fields["rev_parent_id"] = change.edit.parent
    return fields


def _content(edit: Change) -> Fields:
    return {
        "rev_sha1": f"{edit.revision:031d}",
        "rev_minor_edit": edit.minor,
        "rev_len": edit.new_length,
        "rev_content_model": "wikitext",
        "rev_content_format": "text/x-wiki",
    }


def _revision_create(change: Change, stream: str = "mediawiki.revision-create") -> Fields | None:
    if not change.is_edit:
        return None
    return (
        _revision(change, stream, "/mediawiki/revision/create/1.1.0")
        | _content(change)
        | {
            "rev_content_changed": change.new_length != change.old_length,
            "comment": change.comment,
            "parsedcomment": change.comment,
        }
    )


def _page_create(change: Change) -> Fields | None:
    return _revision_create(change, "mediawiki.page-create") if change.kind == "new" else None


def _page_delete(change: Change) -> Fields | None:
    if change.action != "delete":
        return None
    fields = _page(change, "mediawiki.page-delete", "/mediawiki/page/delete/1.0.0")
    return fields | {"rev_count": 1, "comment": change.comment, "parsedcomment": change.comment}


def _page_move(change: Change) -> Fields | None:
    if change.action != "move":
        return None
    fields = _page(change, "mediawiki.page-move", "/mediawiki/page/move/1.0.0")
    prior_state = {"page_title": change.old_title.replace(" ", "_"), "page_namespace": change.page.namespace}
    return fields | {"prior_state": prior_state, "comment": change.comment, "parsedcomment": change.comment}


def _visibility_change(change: Change) -> Fields | None:
    """A suppression is told without who did it, and without the comment, as any change that hides one."""
    if change.action != "hide":
        return None
    stream = "mediawiki.revision-visibility-change"
    fields = _revision(change, stream, "/mediawiki/revision/visibility-change/1.0.0") | _content(change.edit)
    parts = ("text", "user", "comment")
    fields["visibility"] = {part: part not in change.hides for part in parts}
    fields["prior_state"] = {"visibility": dict.fromkeys(parts, True)}
    return fields


_PAGE_CHANGES = {
    "edit": ("edit", "update"), "new": ("create", "insert"), "move": ("move", "update"), "delete": ("delete", "delete"),
    "restore": ("undelete", "insert"), "hide": ("visibility_change", "update"),
}  # fmt: skip
_VISIBLE = {"is_content_visible": True, "is_editor_visible": True, "is_comment_visible": True}


def _entity(user: User) -> Fields:
    """A user as the newer streams have it."""
    entity: Fields = {
        "user_text": user.name, "groups": user.groups, "is_bot": user.is_bot, "is_system": False,
        "is_temp": user.kind == "temporary",
    }  # fmt: skip
    if user.id is not None:
        entity |= {"user_id": user.id, "edit_count": user.edits, "registration_dt": user.registered}
    return entity


def _revision_entity(edit: Change, hides: frozenset[str]) -> Fields:
    """A revision as the newer streams have it, without what is hidden of it."""
    revision: Fields = {
        "rev_id": edit.revision,
        "rev_dt": edit.time,
        "is_minor_edit": edit.minor,
        "rev_size": edit.new_length,
        "is_content_visible": "text" not in hides,
        "is_editor_visible": "user" not in hides,
        "is_comment_visible": "comment" not in hides,
    }
    if edit.parent:
        revision["rev_parent_id"] = edit.parent
    if "comment" not in hides:
        revision["comment"] = edit.comment
    if "user" not in hides:
        revision["editor"] = _entity(edit.user)
    return revision


def _page_change(change: Change, stream: str = "mediawiki.page_change.v1", seconds_after: int = 0) -> Fields | None:
    """Of the revisions that are hidden, the service tells those here that are their page's latest.

    Where who did it is not for everybody to know, `performer` is empty: version 1.1 of the schema requires the field.
    """
    kind, changelog = _PAGE_CHANGES.get(change.action or change.kind, ("", ""))
    if not kind or not change.of_latest:
        return None
    page = {
        "page_id": change.page.id,
        "page_title": change.page.title.replace(" ", "_"),
        "namespace_id": change.page.namespace,
        "is_redirect": False,
    }
    prior_state: Fields = {}
    if kind == "edit":
        prior_state["revision"] = {"rev_id": change.parent, "rev_size": change.old_length}
    elif kind == "move":
        prior_state["page"] = {"page_title": change.old_title.replace(" ", "_")}
    elif kind == "visibility_change":
        prior_state["revision"] = _VISIBLE
    elif kind == "delete":
        page["revision_count"] = 1
    hides = frozenset(("user",)) if change.edit.user_hidden else change.hides
    fields: Fields = {
        "$schema": "/mediawiki/page/change/1.1.0",
        "meta": _meta(change, stream, seconds_after),
        "dt": change.time,
        "changelog_kind": changelog,
        "page_change_kind": kind,
        "wiki_id": change.page.wiki,
        "page": page,
        "performer": {} if change.user_hidden or change.restricted else _entity(change.user),
        "revision": _revision_entity(change.edit, hides),
    }
    if prior_state:
        fields["prior_state"] = prior_state
    if not change.restricted:
        fields["comment"] = change.comment
    return fields


# Predictions are made afterwards. Each of these places of a change's dice is of one question only.
_SECONDS_AFTER = {
    "revision-score": 0,
    "mediawiki.page_revert_risk_prediction_change.v1": 1,
    "mediawiki.page_outlink_topic_prediction_change.v1": 2,
}
_IS_SCORED, _SHAPE, _DAMAGING, _GOODFAITH, _HAS_RISK, _RISK, _HAS_TOPICS, _TOPIC = range(3, 11)

# Wikipedias whose edits were scored for `reverted` alone; all others have damaging and goodfaith.
_ONLY_REVERTED = {"viwiki", "kywiki", "elwiki", "etwiki", "dawiki", "hiwiki", "enwiktionary", "frwiktionary"}
_WITH_TOPICS = {"enwiki", "viwiki", "kowiki", "arwiki", "ukwiki"}
_TOPICS = (
    "Culture.Media.Music", "Culture.Media.Films", "Culture.Sports", "Culture.Food and drink", "Culture.Visual arts",
    "Geography.Regions.Europe.Europe*", "Geography.Regions.Asia.Asia*", "Geography.Geographical",
    "History and Society.History", "History and Society.Politics and government", "STEM.Biology", "STEM.Space",
)  # fmt: skip


def _seconds_after(change: Change, stream: str) -> int:
    return 1 + int(change.chance(_SECONDS_AFTER[stream]) * LONGEST_PREDICTION_SECONDS)


def _likelihood(is_so: bool, chance: float) -> float:
    """A model's probability of what is so or not: mostly right, wrong for one in ten and one in a hundred."""
    return 0.3 + 0.69 * chance**0.5 if is_so else 0.52 * chance**4


def _topics(change: Change) -> dict[str, float]:
    """The topics of a page: always the same ones, now and then none."""
    number = change.page.id // 4
    if number % 29 == 0:
        return {}
    first = 0.55 + 0.44 * change.chance(_TOPIC)
    topics = {_TOPICS[number % len(_TOPICS)]: first}
    if number % 3 == 0:
        topics[_TOPICS[(number // 3 + 5) % len(_TOPICS)]] = 0.5 + 0.4 * (first - 0.5)
    return topics


def _models(change: Change) -> dict[str, tuple[list[str], dict[str, float]]]:
    """What ORES says of a revision: for each of the models that the wiki has, predictions and probabilities."""

    def truth(probability: float) -> tuple[list[str], dict[str, float]]:
        return [str(probability > 0.5).lower()], {"true": probability, "false": 1 - probability}

    wiki = change.page.wiki
    shape = change.chance(_SHAPE)
    topics = _topics(change)
    models: dict[str, tuple[list[str], dict[str, float]]] = {}
    if wiki in _ONLY_REVERTED:
        models["reverted"] = truth(_likelihood(change.damaging, change.chance(_DAMAGING)))
    elif wiki != "wikidatawiki" or shape < 0.6:
        models["damaging"] = truth(_likelihood(change.damaging, change.chance(_DAMAGING)))
        models["goodfaith"] = truth(1 - _likelihood(not change.goodfaith, change.chance(_GOODFAITH)))
    if wiki == "wikidatawiki":
        models["itemquality"] = ["C"], {"A": 0.05, "B": 0.15, "C": 0.5, "D": 0.2, "E": 0.1}
        models["itemtopic"] = list(topics), topics
    elif wiki in _WITH_TOPICS and shape < 0.7:
        models["articletopic"] = list(topics), topics
    return models


def _revision_score(change: Change) -> Fields | None:
    """An error leaves no scores: the field is empty or, as in what was recorded, absent."""
    if not change.is_edit or change.user_hidden or change.chance(_IS_SCORED) >= 0.7:
        return None
    after = _seconds_after(change, "revision-score")
    fields = _revision(change, "mediawiki.revision-score", "/mediawiki/revision/score/2.0.0", after)
    models = _models(change)
    if change.chance(_SHAPE) > 0.99:
        fields["errors"] = {
            name: {
                "model_name": name, "model_version": "0.5.1", "type": "TimeoutError",
                "message": "Timed out after 15 seconds.",
            }
            for name in models
        }  # fmt: skip
        return fields | {"scores": {}} if change.number % 2 else fields
    fields["scores"] = {
        name: {"model_name": name, "model_version": "0.5.1", "prediction": prediction, "probability": probability}
        for name, (prediction, probability) in models.items()
    }
    return fields


def _revert_risk(change: Change) -> Fields | None:
    risk = _likelihood(change.damaging, change.chance(_RISK))
    probabilities = {"true": risk, "false": 1 - risk}
    return _prediction(
        change, "mediawiki.page_revert_risk_prediction_change.v1", change.chance(_HAS_RISK) < 0.6,
        "revertrisk-language-agnostic", [str(risk > 0.5).lower()], probabilities,
    )  # fmt: skip


def _outlink_topics(change: Change) -> Fields | None:
    topics = _topics(change)
    return _prediction(
        change, "mediawiki.page_outlink_topic_prediction_change.v1",
        change.page.namespace == 0 and change.chance(_HAS_TOPICS) < 0.5,
        "outlink-topic-model", list(topics), topics,
    )  # fmt: skip


def _prediction(
    change: Change, stream: str, is_made: bool, model: str, predictions: list[str], probabilities: dict[str, float]
) -> Fields | None:
    """Lift Wing's predictions, which are made for Wikipedias: page_change with the prediction, told later."""
    if not is_made or change.user_hidden or not change.page.domain.endswith(".wikipedia.org"):
        return None
    fields = _page_change(change, stream, _seconds_after(change, stream))
    return fields and fields | {
        "$schema": "/mediawiki/page/prediction_classification_change/1.1.0",
        "predicted_classification": {
            "model_name": model,
            "model_version": "3",
            "predictions": predictions,
            "probabilities": probabilities,
        },
    }


_STREAMS: dict[str, Callable[[Change], Fields | None]] = {
    "recentchange": _recentchange,
    "revision-create": _revision_create,
    "page-create": _page_create,
    "page-delete": _page_delete,
    "page-move": _page_move,
    "mediawiki.page_change.v1": _page_change,
    "revision-score": _revision_score,
    "mediawiki.page_revert_risk_prediction_change.v1": _revert_risk,
    "mediawiki.page_outlink_topic_prediction_change.v1": _outlink_topics,
    "mediawiki.revision-visibility-change": _visibility_change,
}


def _without_time(fields: Fields) -> Fields:
    return fields | {"meta": {name: value for name, value in fields["meta"].items() if name != "dt"}}


def _with_page_title(fields: Fields, title: object) -> Fields:
    if "page" in fields:
        return fields | {"page": fields["page"] | {"page_title": title}}
    return fields | {"title" if "title" in fields else "page_title": title}


def _without_wiki(fields: Fields) -> Fields:
    return fields | {name: None for name in ("wiki", "database", "wiki_id") if name in fields}


# The ten kinds of records that no job can use, in the order in which they come.
_MALFORMED: dict[str, Callable[[Fields, int], bytes]] = {
    "truncated": lambda fields, _: _as_bytes(fields)[:-20].decode(errors="ignore").encode(),
    "not_json": lambda fields, _: b"<html>503 Service Unavailable</html>",
    "empty": lambda fields, _: b"",
    "invalid_utf8": lambda fields, _: _as_bytes(fields)[:-1] + b',"x":"\xff\xfe"}',
    "wrong_type": lambda fields, _: _as_bytes(_with_page_title(fields, 7)),
    "missing_field": lambda fields, _: _as_bytes(_without_time(fields)),
    "null_field": lambda fields, _: _as_bytes(_without_wiki(fields)),
    "array": lambda fields, _: _as_bytes([fields]),
    "oversized": lambda fields, size: _as_bytes(fields | {"comment": "x" * size}),
    "nonsense_time": lambda fields, _: _as_bytes(fields | {"meta": fields["meta"] | {"dt": "2026-13-45T99:99:99Z"}}),
}
MALFORMED_KINDS = tuple(_MALFORMED)
