"""What was kept, to look at, one document each: dead_letters and late_events -> the indices of the same names.

A record of these two topics that is itself unreadable is one more dead letter.
"""

from __future__ import annotations

from pyflink.table import Table

from jobs._tables import insert, sql, table_environment

JOB = "kept_records"
TEXT_CHARACTERS = 2000


def dead_letters_index(letters: Table, late_events: Table) -> Table:
    """One row per dead letter, its bytes also as the text that they begin with."""
    return sql(
        f"""
        SELECT
            topic, `partition`, `offset`, record_time,
            DECODE(record_key, 'UTF-8') AS record_key,
            record_value,
            SUBSTRING(DECODE(record_value, 'UTF-8') FROM 1 FOR {TEXT_CHARACTERS}) AS record_text,
            reason, detail, job, rejected_at
        FROM (
            SELECT
                topic, `partition`, `offset`, record_time, record_key, record_value,
                reason, detail, job, rejected_at
            FROM {{letters}}
            WHERE error IS NULL
            UNION ALL SELECT * FROM {{bad_letters}}
            UNION ALL SELECT * FROM {{bad_late_events}}
        )
        """,
        letters=letters,
        bad_letters=unreadable(letters),
        bad_late_events=unreadable(late_events),
    )


def unreadable(kept: Table) -> Table:
    """Records of a topic of kept records that are no kept records, as rows of `dead_letters`."""
    return sql(
        f"""
        SELECT
            kafka_topic AS topic,
            kafka_partition AS `partition`,
            kafka_offset AS `offset`,
            kafka_time AS record_time,
            CAST(NULL AS BYTES) AS record_key,
            kafka_value AS record_value,
            error AS reason,
            error_detail AS detail,
            '{JOB}' AS job,
            kafka_time AS rejected_at
        FROM {{kept}}
        WHERE error IS NOT NULL
        """,
        kept=kept,
    )


def late_events_index(events: Table) -> Table:
    """One row per late event, with how late it was."""
    return sql(
        f"""
        SELECT
            topic, `partition`, `offset`, record_time,
            DECODE(record_key, 'UTF-8') AS record_key,
            SUBSTRING(DECODE(record_value, 'UTF-8') FROM 1 FOR {TEXT_CHARACTERS}) AS record_text,
            event_time,
            `watermark`,
            TIMESTAMPDIFF(SECOND, event_time, `watermark`) AS late_seconds,
            job
        FROM {{events}}
        WHERE error IS NULL
        """,
        events=events,
    )


def main() -> None:
    t_env = table_environment(
        JOB, reads=["dead_letters", "late_events"], writes=["dead_letters_index", "late_events_index"]
    )
    letters, late_events = t_env.from_path("dead_letters"), t_env.from_path("late_events")
    insert(
        t_env,
        {
            "dead_letters_index": dead_letters_index(letters, late_events),
            "late_events_index": late_events_index(late_events),
        },
    )


if __name__ == "__main__":
    main()
