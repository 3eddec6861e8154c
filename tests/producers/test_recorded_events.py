"""What Wikimedia's streams really sent: recordings pass through the producer whole, and fit the public JSON Schemas."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import datetime
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from producers._wikimedia_streams import STREAMS
from producers.wikimedia import main, read_file
from settings import ROOT

DATA = Path(os.environ.get("CROWDPULSE_DATA", ROOT.parent / "shared" / "data"))
RECORDINGS = DATA / "wikimedia-events"
SCHEMAS = DATA / "wikimedia-schemas/jsonschema"

needs_data = pytest.mark.skipif(
    not (RECORDINGS.exists() and SCHEMAS.exists()), reason=f"the recordings and schemas are not at {DATA}"
)

# Each recording with the stream and schema that each of its events names, and how many they are. None was found that
# does not fit its schema; `.raw` has the same events as `.jsonl`.
RECORDED = {
    "recentchange.jsonl": ("mediawiki.recentchange", "/mediawiki/recentchange/1.0.0", 975),
    "revision_create.jsonl": ("mediawiki.revision-create", "/mediawiki/revision/create/1.1.0", 785),
    "revision_score.jsonl": ("mediawiki.revision-score", "/mediawiki/revision/score/2.0.0", 455),
    "page_create.jsonl": ("mediawiki.page-create", "/mediawiki/revision/create/1.1.0", 20),
    "recorded_together/wiki_recentchange.json": ("mediawiki.recentchange", "/mediawiki/recentchange/1.0.0", 62),
    "recorded_together/wiki_revision_create.json": (
        "mediawiki.revision-create", "/mediawiki/revision/create/1.1.0", 66,
    ),
    "recorded_together/wiki_revision_score.json": ("mediawiki.revision-score", "/mediawiki/revision/score/2.0.0", 49),
}  # fmt: skip


dates = jsonschema.FormatChecker(formats=())
dates.checks("date-time", raises=ValueError)(datetime.fromisoformat)


@cache
def validator(schema: str) -> jsonschema.Draft7Validator | None:
    """For what `$schema` names; None where that schema is not among those we have (page-delete, page-move, canary)."""
    file = SCHEMAS / f"{schema.lstrip('/')}.yaml"
    if not file.exists():
        return None
    return jsonschema.Draft7Validator(
        yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader), format_checker=dates
    )


@needs_data
@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_event_fits_the_schema_that_it_names(name: str) -> None:
    named: Counter[tuple[str, str]] = Counter()
    unfit = []
    for number, event in enumerate(read_file(RECORDINGS / name)):
        fields = json.loads(event.value)
        named[STREAMS[event.stream].meta_stream, fields["$schema"]] += 1
        schema = validator(fields["$schema"])
        assert schema, f"there is no schema {fields['$schema']}"
        unfit += [(number, error.json_path, error.validator) for error in schema.iter_errors(fields)]

    stream, uri, count = RECORDED[name]
    assert named == {(stream, uri): count}
    assert unfit == []


@needs_data
def test_no_recording_is_left_out() -> None:
    files = [*RECORDINGS.glob("*.jsonl"), *RECORDINGS.glob("recorded_together/*.json")]

    assert {str(file.relative_to(RECORDINGS)) for file in files if file.stat().st_size} == set(RECORDED)


@needs_data
@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_goes_through_the_producer_byte_for_byte(name: str, tmp_path: Path) -> None:
    """SSE or JSON lines: out come the bytes of each event's data, as lines."""
    file = RECORDINGS / name
    written = tmp_path / "out.jsonl"
    lines = file.read_bytes().split(b"\n")
    if name.endswith(".json"):  # an SSE response
        lines = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]

    assert main(["--file", str(file), "--output", str(written)]) == 0
    assert written.read_bytes().splitlines() == [line for line in lines if line]
