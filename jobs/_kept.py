"""What no window and no index can take is kept: records that cannot be used, and events that come too late.

Every table that reads from outside declares the same columns for it (see connectors/wiki_recentchange.sql): `problem`
and `problem_detail`, null for a good record; its bytes, `record_value` and `record_key`; and its coordinates,
`record_topic`, `record_partition`, `record_offset` and `record_time`.
"""

from __future__ import annotations

from pyflink.table import Table

from jobs._tables import sql

RECORD = "record_topic, record_partition, record_offset, record_time, record_key, record_value"


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


def with_newest(records: Table) -> Table:
    """Good records, each with the newest event time of its topic's partition up to it (`newest_time`).

    They have to be all those that move the watermark: what a job leaves out, it leaves out afterwards. An event time
    ahead of the record's arrival counts as the arrival, for the watermark too: one fast clock makes nobody else late.

    A watermark would do but for two things: after a restore it begins anew, while the windows know their old one and
    drop what is late by it without a word; and it hangs on how fast each partition is read. This is restored, and the
    same in every replay.
    """
    return sql(
        """
        SELECT
            *,
            MAX(LEAST(CAST(event_time AS TIMESTAMP_LTZ(3)), record_time)) OVER (
                PARTITION BY record_topic, record_partition
                ORDER BY read_time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS newest_time
        FROM (SELECT *, PROCTIME() AS read_time FROM {records})
        """,
        records=records,
    )


def too_late(records: Table, job: str, window_seconds: int, out_of_order_seconds: int) -> Table:
    """Rows of `late_events`: records `with_newest` that came after their tumbling window of so many seconds."""
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
            {_closed_up_to(out_of_order_seconds)} AS `watermark`,
            '{job}' AS job
        FROM {{records}}
        WHERE NOT ({on_time(window_seconds, out_of_order_seconds)})
        """,
        records=records,
    )


def once_per_minute(
    records: Table, columns: str, key: str, out_of_order_seconds: int, order: str = "event_time"
) -> Table:
    """The `columns` of records `with_newest` that are in time, and `minute_time`, which is their time from here on.

    Of the records of one minute and `key` the first in `order` counts: a copy has the same time and so the same minute.
    Windows of these minutes are made of `minute_time` anew: between the statements of a job the planner forgets that
    `window_start` is one of a window, and would aggregate without end. Tests of the jobs' plans say so.
    """
    return sql(
        f"""
        SELECT {columns}, window_time AS minute_time
        FROM (
            SELECT
                *,
                ROW_NUMBER() OVER (PARTITION BY window_start, window_end, {key} ORDER BY {order}) AS copy_number
            FROM TABLE(TUMBLE(TABLE {{in_time}}, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
        )
        WHERE copy_number = 1
        """,
        in_time=sql(
            f"SELECT event_time, {columns} FROM {{records}} WHERE {on_time(60, out_of_order_seconds)}", records=records
        ),
    )


def on_time(window_seconds: int, out_of_order_seconds: int) -> str:
    """SQL: the tumbling window of this many seconds (a divisor of an hour) that holds `event_time` is still open.

    It closes when the newest event of the record's own partition is `out_of_order_seconds` past its end, or when the
    watermark is past it, which comes first only for a partition that was idle. Flink's own windows close by the
    watermark, which follows the slowest partition: so what passes here is never dropped there without a word.
    """
    second_of_hour = "(EXTRACT(MINUTE FROM event_time) * 60 + EXTRACT(SECOND FROM event_time))"
    window_end = (
        "FLOOR(event_time TO HOUR)"
        f" + INTERVAL '1' SECOND * ({window_seconds} * ({second_of_hour} / {window_seconds} + 1))"
    )
    # A window closes when time reaches its last millisecond.
    return f"{window_end} > {_closed_up_to(out_of_order_seconds)} + INTERVAL '0.001' SECOND"


def _closed_up_to(out_of_order_seconds: int) -> str:
    """SQL: the time up to which windows are closed for a record."""
    own = f"newest_time - INTERVAL '1' SECOND * {out_of_order_seconds}"
    return f"GREATEST({own}, COALESCE(CURRENT_WATERMARK(event_time), {own}))"
