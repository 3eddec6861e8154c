"""jobs/social_metrics.py on literal rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from pyflink.table import Table

from jobs._kept import too_late
from jobs._tables import sql
from jobs.social_metrics import (
    outputs,
    posts_by_minute,
    social_agreement,
    social_alerts,
    social_hashtags,
    social_influencers,
    social_locations,
    social_metrics,
    timed_posts,
    users_by_hour,
)
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]

_offsets = count()


def scored(seconds: float = 0, **fields: Any) -> Row:
    """A scored post this many seconds after noon; `fields` replace its own."""
    number = next(_offsets)
    return {
        "record_key": "dTE=", "post_id": f"p{number}", "user_id": "u1", "username": "ada", "platform": "Twitter",
        "post_type": "image", "content_type": "news", "topic": "science", "hashtags": ["moon"], "location": "Paris",
        "text": "t", "stated_sentiment": "positive", "stated_language": "en", "likes": 6, "shares": 3, "comments": 1,
        "views": 100, "engagement_rate": 0.1, "followers": 10, "is_verified": False, "is_influencer": False,
        "is_viral": False, "posted_at": at(seconds), "sentiment": "positive", "sentiment_mean": 0.9, "toxicity": 0.1,
        "is_toxic": False, "cyberbullying": "not_cyberbullying", "cyberbullying_score": 0.9, "bullying": 0.1,
        "language": "en", "trained_language": True, "model_version": "m", "record_value": "e30=",
        "record_topic": "scored_posts", "record_partition": 0, "record_offset": number, "record_time": at(86400),
    } | fields  # fmt: skip


def in_minutes(records: Table) -> Table:
    return posts_by_minute(timed_posts(records), out_of_order_seconds=20)


UNSCORED = dict.fromkeys(("sentiment", "sentiment_mean", "toxicity", "is_toxic", "cyberbullying", "bullying"))


def test_a_minute_counts_each_post_once_in_its_latest_version(given: Given, rows: Rows) -> None:
    posts = in_minutes(
        given(
            "scored_posts",
            scored(1, post_id="p", likes=6),
            scored(1, post_id="p", likes=6),  # a copy
            scored(2, user_id="u2", is_verified=True, is_influencer=True, is_viral=True, is_toxic=True),
            scored(3, user_id="u2", is_verified=True, cyberbullying="age", engagement_rate=None, views=None),
            scored(1, post_id="p", likes=90, engagement_rate=0.94),  # the correction
            scored(59, platform="TikTok", topic=None, content_type=None, post_type=None, likes=None, **UNSCORED),
            scored(85),  # closes the first minute: the watermark is 20 s behind
            scored(4, post_id="p", likes=900),  # too late
        )
    )

    twitter, tiktok, _ = sorted(rows(social_metrics(posts)), key=lambda row: (row["window_start"], -row["posts"]))

    assert twitter == {
        "window_start": at(0), "window_end": at(60), "platform": "Twitter", "topic": "science",
        "sentiment": "positive", "content_type": "news", "post_type": "image", "posts": 3, "likes": 102, "shares": 9,
        "comments": 3, "views": 200, "engagements": 114, "mean_engagement_rate": pytest.approx((0.94 + 0.1) / 2),
        "viral_posts": 1, "verified_users": 1, "influencer_users": 1, "toxic_posts": 1, "bullying_posts": 1,
        "unscored_posts": 0,
    }  # fmt: skip
    assert tiktok | {
        "platform": "TikTok", "topic": "unknown", "sentiment": "unscored", "content_type": "unknown",
        "post_type": "unknown", "posts": 1, "likes": 0, "engagements": 4, "toxic_posts": 0, "bullying_posts": 0,
        "unscored_posts": 1,
    } == tiktok  # fmt: skip


def test_a_post_too_late_is_kept_and_a_correction_in_time_is_not_late(given: Given, rows: Rows) -> None:
    records = given(
        "scored_posts",
        scored(10, post_id="p"),
        scored(79),  # the watermark is now one second before the minute's end
        scored(10, post_id="p"),
        scored(80),  # and now at its end
        scored(10, post_id="p", record_offset=77),
        scored(60),
    )

    assert [
        row["offset"] for row in rows(too_late(timed_posts(records), "j", window_seconds=60, out_of_order_seconds=20))
    ] == [77]


def test_a_fast_clock_makes_nobody_else_late(given: Given, rows: Rows) -> None:
    told = [scored(seconds, record_time=at(max(seconds, 0))) for seconds in (0, 10, 70, 130, 190)]
    fast = scored(10 + 290, record_time=at(10))  # ten seconds past noon, this clock says five minutes past

    records = given("scored_posts", told[0], told[1], fast, *told[2:])

    assert rows(too_late(timed_posts(records), "j", window_seconds=60, out_of_order_seconds=20)) == []
    assert sum(row["posts"] for row in rows(social_metrics(in_minutes(records)))) == 6


def test_hashtags_are_ranked_with_their_trend(given: Given, rows: Rows) -> None:
    crowd = [scored(330, hashtags=[f"h{number:02}"]) for number in range(60)]
    posts = in_minutes(
        given(
            "scored_posts",
            scored(10, hashtags=["moon"]), scored(20, hashtags=["moon", "sun"]), scored(30, hashtags=["moon"]),
            scored(310, hashtags=["#Moon", "MOON"]),  # one post, however often it says so
            scored(320, hashtags=["sun", "", "#", " "]), scored(330, hashtags=["sun"]), scored(340, hashtags=None),
            *crowd,
        )
    )  # fmt: skip

    found = rows(social_hashtags(posts))

    first = [row for row in found if row["window_start"] == at(0)]
    second = [row for row in found if row["window_start"] == at(300)]
    assert [(row["rank"], row["hashtag"], row["posts"], row["previous_posts"], row["trend"]) for row in first] == [
        (1, "moon", 3, 0, 3),
        (2, "sun", 1, 0, 1),
    ]
    assert second[0] == {
        "window_start": at(300), "window_end": at(600), "rank": 1, "hashtag": "sun", "posts": 2, "previous_posts": 1,
        "trend": 1,
    }  # fmt: skip
    assert [row["hashtag"] for row in second[1:]] == [f"h{number:02}" for number in range(49)]
    assert len(found) == 52  # no window for hashtags of which nobody writes any more


def test_locations_have_coordinates_where_they_are_known(given: Given, rows: Rows) -> None:
    posts = in_minutes(
        given(
            "scored_posts",
            scored(0, likes=1), scored(2, location="Atlantis"), scored(3, location=None),
            scored(299, likes=2, is_toxic=True), scored(300, likes=4),
        )
    )  # fmt: skip

    # PyFlink cannot collect a null ROW.
    locations = sql(
        """
        SELECT
            window_start, location, country, posts, likes, toxic_posts,
            coordinates IS NULL AS is_unknown, coordinates.lat AS lat, coordinates.lon AS lon
        FROM {locations}
        """,
        locations=social_locations(posts),
    )
    found = sorted(rows(locations), key=lambda row: (row["window_start"], row["location"]))

    places = [(row["window_start"], row["location"], row["country"], row["posts"], row["likes"]) for row in found]
    assert places == [
        (at(0), "Atlantis", None, 1, 6), (at(0), "Paris", "FR", 2, 3), (at(300), "Paris", "FR", 1, 4),
    ]  # fmt: skip
    assert [row["toxic_posts"] for row in found] == [0, 1, 0]
    assert [row["is_unknown"] for row in found] == [True, False, False]
    assert (round(found[1]["lat"]), round(found[1]["lon"])) == (49, 2)


def test_a_user_has_an_hour_and_the_profile_of_the_latest_post(given: Given, rows: Rows) -> None:
    posts = in_minutes(
        given(
            "scored_posts",
            scored(10, username="old", followers=1),
            scored(59, username="new", followers=60_000, is_influencer=True, is_verified=True, is_toxic=True),
            scored(50, username="older", followers=2),  # told later, posted before
            scored(30, user_id="u2", views=0, **UNSCORED),
            scored(70, username="newest", followers=70_000, is_influencer=True),
            scored(75, username="odd", followers=None, is_influencer=None, likes=0, views=0),  # tells no followers
            scored(40 * 60, user_id="u3", is_influencer=True, likes=900),
            scored(80 * 60, user_id="u3", is_influencer=True),
        )
    )
    users = users_by_hour(posts)

    found = {(row["window_end"], row["user_id"]): row for row in rows(users)}
    assert {user for end, user in found if end == at(3600)} == {"u1", "u2", "u3"}
    assert {user for end, user in found if end == at(4200)} == {"u3"}  # the others' minutes are an hour ago
    assert found[at(3600), "u1"] == {
        "window_start": at(0), "window_end": at(3600), "user_id": "u1", "username": "newest", "platform": "Twitter",
        "followers": 70_000, "is_verified": False, "is_influencer": True, "posts": 5, "reach": 400, "engagements": 44,
        "engagement_rate": 0.11, "toxic_posts": 1, "toxic_share": 0.2,
    }  # fmt: skip
    nothing = found[at(3600), "u2"]
    assert (nothing["posts"], nothing["engagement_rate"], nothing["toxic_share"]) == (1, None, None)

    leaders = [row for row in rows(social_influencers(users)) if row["window_end"] == at(3600)]
    assert [(row["rank"], row["user_id"], row["engagements"]) for row in leaders] == [(1, "u3", 904), (2, "u1", 44)]


def minutes_of(posts: list[int], toxic: list[int], platform: str) -> list[Row]:
    """So many posts in each minute, so many of them toxic; topics of one post each, which have no band."""
    return [
        scored(
            60 * minute + 1, platform=platform, topic=f"{platform} {minute} {number}", is_toxic=number < toxic[minute]
        )
        for minute in range(len(posts))
        for number in range(posts[minute])
    ]


# posts and toxic posts by minute -> metric, direction, value, mean and deviation of the alerts of the last minute.
ALERTS: dict[str, tuple[list[int], list[int], list[tuple[str, str, float, float, float]]]] = {
    "as usual": ([9] * 13, [0] * 13, []),
    "many": ([4] * 12 + [13], [0] * 13, [("posts", "above", 13, 4, 2)]),  # sqrt(4): chance alone
    "not so many": ([4] * 12 + [12], [0] * 13, []),
    "few": ([36] * 12 + [11], [0] * 13, [("posts", "below", 11, 36, 6)]),
    "restless": ([1, 31] * 6 + [60], [0] * 13, []),  # the deviation is 15
    "too short a time": ([4] * 9 + [40], [0] * 10, []),
    "long ago": ([40, 40] + [4] * 30 + [13], [0] * 33, [("posts", "above", 13, 4, 2)]),  # more than 30 minutes before
    "toxic": ([9] * 13, [0] * 12 + [4], [("toxic_share", "above", 4 / 9, 0, math.sqrt(1 / 110 * 109 / 110 / 9))]),
    "always toxic": ([9] * 13, [4] * 13, []),
}


@pytest.mark.parametrize("case", ALERTS)
def test_an_alert_is_what_leaves_its_band(given: Given, rows: Rows, case: str) -> None:
    posts, toxic, expected = ALERTS[case]
    records = in_minutes(given("scored_posts", *minutes_of(posts, toxic, "Facebook")))
    last = at(60 * (len(posts) - 1))

    found = [row for row in rows(social_alerts(records, minutes=30, width=4)) if row["window_start"] == last]

    assert [(row["metric"], row["direction"], row["value"], row["usual"], row["deviation"]) for row in found] == [
        (metric, direction, *map(pytest.approx, numbers)) for metric, direction, *numbers in expected
    ]
    for row in found:
        assert (row["dimension"], row["name"], row["minutes"]) == ("platform", "Facebook", min(len(posts) - 1, 30))
        assert (row["posts"], row["toxic_posts"], row["scored_posts"]) == (posts[-1], toxic[-1], posts[-1])
        assert row["lower"] == pytest.approx(row["usual"] - 4 * row["deviation"])
        assert row["upper"] == pytest.approx(row["usual"] + 4 * row["deviation"])


def test_topics_have_bands_of_their_own(given: Given, rows: Rows) -> None:
    steady = [scored(60 * minute + second, topic="art") for minute in range(12) for second in range(4)]
    surge = [scored(60 * 12 + second, topic="art") for second in range(20)]

    found = rows(social_alerts(in_minutes(given("scored_posts", *steady, *surge)), minutes=30, width=4))

    assert {(row["dimension"], row["name"]) for row in found} == {("topic", "art"), ("platform", "Twitter")}


def test_what_was_stated_is_held_against_what_was_found(given: Given, rows: Rows) -> None:
    posts = in_minutes(
        given(
            "scored_posts",
            scored(1), scored(2), scored(3, sentiment="negative"), scored(4, stated_sentiment=None),
            scored(5, **UNSCORED),
        )
    )  # fmt: skip

    found = {
        (row["stated_sentiment"], row["sentiment"]): (row["agrees"], row["posts"])
        for row in rows(social_agreement(posts))
    }

    assert found == {("positive", "positive"): (True, 2), ("positive", "negative"): (False, 1)}


def test_columns_are_those_of_the_sinks(given: Given, fits_sink: Callable[[str, Table], bool]) -> None:
    tables = outputs(given("scored_posts"))

    assert all(fits_sink(sink, table) for sink, table in tables.items())


def test_no_text_is_scored_and_every_state_is_a_windows(given: Given, plan: Callable[[dict[str, Table]], str]) -> None:
    found = plan(outputs(given("scored_posts")))

    assert "PythonCalc" not in found
    assert set(re.findall(r"\b(\w*(?:Aggregate|Deduplicate|Join|Rank|Limit)\w*)\(", found)) == {
        "LocalWindowAggregate", "GlobalWindowAggregate", "WindowDeduplicate", "WindowRank", "WindowJoin",
        "OverAggregate",  # the newest time of each partition; the last minutes of each platform and topic
    }  # fmt: skip
