"""What no window and no index can take is kept: records that cannot be used, and events that come too late.

Every table that reads from outside declares the same columns for it (see connectors/wiki_recentchange.sql): `problem`
and `problem_detail`, null for a good record; its bytes, `record_value` and `record_key`; and its coordinates,
`record_topic`, `record_partition`, `record_offset` and `record_time`.
"""

from __future__ import annotations

from pyflink.table import Table

from jobs._tables import sql


def unusable(records: Table, job: str) -> Table:
    """Records with a problem, as rows of `dead_letters`."""
    return sql(
        f"""
        SELECT
            record_topic AS topic,
            record_partition AS `partition`,
            record_offset AS `offset`,
            record_time,
            record_key,
            record_value,
            problem AS reason,
            problem_detail AS detail,
            '{job}' AS job,
            CURRENT_TIMESTAMP AS rejected_at
        FROM {{records}}
        WHERE problem IS NOT NULL
        """,
        records=records,
    )


def too_late(records: Table, job: str, minutes: int) -> Table:
    """Good records that came after their tumbling window of this many minutes had closed, as rows of `late_events`."""
    return sql(
        f"""
        SELECT
            record_topic AS topic,
            record_partition AS `partition`,
            record_offset AS `offset`,
            record_time,
            record_key,
            record_value,
            CAST(event_time AS TIMESTAMP_LTZ(3)) AS event_time,
            CURRENT_WATERMARK(event_time) AS `watermark`,
            '{job}' AS job
        FROM {{records}}
        WHERE problem IS NULL AND NOT ({on_time(minutes)})
        """,
        records=records,
    )


def on_time(minutes: int) -> str:
    """SQL: the tumbling window of this many minutes (a divisor of 60) that holds `event_time` is still open.

    A window closes when the watermark reaches its last millisecond. The operator that decides this here stands before
    the window's own and its watermark is never behind, so what passes is never dropped there without a word.
    """
    window_end = (
        f"FLOOR(event_time TO HOUR) + INTERVAL '{minutes}' MINUTE * (EXTRACT(MINUTE FROM event_time) / {minutes} + 1)"
    )
    watermark = "CURRENT_WATERMARK(event_time)"
    return f"{watermark} IS NULL OR {window_end} > {watermark} + INTERVAL '0.001' SECOND"
