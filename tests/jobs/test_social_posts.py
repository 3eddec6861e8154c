"""jobs/social_posts.py on literal rows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from pyflink.table import Table

from jobs._kept import unusable
from jobs.social_posts import outputs, scored_posts, usable_posts
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]

_offsets = count()


def post(**fields: Any) -> Row:
    """A good post of noon; `fields` replace its own."""
    number = next(_offsets)
    return {
        "record_key": "dTE=", "post_id": f"p{number}", "user_id": "u1", "username": "ada", "platform": "Twitter",
        "post_type": "image", "content_type": "news", "topic": "science", "hashtags": ["Moon", "sky"],
        "sentiment": "positive", "location": "Lagos", "likes": 60, "shares": 30, "comments": 10, "views": 1000,
        "engagement_rate": 0.9, "followers": 10, "is_verified": True, "is_influencer": True, "is_viral": True,
        "timestamp": at(0), "language": "en", "text": "What a lovely day!", "record_value": "e30=",
        "record_topic": "social_media", "record_partition": 0, "record_offset": number, "record_time": at(60),
    } | fields  # fmt: skip


def scored(posts: Table) -> Table:
    return scored_posts(posts, viral_engagements=1000, viral_views_per_follower=3, toxic_from=0.5)


def test_a_post_is_a_row_of_all_its_fields(given: Given, rows: Rows) -> None:
    (row,) = rows(scored(usable_posts(given("social_media", post(post_id="p")))))

    scores = {
        name: row.pop(name)
        for name in (
            "sentiment", "sentiment_mean", "toxicity", "is_toxic", "cyberbullying", "cyberbullying_score", "bullying",
            "language", "trained_language", "model_version", "unscored_reason",
        )
    }  # fmt: skip
    assert row == {
        "record_key": b"u1", "post_id": "p", "user_id": "u1", "username": "ada", "platform": "Twitter",
        "post_type": "image", "content_type": "news", "topic": "science", "hashtags": ["Moon", "sky"],
        "location": "Lagos", "text": "What a lovely day!", "stated_sentiment": "positive", "stated_language": "en",
        "likes": 60, "shares": 30, "comments": 10, "views": 1000, "engagement_rate": 0.1, "followers": 10,
        "is_verified": True, "is_influencer": False, "is_viral": False, "posted_at": at(0), "odd_fields": None,
    }  # fmt: skip
    assert scores["sentiment"] == "positive"
    assert scores["sentiment_mean"] > 0.5
    assert scores["toxicity"] < 0.5
    assert scores["is_toxic"] is False
    assert scores["cyberbullying"] == "not_cyberbullying"
    assert (scores["language"], scores["trained_language"], scores["unscored_reason"]) == ("en", True, None)
    assert [version.partition("@")[0] for version in scores["model_version"].split()] == [
        "cyberbullying", "toxicity", "sentiment",
    ]  # fmt: skip


def test_toxic_is_said_and_no_text_is_unscored_never_clean(given: Given, rows: Rows) -> None:
    harsh, silent = rows(
        scored(usable_posts(given("social_media", post(text="Shut up, you stupid idiot"), post(text=None))))
    )

    assert harsh["is_toxic"] is True
    assert harsh["toxicity"] >= 0.5
    assert silent["unscored_reason"] is not None
    assert {silent[name] for name in ("is_toxic", "toxicity", "sentiment", "cyberbullying", "bullying")} == {None}


BORDERLINE = {"likes": 800, "shares": 150, "comments": 50, "views": 3000, "followers": 1000}
# Fields of the post -> what is made of them.
DERIVED: dict[str, tuple[Row, Row]] = {
    "rate": ({"likes": 1, "shares": 2, "comments": 1, "views": 8}, {"engagement_rate": 0.5}),
    "no views": ({"likes": 0, "shares": 0, "comments": 0, "views": 0}, {"engagement_rate": None}),
    "unknown shares": ({"shares": None}, {"engagement_rate": None, "is_viral": False}),
    "influencer": ({"followers": 50_000}, {"is_influencer": True}),
    "nearly": ({"followers": 49_999}, {"is_influencer": False}),
    "unknown followers": ({"followers": None}, {"is_influencer": None}),
    "viral": (BORDERLINE, {"is_viral": True}),
    "a like short": (BORDERLINE | {"likes": 799}, {"is_viral": False}),
    "a view short": (BORDERLINE | {"views": 2999}, {"is_viral": False}),
}


def test_counts_are_judged_anew_whatever_the_source_says(given: Given, rows: Rows) -> None:
    found = rows(scored(usable_posts(given("social_media", *[post(**fields) for fields, _ in DERIVED.values()]))))

    for row, (case, (_, expected)) in zip(found, DERIVED.items(), strict=True):
        assert row | expected == row, case


# An odd value -> the fields that become null.
ODD: dict[str, tuple[Row, list[str]]] = {
    "negative likes": ({"likes": -1}, ["likes"]),
    "views smaller than likes": ({"likes": 10, "views": 9}, ["views"]),
    "negative views": ({"likes": None, "views": -1}, ["views"]),
    "negative everything": (
        {"likes": -1, "shares": -2, "comments": -3, "views": -4, "followers": -5},
        ["likes", "shares", "comments", "views", "followers"],
    ),
    "more than there are people": ({"likes": 2**63 - 1, "views": 2**63 - 1}, ["likes", "views"]),
    "unknown words": (
        {"post_type": "hologram", "content_type": "?", "sentiment": "good"}, ["post_type", "content_type", "sentiment"],
    ),
    "empty words": (
        {"username": "", "topic": "", "location": "", "language": "e"}, ["username", "topic", "location", "language"],
    ),
    "too long": (
        {"username": "u" * 257, "topic": "t" * 129, "location": "l" * 129, "language": "x" * 17},
        ["username", "topic", "location", "language"],
    ),
    "too many": ({"hashtags": ["h"] * 101}, ["hashtags"]),
    "of another type": ({"wrong_types": ["location", "is_verified"]}, ["location", "is_verified"]),
    "of another type and range": ({"likes": -1, "wrong_types": ["followers"]}, ["likes", "followers"]),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_an_odd_optional_field_is_null_and_named(given: Given, rows: Rows, case: str) -> None:
    fields, names = ODD[case]
    told = dict.fromkeys(fields.get("wrong_types", []))  # the format has made these null

    (row,) = rows(usable_posts(given("social_media", post(**fields | told))))

    assert row["odd_fields"] == names
    assert {row[name] for name in names} == {None}


# A fault that no post may have -> the reason.
REFUSED: dict[str, tuple[Row, str]] = {
    "not read": ({"post_id": None, "error": "missing_field"}, "missing_field"),
    "another platform": ({"platform": "MySpace"}, "unknown_platform"),
    "another spelling": ({"platform": "twitter"}, "unknown_platform"),
    "empty id": ({"post_id": ""}, "out_of_range"),
    "endless id": ({"post_id": "p" * 129}, "out_of_range"),
    "empty user": ({"user_id": ""}, "out_of_range"),
    "future": ({"timestamp": at(361)}, "future_event_time"),
}


def test_a_post_without_what_it_needs_is_a_dead_letter(given: Given, rows: Rows) -> None:
    records = given("social_media", post(timestamp=at(360)), *[post(**fields) for fields, _ in REFUSED.values()])

    found = rows(unusable(records, "j"))

    assert dict(zip(REFUSED, [row["reason"] for row in found], strict=True)) == {
        case: reason for case, (_, reason) in REFUSED.items()
    }
    assert all(row["detail"] for row in found[1:])
    assert len(rows(usable_posts(records))) == 1  # five minutes ahead is good


def test_an_old_post_is_never_too_late_and_each_version_is_told(given: Given, rows: Rows) -> None:
    versions = [post(post_id="p", likes=1), post(post_id="q", timestamp=at(-1e7)), post(post_id="p", likes=2)]

    found = rows(scored(usable_posts(given("social_media", *versions))))

    assert [(row["post_id"], row["likes"]) for row in found] == [("p", 1), ("q", 60), ("p", 2)]


def test_columns_are_those_of_the_sinks(given: Given, fits_sink: Callable[[str, Table], bool]) -> None:
    tables = outputs(given("social_media"))

    assert set(tables) == {"scored_posts", "social_posts", "dead_letters"}
    assert all(fits_sink(sink, table) for sink, table in tables.items())


def test_a_post_is_scored_once_for_both_sinks(given: Given, plan: Callable[[dict[str, Table]], str]) -> None:
    found = plan(outputs(given("social_media")))

    assert found.count("PythonCalc(") == 1
    assert found.count("PythonScalarFunction") == 1
