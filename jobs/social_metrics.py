"""Social analytics: scored_posts -> social_metrics, _hashtags, _locations, _users, _influencers, _alerts, _agreement.

Every figure is made of the same minutes, in which a post counts once, in its latest version: a correction has the time
of its post, so both fall into the same minute. A version that comes after its minute has closed counts in no window and
goes to `late_events` (the index `social_posts` has it all the same). No text is scored here. The state is what the open
windows hold, and of each platform and topic the minutes that its band is made of.
"""

from __future__ import annotations

import csv
from importlib import resources

from pyflink.table import Table

from jobs._kept import RECORD, once_per_minute, too_late, unusable, with_newest
from jobs._tables import insert, sql, table_environment
from settings import settings

JOB = "social_metrics"
TOP = 50
# A band made of fewer minutes says little.
MINUTES_OF_A_BAND = 10
# What each document of a user or influencer tells of an hour.
OF_AN_HOUR = "posts, reach, engagements, engagement_rate, toxic_posts, toxic_share"
# What the figures are made of.
COUNTED = """
    post_id, posted_at, user_id, username, followers, is_verified, is_influencer, platform, topic, content_type,
    post_type, hashtags, location, stated_sentiment, sentiment, likes, shares, comments, `views`, engagements,
    engagement_rate, is_viral, is_toxic, is_bullying
"""


def timed_posts(records: Table) -> Table:
    """What the windows count of each good post, and what `late_events` keeps of it, with what tells if it is late."""
    return with_newest(
        sql(
            f"""
            SELECT
                event_time,
                CAST(posted_at AS TIMESTAMP(3)) AS posted_at,
                post_id, user_id, username, platform, hashtags, location, stated_sentiment, sentiment,
                COALESCE(topic, 'unknown') AS topic,
                COALESCE(content_type, 'unknown') AS content_type,
                COALESCE(post_type, 'unknown') AS post_type,
                COALESCE(likes, 0) AS likes,
                COALESCE(shares, 0) AS shares,
                COALESCE(comments, 0) AS comments,
                COALESCE(`views`, 0) AS `views`,
                COALESCE(likes, 0) + COALESCE(shares, 0) + COALESCE(comments, 0) AS engagements,
                engagement_rate, followers, is_verified, is_influencer, is_viral, is_toxic,
                cyberbullying <> 'not_cyberbullying' AS is_bullying,
                {RECORD}
            FROM {{records}}
            WHERE problem IS NULL
            """,
            records=records,
        )
    )


def posts_by_minute(posts: Table, out_of_order_seconds: int) -> Table:
    """Posts that are in time, each once a minute, in its latest version."""
    return once_per_minute(posts, COUNTED, "post_id", out_of_order_seconds, order="event_time DESC")


def social_metrics(posts: Table) -> Table:
    """Counts per minute and platform, topic, sentiment, content type and post type."""
    return sql(
        """
        SELECT
            window_start, window_end, platform, topic, sentiment, content_type, post_type,
            COUNT(*) AS posts,
            SUM(likes) AS likes,
            SUM(shares) AS shares,
            SUM(comments) AS comments,
            SUM(`views`) AS `views`,
            SUM(engagements) AS engagements,
            AVG(engagement_rate) AS mean_engagement_rate,
            COUNT(*) FILTER (WHERE is_viral) AS viral_posts,
            COUNT(DISTINCT user_id) FILTER (WHERE is_verified) AS verified_users,
            COUNT(DISTINCT user_id) FILTER (WHERE is_influencer) AS influencer_users,
            COUNT(*) FILTER (WHERE is_toxic) AS toxic_posts,
            COUNT(*) FILTER (WHERE is_bullying) AS bullying_posts,
            COUNT(*) FILTER (WHERE is_toxic IS NULL) AS unscored_posts
        FROM TABLE(TUMBLE(TABLE {posts}, DESCRIPTOR(minute_time), INTERVAL '1' MINUTE))
        GROUP BY window_start, window_end, platform, topic, sentiment, content_type, post_type
        """,
        posts=sql(
            """
            SELECT
                minute_time, platform, topic, COALESCE(sentiment, 'unscored') AS sentiment, content_type, post_type,
                user_id, likes, shares, comments, `views`, engagements, engagement_rate, is_viral, is_verified,
                is_influencer, is_toxic, is_bullying
            FROM {posts}
            """,
            posts=posts,
        ),
    )


def social_hashtags(posts: Table) -> Table:
    """The hashtags of the most posts per five minutes, each with its posts of the five minutes before."""
    uses = sql(
        """
        SELECT minute_time, post_id, LOWER(TRIM(LEADING '#' FROM TRIM(tag))) AS hashtag
        FROM {posts} CROSS JOIN UNNEST(hashtags) AS tags (tag)
        """,
        posts=posts,
    )
    # A window of ten minutes holds both halves; what it tells is of the second.
    halves = sql(
        """
        SELECT *, CAST(minute_time AS TIMESTAMP(3)) >= window_start + INTERVAL '5' MINUTE AS is_second
        FROM TABLE(HOP(TABLE {uses}, DESCRIPTOR(minute_time), INTERVAL '5' MINUTE, INTERVAL '10' MINUTE))
        WHERE CHAR_LENGTH(hashtag) BETWEEN 1 AND 256
        """,
        uses=uses,
    )
    counts = sql(
        """
        SELECT
            window_start, window_end, hashtag,
            COUNT(DISTINCT post_id) FILTER (WHERE is_second) AS posts,
            COUNT(DISTINCT post_id) FILTER (WHERE NOT is_second) AS previous_posts
        FROM {halves}
        GROUP BY window_start, window_end, hashtag
        """,
        halves=halves,
    )
    return sql(
        f"""
        SELECT
            window_start + INTERVAL '5' MINUTE AS window_start,
            window_end, `rank`, hashtag, posts, previous_posts,
            posts - previous_posts AS trend
        FROM (
            SELECT
                *,
                ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY posts DESC, hashtag) AS `rank`
            FROM {{counts}}
            WHERE posts > 0
        )
        WHERE `rank` <= {TOP}
        """,
        counts=counts,
    )


def cities() -> list[dict[str, str]]:
    """The known places: name, country, language, latitude and longitude in degrees."""
    text = resources.files("connectors").joinpath("cities.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def social_locations(posts: Table) -> Table:
    """Counts per five minutes and location, with its coordinates where it is a known place."""

    def looked_up(field: str, kind: str) -> str:
        # The first entry makes the values nullable; else the planner takes what an unknown place has for no null.
        places = [f"'{quoted(city['name'])}', '{quoted(city[field])}'" for city in cities()]
        return f"CAST(MAP['', CAST(NULL AS STRING), {', '.join(places)}][location] AS {kind})"

    def quoted(text: str) -> str:
        return text.replace("'", "''")

    return sql(
        f"""
        SELECT
            window_start, window_end, location, country,
            CASE WHEN country IS NOT NULL THEN CAST(
                ROW(latitude, longitude) AS ROW<lat DOUBLE, lon DOUBLE>
            ) END AS coordinates,
            posts, likes, engagements, toxic_posts
        FROM (
            SELECT
                *,
                {looked_up("country", "STRING")} AS country,
                {looked_up("latitude", "DOUBLE")} AS latitude,
                {looked_up("longitude", "DOUBLE")} AS longitude
            FROM {{counts}}
        )
        """,
        counts=sql(
            """
            SELECT
                window_start, window_end, location,
                COUNT(*) AS posts,
                SUM(likes) AS likes,
                SUM(engagements) AS engagements,
                COUNT(*) FILTER (WHERE is_toxic) AS toxic_posts
            FROM TABLE(TUMBLE(TABLE {posts}, DESCRIPTOR(minute_time), INTERVAL '5' MINUTE))
            WHERE location IS NOT NULL
            GROUP BY window_start, window_end, location
            """,
            posts=posts,
        ),
    )


def users_by_hour(posts: Table) -> Table:
    """What each user did in an hour, every ten minutes, with the user's latest profile.

    That is the profile of the latest post that tells the followers; of the latest post where none does.
    """
    activity = sql(
        """
        SELECT
            window_start, window_end, user_id,
            COUNT(*) AS posts,
            SUM(`views`) AS reach,
            SUM(engagements) AS engagements,
            CAST(SUM(engagements) AS DOUBLE) / NULLIF(SUM(`views`), 0) AS engagement_rate,
            COUNT(*) FILTER (WHERE is_toxic) AS toxic_posts,
            CAST(COUNT(*) FILTER (WHERE is_toxic) AS DOUBLE) / NULLIF(COUNT(is_toxic), 0) AS toxic_share
        FROM TABLE(HOP(TABLE {posts}, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE, INTERVAL '1' HOUR))
        GROUP BY window_start, window_end, user_id
        """,
        posts=posts,
    )
    # Each row goes into six hours; so first into ten minutes, of which each user has one row.
    of_ten_minutes = sql(
        """
        SELECT window_time AS minute_time, user_id, posted_at, post_id, username, platform, followers, is_verified,
            is_influencer, tells_followers
        FROM {latest}
        """,
        latest=latest_of_users(
            sql("SELECT *, CASE WHEN followers IS NULL THEN 0 ELSE 1 END AS tells_followers FROM {posts}", posts=posts),
            "TUMBLE(TABLE {posts}, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE)",
        ),
    )
    profiles = latest_of_users(
        of_ten_minutes, "HOP(TABLE {posts}, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE, INTERVAL '1' HOUR)"
    )
    return sql(
        f"""
        SELECT
            activity.window_start, activity.window_end, activity.user_id,
            username, platform, followers, is_verified, is_influencer, {OF_AN_HOUR}
        FROM {{activity}} AS activity
        JOIN {{profiles}} AS profile
        ON activity.window_start = profile.window_start AND activity.window_end = profile.window_end
            AND activity.user_id = profile.user_id
        """,
        activity=activity,
        profiles=profiles,
    )


def latest_of_users(posts: Table, window: str) -> Table:
    """One post per user and window, the latest of those that tell the followers; `window` is of the table `{posts}`."""
    return sql(
        f"""
        SELECT *
        FROM (
            SELECT
                *,
                ROW_NUMBER() OVER (
                    PARTITION BY window_start, window_end, user_id
                    ORDER BY tells_followers DESC, posted_at DESC, post_id DESC
                ) AS age
            FROM TABLE({window})
        )
        WHERE age = 1
        """,
        posts=posts,
    )


def social_influencers(users: Table) -> Table:
    """The influencers of the most engagements per hour, every ten minutes."""
    return sql(
        f"""
        SELECT window_start, window_end, `rank`, user_id, username, platform, followers, is_verified, {OF_AN_HOUR}
        FROM (
            SELECT
                *,
                ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY engagements DESC, user_id) AS `rank`
            FROM {{users}}
            WHERE is_influencer
        )
        WHERE `rank` <= {TOP}
        """,
        users=users,
    )


def social_alerts(posts: Table, minutes: int, width: float) -> Table:
    """Minutes in which a platform or a topic left its band of the `minutes` minutes before, in which it had posts.

    The band is the mean of those minutes less and plus `width` deviations. A deviation is the standard deviation of
    those minutes, but at least what chance alone makes: sqrt(mean) for a count (Poisson) and sqrt(p (1 - p) / n) for a
    share of n posts (binomial), with p = (toxic + 1) / (scored + 2) of those minutes (Laplace's rule of succession, so
    that p is never 0). Source: Shewhart's control charts (c and p). A minute without posts has no row: silence is no
    alert.
    """

    def counted(dimension: str) -> str:
        return f"""
            SELECT
                '{dimension}' AS dimension, {dimension} AS name, window_start, window_end, window_time,
                CAST(COUNT(*) AS DOUBLE) AS posts,
                CAST(COUNT(*) FILTER (WHERE is_toxic) AS DOUBLE) AS toxic,
                CAST(COUNT(is_toxic) AS DOUBLE) AS scored
            FROM TABLE(TUMBLE(TABLE {{posts}}, DESCRIPTOR(minute_time), INTERVAL '1' MINUTE))
            GROUP BY window_start, window_end, window_time, {dimension}
        """

    def before(value: str) -> str:
        return f"(SUM({value}) OVER earlier - {value})"

    share = "COALESCE(toxic / NULLIF(scored, 0), 0)"
    history = sql(
        f"""
        SELECT
            *, {share} AS share,
            COUNT(*) OVER earlier - 1 AS minutes,
            {before("posts")} AS sum_of_posts,
            {before("posts * posts")} AS sum_of_squared_posts,
            {before("toxic")} AS sum_of_toxic,
            {before("scored")} AS sum_of_scored,
            {before(share)} AS sum_of_shares,
            {before(f"{share} * {share}")} AS sum_of_squared_shares
        FROM {{series}}
        WINDOW earlier AS (
            PARTITION BY dimension, name ORDER BY window_time ROWS BETWEEN {minutes} PRECEDING AND CURRENT ROW
        )
        """,
        series=sql(f"{counted('platform')} UNION ALL {counted('topic')}", posts=posts),
    )
    chance = "(sum_of_toxic + 1) / (sum_of_scored + 2)"
    bands = f"""
        SELECT
            'posts' AS metric, dimension, name, window_start, window_end, minutes, posts, toxic, scored,
            posts AS `value`, sum_of_posts / minutes AS usual,
            GREATEST(
                SQRT(GREATEST(sum_of_squared_posts / minutes - POWER(sum_of_posts / minutes, 2), 0)),
                SQRT(sum_of_posts / minutes)
            ) AS deviation
        FROM {{history}}
        WHERE minutes >= {MINUTES_OF_A_BAND}
        UNION ALL
        SELECT
            'toxic_share', dimension, name, window_start, window_end, minutes, posts, toxic, scored,
            share, sum_of_shares / minutes,
            GREATEST(
                SQRT(GREATEST(sum_of_squared_shares / minutes - POWER(sum_of_shares / minutes, 2), 0)),
                SQRT({chance} * (1 - {chance}) / scored)
            )
        FROM {{history}}
        WHERE minutes >= {MINUTES_OF_A_BAND} AND scored > 0
    """
    return sql(
        f"""
        SELECT
            window_start, window_end, dimension, name, metric,
            CASE WHEN `value` > usual THEN 'above' ELSE 'below' END AS direction,
            `value`, usual, deviation,
            usual - {width} * deviation AS `lower`,
            usual + {width} * deviation AS `upper`,
            minutes,
            CAST(posts AS BIGINT) AS posts,
            CAST(toxic AS BIGINT) AS toxic_posts,
            CAST(scored AS BIGINT) AS scored_posts
        FROM ({bands})
        WHERE ABS(`value` - usual) > {width} * deviation
        """,
        history=history,
    )


def social_agreement(posts: Table) -> Table:
    """How often which sentiment was stated and found, per five minutes."""
    return sql(
        """
        SELECT
            window_start, window_end, stated_sentiment, sentiment,
            stated_sentiment = sentiment AS agrees,
            COUNT(*) AS posts
        FROM TABLE(TUMBLE(TABLE {posts}, DESCRIPTOR(minute_time), INTERVAL '5' MINUTE))
        WHERE stated_sentiment IS NOT NULL AND sentiment IS NOT NULL
        GROUP BY window_start, window_end, stated_sentiment, sentiment
        """,
        posts=posts,
    )


def outputs(records: Table) -> dict[str, Table]:
    """What the job writes: for each sink its rows."""
    out_of_order_seconds = settings().social_out_of_order_seconds
    timed = timed_posts(records)
    posts = posts_by_minute(timed, out_of_order_seconds)
    users = users_by_hour(posts)
    return {
        "social_metrics": social_metrics(posts),
        "social_hashtags": social_hashtags(posts),
        "social_locations": social_locations(posts),
        "social_users": users,
        "social_influencers": social_influencers(users),
        "social_alerts": social_alerts(posts, settings().alert_minutes, settings().alert_width),
        "social_agreement": social_agreement(posts),
        "late_events": too_late(timed, JOB, 60, out_of_order_seconds),
        "dead_letters": unusable(records, JOB),
    }


def main() -> None:
    t_env = table_environment(
        JOB,
        reads=["scored_posts"],
        writes=[
            "social_metrics", "social_hashtags", "social_locations", "social_users", "social_influencers",
            "social_alerts", "social_agreement", "late_events", "dead_letters",
        ],
    )  # fmt: skip
    # A topic of which nobody writes for a day has no band any more, and a partition without posts for a day no newest
    # time. Windows need no TTL.
    t_env.get_config().set("table.exec.state.ttl", "1 d")
    insert(t_env, outputs(t_env.from_path("scored_posts")))


if __name__ == "__main__":
    main()
