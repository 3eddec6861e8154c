"""producers/synthetic_wikimedia.py: always the same story, in the shapes that the public schemas ask for."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from producers import synthetic_wikimedia
from producers._wikimedia_streams import STREAMS
from settings import ROOT

SCHEMAS = Path(os.environ.get("CROWDPULSE_DATA", ROOT.parent / "shared" / "data")) / "wikimedia-schemas/jsonschema"
START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = list(STREAMS)


def generated(count: int, streams: list[str] | None = None, **options: Any) -> list[synthetic_wikimedia.SyntheticEvent]:
    chosen: dict[str, Any] = {"start": START, "duplicates": 0.0, **options}
    events = synthetic_wikimedia.events(streams or ["recentchange"], limit=count, **chosen)
    return [event for event in events if event.kind != "canary"]


def without_times(value: bytes) -> Any:
    fields = json.loads(value)
    del fields["meta"]["dt"], fields["timestamp"]
    return fields


def test_the_seed_alone_decides_what_is_told() -> None:
    first = generated(500)
    later = generated(500, start=START + timedelta(days=3), rate=7.0)

    assert [without_times(event.value) for event in first] == [without_times(event.value) for event in later]
    assert [event.key for event in first] == [event.key for event in later]
    assert first != later
    assert [event.key for event in first] != [event.key for event in generated(500, seed=2)]


@pytest.mark.skipif(not SCHEMAS.exists(), reason=f"the schemas are not at {SCHEMAS}")
def test_every_event_fits_the_public_schema_of_its_stream() -> None:
    checked: Counter[str] = Counter()
    validators: dict[str, jsonschema.Draft7Validator] = {}
    for event in generated(4000, ALL):
        fields = json.loads(event.value)
        file = SCHEMAS / f"{fields['$schema'].lstrip('/')}.yaml"
        if file.exists():  # the schemas of page-delete and page-move are not among those we have
            if file.name + file.parent.name not in validators:
                schema = yaml.safe_load(file.read_text(encoding="utf-8"))
                validators[file.name + file.parent.name] = jsonschema.Draft7Validator(schema)
            validators[file.name + file.parent.name].validate(fields)
            checked[event.stream] += 1
    assert len(checked) == 6


def test_streams_tell_of_the_same_edits() -> None:
    by_stream: dict[str, dict[tuple[str, int], str]] = {name: {} for name in ALL}
    for event in generated(3000, ALL):
        fields = json.loads(event.value)
        revision = fields.get("revision", {})
        revision_id = fields.get("rev_id") or revision.get("new") or revision.get("rev_id")
        wiki = fields.get("wiki") or fields.get("database") or fields.get("wiki_id")
        by_stream[event.stream][wiki, revision_id] = fields["meta"]["request_id"]

    scored = by_stream["revision-score"]
    assert len(scored) > 100
    assert scored.items() <= by_stream["revision-create"].items()
    assert scored.items() <= by_stream["recentchange"].items()


def test_times_are_out_of_order_by_seconds_and_late_on_demand() -> None:
    times = [datetime.fromisoformat(json.loads(event.value)["meta"]["dt"]) for event in generated(2000, late=0.1)]
    behind = [START + timedelta(seconds=number / 50) - time for number, time in enumerate(times)]
    late = [each for each in behind if each > timedelta(minutes=10)]

    assert times != sorted(times)
    assert 100 < len(late) < 300
    assert all(each < timedelta(seconds=7) for each in behind if each not in late)
    assert min(behind) >= timedelta(0)


def is_broken(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return True
    return False


def title_of(event: Any) -> Any:
    page = event.get("page", event)
    return page.get("title", page.get("page_title"))


# What is wrong with a record of each kind, in the order in which they come.
MALFORMED: dict[str, Callable[[bytes], bool]] = {
    "truncated": lambda value: value.startswith(b"{") and is_broken(value),
    "not_json": lambda value: value.startswith(b"<") and is_broken(value),
    "empty": lambda value: value == b"",
    "invalid_utf8": lambda value: value.decode(errors="ignore").encode() != value,
    "wrong_type": lambda value: isinstance(title_of(json.loads(value)), int),
    "missing_field": lambda value: "dt" not in json.loads(value)["meta"],
    "null_field": lambda value: None in [json.loads(value).get(name, 0) for name in ("wiki", "database", "wiki_id")],
    "array": lambda value: isinstance(json.loads(value), list),
    "oversized": lambda value: len(value) > 10_000,
    "nonsense_time": lambda value: json.loads(value)["meta"]["dt"] == "2026-13-45T99:99:99Z",
}


@pytest.mark.parametrize("streams", [["recentchange"], ["revision-create"], ["mediawiki.page_change.v1"]])
def test_each_kind_of_malformed_record_is_what_its_name_says(streams: list[str]) -> None:
    everything = generated(200, streams, malformed=0.1, oversized_bytes=10_000)
    values = [event.value for event in everything if event.kind == "malformed"]

    assert tuple(MALFORMED) == synthetic_wikimedia.MALFORMED_KINDS
    assert [
        kind for kind, value in zip([*MALFORMED, *MALFORMED], values, strict=True) if not MALFORMED[kind](value)
    ] == []


def test_ids_are_random_uuids_and_each_is_of_one_event() -> None:
    ids = [uuid.UUID(json.loads(event.value)["meta"]["id"]) for event in generated(2000)]

    assert {each.version for each in ids} == {4}
    assert {each.variant for each in ids} == {uuid.RFC_4122}
    assert len(set(ids)) == 2000


def test_copies_malformed_records_and_canaries_are_told_apart() -> None:
    everything = list(
        synthetic_wikimedia.events(start=START, limit=5000, duplicates=0.1, malformed=0.1, oversized_bytes=10_000)
    )
    kinds = Counter(event.kind for event in everything)
    malformed = [event.value for event in everything if event.kind == "malformed"]
    originals = [without_times(event.value) for event in everything if event.kind == "event"]

    assert kinds["event"] + kinds["copy"] == 5000
    assert 400 < kinds["copy"] < 600
    assert kinds["malformed"] == 500
    assert kinds["canary"] > 0
    assert originals == [without_times(event.value) for event in generated(len(originals))]
    assert sum(len(value) > 10_000 for value in malformed) == 50  # one of the ten kinds
