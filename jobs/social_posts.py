"""Social posts, scored: social_media -> scored_posts (topic) and social_posts (index), one row per version of a post.

- `scored_posts`: every version that is told, in order, within transactions.
- `social_posts`: one document per post; the version that came last overwrites the others, without any state.

A field that breaks its rule becomes null and is named in `odd_fields`; a record without what every post needs goes to
`dead_letters`. This is the only job that scores posts. It has no windows, so no post is too late for it, and no state.
"""

from __future__ import annotations

from pyflink.table import Table
from pyflink.table.expressions import col

from jobs._kept import unusable
from jobs._tables import insert, sql, table_environment
from settings import settings
from udfs.classifiers import social

JOB = "social_posts"

# More than all people on earth could make, and small enough that sums of them fit.
MOST = 10**12
# What an optional field has to be; what a record needs at all stands in connectors/social_media.sql.
RULES = {
    "username": "CHAR_LENGTH(username) BETWEEN 1 AND 256",
    "post_type": "post_type IN ('text', 'image', 'video', 'link', 'poll', 'story', 'live')",
    "content_type": "content_type IN"
    " ('educational', 'entertainment', 'news', 'promotional', 'personal', 'humor', 'opinion')",
    "topic": "CHAR_LENGTH(topic) BETWEEN 1 AND 128",
    "hashtags": "CARDINALITY(hashtags) <= 100",
    "sentiment": "sentiment IN ('positive', 'neutral', 'negative')",
    "location": "CHAR_LENGTH(location) BETWEEN 1 AND 128",
    "likes": f"likes BETWEEN 0 AND {MOST}",
    "shares": f"shares BETWEEN 0 AND {MOST}",
    "comments": f"comments BETWEEN 0 AND {MOST}",
    "views": f"`views` BETWEEN GREATEST(COALESCE(likes, 0), 0) AND {MOST}",  # who likes a post has seen it
    "followers": f"followers BETWEEN 0 AND {MOST}",
    "language": "CHAR_LENGTH(`language`) BETWEEN 2 AND 16",
}
INFLUENCER_FOLLOWERS = 50_000


def usable_posts(records: Table) -> Table:
    """Good records; an optional field that breaks its rule is null and named in `odd_fields`."""
    kept = ", ".join(f"CASE WHEN {rule} THEN `{field}` END AS `{field}`" for field, rule in RULES.items())
    odd = " OR ".join(f"NOT ({rule})" for rule in RULES.values())
    names = ", ".join(f"CASE WHEN NOT ({rule}) THEN '{field}' END" for field, rule in RULES.items())
    return sql(
        f"""
        SELECT
            post_id, user_id, platform, {kept}, is_verified, `timestamp` AS posted_at, text,
            CASE
                WHEN wrong_types IS NOT NULL OR {odd} THEN ARRAY_CONCAT(
                    ARRAY_REMOVE(ARRAY[{names}], CAST(NULL AS STRING)),
                    COALESCE(wrong_types, ARRAY_REMOVE(ARRAY[''], ''))
                )
            END AS odd_fields
        FROM {{records}}
        WHERE problem IS NULL
        """,
        records=records,
    )


def scored_posts(posts: Table, viral_engagements: int, viral_views_per_follower: float, toxic_from: float) -> Table:
    """Posts with what follows from their counts, and with the scores of their texts.

    `record_key` stands last: the columns before it are those of `social_posts`, in one order, so that the planner sees
    one call of the models for both sinks and not two. The test of the plan says so.
    """
    return sql(
        f"""
        SELECT
            post_id, user_id, username, platform, post_type, content_type, topic, hashtags, location, text,
            sentiment AS stated_sentiment,
            `language` AS stated_language,
            likes, shares, comments, `views`,
            CAST(likes + shares + comments AS DOUBLE) / NULLIF(`views`, 0) AS engagement_rate,
            followers,
            is_verified,
            followers >= {INFLUENCER_FOLLOWERS} AS is_influencer,
            COALESCE(
                likes + shares + comments >= {viral_engagements}
                AND `views` >= {viral_views_per_follower} * COALESCE(followers, 0),
                FALSE
            ) AS is_viral,
            posted_at,
            scores.sentiment_label AS sentiment,
            scores.sentiment_mean AS sentiment_mean,
            scores.toxicity_toxic AS toxicity,
            scores.toxicity_toxic >= {toxic_from} AS is_toxic,
            scores.cyberbullying_label AS cyberbullying,
            scores.cyberbullying_score AS cyberbullying_score,
            scores.cyberbullying_bullying AS bullying,
            scores.`language` AS `language`,
            scores.trained_language AS trained_language,
            scores.model_version AS model_version,
            scores.unscored_reason AS unscored_reason,
            odd_fields,
            ENCODE(user_id, 'UTF-8') AS record_key
        FROM {{posts}}
        """,
        posts=posts.add_columns(social(col("text")).alias("scores")),
    )


def outputs(records: Table) -> dict[str, Table]:
    """What the job writes: for each sink its rows."""
    rules = settings()
    posts = scored_posts(
        usable_posts(records), rules.viral_engagements, rules.viral_views_per_follower, rules.toxic_from
    )
    return {
        "scored_posts": posts,
        "social_posts": posts.drop_columns(col("record_key")),
        "dead_letters": unusable(records, JOB),
    }


def main() -> None:
    t_env = table_environment(JOB, reads=["social_media"], writes=["scored_posts", "social_posts", "dead_letters"])
    insert(t_env, outputs(t_env.from_path("social_media")))


if __name__ == "__main__":
    main()
