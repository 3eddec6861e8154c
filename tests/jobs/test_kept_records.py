"""jobs/kept_records.py on literal rows."""

from __future__ import annotations

import base64
from collections.abc import Callable

from pyflink.table import Table

from jobs.kept_records import dead_letters_index, late_events_index
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


LETTER = {
    "topic": "wiki_recentchange", "partition": 1, "offset": 7, "record_time": at(0), "record_key": encoded(b"key"),
    "record_value": encoded(b'{"caf\xc3\xa9": \xff'), "reason": "not_json", "detail": "…", "job": "wiki_edits",
    "rejected_at": at(1),
}  # fmt: skip
LATE = {
    "topic": "wiki_recentchange", "partition": 2, "offset": 8, "record_time": at(100), "record_value": encoded(b"{}"),
    "event_time": at(10), "watermark": at(95), "job": "wiki_edits",
}  # fmt: skip


def unreadable(topic: str) -> Row:
    return {
        "error": "not_json", "error_detail": "The record is not JSON.", "kafka_value": encoded(b"<"),
        "kafka_topic": topic, "kafka_partition": 0, "kafka_offset": 3, "kafka_time": at(5),
    }  # fmt: skip


def test_a_dead_letter_is_a_document_with_its_bytes_and_their_text(given: Given, rows: Rows) -> None:
    letters, late = given("dead_letters", LETTER), given("late_events")

    (document,) = rows(dead_letters_index(letters, late))

    assert document == LETTER | {
        "record_key": "key", "record_value": b'{"caf\xc3\xa9": \xff', "record_text": '{"café": \ufffd',
    }  # fmt: skip


def test_a_kept_record_that_cannot_be_read_is_a_dead_letter_itself(given: Given, rows: Rows) -> None:
    letters = given("dead_letters", unreadable("dead_letters"))
    late = given("late_events", unreadable("late_events"))

    documents = rows(dead_letters_index(letters, late))

    assert sorted((d["topic"], d["offset"], d["reason"], d["job"]) for d in documents) == [
        ("dead_letters", 3, "not_json", "kept_records"),
        ("late_events", 3, "not_json", "kept_records"),
    ]
    assert rows(late_events_index(late)) == []


def test_a_late_event_says_how_late_it_was(given: Given, rows: Rows) -> None:
    (document,) = rows(late_events_index(given("late_events", LATE)))

    assert document == {name: value for name, value in LATE.items() if name != "record_value"} | {
        "record_key": None, "record_text": "{}", "late_seconds": 85,
    }  # fmt: skip


def test_the_columns_of_each_output_are_the_sinks(given: Given, fits_sink: Callable[[str, Table], bool]) -> None:
    letters, late = given("dead_letters"), given("late_events")

    assert fits_sink("dead_letters_index", dead_letters_index(letters, late))
    assert fits_sink("late_events_index", late_events_index(late))
