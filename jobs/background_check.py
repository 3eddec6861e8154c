"""Background checks: what people show in public on Instagram, enriched and joined into one record per person.

user_basic_info, user_posts_description, user_post_images -> background_checks (latest state of a person, in
Elasticsearch and, as a line per state, in S3), background_captions (a person and month), background_images (a picture,
in both). What the fields mean: docs/background_check.md.

A caption and a picture are enriched when they come, once; all else follows from that by aggregates and LEFT joins, so
that a person is there with what is known. Records without a value are tombstones: what came before one counts no more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from pyflink.table import Table, TableEnvironment

from jobs._kept import unusable
from jobs._tables import insert, sql, table_environment
from settings import Settings, settings
from udfs.background_functions import functions

JOB = "background_check"
TOPICS = ("user_basic_info", "user_posts_description", "user_post_images")
IMAGE_COLUMNS = (
    "username, post_id, content_hash, bucket, s3_path, media_type, posted_at, taken_at, labels, content_types,"
    " moderation_model_version, unscored_reason"
)
OPTIONS = {
    # A person's records come together. One by one, each would make a state of the person anew, and take back the last.
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "1 s",
    "table.exec.mini-batch.size": "5000",
    # Flink's own join in mini-batches ends the TaskManager when it is cancelled while it starts; this one has none.
    "table.optimizer.multi-join.enabled": "true",
}
NOTICE = "An aid to a person who reads on, not a verdict: models err, and keywords have many meanings."


def told(records: Table) -> Table:
    """Good records and tombstones, with what tells them apart.

    `life` counts a person's tombstones up to a record: after one, a new life begins, and only the last is told of.
    `weight` is the record's number among the person's in this topic; a tombstone's is more than those of all before it.
    So the sum over the records that count in a state grows from each state to the next: its `version`.
    """
    return sql(
        """
        SELECT *, CASE WHEN is_tombstone THEN number * (number + 1) / 2 ELSE number END AS weight
        FROM (
            SELECT
                *,
                COUNT(*) OVER so_far AS number,
                COUNT(CASE WHEN is_tombstone THEN 1 END) OVER so_far AS life
            FROM (
                SELECT
                    *,
                    COALESCE(username, DECODE(record_key, 'UTF-8')) AS person,
                    record_value IS NULL AS is_tombstone,
                    PROCTIME() AS read_time
                FROM {records}
                WHERE problem IS NULL
            )
            WINDOW so_far AS (
                PARTITION BY person ORDER BY read_time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            )
        )
        """,
        records=records,
    )


def profiles(basic_info: Table) -> Table:
    """One row per person: the profile as it was told last; none for whom the last word was a tombstone."""
    return sql(
        """
        SELECT
            person AS username, status, number_of_posts, followers_count, following_count, bio, external_url,
            is_private, is_verified, taken_at, record_time, weight
        FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY read_time DESC) AS newest FROM {told})
        WHERE newest = 1 AND NOT is_tombstone
        """,
        told=told(sql("SELECT * FROM {records} WHERE NOT forgotten(username, record_time)", records=basic_info)),
    )


def last_lives(records: Table) -> Table:
    """One row per person: the number of the last life."""
    return sql("SELECT person, MAX(life) AS last_life FROM {told} GROUP BY person", told=told(records))


def captions(descriptions: Table) -> Table:
    """One row per post: its caption as it was told last, enriched; and a row per person for the tombstone before."""
    enriched = sql(
        """
        SELECT
            person AS username, life, weight, is_tombstone, post_id, posted_at, record_time,
            caption IS NOT NULL AND TRIM(caption) <> '' AS has_caption,
            scores.sentiment_mean AS sentiment_mean,
            scores.toxicity AS toxicity,
            scores.cyberbullying AS cyberbullying,
            scores.bullying AS bullying,
            scores.key_phrases AS key_phrases,
            scores.model_version AS model_version,
            scores.unscored AS unscored,
            found.themes AS themes,
            found.words AS words,
            found.negated AS negated,
            PROCTIME() AS read_time
        FROM (
            SELECT *, keywords(caption, scores.`language`) AS found
            FROM (
                SELECT *, `timestamp` AS posted_at, enriched_caption(person, caption, record_time) AS scores
                FROM {told}
            )
        )
        """,
        told=told(descriptions),
    )
    return sql(
        """
        SELECT *
        FROM (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY username, life, post_id ORDER BY read_time DESC) AS newest
            FROM {enriched}
            WHERE is_tombstone OR NOT COALESCE(ARRAY_CONTAINS(unscored, 'caption: forgotten'), FALSE)
        )
        JOIN {lives} ON username = person AND life = last_life
        WHERE newest = 1
        """,
        enriched=enriched,
        lives=last_lives(descriptions),
    )


def periods(posts: Table, toxic_from: float) -> Table:
    """One row per person and calendar month (UTC) of `captions`; a tombstone has the month null."""
    return sql(
        f"""
        SELECT
            username, period_start,
            COUNT(post_id) AS posts,
            COUNT(CASE WHEN has_caption THEN 1 END) AS captions,
            COUNT(CASE WHEN has_caption AND unscored IS NOT NULL THEN 1 END) AS unscored_captions,
            MIN(posted_at) AS first_posted_at,
            MAX(posted_at) AS last_posted_at,
            SUM(sentiment_mean) AS sentiment_sum,
            COUNT(sentiment_mean) AS sentiment_captions,
            COUNT(CASE WHEN toxicity >= {toxic_from} THEN 1 END) AS toxic_captions,
            COUNT(toxicity) AS toxicity_captions,
            COUNT(CASE WHEN cyberbullying <> 'not_cyberbullying' THEN 1 END) AS bullying_captions,
            COUNT(cyberbullying) AS judged_captions,
            value_counts(ARRAY_AGG(cyberbullying)) AS cyberbullying,
            list_counts(ARRAY_AGG(key_phrases) FILTER (WHERE CARDINALITY(key_phrases) > 0)) AS key_phrases,
            count_keywords(
                ARRAY_AGG(ROW(post_id, themes, words, negated)) FILTER (WHERE CARDINALITY(words) > 0)
            ) AS present_keywords,
            list_counts(
                ARRAY_AGG(unscored) FILTER (WHERE has_caption AND CARDINALITY(unscored) > 0)
            ) AS unscored_reasons,
            MAX(model_version) AS model_version,
            MAX(record_time) AS updated_at,
            SUM(weight) AS weight
        FROM (SELECT *, CAST(FLOOR(posted_at TO MONTH) AS TIMESTAMP_LTZ(3)) AS period_start FROM {{posts}})
        GROUP BY username, period_start
        """,
        posts=posts,
    )


def background_captions(months: Table) -> Table:
    """One row per person and month with posts."""
    return sql(
        """
        SELECT
            username, period_start, posts, captions, unscored_captions, unscored_reasons, first_posted_at,
            last_posted_at,
            sentiment_sum / NULLIF(sentiment_captions, 0) AS sentiment_mean,
            toxic_captions,
            CAST(toxic_captions AS DOUBLE) / NULLIF(toxicity_captions, 0) AS toxic_share,
            bullying_captions,
            CAST(bullying_captions AS DOUBLE) / NULLIF(judged_captions, 0) AS bullying_share,
            cyberbullying, key_phrases, present_keywords, model_version, updated_at
        FROM {months}
        WHERE period_start IS NOT NULL
        """,
        months=months,
    )


def captions_of_person(months: Table) -> Table:
    """One row per person: all captions."""
    return sql(
        """
        SELECT
            username,
            SUM(posts) AS posts,
            SUM(captions) AS captions,
            SUM(unscored_captions) AS unscored_captions,
            add_counts(ARRAY_AGG(unscored_reasons)) AS unscored_reasons,
            MIN(first_posted_at) AS first_posted_at,
            MAX(last_posted_at) AS last_posted_at,
            SUM(sentiment_sum) / NULLIF(SUM(sentiment_captions), 0) AS sentiment_mean,
            SUM(toxic_captions) AS toxic_captions,
            CAST(SUM(toxic_captions) AS DOUBLE) / NULLIF(SUM(toxicity_captions), 0) AS toxic_share,
            SUM(bullying_captions) AS bullying_captions,
            CAST(SUM(bullying_captions) AS DOUBLE) / NULLIF(SUM(judged_captions), 0) AS bullying_share,
            add_counts(ARRAY_AGG(cyberbullying)) AS cyberbullying,
            add_counts(ARRAY_AGG(key_phrases)) AS key_phrases,
            add_keywords(ARRAY_AGG(present_keywords)) AS present_keywords,
            MAX(model_version) AS model_version,
            MAX(updated_at) AS updated_at,
            SUM(weight) AS weight
        FROM {months}
        GROUP BY username
        """,
        months=months,
    )


def judged_images(pictures: Table) -> Table:
    """One row per picture of a post and life for each outcome of labelling it; and a row per life for its tombstone.

    A picture that could not be labelled may be told, and tried, again; one that was labelled stays so.
    """
    labelled = sql(
        """
        SELECT
            person AS username, life, weight, is_tombstone, post_id, content_hash, bucket, s3_path, media_type,
            `timestamp` AS posted_at, taken_at, record_time,
            label_rows(found.names, found.parents, found.levels, found.confidences) AS labels,
            found.content_types AS content_types,
            found.moderation_model_version AS moderation_model_version,
            found.unscored_reason AS unscored_reason,
            PROCTIME() AS read_time
        FROM (
            SELECT *, enriched_image(person, bucket, s3_path, content_hash, record_time) AS found
            FROM {told}
        )
        """,
        told=told(pictures),
    )
    return sql(
        """
        SELECT * FROM (
            SELECT
                *,
                COUNT(*) OVER (
                    PARTITION BY username, life, post_id, content_hash, unscored_reason ORDER BY read_time
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                ) AS copy_number
            FROM {labelled}
            WHERE is_tombstone OR COALESCE(unscored_reason, '') <> 'forgotten'
        )
        WHERE copy_number = 1
        """,
        labelled=labelled,
    )


def images(judged: Table, lives: Table) -> Table:
    """One row per picture of a post: its last outcome; and a row per person for the tombstone before."""
    return sql(
        f"""
        SELECT {IMAGE_COLUMNS}, life, weight, is_tombstone, record_time
        FROM (
            SELECT
                *,
                ROW_NUMBER() OVER (PARTITION BY username, life, post_id, content_hash ORDER BY seen DESC) AS newest
            FROM (SELECT *, PROCTIME() AS seen FROM {{judged}})
        )
        JOIN {{lives}} ON username = person AND life = last_life
        WHERE newest = 1
        """,
        judged=judged,
        lives=lives,
    )


def background_images(pictures: Table) -> Table:
    """One row per picture of `images`."""
    return sql(
        f"""
        SELECT {IMAGE_COLUMNS}
        FROM (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY username, post_id, content_hash ORDER BY -life) AS last_life_first
            FROM {{pictures}}
            WHERE NOT is_tombstone
        )
        WHERE last_life_first = 1
        """,
        pictures=pictures,
    )


def images_of_person(pictures: Table) -> Table:
    """One row per person: all pictures."""
    return sql(
        """
        SELECT
            username,
            COUNT(content_hash) AS images,
            COUNT(CASE WHEN content_hash IS NOT NULL AND unscored_reason IS NOT NULL THEN 1 END) AS unscored_images,
            count_labels(ARRAY_AGG(labels) FILTER (WHERE CARDINALITY(labels) > 0)) AS image_labels,
            MAX(record_time) AS updated_at,
            SUM(weight) AS weight
        FROM {pictures}
        GROUP BY username
        """,
        pictures=pictures,
    )


def background_checks(people: Table, captioned: Table, pictured: Table) -> Table:
    """One row per person with a profile: all that is known, and what is missing."""
    return sql(
        f"""
        SELECT
            username, status, number_of_posts, followers_count, following_count, bio, external_url, is_private,
            is_verified, taken_at,
            summary.score AS score, summary.toxicity_points AS toxicity_points,
            summary.bullying_points AS bullying_points, summary.sentiment_points AS sentiment_points,
            summary.keywords_points AS keywords_points, summary.images_points AS images_points,
            summary.missing AS missing, summary.evidence AS evidence, '{NOTICE}' AS notice,
            posts, captions, unscored_captions, unscored_reasons, first_posted_at, last_posted_at, sentiment_mean,
            toxic_captions, toxic_share, bullying_captions, bullying_share, cyberbullying, key_phrases,
            present_keywords, images, unscored_images, image_labels, model_version, updated_at, version
        FROM (
            SELECT
                *,
                summary_score(
                    status, captions, unscored_captions, toxic_share, bullying_share, sentiment_mean, present_keywords,
                    images, unscored_images, image_labels
                ) AS summary
            FROM (
                SELECT
                    p.username, p.status, p.number_of_posts, p.followers_count, p.following_count, p.bio,
                    p.external_url, p.is_private, p.is_verified, p.taken_at,
                    COALESCE(c.posts, 0) AS posts,
                    COALESCE(c.captions, 0) AS captions,
                    COALESCE(c.unscored_captions, 0) AS unscored_captions,
                    c.unscored_reasons, c.first_posted_at, c.last_posted_at, c.sentiment_mean,
                    COALESCE(c.toxic_captions, 0) AS toxic_captions,
                    c.toxic_share,
                    COALESCE(c.bullying_captions, 0) AS bullying_captions,
                    c.bullying_share, c.cyberbullying, c.key_phrases, c.present_keywords,
                    COALESCE(i.images, 0) AS images,
                    COALESCE(i.unscored_images, 0) AS unscored_images,
                    i.image_labels,
                    c.model_version,
                    GREATEST(
                        p.record_time, COALESCE(c.updated_at, p.record_time), COALESCE(i.updated_at, p.record_time)
                    ) AS updated_at,
                    p.weight + COALESCE(c.weight, 0) + COALESCE(i.weight, 0) AS version
                FROM {{people}} AS p
                LEFT JOIN {{captioned}} AS c ON p.username = c.username
                LEFT JOIN {{pictured}} AS i ON p.username = i.username
            )
        )
        """,
        people=people,
        captioned=captioned,
        pictured=pictured,
    )


def archived_checks(checks: Table) -> Table:
    """Each state of a person as a row that stays, by the date of `updated_at`.

    The newer of two is that of the later `updated_at`, and of the higher `version` where these are the same.
    Between two states joins and aggregates tell of some that never were (a person without captions, since theirs are
    being replaced). Nearly all of them are no newer by this than what was before, and left out. What is deleted adds
    no row.
    """
    columns = ", ".join(checks.get_schema().get_field_names())
    states = sql(
        f"""
        SELECT
            {columns},
            DATE_FORMAT(updated_at, 'yyyy-MM-dd HH:mm:ss.SSS') || LPAD(CAST(version AS STRING), 19, '0') AS place,
            PROCTIME() AS read_time
        FROM TO_CHANGELOG(input => TABLE {{checks}})
        WHERE op IN ('INSERT', 'UPDATE_AFTER')
        """,
        checks=checks,
    )
    return sql(
        f"""
        SELECT {columns}, DATE_FORMAT(updated_at, 'yyyy-MM-dd') AS `date`
        FROM (
            SELECT
                *,
                MAX(place) OVER (
                    PARTITION BY username ORDER BY read_time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                ) AS newest_place
            FROM (
                SELECT
                    *,
                    COUNT(*) OVER (
                        PARTITION BY username, place ORDER BY read_time
                        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                    ) AS same_place
                FROM {{states}}
            )
            WHERE same_place = 1
        )
        WHERE place = newest_place
        """,
        states=states,
    )


def archived_images(judged: Table) -> Table:
    """Each outcome of labelling a picture as a row that stays, by the date of `taken_at`."""
    return sql(
        f"""
        SELECT {IMAGE_COLUMNS}, DATE_FORMAT(taken_at, 'yyyy-MM-dd') AS `date`
        FROM {{judged}}
        WHERE NOT is_tombstone
        """,
        judged=judged,
    )


def declare_functions(t_env: TableEnvironment, chosen: Settings) -> None:
    """Give the statements of this job their functions."""
    for name, function in functions(chosen).items():
        t_env.create_temporary_function(name, function)


def outputs(basic_info: Table, descriptions: Table, pictures: Table, toxic_from: float) -> Mapping[str, Table]:
    """What the job writes: for each sink its rows."""
    months = periods(captions(descriptions), toxic_from)
    judged = judged_images(pictures)
    labelled = images(judged, last_lives(pictures))
    checks = background_checks(profiles(basic_info), captions_of_person(months), images_of_person(labelled))
    unusable_records = unusable(basic_info, JOB)
    for records in (descriptions, pictures):
        unusable_records = unusable_records.union_all(unusable(records, JOB))
    return {
        "background_checks": checks,
        "background_captions": background_captions(months),
        "background_images": background_images(labelled),
        "background_checks_archive": archived_checks(checks),
        "background_images_archive": archived_images(judged),
        "dead_letters": unusable_records,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="jobs/background_check.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--max-units", type=int, help="what AWS may cost a day, in its units; over it: unscored, `budget`"
    )
    options = parser.parse_args(arguments)
    chosen = settings()
    if options.max_units is not None:
        chosen = chosen.model_copy(update={"enrich_max_units": options.max_units})
    written = ["background_checks", "background_captions", "background_images", "dead_letters"]
    archived = ["background_checks_archive", "background_images_archive"]
    t_env = table_environment(JOB, reads=TOPICS, writes=[*written, *archived])
    # All state is of people: what was told longer ago than may be kept counts no more.
    t_env.get_config().set("table.exec.state.ttl", f"{chosen.background_retention_days} d")
    for name, value in OPTIONS.items():
        t_env.get_config().set(name, value)
    try:
        declare_functions(t_env, chosen)
    except ValueError as error:  # a wrong file of config/
        sys.exit(str(error))
    basic_info, descriptions, pictures = (t_env.from_path(topic) for topic in TOPICS)
    insert(t_env, outputs(basic_info, descriptions, pictures, chosen.toxic_from))


if __name__ == "__main__":
    main()
