"""What Wikimedia hides later leaves our documents, too: the user of a revision, or its comment."""

from __future__ import annotations

from pyflink.table import Table

from jobs._kept import on_time
from jobs._tables import sql


def hidden(told: Table, what: str, out_of_order_seconds: int) -> Table:
    """Wiki and revision of what is hidden, from rows `with_newest` among which `hides_user` or `hides_comment` is true.

    `told` holds the edits as well: a hiding waits in a window of a second until all of them have come as far as it has,
    since it changes only a document that is there, and a job that reads everything anew has yet to write it. One that
    is late for that has nothing to wait for.
    """
    hidings = sql(
        f"SELECT wiki, revision_id, event_time, {on_time(1, out_of_order_seconds)} AS waits FROM {{told}} WHERE {what}",
        told=told,
    )
    return sql(
        """
        SELECT wiki, revision_id FROM (
            SELECT wiki, revision_id
            FROM TABLE(TUMBLE(TABLE {waiting}, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
            GROUP BY window_start, window_end, wiki, revision_id
        )
        UNION ALL SELECT wiki, revision_id FROM {hidings} WHERE NOT waits
        """,
        hidings=hidings,
        waiting=sql("SELECT wiki, revision_id, event_time FROM {hidings} WHERE waits", hidings=hidings),
    )


def hidden_comments(told: Table, out_of_order_seconds: int) -> Table:
    """The comments that are hidden, emptied; `told` as in `hidden`."""
    return sql(
        "SELECT wiki, revision_id, CAST(NULL AS STRING) AS `comment` FROM {hidden}",
        hidden=hidden(told, "hides_comment", out_of_order_seconds),
    )
