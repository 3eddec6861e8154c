"""producers/synthetic_wikimedia.py: always the same story, in the shapes that the public schemas ask for."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from producers import synthetic_wikimedia
from producers._wikimedia_streams import STREAMS
from tests.producers.test_recorded_events import needs_data, validator

Fields = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = list(STREAMS)
PREDICTIONS = (
    "revision-score",
    "mediawiki.page_revert_risk_prediction_change.v1",
    "mediawiki.page_outlink_topic_prediction_change.v1",
)
VISIBILITY = "mediawiki.revision-visibility-change"
UNDONE = re.compile(
    r"Undid revision (?P<revision>\d+) by \[\[Special:Contributions/(?P<name>.+)\|(?P=name)\]\]"
    r" \(\[\[User talk:(?P=name)\|talk\]\]\)"
)
# What becomes of a page, as far as it has come.
LIVES = {
    ("create",),
    ("create", "move"),
    ("create", "delete"),
    ("create", "move", "delete"),
    ("create", "delete", "undelete"),
    ("create", "move", "delete", "undelete"),
}


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


@pytest.fixture(scope="module")
def in_order() -> list[tuple[str, Fields]]:
    """Events of all streams, each with its stream."""
    return [(event.stream, orjson.loads(event.value)) for event in generated(40_000, ALL)]


@pytest.fixture(scope="module")
def told(in_order: list[tuple[str, Fields]]) -> dict[str, list[Fields]]:
    """Events of all streams, by stream."""
    by_stream: dict[str, list[Fields]] = {stream: [] for stream in ALL}
    for stream, fields in in_order:
        by_stream[stream].append(fields)
    return by_stream


@needs_data
def test_events_of_every_shape_fit_the_public_schema_of_their_stream(told: dict[str, list[Fields]]) -> None:
    shapes: Counter[tuple[Any, ...]] = Counter()
    unchecked = set()
    for stream, events in told.items():
        for fields in events:
            shape = (stream, fields.get("page_change_kind"), *sorted(fields))
            shapes[shape] += 1
            if shapes[shape] > 40:
                continue
            if schema := validator(fields["$schema"]):
                schema.validate(fields)
            else:
                unchecked.add(fields["$schema"])
    assert unchecked == {"/mediawiki/page/delete/1.0.0", "/mediawiki/page/move/1.0.0"}
    assert {shape[0] for shape in shapes} == set(ALL)
    assert {shape[1] for shape in shapes} == {
        None, "create", "edit", "move", "delete", "undelete", "visibility_change",
    }  # fmt: skip


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


def wiki_and_revision(fields: Fields) -> tuple[str, int]:
    revision = fields.get("rev_id") or fields["revision"].get("rev_id") or fields["revision"]["new"]
    return fields.get("wiki") or fields.get("database") or fields["wiki_id"], revision


def by_revision(events: list[Fields]) -> dict[tuple[str, int], Fields]:
    return {wiki_and_revision(fields): fields for fields in events}


def test_predictions_come_seconds_after_a_revision_and_carry_its_time(told: dict[str, list[Fields]]) -> None:
    revisions = by_revision(told["revision-create"])
    for fields in itertools.chain.from_iterable(told[stream] for stream in PREDICTIONS):
        revision = revisions[wiki_and_revision(fields)]
        time = fields.get("rev_timestamp") or fields["revision"]["rev_dt"]
        after = datetime.fromisoformat(fields["meta"]["dt"]) - datetime.fromisoformat(time)
        assert time == revision["rev_timestamp"]
        assert timedelta(seconds=1) <= after <= timedelta(seconds=8)
        assert fields["meta"]["request_id"] == revision["meta"]["request_id"]

    scored, risks, topics = ({wiki_and_revision(fields) for fields in told[stream]} for stream in PREDICTIONS)
    assert 0.6 < len(scored) / len(revisions) < 0.75
    assert scored & risks
    assert scored - risks
    assert risks - scored
    assert topics


def test_all_shapes_of_scores_occur(told: dict[str, list[Fields]]) -> None:
    shapes = Counter(
        (tuple(sorted(fields["scores"])) if "scores" in fields else None, "errors" in fields)
        for fields in told["revision-score"]
    )

    assert set(shapes) == {
        (("damaging", "goodfaith"), False),
        (("articletopic", "damaging", "goodfaith"), False),
        (("damaging", "goodfaith", "itemquality", "itemtopic"), False),
        (("itemquality", "itemtopic"), False),
        (("articletopic", "reverted"), False),
        (("reverted",), False),
        ((), True),
        (None, True),
    }
    assert shapes[(), True] + shapes[None, True] < 0.03 * shapes.total()


def test_harm_and_good_faith_are_two_axes_and_depend_on_who_edits(told: dict[str, list[Fields]]) -> None:
    revisions = by_revision(told["revision-create"])
    both: Counter[tuple[str, str]] = Counter()
    damaging: dict[str, list[bool]] = defaultdict(list)
    for score in told["revision-score"]:
        if not (scores := score.get("scores")) or "damaging" not in scores:
            continue
        (is_damaging,), (is_goodfaith,) = scores["damaging"]["prediction"], scores["goodfaith"]["prediction"]
        both[is_damaging, is_goodfaith] += 1
        performer = score["performer"]
        days = 0.0
        if registered := performer.get("user_registration_dt"):
            days = (START - datetime.fromisoformat(registered)) / timedelta(days=1)
        known = "bot" if performer["user_is_bot"] else "old" if days > 100 else "new"
        damaging[known].append(is_damaging == "true")
        create = revisions[wiki_and_revision(score)]
        if create["rev_len"] < 200:
            damaging["nearly empty"].append(is_damaging == "true")
    shares = {known: sum(those) / len(those) for known, those in damaging.items()}

    assert len(both) == 4
    assert min(both.values()) > 20
    assert shares["bot"] < shares["old"] < 0.05
    assert shares["new"] > 5 * shares["old"]
    assert shares["nearly empty"] > 5 * shares["old"]


def test_people_undo_what_others_did(told: dict[str, list[Fields]]) -> None:
    changes = by_revision([fields for fields in told["recentchange"] if "revision" in fields])
    undone = 0
    for fields in changes.values():
        match = UNDONE.fullmatch(fields["comment"])
        if not match:
            continue
        undone += 1
        vandalism = changes[fields["wiki"], int(match["revision"])]
        assert fields["revision"]["old"] == vandalism["revision"]["new"]
        assert (fields["title"], fields["length"]["new"]) == (vandalism["title"], vandalism["length"]["old"])
        assert match["name"] == vandalism["user"] != fields["user"]
        assert fields["timestamp"] >= vandalism["timestamp"]
    assert undone > 50


def test_what_is_hidden_was_told_before_and_is_not_told_again(in_order: list[tuple[str, Fields]]) -> None:
    revisions: dict[tuple[str, int], Fields] = {}
    hidden: Counter[str] = Counter()
    restricted = 0
    latest = []
    for stream, fields in in_order:
        if stream == "revision-create":
            revisions[wiki_and_revision(fields)] = fields
        elif stream == VISIBILITY:
            assert fields["rev_timestamp"] == revisions[wiki_and_revision(fields)]["rev_timestamp"]
            assert fields["meta"]["dt"] >= fields["rev_timestamp"]
            assert set(fields["prior_state"]["visibility"].values()) == {True}
            hidden.update(part for part, is_visible in fields["visibility"].items() if not is_visible)
            restricted += "performer" not in fields
        elif fields.get("page_change_kind") == "visibility_change":
            latest.append(fields)

    assert min(hidden[part] for part in ("user", "comment", "text")) > 5
    assert restricted > 0
    assert latest
    for fields in latest:
        revision = fields["revision"]
        assert revision["is_editor_visible"] == ("editor" in revision)
        assert revision["is_comment_visible"] == ("comment" in revision)


def test_suppressed_users_are_nowhere_named(told: dict[str, list[Fields]]) -> None:
    nameless = {wiki_and_revision(fields) for fields in told["revision-create"] if "performer" not in fields}
    page_changes = by_revision(
        [fields for fields in told["mediawiki.page_change.v1"] if fields["page_change_kind"] in ("create", "edit")]
    )
    edits = by_revision([fields for fields in told["recentchange"] if "revision" in fields])

    assert len(nameless) > 5
    assert all(page_changes[each]["performer"] == {} for each in nameless)
    assert all("editor" not in page_changes[each]["revision"] for each in nameless)
    assert not nameless & edits.keys()
    assert all("user" in fields for fields in edits.values())
    assert any("user" not in fields for fields in told["recentchange"])


def test_a_page_lives_in_order_and_the_older_streams_say_the_same(told: dict[str, list[Fields]]) -> None:
    lives: dict[tuple[str, int], list[Fields]] = defaultdict(list)
    for fields in told["mediawiki.page_change.v1"]:
        if fields["page_change_kind"] not in ("edit", "visibility_change"):
            lives[fields["wiki_id"], fields["page"]["page_id"]].append(fields)
    requests: dict[str, set[str]] = defaultdict(set)
    courses: Counter[tuple[str, ...]] = Counter()
    for life in lives.values():
        courses[tuple(fields["page_change_kind"] for fields in life)] += 1
        for before, after in itertools.pairwise(life):
            assert before["dt"] <= after["dt"]
            assert before["revision"]["rev_dt"] == after["revision"]["rev_dt"]
            if after["page_change_kind"] == "move":
                assert after["prior_state"]["page"]["page_title"] == before["page"]["page_title"]
            else:
                assert after["page"]["page_title"] == before["page"]["page_title"]
        for fields in life:
            requests[fields["page_change_kind"]].add(fields["meta"]["request_id"])

    assert courses.keys() <= LIVES
    assert courses["create", "move", "delete", "undelete"] + courses["create", "delete", "undelete"] > 3
    for stream, kind in (("page-create", "create"), ("page-move", "move"), ("page-delete", "delete")):
        assert {fields["meta"]["request_id"] for fields in told[stream]} == requests[kind]
        assert len(requests[kind]) > 5


def test_some_edit_unlike_what_their_flag_says(told: dict[str, list[Fields]]) -> None:
    by_user: dict[str, list[Fields]] = defaultdict(list)
    for fields in told["recentchange"]:
        if fields["type"] == "edit":
            by_user[fields["user"]].append(fields)

    def change(fields: Fields) -> int:
        old, new = fields["length"]["old"], fields["length"]["new"]
        return abs(int(new) - int(old))

    people = Counter({user: len(edits) for user, edits in by_user.items() if not edits[0]["bot"]})
    for user, count in people.most_common(3):
        edits = by_user[user]
        assert count > 1.2 * people.most_common(4)[3][1]
        assert len({fields["comment"] for fields in edits}) == 1
        assert max(map(change, edits)) <= 3
        assert len({fields["title"] for fields in edits}) > 0.9 * count
        times = [fields["timestamp"] for fields in edits]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(gaps) < 2 * min(gaps)

    bots = {user: edits for user, edits in by_user.items() if edits[0]["bot"]}
    rare = bots[min(bots, key=lambda user: len(bots[user]))]
    assert {fields["namespace"] for fields in rare} == {1}
    assert sum(map(change, rare)) > 500 * len(rare)
    assert len({fields["comment"] for fields in rare}) > 3


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


def test_rare_events_alone_go_on() -> None:
    deletions = generated(30, ["page-delete"])

    assert len(deletions) == 30
    assert deletions[-1].time - deletions[0].time > timedelta(minutes=1)
