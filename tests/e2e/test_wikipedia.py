"""Revisions and pages of Wikipedia on the real stack: recorded, generated, and without a field."""

from __future__ import annotations

import copy
import json
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.replay import messages_of
from producers._wikimedia_streams import STREAMS, as_event
from producers.synthetic_wikimedia import NOMINAL_RATE, events
from producers.wikimedia import read_file
from settings import ROOT
from tests.e2e.conftest import Document, Pipeline
from tests.e2e.recount_wiki import of_pages, of_revisions

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

DATA = Path(os.environ.get("CROWDPULSE_DATA", ROOT.parent / "shared" / "data"))
TOGETHER = DATA / "wikimedia-events" / "recorded_together"
RECORDINGS = [
    *(
        DATA / "wikimedia-events" / f"{name}.jsonl"
        for name in ("page_create", "revision_create", "revision_score", "recentchange")
    ),
    *(TOGETHER / f"wiki_{name}.json" for name in ("recentchange", "revision_create", "revision_score")),
]

Found = dict[tuple[str, int], Document]


def documents(pipeline: Pipeline, index: str) -> Found:
    """The documents of an index by wiki and revision."""
    return {(one["wiki"], one["revision_id"]): one for one in pipeline.documents(index).values()}


def kept(pipeline: Pipeline, topic: str) -> list[Document]:
    """What a topic of kept records holds."""
    return [json.loads(message) for message in messages_of(pipeline.prefix + topic)]


def assert_as_recounted(found: Found, recount: Found) -> None:
    names = {name for one in recount.values() for name in one} - {"shapes", "reverted"}
    assert found.keys() == recount.keys()
    for revision, one in recount.items():
        told = {name: one.get(name) for name in names} | {"shapes": one["shapes"]}
        assert {name: found[revision].get(name) for name in names} | {"shapes": set(found[revision]["shapes"])} == told


@pytest.mark.skipif(not TOGETHER.exists(), reason=f"the recordings are not at {DATA}")
def test_every_recorded_event_is_a_document(pipeline: Pipeline) -> None:
    for file in RECORDINGS:  # in the order of their times
        sent = pipeline.python("producers.wikimedia", "--file", str(file))
        assert sent.returncode == 0, sent.stderr
    told = [json.loads(event.value) for file in RECORDINGS for event in read_file(file)]
    together = [json.loads(event.value) for file in RECORDINGS[4:] for event in read_file(file)]

    for job in ("wiki_edits", "wiki_intent", "wiki_pages"):
        pipeline.run(job)

    found = documents(pipeline, "wiki_intent")
    recount = of_revisions(told)
    assert_as_recounted(found, recount)
    assert Counter(one["intent"] for one in recount.values()).keys() >= {"constructive", "vandalism", "unscored", None}
    all_three = {"recentchange", "revision/create", "revision/score"}
    assert sum(one["shapes"] == all_three for one in of_revisions(together).values()) == 12
    assert sum(set(one["shapes"]) == all_three for one in found.values()) == 12
    by_wiki = list(pipeline.documents("wiki_intent_by_wiki").values())
    assert sum(one["edits"] for one in by_wiki) == len(found)
    for intent, number in Counter(one["intent"] for one in recount.values() if one["intent"]).items():
        assert sum(one[intent] for one in by_wiki) == number, intent

    changes = [event for event in told if event["meta"]["stream"] == "mediawiki.recentchange"]
    edits = {(event["wiki"], event["revision"]["new"]) for event in changes if event["type"] in ("edit", "new")}
    assert documents(pipeline, "wiki_edits").keys() == edits
    assert sum(one["events"] for one in pipeline.documents("wiki_activity").values()) == len(changes)
    pages = {
        (event["database"], event["page_id"]) for event in told if event["meta"]["stream"] == "mediawiki.page-create"
    }
    assert {(one["wiki"], one["page_id"]) for one in pipeline.documents("wiki_pages").values()} == pages
    assert kept(pipeline, "dead_letters") == []
    assert kept(pipeline, "late_events") == []


# What the public schemas require of each stream that wiki_intent reads; a test compares it with the schemas.
REQUIRED = {
    "revision-create": (
        "revision/create/1.1.0",
        "$schema meta meta.dt meta.stream database page_id page_is_redirect page_namespace page_title rev_id"
        " rev_timestamp performer.user_text performer.user_groups performer.user_is_bot",
    ),
    "revision-score": (
        "revision/score/2.0.0",
        "$schema meta meta.dt meta.stream database page_id page_is_redirect page_namespace page_title rev_id"
        " rev_timestamp performer.user_text performer.user_groups performer.user_is_bot",
    ),
    "mediawiki.page_revert_risk_prediction_change.v1": (
        "page/prediction_classification_change/1.1.0",
        "$schema changelog_kind dt meta meta.stream page page.page_id page.page_title page_change_kind performer"
        " revision revision.rev_id revision.rev_dt wiki_id predicted_classification.model_name"
        " predicted_classification.model_version predicted_classification.predictions"
        " predicted_classification.probabilities",
    ),
}  # fmt: skip
PAGE_STREAMS = ["mediawiki.page_change.v1", "page-create", "page-delete", "page-move"]
# Without these a record tells of no revision at no time; all others have a default.
NEEDED = {"database", "rev_id", "rev_timestamp", "wiki_id", "revision", "revision.rev_id", "revision.rev_dt"}


@pytest.mark.skipif(not DATA.exists(), reason=f"the schemas are not at {DATA}")
@pytest.mark.parametrize("stream", REQUIRED)
def test_the_required_fields_are_those_of_the_schemas(stream: str) -> None:
    schema, names = REQUIRED[stream]
    declared = yaml.safe_load((DATA / f"wikimedia-schemas/jsonschema/mediawiki/{schema}.yaml").read_text())

    required = set(declared["required"])
    for outer in ("meta", "performer", "page", "revision", "predicted_classification"):
        required |= {f"{outer}.{name}" for name in declared["properties"].get(outer, {}).get("required", ())}

    assert set(names.split()) == required


def generated(streams: list[str], limit: int) -> list[tuple[str, bytes | None, Document]]:
    """Generated events, each up to 50 s of the story before or after its turn."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=limit / NOMINAL_RATE + 300)
    told = [
        event for event in events(streams, seed=6, start=start, limit=limit, duplicates=0.01) if event.kind != "canary"
    ]
    turn = random.Random(6)
    places = {index: index + turn.uniform(-50, 50) * NOMINAL_RATE for index in range(len(told))}
    return [
        (told[index].stream, told[index].key, json.loads(told[index].value))
        for index in sorted(places, key=places.__getitem__)
    ]


def lacking(stream: str, event: Document) -> Iterator[tuple[str, Document]]:
    """The event without each of its required fields, one at a time, about revisions of their own."""
    for number, name in enumerate(REQUIRED[stream][1].split()):
        copied: Any = copy.deepcopy(event)
        if "revision" in copied:
            copied["revision"]["rev_id"] = 7_000 + number
        else:
            copied["rev_id"] = 8_000 + number if stream == "revision-create" else 9_000 + number
        outer, _, inner = name.partition(".")
        removed = (copied[outer] if inner else copied).pop(inner or outer)
        assert removed is not None
        yield name, copied


def test_generated_events_in_any_order_are_recounted_and_fields_that_lack_stop_nothing(pipeline: Pipeline) -> None:
    pipeline.environment |= {"CROWDPULSE_WIKI_OUT_OF_ORDER_SECONDS": "130", "CROWDPULSE_WIKI_SCORE_WAIT_SECONDS": "130"}
    streams = [
        "recentchange", "revision-create", "revision-score", "mediawiki.page_revert_risk_prediction_change.v1",
        "mediawiki.page_outlink_topic_prediction_change.v1", "mediawiki.revision-visibility-change", *PAGE_STREAMS,
    ]  # fmt: skip
    told: dict[str, list[tuple[bytes | None, Document]]] = {stream: [] for stream in streams}
    for stream, key, event in generated(streams, 18_000):
        told[stream].append((key, event))
    places: dict[str, list[tuple[str, int, int]]] = {"good": [], "bad": []}
    for stream, records in told.items():
        odd = []
        half = len(records) // 2
        if stream in REQUIRED:
            complete = next(event for _, event in records[half:] if (event.get("performer") or {}).get("user_text"))
            odd = list(lacking(stream, complete))
            assert len(odd) == len(REQUIRED[stream][1].split())
        # In the middle: what is good follows.
        values = [
            *records[:half],
            *((as_event(json.dumps(event).encode(), stream).key, event) for _, event in odd),
            *records[half:],
        ]
        sent = pipeline.produce(STREAMS[stream].topic, [(key, json.dumps(event).encode()) for key, event in values])
        for (name, _), place in zip(odd, sent[half:], strict=False):
            places["bad" if name in NEEDED else "good"].append((STREAMS[stream].topic, *place))

    for job in ("wiki_edits", "wiki_intent", "wiki_users", "wiki_pages"):
        pipeline.run(job)

    found = documents(pipeline, "wiki_intent")
    ours = {revision: one for revision, one in found.items() if revision[1] < 10_000}
    recount = of_revisions(event for stream in streams[:6] for _, event in told[stream])
    assert_as_recounted({revision: one for revision, one in found.items() if revision[1] >= 10_000}, recount)
    assert Counter(one["intent"] for one in recount.values()).keys() == {
        "constructive", "good_faith_damage", "vandalism", "bad_faith_harmless", "unscored", None,
    }  # fmt: skip
    dead = [
        (one["topic"].removeprefix(pipeline.prefix), one["partition"], one["offset"])
        for one in kept(pipeline, "dead_letters")
    ]
    assert sorted(dead) == sorted(places["bad"])
    assert len(ours) == len(places["good"])
    assert kept(pipeline, "late_events") == []

    hidden = [event for _, event in told["mediawiki.revision-visibility-change"]]
    for index in ("wiki_edits", "wiki_intent"):
        held = documents(pipeline, index)
        for name, field in (("user", "user_name"), ("comment", "comment")):
            cleared = {
                (event["database"], event["rev_id"]) for event in hidden if not event["visibility"][name]
            } & held.keys()
            assert cleared, (index, name)
            assert [revision for revision in cleared if held[revision].get(field) is not None] == [], (index, name)
            assert sum(one.get(field) is not None for one in held.values()) > len(held) / 2

    users = list(pipeline.documents("wiki_users").values())
    assert {one["behaves_like"] for one in users if one["is_odd"] and not one["is_bot"]} == {"bot"}
    pages = of_pages(event for stream in PAGE_STREAMS for _, event in told[stream])
    lives = {(one["wiki"], one["page_id"]): one for one in pipeline.documents("wiki_pages").values()}
    assert lives.keys() == pages.keys()
    assert {page: {name: lives[page].get(name) for name in one} for page, one in pages.items()} == pages
    assert {one["state"] for one in pages.values()} == {"live", "deleted"}
    assert_ranked(pipeline.documents("wiki_disagreement").values())


def assert_ranked(disagreement: Iterable[Document]) -> None:
    windows: dict[str, list[Document]] = {}
    for one in disagreement:
        windows.setdefault(one["window_start"], []).append(one)
    assert windows
    for members in windows.values():
        ranked = sorted(members, key=lambda one: one["rank"])
        assert [one["rank"] for one in ranked] == list(range(1, len(ranked) + 1))
        assert [one["distance"] for one in ranked] == sorted((one["distance"] for one in members), reverse=True)
