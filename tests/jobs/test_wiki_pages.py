"""jobs/wiki_pages.py on literal rows."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import count
from typing import Any

from pyflink.table import Table

from jobs._kept import too_late
from jobs.wiki_pages import outputs, timed_acts, usable_events, wiki_page_rates, wiki_pages
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]

_offsets = count()


def logged(kind: str, seconds: float = 0, **fields: Any) -> Row:
    """An event of page-create, page-move or page-delete, this many seconds after noon; `fields` replace its own."""
    return _row(
        {
            "meta": {"stream": f"mediawiki.page-{kind}", "dt": at(seconds), "domain": "en.wikipedia.org",
                     "uri": "https://en.wikipedia.org/wiki/P", "request_id": f"{kind} {seconds}"},
            "database": "enwiki", "page_id": 7, "page_title": "A_page", "page_namespace": 0,
            "performer": {"user_is_bot": False}, "record_topic": f"wiki_page_{kind}",
        },
        fields,
    )  # fmt: skip


def changed(kind: str, seconds: float = 0, **fields: Any) -> Row:
    """An event of page_change, this many seconds after noon; `fields` replace its own, `page__page_id` inside one."""
    return _row(
        {
            "meta": {"domain": "en.wikipedia.org", "uri": "https://en.wikipedia.org/wiki/P",
                     "request_id": f"{kind} {seconds}"},
            "dt": at(seconds), "page_change_kind": kind, "wiki_id": "enwiki",
            "page": {"page_id": 7, "page_title": "A_page", "namespace_id": 0},
            "performer": {"is_bot": False}, "record_topic": "wiki_page_change",
        },
        fields,
    )  # fmt: skip


def _row(row: Row, fields: Row) -> Row:
    row |= {
        "record_value": "e30=", "record_key": "aw==", "record_partition": 0, "record_offset": next(_offsets),
        "record_time": at(86400),
    }  # fmt: skip
    for name, value in fields.items():
        outer, _, inner = name.partition("__")
        row[outer] = row[outer] | {inner: value} if inner else value
    return row


def documents(found: list[Row]) -> dict[tuple[str, int], Row]:
    """The last row of each page: the others are what the document was before."""
    return {(row["wiki"], row["page_id"]): row for row in found}


def test_the_life_of_a_page_is_told_by_both_streams_together(given: Given, rows: Rows) -> None:
    events = usable_events(
        given(
            "wiki_page_log",
            logged("create", 0, page_title="First_title"),
            logged("move", 100, page_title="Second_title", prior_state={"page_title": "First_title"}),
            logged("delete", 300, page_title="User:X/Third", page_namespace=2),
        ),
        given(
            "wiki_page_change",
            changed("create", 0, page__page_title="First_title"),
            changed("edit", 50, page__page_title="First_title"),  # no act of a page's life
            changed("move", 100, page__page_title="Second_title", prior_state={"page": {"page_title": "First_title"}}),
            changed("move", 200, page={"page_id": 7, "page_title": "User:X/Third", "namespace_id": 2},
                    prior_state={"page": {"page_title": "Second_title"}}),
            changed("delete", 300, page={"page_id": 7, "page_title": "User:X/Third", "namespace_id": 2}),
            changed("undelete", 400, page={"page_id": 7, "page_title": "User:X/Third", "namespace_id": 2},
                    meta__uri="https://en.wikipedia.org/wiki/User:X/Third"),
            changed("visibility_change", 500),  # nor is this
            changed("edit", 600, page__page_id=8),  # a page of which only an edit is known is no document
        ),
    )  # fmt: skip

    assert documents(rows(wiki_pages(events))) == {
        ("enwiki", 7): {
            "wiki": "enwiki", "page_id": 7, "title": "User:X/Third",
            "url": "https://en.wikipedia.org/wiki/User:X/Third", "domain": "en.wikipedia.org", "language": "en",
            "namespace": 2, "state": "live", "last_act": "restored", "last_act_at": at(400), "created_at": at(0),
            "was_created_here": True, "moved_at": at(200), "moved_from": "Second title", "recent_moves": 2,
            "deleted_at": at(300), "restored_at": at(400),
        }
    }  # fmt: skip


# What is told of a page -> its state, its last act, and whether its creation is known. Acts of one second are in the
# order in which they can follow from each other, whatever order they are told in.
LIVES: list[tuple[list[Row], str, str, bool]] = [
    ([logged("create", 0)], "live", "created", True),
    ([logged("create", 0), logged("move", 1)], "live", "moved", True),
    ([logged("create", 0), logged("move", 1), logged("delete", 2)], "deleted", "deleted", True),
    ([logged("move", 1)], "live", "moved", False),
    ([logged("delete", 2), logged("move", 1)], "deleted", "deleted", False),
    ([changed("delete", 2), changed("undelete", 3)], "live", "restored", False),
    ([changed("delete", 2), changed("undelete", 3), changed("delete", 4)], "deleted", "deleted", False),
    ([changed("move", 1), changed("create", 1)], "live", "moved", True),
    ([changed("delete", 1), changed("move", 1)], "deleted", "deleted", False),
    ([changed("undelete", 1), changed("delete", 1)], "live", "restored", False),
]


def test_a_page_is_in_the_state_that_its_last_act_left(given: Given, rows: Rows) -> None:
    told = [row | {"page_id": page} for page, (acts, *_) in enumerate(LIVES) for row in acts if "database" in row]
    changes = [
        row | {"page": row["page"] | {"page_id": page}}
        for page, (acts, *_) in enumerate(LIVES)
        for row in acts
        if "page" in row
    ]

    found = documents(
        rows(wiki_pages(usable_events(given("wiki_page_log", *told), given("wiki_page_change", *changes))))
    )

    for page, (_acts, state, last_act, is_creation_known) in enumerate(LIVES):
        row = found["enwiki", page]
        assert (row["state"], row["last_act"]) == (state, last_act), page
        # What is not known is null, not false: a null leaves in the index what it knows.
        assert row["was_created_here"] is (True if is_creation_known else None), page
        assert (row["created_at"] is not None) == is_creation_known, page
    assert [name for name, value in found["enwiki", 4].items() if value is None] == [
        "created_at", "was_created_here", "moved_from", "restored_at",
    ]  # fmt: skip


def test_the_order_of_the_acts_does_not_matter(given: Given, rows: Rows) -> None:
    log = [
        logged("create", 0),
        logged("move", 9, page_title="B", prior_state={"page_title": "A_page"}),
        logged("move", 10, page_title="C", prior_state={"page_title": "B"}),
        logged("delete", 10, page_title="C"),  # in the same second as the move: it came after it
    ]
    changes = [
        changed("create", 0),
        changed("move", 10, page__page_title="C", prior_state={"page": {"page_title": "B"}}),
        changed("delete", 10, page__page_title="C"),
        changed("undelete", 100, page__page_title="C"),
        changed("delete", 200, page__page_title=None),
    ]
    orders = {
        f"wiki{seed}": random.Random(seed) for seed in range(20)
    }  # each wiki tells the same in an order of its own
    events = usable_events(
        given(
            "wiki_page_log",
            *[row | {"database": wiki} for wiki, order in orders.items() for row in order.sample(log, 4)],
        ),
        given(
            "wiki_page_change",
            *[row | {"wiki_id": wiki} for wiki, order in orders.items() for row in order.sample(changes, 5)],
        ),
    )

    found = documents(rows(wiki_pages(events)))

    first = found["wiki0", 7]
    assert all(found[wiki, 7] == first | {"wiki": wiki} for wiki in orders)
    assert (first["state"], first["title"], first["moved_from"], first["recent_moves"]) == ("deleted", "C", "B", 2)
    assert (first["deleted_at"], first["restored_at"]) == (at(200), at(100))


def test_an_act_told_by_both_streams_counts_once(given: Given, rows: Rows) -> None:
    move = logged("move", 10, meta__request_id="r1")
    events = usable_events(
        given(
            "wiki_page_log",
            move, move,
            logged("move", 20, meta__request_id="r2", page_id=8),  # the same request moved two pages
            logged("move", 30, meta__request_id=None),  # without a request, an act is one of its time
            logged("move", 40, meta__request_id=None),
        ),
        given(
            "wiki_page_change",
            changed("move", 11, meta__request_id="r1"),  # a second later by this stream's clock
            changed("move", 20, meta__request_id="r2"),
            changed("move", 40, meta__request_id=None),
        ),
    )  # fmt: skip

    moves = {page: row["recent_moves"] for (_wiki, page), row in documents(rows(wiki_pages(events))).items()}
    (rate,) = rows(wiki_page_rates(timed_acts(events), out_of_order_seconds=60))

    assert moves == {7: 4, 8: 1}
    assert rate["pages_moved"] == 5


def test_missing_performers_and_titles_are_no_trouble(given: Given, rows: Rows) -> None:
    events = usable_events(
        given(
            "wiki_page_log",
            logged("create", 0, performer=None),
            logged("delete", 20, page_title=None, page_namespace=None, performer={}, meta__uri=None, meta__domain=None),
            logged("move", 10, page_id=8, page_title=None, prior_state={}, performer={"user_is_bot": None}),
        ),
        given("wiki_page_change", changed("delete", 30, page={"page_id": 9}, performer={}, prior_state=None)),
    )

    found = documents(rows(wiki_pages(events)))
    (rate,) = rows(wiki_page_rates(timed_acts(events), out_of_order_seconds=60))

    kept = found["enwiki", 7]  # what the deletion does not tell, the creation told
    assert (kept["title"], kept["namespace"], kept["url"]) == ("A page", 0, "https://en.wikipedia.org/wiki/P")
    assert (kept["state"], kept["language"]) == ("deleted", "en")
    assert (found["enwiki", 8]["title"], found["enwiki", 8]["moved_from"]) == (None, None)
    assert (found["enwiki", 9]["title"], found["enwiki", 9]["namespace"]) == (None, None)
    assert (rate["performer_kind"], rate["pages_deleted"]) == ("unknown", 2)


def test_five_minutes_are_counted_per_wiki_and_kind_of_performer(given: Given, rows: Rows) -> None:
    events = usable_events(
        given(
            "wiki_page_log",
            logged("create", 0),
            logged("create", 1, page_id=8, performer={"user_is_bot": True}),
            logged("create", 2, page_id=9, performer=None, meta__request_id="r"),  # … whose stream is told by the other
            logged("move", 299.999),  # the window's last millisecond
            logged("delete", 300),  # the next window's first
            logged("create", 10, database="wikidatawiki", meta__domain="www.wikidata.org"),
        ),
        given(
            "wiki_page_change",
            changed("create", 2, page__page_id=9, performer={"is_bot": True}, meta__request_id="r"),
            changed("undelete", 250),
            changed("edit", 251),
        ),
    )

    found = rows(wiki_page_rates(timed_acts(events), out_of_order_seconds=10))

    counts = {
        (row["wiki"], row["performer_kind"], row["window_start"]): tuple(
            row[f"pages_{act}"] for act in ("created", "moved", "deleted", "restored")
        )
        for row in found
    }
    assert counts == {
        ("enwiki", "human", at(0)): (1, 1, 0, 1),
        ("enwiki", "bot", at(0)): (2, 0, 0, 0),
        ("enwiki", "human", at(300)): (0, 0, 1, 0),
        ("wikidatawiki", "human", at(0)): (1, 0, 0, 0),
    }
    assert {(row["wiki"], row["language"]) for row in found} == {("enwiki", "en"), ("wikidatawiki", None)}
    assert all((row["window_end"] - row["window_start"]).seconds == 300 for row in found)


def test_what_is_too_late_for_its_window_is_kept_and_still_part_of_a_pages_life(given: Given, rows: Rows) -> None:
    events = usable_events(
        given("wiki_page_log"),
        given(
            "wiki_page_change",
            changed("create", 0),
            changed("edit", 309.998),  # the watermark, ten seconds behind, is a millisecond short of the window's last
            changed("move", 100, prior_state={"page": {"page_title": "Z"}}),
            changed("edit", 309.999),  # … and reaches it: an edit is no act, but it is time
            changed("delete", 200),
            changed("edit", 201),  # late too, but nothing that the windows lack
            changed("undelete", 200, meta__domain="canary"),
        ),
    )
    acts = timed_acts(events)

    (late,) = rows(too_late(acts, "wiki_pages", window_seconds=300, out_of_order_seconds=10))
    (rate,) = rows(wiki_page_rates(acts, out_of_order_seconds=10))
    ((_, page),) = documents(rows(wiki_pages(events))).items()

    assert (late["event_time"], late["watermark"], late["topic"]) == (at(200), at(299.999), "wiki_page_change")
    assert (rate["pages_created"], rate["pages_moved"], rate["pages_deleted"]) == (1, 1, 0)
    assert (page["state"], page["deleted_at"], page["restored_at"]) == ("deleted", at(200), None)


def test_a_record_with_a_problem_is_a_dead_letter_and_nothing_else(given: Given, rows: Rows) -> None:
    unreadable = {"error": "not_json", "error_detail": "The record is not JSON.", "record_value": "eyI=",
                  "record_partition": 3, "record_offset": 9, "record_time": at(9000)}  # fmt: skip
    log = given(
        "wiki_page_log",
        unreadable | {"record_topic": "wiki_page_move"},
        logged("undelete", 1),
        logged("create", 9000, record_time=at(0)),
        logged("create", 3, page_title=None, performer=None),  # good without them
    )
    changes = given(
        "wiki_page_change",
        unreadable | {"record_topic": "wiki_page_change"},
        changed("merge", 1),
        changed("create", 9000, record_time=at(0)),
        changed("create", 4),
    )

    written = outputs(log, changes)
    dead = rows(written["dead_letters"])

    assert sorted((row["topic"], row["reason"]) for row in dead) == [
        ("wiki_page_change", "future_event_time"), ("wiki_page_change", "not_json"),
        ("wiki_page_change", "unknown_kind"), ("wiki_page_create", "future_event_time"),
        ("wiki_page_move", "not_json"), ("wiki_page_undelete", "unknown_stream"),
    ]  # fmt: skip
    assert all(row["detail"] and row["job"] == "wiki_pages" for row in dead)
    ((_, page),) = documents(rows(written["wiki_pages"])).items()
    assert (page["created_at"], page["title"]) == (at(4), "A page")
    assert rows(written["late_events"]) == []  # bad times move no watermark


def test_a_language_filter_keeps_these_languages_only(given: Given, rows: Rows) -> None:
    domains = ("en.wikipedia.org", "de.wikipedia.org", "fr.wikipedia.org", "www.wikidata.org")
    log = given("wiki_page_log", *[logged("create", database=domain, meta__domain=domain) for domain in domains])

    found = rows(wiki_pages(usable_events(log, given("wiki_page_change"), "en,de")))

    assert {row["language"] for row in found} == {"en", "de"}


def test_the_columns_of_each_output_are_the_sinks(given: Given, fits_sink: Callable[[str, Table], bool]) -> None:
    written = outputs(given("wiki_page_log"), given("wiki_page_change"))

    assert all(fits_sink(sink, table) for sink, table in written.items())


def test_in_one_job_only_the_pages_are_counted_without_a_window(
    given: Given, plan: Callable[[dict[str, Table]], str]
) -> None:
    found = plan(outputs(given("wiki_page_log"), given("wiki_page_change")))

    operators = re.findall(r"\b(\w*(?:Aggregate|Deduplicate|Join|Rank|Sort|Materialize)\w*)\(", found)
    assert set(operators) == {
        "LocalWindowAggregate", "GlobalWindowAggregate",
        "OverAggregate",  # the newest time of each partition
        "GroupAggregate",  # the lives of pages: forgotten a day after the last act (table.exec.state.ttl)
    }  # fmt: skip
    assert operators.count("GroupAggregate") == 1
