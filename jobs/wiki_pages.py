"""Pages that come and go: wiki_page_log, wiki_page_change -> wiki_pages, wiki_page_rates.

- `wiki_pages`: one document per page, its life so far: created, moved, deleted, restored. Acts may come in any order.
- `wiki_page_rates`: pages created, moved, deleted and restored per wiki, five minutes and bots or people.

Most acts are told twice, by a stream of their own and by page_change, at times up to a second apart. They are one act
where page, kind and the request that caused them are the same (`act_id`). In the windows an act counts once; where its
two times fall into two windows, in both. One too late for its window counts in none and goes to `late_events`, a record
that cannot be used to `dead_letters`.
"""

from __future__ import annotations

from pyflink.table import Table
from pyflink.table.expressions import col

from jobs._kept import RECORD, on_time, too_late, unusable, with_newest
from jobs._tables import insert, sql, table_environment
from jobs._wikis import is_of, language_of
from settings import settings

JOB = "wiki_pages"
WINDOW_SECONDS = 300

# An act's place in the life of its page, to be compared as text: its time (23 characters), then its rank among acts of
# the same time. The ranks are the order in which such acts can follow from each other.
PLACE = """
    CAST(CAST(event_time AS TIMESTAMP_LTZ(3)) AS STRING)
    || CASE act WHEN 'created' THEN '1' WHEN 'moved' THEN '2' WHEN 'deleted' THEN '3' WHEN 'restored' THEN '4' END
"""
VALUE_AT = 25


def usable_events(page_log: Table, page_changes: Table, languages: str = "") -> Table:
    """Good events of both tables in one shape; `act` is null for an edit and for a revision that is hidden or shown.

    `is_chosen` is what the job tells of: acts, no canary, and a wiki of `languages` (`en,de`; empty: all).
    """
    return sql(
        f"""
        SELECT
            event_time, wiki, page_id, act,
            COALESCE(request_id, CAST(CAST(event_time AS TIMESTAMP_LTZ(3)) AS STRING)) AS act_id,
            REPLACE(title, '_', ' ') AS title,
            REPLACE(prior_title, '_', ' ') AS prior_title,
            namespace, url, domain, is_bot,
            act IS NOT NULL AND {is_of(languages, "domain")} AS is_chosen,
            {RECORD}
        FROM (
            SELECT
                event_time, `database` AS wiki, page_id,
                CASE meta.`stream`
                    WHEN 'mediawiki.page-create' THEN 'created'
                    WHEN 'mediawiki.page-move' THEN 'moved'
                    WHEN 'mediawiki.page-delete' THEN 'deleted'
                END AS act,
                page_title AS title, prior_state.page_title AS prior_title, page_namespace AS namespace,
                meta.uri AS url, meta.domain AS domain, meta.request_id AS request_id,
                performer.user_is_bot AS is_bot,
                {RECORD}
            FROM {{page_log}}
            WHERE problem IS NULL
            UNION ALL
            SELECT
                event_time, wiki_id, page.page_id,
                CASE page_change_kind
                    WHEN 'create' THEN 'created'
                    WHEN 'move' THEN 'moved'
                    WHEN 'delete' THEN 'deleted'
                    WHEN 'undelete' THEN 'restored'
                END,
                page.page_title, prior_state.page.page_title, page.namespace_id,
                meta.uri, meta.domain, meta.request_id,
                performer.is_bot,
                {RECORD}
            FROM {{page_changes}}
            WHERE problem IS NULL
        )
        """,
        page_log=page_log,
        page_changes=page_changes,
    )


def wiki_pages(events: Table) -> Table:
    """One row per page, told anew at each act: whatever order the acts come in, the last row is the same."""

    def latest(value: str) -> str:
        return f"SUBSTRING(MAX(place || {value}) FROM {VALUE_AT})"

    return sql(
        f"""
        SELECT
            wiki, page_id, title, url, domain, {language_of("domain")} AS `language`, namespace,
            CASE WHEN last_act = 'deleted' THEN 'deleted' ELSE 'live' END AS state,
            last_act, last_act_at,
            created_at, CASE WHEN created_at IS NOT NULL THEN TRUE END AS was_created_here,
            moved_at, moved_from, recent_moves, deleted_at, restored_at
        FROM (
            SELECT
                wiki, page_id,
                {latest("title")} AS title,
                {latest("url")} AS url,
                MAX(domain) AS domain,
                CAST({latest("CAST(namespace AS STRING)")} AS INT) AS namespace,
                {latest("act")} AS last_act,
                MAX(acted_at) AS last_act_at,
                MAX(acted_at) FILTER (WHERE act = 'created') AS created_at,
                MAX(acted_at) FILTER (WHERE act = 'moved') AS moved_at,
                SUBSTRING(MAX(place || prior_title) FILTER (WHERE act = 'moved') FROM {VALUE_AT}) AS moved_from,
                COUNT(DISTINCT act_id) FILTER (WHERE act = 'moved') AS recent_moves,
                MAX(acted_at) FILTER (WHERE act = 'deleted') AS deleted_at,
                MAX(acted_at) FILTER (WHERE act = 'restored') AS restored_at
            FROM (SELECT *, {PLACE} AS place, CAST(event_time AS TIMESTAMP_LTZ(3)) AS acted_at FROM {{events}})
            WHERE is_chosen
            GROUP BY wiki, page_id
        )
        """,
        events=events,
    )


def timed_acts(events: Table) -> Table:
    """Acts with what tells whether they are late: all events move the time, the edits among them too."""
    return with_newest(events).where(col("is_chosen"))


def wiki_page_rates(acts: Table, out_of_order_seconds: int) -> Table:
    """Counts per wiki, five minutes and kind of performer, of `timed_acts` that are in time, each act once."""
    in_time = sql(
        f"""
        SELECT event_time, wiki, domain, page_id, act, act_id, is_bot
        FROM {{acts}}
        WHERE {on_time(WINDOW_SECONDS, out_of_order_seconds)}
        """,
        acts=acts,
    )
    once = sql(
        f"""
        SELECT
            window_time AS act_time, wiki, act, MAX(domain) AS domain,
            CASE MAX(CASE WHEN is_bot THEN 2 WHEN NOT is_bot THEN 1 ELSE 0 END)
                WHEN 2 THEN 'bot' WHEN 1 THEN 'human' ELSE 'unknown'
            END AS performer_kind
        FROM TABLE(TUMBLE(TABLE {{in_time}}, DESCRIPTOR(event_time), INTERVAL '{WINDOW_SECONDS}' SECOND(3)))
        GROUP BY window_start, window_end, window_time, wiki, page_id, act, act_id
        """,
        in_time=in_time,
    )
    return sql(
        f"""
        SELECT *, {language_of("domain")} AS `language`
        FROM (
            SELECT
                wiki, performer_kind, window_start, window_end,
                MAX(domain) AS domain,
                COUNT(*) FILTER (WHERE act = 'created') AS pages_created,
                COUNT(*) FILTER (WHERE act = 'moved') AS pages_moved,
                COUNT(*) FILTER (WHERE act = 'deleted') AS pages_deleted,
                COUNT(*) FILTER (WHERE act = 'restored') AS pages_restored
            FROM TABLE(TUMBLE(TABLE {{once}}, DESCRIPTOR(act_time), INTERVAL '{WINDOW_SECONDS}' SECOND(3)))
            GROUP BY window_start, window_end, wiki, performer_kind
        )
        """,
        once=once,
    ).drop_columns(col("domain"))


def outputs(page_log: Table, page_changes: Table, languages: str = "") -> dict[str, Table]:
    """What the job writes: for each sink its rows."""
    out_of_order_seconds = settings().wiki_out_of_order_seconds
    events = usable_events(page_log, page_changes, languages)
    acts = timed_acts(events)
    return {
        "wiki_pages": wiki_pages(events),
        "wiki_page_rates": wiki_page_rates(acts, out_of_order_seconds),
        "late_events": too_late(acts, JOB, WINDOW_SECONDS, out_of_order_seconds),
        "dead_letters": unusable(page_log, JOB).union_all(unusable(page_changes, JOB)),
    }


def main() -> None:
    t_env = table_environment(
        JOB,
        reads=["wiki_page_log", "wiki_page_change"],
        writes=["wiki_pages", "wiki_page_rates", "late_events", "dead_letters"],
    )
    # Acts of a page that follow from each other mostly come within a day, as do both tellings of an act; what is older
    # stands in the document, which a later act is merged into. A partition without events for a day has no newest time.
    t_env.get_config().set("table.exec.state.ttl", "1 d")
    insert(
        t_env,
        outputs(t_env.from_path("wiki_page_log"), t_env.from_path("wiki_page_change"), settings().wiki_languages),
    )


if __name__ == "__main__":
    main()
