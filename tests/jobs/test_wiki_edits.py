"""jobs/wiki_edits.py on literal rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from pyflink.table import Table
from pyflink.table.expressions import col

from jobs._hidden import hidden_comments
from jobs._kept import too_late, unusable
from jobs.wiki_edits import (
    changes_by_minute,
    hidden_users,
    outputs,
    timed_events,
    usable_changes,
    wiki_activity,
    wiki_bots,
    wiki_edits,
)
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]
Of = Callable[[Table], Table]

_offsets = count()


def change(seconds: float = 0, **fields: Any) -> Row:
    """An edit of enwiki this many seconds after noon; `fields` replace its own, `meta__id` reaches into an object."""
    number = next(_offsets)
    row: Row = {
        "meta": {"id": f"event-{number}", "dt": at(seconds), "domain": "en.wikipedia.org", "uri": "https://en.wikipedia.org/wiki/P"},
        "type": "edit", "wiki": "enwiki", "namespace": 0, "title": "Page", "comment": "c", "user": "Ada", "bot": False,
        "minor": False, "length": {"old": 100, "new": 110}, "revision": {"old": 1, "new": 1000 + number},
        "record_value": "e30=", "record_key": "aw==", "record_topic": "wiki_recentchange", "record_partition": 0,
        "record_offset": number, "record_time": at(86400),
    }  # fmt: skip
    for name, value in fields.items():
        outer, _, inner = name.partition("__")
        if inner:
            row[outer] = row[outer] | {inner: value}
        else:
            row[outer] = value
    return row


@pytest.fixture
def timed(given: Given) -> Of:
    """Changes with what tells whether they are late, beside a topic where nothing is hidden."""
    return lambda changes: timed_events(changes, given("wiki_visibility_change"))


@pytest.fixture
def minutes(timed: Of) -> Of:
    return lambda changes: changes_by_minute(timed(changes), out_of_order_seconds=10)


@pytest.fixture
def late_of(timed: Of) -> Of:
    return lambda changes: too_late(timed(changes), "wiki_edits", window_seconds=60, out_of_order_seconds=10)


def test_what_is_hidden_leaves_its_document_after_all_edits_up_to_then(given: Given, rows: Rows) -> None:
    def hiding(seconds: float, number: int, **visibility: bool) -> Row:
        return change(seconds) | {
            "meta": {"dt": at(seconds), "domain": "de.wikipedia.org"}, "database": "enwiki", "rev_id": number,
            "visibility": {"text": True, "user": True, "comment": True} | visibility,
        }  # fmt: skip

    timed = timed_events(
        usable_changes(given("wiki_recentchange", change(0), change(50)), "en"),
        given(
            "wiki_visibility_change",
            hiding(30, 1, user=False, comment=False),
            hiding(31, 2, comment=False),
            hiding(32, 3, text=False),
            hiding(5, 4, user=False),  # late: nothing to wait for
        ),
    )

    users = rows(hidden_users(timed, 10))

    assert {row["revision_id"] for row in users} == {1, 4}
    assert users[0] | {"user_name": None, "user_kind": "hidden", "is_anonymous": None} == users[0]
    assert [row["revision_id"] for row in rows(hidden_comments(timed, 10))] == [1, 2]
    assert len(rows(changes_by_minute(timed, 10))) == 2
    assert rows(too_late(timed.where(col("hides_user").is_null), "wiki_edits", 60, 10)) == []


LANGUAGES_AND_COUNTRIES = {
    "en.wikipedia.org": ("en", "US"),
    "ky.wiktionary.org": ("ky", "KG"),
    "ja.wikipedia.org": ("ja", "JP"),
    "vi.wikipedia.org": ("vi", "VN"),
    "ko.wikinews.org": ("ko", "KR"),
    "zh.wikipedia.org": ("zh", "CN"),
    "sv.wikisource.org": ("sv", "SE"),
    "et.wikipedia.org": ("et", "EE"),
    "cs.wikiquote.org": ("cs", "CZ"),
    "da.wikibooks.org": ("da", "DK"),
    "de.wikipedia.org": ("de", "DE"),
    "fr.wikivoyage.org": ("fr", "FR"),
    "ceb.wikipedia.org": ("ceb", "CEB"),
    "be-tarask.wikipedia.org": ("be-tarask", "BE-TARASK"),
    "de.m.wikipedia.org": ("de", "DE"),
    "simple.wikipedia.org": ("en", "US"),
    "www.wikidata.org": (None, None),
    "commons.wikimedia.org": (None, None),
    "meta.wikimedia.org": (None, None),
    "species.wikimedia.org": (None, None),
    "wikimania.wikimedia.org": (None, None),
    "test.wikipedia.org": (None, None),
    "test2.wikipedia.org": (None, None),
    "www.wikisource.org": (None, None),
    "en.example.org": (None, None),
    None: (None, None),
}


def test_the_language_is_the_hosts_and_the_country_the_languages(given: Given, rows: Rows) -> None:
    changes = usable_changes(given("wiki_recentchange", *[change(meta__domain=d) for d in LANGUAGES_AND_COUNTRIES]))

    found = {row["domain"]: (row["language"], row["country"]) for row in rows(wiki_edits(changes))}

    assert found == LANGUAGES_AND_COUNTRIES


USERS = {
    "Ada": "registered",
    "192.0.2.7": "anonymous",
    "2001:DB8::1": "anonymous",
    "2001:db8:0:0:0:0:0:1": "anonymous",
    "~2026-1234-5": "temporary",
    "12:30": "registered",
    "1.2.3": "registered",
    None: "hidden",
}


def test_a_user_is_registered_temporary_anonymous_or_hidden(given: Given, rows: Rows) -> None:
    changes = usable_changes(given("wiki_recentchange", *[change(user=user) for user in USERS]))

    found = {row["user_name"]: row["user_kind"] for row in rows(wiki_edits(changes))}

    assert found == USERS


def test_an_edit_is_a_document_of_all_its_fields(given: Given, rows: Rows) -> None:
    changes = usable_changes(
        given(
            "wiki_recentchange",
            change(5, revision__new=77, comment="fixed", minor=True, length__new=90),
            change(6, type="new", revision={"new": 78}, length={"new": 30}, bot=True, user="192.0.2.7"),
            change(7, revision__new=79, length=None, bot=None, minor=None),
            change(8, type="log", revision=None, length=None),  # not an edit
            change(9, meta__domain="canary"),  # Wikimedia's heartbeat
        )
    )

    edit, new_page, bare = rows(wiki_edits(changes))

    assert edit == {
        "wiki": "enwiki", "revision_id": 77, "previous_revision_id": 1, "event_time": at(5), "type": "edit",
        "title": "Page", "url": "https://en.wikipedia.org/wiki/P", "domain": "en.wikipedia.org", "language": "en",
        "country": "US", "namespace": 0, "user_name": "Ada", "user_kind": "registered", "is_anonymous": False,
        "is_bot": False, "is_minor": True, "comment": "fixed", "bytes_before": 100, "bytes_after": 90,
        "bytes_changed": -10,
    }  # fmt: skip
    assert new_page | {"bytes_before": 0, "bytes_after": 30, "bytes_changed": 30, "is_bot": True} == new_page
    assert new_page | {"previous_revision_id": None, "is_anonymous": True} == new_page
    assert bare | {"bytes_before": None, "bytes_changed": None, "is_bot": False, "is_minor": False} == bare


def test_a_minute_is_counted_per_wiki_and_by_bots_or_people(given: Given, rows: Rows, minutes: Of) -> None:
    changes = usable_changes(
        given(
            "wiki_recentchange",
            change(0, user="Ada", title="A"),
            change(30, user="Ada", title="B", length={"old": 100, "new": 100}),  # no change of length
            change(20, user="Bob", title="A", length={"old": 100, "new": 60}),  # out of order, on time
            change(40, type="new", user="Bob", title="C", revision={"new": 5}, length={"new": 7}),
            change(41, type="categorize", revision=None, length=None, user="Cy", title="Category:X"),
            change(42, type="log", revision=None, length=None, user="Cy"),
            change(43, type="142", revision=None, length=None),
            change(44, bot=True, user="Robot"),
            change(45, wiki="dewiki", meta__domain="de.wikipedia.org"),
            change(59.999, user="Ada", title="A"),  # the minute's last millisecond
            change(60, user="Ada", title="A"),  # the next minute's first
        )
    )

    found = {(r["wiki"], r["is_bot"], r["window_start"]): r for r in rows(wiki_activity(minutes(changes)))}

    assert set(found) == {
        ("enwiki", False, at(0)), ("enwiki", True, at(0)), ("dewiki", False, at(0)), ("enwiki", False, at(60)),
    }  # fmt: skip
    assert found["enwiki", False, at(0)] == {
        "wiki": "enwiki", "is_bot": False, "window_start": at(0), "window_end": at(60), "language": "en",
        "country": "US", "events": 8, "edits": 4, "new_pages": 1, "categorizations": 1, "log_actions": 1,
        "other_events": 1, "edits_without_change": 1, "bytes_added": 27, "bytes_removed": 40, "users": 2, "pages": 3,
    }  # fmt: skip


def test_an_event_told_twice_counts_once(given: Given, rows: Rows, minutes: Of) -> None:
    edit = change(1, revision__new=7)
    other_id = change(1, revision__new=7)  # the same revision, told by a second data centre
    log = change(2, type="log", revision=None, length=None)
    same_number_elsewhere = change(3, revision__new=7, wiki="dewiki")
    changes = usable_changes(given("wiki_recentchange", edit, log, edit, other_id, log, same_number_elsewhere))

    found = {row["wiki"]: row for row in rows(wiki_activity(minutes(changes)))}

    assert (found["enwiki"]["edits"], found["enwiki"]["log_actions"], found["enwiki"]["bytes_added"]) == (1, 1, 10)
    assert found["dewiki"]["edits"] == 1


def test_a_bots_share_is_of_all_edits_of_its_ten_minutes(given: Given, rows: Rows, minutes: Of) -> None:
    changes = usable_changes(
        given(
            "wiki_recentchange",
            change(0, bot=True, user="Robot", title="A"),
            change(100, bot=True, user="Robot", title="A"),
            change(200, bot=True, user="Robot", title="A", wiki="dewiki"),
            change(300, user="Ada"),
            change(301, type="log", revision=None, length=None),  # not an edit: not in the whole
            change(600, bot=True, user="Robot"),  # the next ten minutes
        )
    )

    found = sorted(rows(wiki_bots(minutes(changes))), key=lambda row: row["window_start"])

    assert found[0] == {
        "user_name": "Robot", "window_start": at(0), "window_end": at(600), "edits": 3, "pages": 2, "wikis": 2,
        "all_edits": 4, "share_of_edits": 0.75,
    }  # fmt: skip
    assert (found[1]["window_start"], found[1]["share_of_edits"]) == (at(600), 1.0)


def test_what_is_too_late_for_its_minute_is_kept_and_counted_in_no_window(
    given: Given, rows: Rows, minutes: Of, late_of: Of
) -> None:
    changes = usable_changes(
        given(
            "wiki_recentchange",
            change(0, bot=True),
            change(69.998),  # the watermark, ten seconds behind, is a millisecond short of the minute's last one
            change(10, title="still on time"),
            change(69.999),  # … and reaches it: the minute is closed
            change(20, title="late"),
            change(65, title="behind the watermark's newest event, but its minute is open"),
            change(20, title="late", meta__domain="canary"),  # nobody's event
        )
    )

    late = rows(late_of(changes))
    activity = rows(wiki_activity(minutes(changes)))
    (bot,) = rows(wiki_bots(minutes(changes)))

    assert [(row["event_time"], row["watermark"]) for row in late] == [(at(20), at(59.999))]
    assert late[0] | {"topic": "wiki_recentchange", "job": "wiki_edits", "record_value": b"{}"} == late[0]
    assert sorted((row["window_start"], row["is_bot"], row["edits"]) for row in activity) == [
        (at(0), False, 1),
        (at(0), True, 1),
        (at(60), False, 3),
    ]
    assert bot["all_edits"] == 5
    assert len(rows(wiki_edits(changes))) == 6  # the index has no window: late edits are documents like others


def test_a_record_with_a_problem_is_a_dead_letter_and_nothing_else(given: Given, rows: Rows) -> None:
    bad = [
        {"error": "not_json", "error_detail": "The record is not JSON.", "record_value": "eyI=", "record_topic": "t",
         "record_partition": 3, "record_offset": 9, "record_time": at(0)},
        change(0, record_time=at(-301)),  # five minutes and a second ahead of its arrival
        change(1, revision=None),
        change(2, type="new", revision={"old": 5}),
    ]  # fmt: skip
    records = given("wiki_recentchange", *bad, change(3))

    dead = rows(unusable(records, "wiki_edits"))

    assert [row["reason"] for row in dead] == ["not_json", "future_event_time", "missing_field", "missing_field"]
    assert dead[0] | {"topic": "t", "partition": 3, "offset": 9, "record_value": b'{"', "job": "wiki_edits"} == dead[0]
    assert all(row["detail"] for row in dead)
    assert len(rows(wiki_edits(usable_changes(records)))) == 1


def test_bad_times_do_not_move_the_watermark(given: Given, rows: Rows, late_of: Of) -> None:
    ahead = change(5000, record_time=at(0))
    unreadable = {"error": "not_json", "record_time": at(9000)}
    changes = usable_changes(given("wiki_recentchange", change(0), ahead, unreadable, change(1)))

    assert rows(late_of(changes)) == []


def test_a_language_filter_keeps_these_languages_only(given: Given, rows: Rows) -> None:
    records = given(
        "wiki_recentchange",
        *[change(meta__domain=f"{name}.wikipedia.org") for name in ("en", "de", "fr")],
        change(meta__domain="www.wikidata.org"),
    )

    found = {row["language"] for row in rows(wiki_edits(usable_changes(records, "en,de")))}

    assert found == {"en", "de"}


def test_the_columns_of_each_output_are_the_sinks(
    given: Given, fits_sink: Callable[[str, Table], bool], minutes: Of, late_of: Of
) -> None:
    records = given("wiki_recentchange")
    changes = usable_changes(records)

    assert fits_sink("wiki_edits", wiki_edits(changes))
    assert fits_sink("wiki_activity", wiki_activity(minutes(changes)))
    assert fits_sink("wiki_bots", wiki_bots(minutes(changes)))
    assert fits_sink("late_events", late_of(changes))
    assert fits_sink("dead_letters", unusable(records, "wiki_edits"))


def test_in_one_job_all_counts_are_of_windows_whose_state_ends(
    given: Given, plan: Callable[[dict[str, Table]], str]
) -> None:
    operators = set(
        re.findall(
            r"\b(\w*(?:Aggregate|Deduplicate|Join|Rank)\w*)\(",
            plan(outputs(given("wiki_recentchange"), given("wiki_visibility_change"))),
        )
    )

    assert operators == {
        "LocalWindowAggregate", "GlobalWindowAggregate", "WindowDeduplicate", "WindowJoin",
        "OverAggregate",  # the newest time of each partition
    }  # fmt: skip
