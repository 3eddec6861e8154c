"""jobs/wiki_intent.py on literal rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from pyflink.table import Table

from jobs._hidden import hidden_comments
from jobs._kept import too_late, unusable
from jobs.wiki_intent import (
    all_told,
    hidden_users,
    judged,
    merged,
    of_changes,
    of_hidings,
    of_predictions,
    of_revisions,
    of_scores,
    outputs,
    wiki_intent,
    wiki_intent_by_topic,
    wiki_intent_by_wiki,
    with_fallback,
)
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]
Told = Callable[..., Table]

_offsets = count()


def record(topic: str, **fields: Any) -> Row:
    number = next(_offsets)
    return {
        "record_value": "e30=", "record_key": "aw==", "record_topic": topic, "record_partition": 0,
        "record_offset": number, "record_time": at(86400),
    } | fields  # fmt: skip


def meta(seconds: float, domain: str = "en.wikipedia.org") -> Row:
    return {
        "id": "i",
        "dt": at(seconds),
        "domain": domain,
        "uri": "https://en.wikipedia.org/wiki/A_page",
        "request_id": "r",
    }


def performer(name: str | None = "Ada", **fields: Any) -> Row:
    return {
        "user_text": name, "user_groups": ["*", "user"], "user_is_bot": False, "user_registration_dt": at(-86400 * 10),
        "user_edit_count": 42,
    } | fields  # fmt: skip


def revision(seconds: float = 0, number: int = 1, **fields: Any) -> Row:
    return record(
        "wiki_revision_create", meta=meta(seconds), database="enwiki", page_id=7, page_title="A_page", page_namespace=0,
        rev_id=number, rev_parent_id=900, rev_timestamp=at(seconds), rev_len=110, rev_minor_edit=False,
        rev_content_changed=True, comment="c", performer=performer(),
    ) | fields  # fmt: skip


def change(seconds: float = 0, number: int = 1, **fields: Any) -> Row:
    return record(
        "wiki_recentchange", meta=meta(seconds), type="edit", wiki="enwiki", namespace=0, title="A page", comment="c",
        user="Ada", bot=False, minor=False, length={"old": 100, "new": 110}, revision={"old": 900, "new": number},
        timestamp=int(at(seconds).timestamp()),
    ) | fields  # fmt: skip


def model(true: float, prediction: bool | None = None) -> Row:
    said = true > 0.5 if prediction is None else prediction
    return {
        "model_version": "0.5.1",
        "prediction": [str(said).lower()],
        "probability": {"true": true, "false": 1 - true},
    }


def score(seconds: float = 0, number: int = 1, **fields: Any) -> Row:
    return record(
        "wiki_revision_score", meta=meta(seconds + 3), database="enwiki", page_id=7, page_title="A_page",
        page_namespace=0, rev_id=number, rev_parent_id=900, rev_timestamp=at(seconds), performer=performer(),
        scores={"damaging": model(0.25), "goodfaith": model(0.75)},
    ) | fields  # fmt: skip


def prediction(seconds: float = 0, number: int = 1, **classification: Any) -> Row:
    classified = {"model_name": "revertrisk-language-agnostic", "model_version": "3"} | classification
    return record(
        "wiki_revert_risk", meta=meta(seconds + 4), wiki_id="enwiki",
        page={"page_id": 7, "page_title": "A_page", "namespace_id": 0},
        revision={"rev_id": number, "rev_dt": at(seconds), "rev_parent_id": 900, "rev_size": 110, "comment": "c"},
        prior_state={"revision": {"rev_size": 100}}, predicted_classification=classified,
    )  # fmt: skip


RISK: Row = {"predictions": ["true"], "probabilities": {"true": 0.875, "false": 0.125}}


TABLES = {
    "wiki_revision_create": ("wiki_revision_create", of_revisions),
    "wiki_recentchange": ("wiki_revision_change", of_changes),
    "wiki_revision_score": ("wiki_revision_score", of_scores),
    "wiki_revert_risk": ("wiki_predictions", of_predictions),
    "wiki_visibility_change": ("wiki_visibility_change", of_hidings),
}


@pytest.fixture
def told(given: Given) -> Callable[..., Table]:
    """`told(record, …)`: the parts that these records of the topics make."""

    def parts(*records: Row) -> Table:
        topics = dict.fromkeys(row["record_topic"] for row in records)
        of_topic = {topic: [row for row in records if row["record_topic"] == topic] for topic in topics}
        return all_told([TABLES[topic][1](given(TABLES[topic][0], *rows)) for topic, rows in of_topic.items()])

    return parts


def documents(parts: Table) -> Table:
    return wiki_intent(with_fallback(judged(merged(parts, 20))))


def test_what_four_shapes_tell_is_one_document(told: Told, rows: Rows) -> None:
    (row,) = rows(documents(told(score(5), revision(5), prediction(5, **RISK), change(5))))

    assert 0 < row.pop("fallback_score") < 1
    assert row.pop("fallback_version").startswith("reverts@")
    assert row == {
        "wiki": "enwiki", "revision_id": 1, "parent_id": 900, "page_id": 7, "revised_at": at(5), "type": "edit",
        "title": "A page", "url": "https://en.wikipedia.org/wiki/A_page", "domain": "en.wikipedia.org",
        "language": "en", "country": "US", "namespace": 0, "user_name": "Ada", "user_kind": "registered",
        "is_bot": False, "registered_at": at(-86400 * 10), "account_age_days": 10 + 5 / 86400, "edit_count": 42,
        "comment": "c", "is_minor": False, "bytes_after": 110, "bytes_changed": 10, "rev_content_changed": True,
        "topics": None, "request_id": "r",
        "shapes": ["revision/create", "recentchange", "revision/score", "page/prediction_classification_change"],
        "has_revision": True, "has_score": True, "score_errors": None, "damaging": False,
        "damaging_probability": 0.25, "goodfaith": True, "goodfaith_probability": 0.75, "reverted_probability": None,
        "score_version": "0.5.1", "revert_risk": True, "revert_risk_probability": 0.875,
        "revert_risk_version": "revertrisk-language-agnostic 3", "intent": "constructive",
    }  # fmt: skip


# What is told of the harm of a revision, and its intent.
JUDGEMENTS = [
    ([score(scores={"damaging": model(0.1), "goodfaith": model(0.9)})], "constructive"),
    ([score(scores={"damaging": model(0.9), "goodfaith": model(0.6)})], "good_faith_damage"),
    ([score(scores={"damaging": model(0.9), "goodfaith": model(0.2)})], "vandalism"),
    ([score(scores={"damaging": model(0.2), "goodfaith": model(0.3)})], "bad_faith_harmless"),
    ([score(scores={"damaging": model(0.6, prediction=False), "goodfaith": model(0.9)})], "constructive"),
    ([score(scores={"damaging": model(0.9)})], None),
    ([score(scores={"damaging": {"prediction": ["true"]}, "goodfaith": {"prediction": ["false"]}})], "vandalism"),
    ([score(scores={"damaging": model(0.9) | {"prediction": ["perhaps"]}, "goodfaith": model(0.9)})], None),
    ([score(scores={"reverted": model(0.9), "articletopic": {"prediction": ["Culture.Sports"]}})], None),
    ([score(scores={"itemtopic": {"prediction": ["Culture.Sports"]}})], "unscored"),
    ([score(scores={}, errors={"damaging": {"type": "TimeoutError"}})], "unscored"),
    ([score(scores=None)], "unscored"),
    ([prediction(**RISK)], None),
    ([prediction(model_name="outlink-topic-model", predictions=["Culture.Sports"])], "unscored"),
    ([prediction(predictions=[], probabilities={})], "unscored"),
    ([score(), prediction(**RISK)], "constructive"),
    ([], "unscored"),
    # Scored twice: the worse counts.
    ([score(), score(scores={"damaging": model(0.9), "goodfaith": model(0.1)})], "vandalism"),
]  # fmt: skip


def test_intent_is_told_by_both_axes_and_left_open_by_a_risk_alone(told: Told, rows: Rows) -> None:
    records = []
    for number, (judgements, _) in enumerate(JUDGEMENTS):
        records.append(revision(number=number))
        for judgement in judgements:
            if "rev_id" in judgement:
                records.append(judgement | {"rev_id": number})
            else:
                records.append(judgement | {"revision": judgement["revision"] | {"rev_id": number}})

    found = {row["revision_id"]: row for row in rows(judged(merged(told(*records), 20)))}

    assert [found[number]["intent"] for number in range(len(JUDGEMENTS))] == [intent for _, intent in JUDGEMENTS]
    assert [found[number]["has_score"] for number in (6, 8, 9, 10, 12, 13, 16)] == [
        True, True, False, False, True, False, False,
    ]  # fmt: skip
    assert found[8]["reverted_probability"] == 0.9
    assert (found[9]["topics"], found[13]["topics"], found[10]["score_errors"]) == (
        "Culture.Sports",
        "Culture.Sports",
        "damaging",
    )


HIDDEN = {"user_text": None, "user_groups": None, "user_is_bot": None, "user_registration_dt": None}


def test_no_part_needs_the_others(told: Told, rows: Rows) -> None:
    new_page = {"type": "new", "length": {"new": 30}, "revision": {"new": 3}, "user": "192.0.2.7"}
    told_rows = rows(
        documents(
            told(
                revision(0, 1, rev_parent_id=None, rev_content_changed=None, performer=performer("~2026-1-2")),
                score(1, 2),
                change(2, 3, **new_page),
                prediction(3, 4, **RISK),
                revision(4, 5, performer=HIDDEN, page_title=None, meta=None),
                revision(5, 6, rev_parent_id=8, performer=None),
            )
        )
    )  # fmt: skip
    found = {row["revision_id"]: row for row in told_rows}

    def told_of(number: int, *names: str) -> list[Any]:
        return [found[number][name] for name in names]

    assert told_of(1, "type", "bytes_changed", "rev_content_changed", "user_kind") == ["new", 110, True, "temporary"]
    assert told_of(2, "has_revision", "has_score", "type", "user_name", "intent") == [
        False,
        True,
        None,
        "Ada",
        "constructive",
    ]
    assert told_of(3, "type", "bytes_changed", "user_kind", "page_id", "intent") == [
        "new",
        30,
        "anonymous",
        None,
        "unscored",
    ]
    assert told_of(4, "title", "bytes_changed", "revert_risk_probability", "intent") == ["A page", 10, 0.875, None]
    assert told_of(5, "user_kind", "title", "domain", "fallback_score", "intent") == [
        "hidden",
        None,
        None,
        None,
        "unscored",
    ]
    assert told_of(6, "user_kind", "type", "rev_content_changed") == ["hidden", "edit", True]
    assert [found[number]["fallback_score"] is None for number in (1, 2, 3, 5, 6)] == [False, False, False, True, True]
    assert found[1]["fallback_score"] > found[2]["fallback_score"]


def test_neither_order_nor_copies_change_anything(told: Told, rows: Rows) -> None:
    records = [
        one(seconds, number, **fields)
        for number, seconds in enumerate((0, 3, 3, 19, 25, 31, 42))
        for one, fields in ((revision, {}), (change, {}), (score, {}), (prediction, RISK))
    ]
    near = sorted(records + records[::3], key=lambda row: row["record_offset"] % 5)  # within 15 s of each other
    by_time = {row["record_offset"]: index // 4 for index, row in enumerate(records)}
    shuffled = sorted(
        records + records[::3], key=lambda row: (by_time[row["record_offset"]] // 3, row["record_offset"] % 5)
    )

    def found(records: list[Row]) -> list[Row]:
        return sorted(rows(judged(merged(told(*records), 45))), key=lambda row: int(row["revision_id"]))

    assert len(found(records)) == 7
    assert found(shuffled) == found(records)
    assert found(near) == found(records)


def test_what_is_too_late_is_kept_and_changes_nothing(told: Told, rows: Rows) -> None:
    parts = told(revision(0, 1), revision(20, 2), revision(21.5, 3), revision(0, 4), revision(1, 5))

    assert sorted(row["revision_id"] for row in rows(merged(parts, 20))) == [1, 2, 3, 5]
    (late,) = rows(too_late(parts, "wiki_intent", 1, 20))
    assert (late["event_time"], late["topic"], late["watermark"]) == (at(0), "wiki_revision_create", at(1.5))


def test_only_chosen_languages_and_no_canaries(told: Told, rows: Rows) -> None:
    records = [
        revision(number=number, meta=meta(0, domain))
        for number, domain in enumerate(("en.wikipedia.org", "de.wikipedia.org", "canary", "www.wikidata.org"))
    ]

    # A score that names no wiki is one of its revision's; a hiding is of any wiki.
    all_parts = told(*records, score(0, 0, meta=None), hiding(0, 1, user=False))

    found = rows(judged(merged(all_parts, 20), "en"))
    assert [(row["revision_id"], row["intent"]) for row in found] == [(0, "constructive")]
    assert {row["revision_id"] for row in rows(judged(merged(all_parts, 20)))} == {0, 1, 3}
    assert [row["revision_id"] for row in rows(hidden_users(all_parts, 20))] == [1]


def test_intents_are_counted_per_group_and_topic(told: Told, rows: Rows) -> None:
    vandalism = {"damaging": model(0.9), "goodfaith": model(0.1)}
    revisions = judged(
        merged(
            told(
                revision(0, 1), score(0, 1),
                revision(1, 2), score(1, 2, scores=vandalism | {"articletopic": {"prediction": ["A", "B"]}}),
                revision(1, 6, performer=performer("Bot", user_is_bot=True)),
                revision(1, 7, page_namespace=None),
                revision(299, 3),
                revision(299, 4), prediction(299, 4, **RISK),
                revision(300, 5), score(300, 5, scores=vandalism | {"articletopic": {"prediction": ["A"]}}),
            ),
            600,
        )
    )  # fmt: skip

    by_wiki = {
        (row["window_start"], row["is_bot"], row["namespace"]): row for row in rows(wiki_intent_by_wiki(revisions))
    }
    people = by_wiki[at(0), False, 0]
    counts = {"edits": 4, "judged": 2, "unscored": 1, "constructive": 1, "vandalism": 1, "good_faith_damage": 0}
    assert people | counts == people
    assert (people["vandalism_share"], people["good_faith_damage_share"], people["user_kind"]) == (0.5, 0, "registered")
    assert by_wiki[at(0), True, 0] | {"edits": 1, "judged": 0, "vandalism_share": None} == by_wiki[at(0), True, 0]
    assert by_wiki.keys() - {(at(0), False, 0), (at(0), True, 0)} == {(at(300), False, 0), (at(0), False, -9)}

    by_topic = {(row["window_start"], row["topic"]): row["vandalism"] for row in rows(wiki_intent_by_topic(revisions))}
    assert by_topic == {(at(0), "A"): 1, (at(0), "B"): 1, (at(300), "A"): 1}


def hiding(seconds: float, number: int, **visibility: bool) -> Row:
    return record(
        "wiki_visibility_change", meta=meta(seconds), database="enwiki", rev_id=number,
        visibility={"text": True, "user": True, "comment": True} | visibility,
    )  # fmt: skip


def test_what_is_hidden_leaves_its_document_after_all_edits_up_to_then(told: Told, rows: Rows) -> None:
    parts = told(
        revision(0, 1),
        hiding(30, 1, user=False, comment=False),
        hiding(31, 2, comment=False),
        hiding(32, 3, text=False),
        hiding(5, 4, user=False),  # late: nothing to wait for
        revision(40, 5),
    )

    users, comments = rows(hidden_users(parts, 20)), rows(hidden_comments(parts, 20))

    assert {row["revision_id"] for row in users} == {1, 4}
    assert all(
        row == row | {"wiki": "enwiki", "user_name": None, "user_kind": "hidden", "edit_count": None} for row in users
    )
    assert [row["revision_id"] for row in comments] == [1, 2]
    assert {row["revision_id"] for row in rows(merged(parts, 20))} == {1, 5}


def test_records_that_cannot_be_used_are_kept_of_each_shape(given: Given, rows: Rows) -> None:
    bad = {"error": "missing_field", "error_detail": "d"}
    for topic, ahead in (
        ("wiki_revision_create", revision(0, record_time=at(-301))),
        ("wiki_revision_score", score(0, record_time=at(-301))),
        ("wiki_revert_risk", prediction(0) | {"record_time": at(-301)}),
        ("wiki_recentchange", change(0, record_time=at(-301))),
        ("wiki_visibility_change", hiding(0, 1, user=False) | {"record_time": at(-301)}),
    ):
        records = given(TABLES[topic][0], record(topic, **bad), ahead)

        assert [row["reason"] for row in rows(unusable(records, "j"))] == ["missing_field", "future_event_time"]
    no_time = given("wiki_revision_change", change(0, timestamp=None))
    assert [row["reason"] for row in rows(unusable(no_time, "j"))] == ["missing_field"]
    assert rows(of_changes(no_time)) == []


@pytest.fixture
def written(given: Given) -> dict[str, Table]:
    return outputs(*(given(table) for table, _ in TABLES.values()))


def test_the_columns_of_each_output_are_the_sinks(
    written: dict[str, Table], fits_sink: Callable[[str, Table], bool]
) -> None:
    assert [sink for sink, table in written.items() if not fits_sink(sink, table)] == []


def test_the_model_is_called_once_and_all_state_ends_with_its_window(
    written: dict[str, Table], plan: Callable[[dict[str, Table]], str]
) -> None:
    planned = plan(written)

    assert planned.count("PythonCalc(") == 1
    assert set(re.findall(r"\b(\w*(?:Aggregate|Deduplicate|Join|Rank)\w*)\(", planned)) == {
        "LocalWindowAggregate", "GlobalWindowAggregate",
        "OverAggregate",  # the newest time of each partition
    }  # fmt: skip
