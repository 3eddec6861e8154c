"""Wikipedia edits from the producer to Elasticsearch, on the real stack."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from settings import ROOT
from stack import elasticsearch, jobs
from tests.e2e.conftest import Document, Pipeline, as_record, restarts
from tests.e2e.recount_wiki import distinct, identity, is_edit, recounted_activity, recounted_bots
from tests.sse_server import SseServer

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

DATA = Path(os.environ.get("CROWDPULSE_DATA", ROOT.parent / "shared" / "data"))
RECORDING = DATA / "wikimedia-events" / "recentchange.raw"

Synthetic = Callable[..., list[Document]]


def found_activity(pipeline: Pipeline) -> dict[tuple[str, bool, str], Document]:
    """The same shape, from the index."""
    found = {}
    for document in pipeline.documents("wiki_activity").values():
        group = document["wiki"], document["is_bot"], document["window_start"]
        found[group] = {
            name: value
            for name, value in document.items()
            if name not in ("wiki", "is_bot", "window_start", "window_end", "language", "country")
        }
    return found


@pytest.mark.skipif(not RECORDING.exists(), reason=f"the recordings are not at {DATA}")
def test_a_recording_gives_one_document_per_edit_and_the_sums_of_a_recount(pipeline: Pipeline) -> None:
    sent = pipeline.python("producers.wikimedia", "--file", str(RECORDING), "--stream", "recentchange")
    assert sent.returncode == 0, sent.stderr
    pipeline.run("wiki_edits")
    lines = RECORDING.read_text(encoding="utf-8").split("\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    edits = pipeline.documents("wiki_edits").values()
    bots = pipeline.documents("wiki_bots").values()

    assert Counter((edit["wiki"], edit["revision_id"]) for edit in edits) == Counter(
        identity(event) for event in distinct(events) if is_edit(event)
    )
    assert found_activity(pipeline) == recounted_activity(events)
    assert {
        bot["user_name"]: (bot["edits"], bot["pages"], bot["wikis"], bot["all_edits"]) for bot in bots
    } == recounted_bots(events)


def test_a_stream_that_breaks_repeats_and_refuses_loses_and_doubles_nothing(
    pipeline: Pipeline, synthetic: Synthetic
) -> None:
    events = synthetic(1000, "--duplicates", "0")
    server = SseServer(events, cut_every=50, repeat_on_reconnect=7, too_many_requests_at=3)
    with server:
        sent = pipeline.python(
            "producers.wikimedia", "--url", server.url, "--stream", "recentchange", "--backoff-seconds", "0.05",
            "--limit", str(len(events) + 7 * (len(events) // 50 - 1)),
        )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    assert server.connections >= len(events) // 50
    assert server.refused == 1
    pipeline.run("wiki_edits")

    assert pipeline.count("wiki_edits") == len({identity(event) for event in events if is_edit(event)})
    assert found_activity(pipeline) == recounted_activity(events)


# What can be wrong with a record: the reason that its dead letter gives, and how a good event is made so.
MALFORMED: dict[str, tuple[str, Callable[[Document], bytes]]] = {
    "cut off": ("not_json", lambda event: as_record(event)[1][:-10]),
    "no JSON": ("not_json", lambda event: b"<html>" + str(event["title"]).encode()),
    "empty": ("empty_value", lambda _event: b""),
    "not UTF-8": ("invalid_utf8", lambda event: as_record(event)[1][:-2] + b'\xff"}'),
    "an array": ("not_an_object", lambda event: b"[" + as_record(event)[1] + b"]"),
    "a number as title": ("wrong_type", lambda event: as_record(event | {"title": 7})[1]),
    "no time": ("missing_field", lambda event: as_record(event | {"meta": {"id": "x"}})[1]),
    "null as wiki": ("null_field", lambda event: as_record(event | {"wiki": None})[1]),
    "too long": ("oversized", lambda event: as_record(event | {"comment": "x" * 600_000})[1]),
    "from the future": (
        "future_event_time",
        lambda event: as_record(
            event | {"meta": event["meta"] | {"dt": (datetime.now(UTC) + timedelta(days=1)).isoformat()}}
        )[1],
    ),
}


def test_malformed_records_are_dead_letters_and_the_repaired_ones_count(
    pipeline: Pipeline, synthetic: Synthetic, tmp_path: Path
) -> None:
    edits = [event for event in distinct(synthetic(20_000)) if is_edit(event)][:11_000]
    good, to_break = edits[:10_000], edits[10_000:]
    kinds = list(MALFORMED.values()) * 100
    records = [as_record(event) for event in good]
    originals = [as_record(event) for event in to_break]
    broken = [(key, make(event)) for (key, _), (_, make), event in zip(originals, kinds, to_break, strict=True)]
    mixed = list(records)
    for number, record in enumerate(broken):  # one after every tenth good one
        mixed.insert(number * 11 + 10, record)

    places = pipeline.produce("wiki_recentchange", mixed)
    pipeline.run("wiki_edits")
    pipeline.run("kept_records")

    broken_places = [places[number * 11 + 10] for number in range(1000)]
    letters = pipeline.documents("dead_letters").values()
    assert pipeline.count("wiki_edits") == 10_000
    assert {(letter["partition"], letter["offset"]): letter["reason"] for letter in letters} == {
        place: reason for place, (reason, _) in zip(broken_places, kinds, strict=True)
    }
    assert {
        (letter["partition"], letter["offset"]): base64.b64decode(letter["record_value"]) for letter in letters
    } == {place: value for place, (_, value) in zip(broken_places, broken, strict=True)}

    file = tmp_path / "letters.jsonl"
    replay = ["jobs.replay", "dead_letters", "--topic", "wiki_recentchange"]
    exported = pipeline.python(*replay, "--export", str(file))
    assert exported.returncode == 0, exported.stderr
    repaired_values = {place: value for place, (_, value) in zip(broken_places, originals, strict=True)}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    assert len(lines) == 1000
    for line in lines:
        line.pop("value_base64", None)
        line["value"] = repaired_values[line["partition"], line["offset"]].decode()
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    repaired = pipeline.python(*replay, "--repaired", str(file))
    assert repaired.returncode == 0, repaired.stderr
    pipeline.run("wiki_edits")

    assert pipeline.count("wiki_edits") == 11_000
    assert len(pipeline.documents("dead_letters")) == 1000


def test_elasticsearch_away_for_twenty_seconds_loses_nothing_and_fails_no_job(
    pipeline: Pipeline, synthetic: Synthetic
) -> None:
    events = [event for event in distinct(synthetic(60_000)) if is_edit(event)]
    job_id = pipeline.start("wiki_edits")
    half = len(events) // 2
    pipeline.produce("wiki_recentchange", map(as_record, events[:half]))
    pipeline.wait_for("first documents", lambda: pipeline.count("wiki_edits") > 0)

    elasticsearch.stop()
    back = threading.Timer(20, elasticsearch.start)
    back.start()
    pipeline.produce("wiki_recentchange", map(as_record, events[half:]))
    back.join()
    pipeline.wait_for("Elasticsearch is back", lambda: not elasticsearch.health())

    pipeline.wait_for("all documents", lambda: pipeline.count("wiki_edits") == len(events))
    assert jobs.state(job_id) == "RUNNING"
    assert restarts(job_id) == 0
    assert pipeline.count("rejected_documents") == 0
