"""Wikipedia live: wiki_recentchange -> wiki_edits, wiki_activity, wiki_bots.

- `wiki_edits`: one document per edit. Its id is the wiki and the new revision, so an edit that is told twice is one
  document, without any state.
- `wiki_activity`: one document per wiki, minute and bots or people, of all types of events.
- `wiki_bots`: one document per bot and ten minutes, made of the same minutes.
- `wiki_edits_hidden_users`, `_comments`: what is hidden later (`wiki_visibility_change`) leaves the documents.

Time is `meta.dt`. In the windows an event counts once; one too late for its minute counts in none and goes to
`late_events`, a record that cannot be used to `dead_letters`. The state is what the open windows hold.
"""

from __future__ import annotations

from pyflink.table import Table
from pyflink.table.expressions import col

from jobs._hidden import hidden, hidden_comments
from jobs._kept import RECORD, once_per_minute, too_late, unusable, with_newest
from jobs._tables import insert, sql, table_environment
from jobs._wikis import IP_ADDRESS, country_of, is_of, language_of, user_kind_of
from settings import settings

JOB = "wiki_edits"


def usable_changes(records: Table, languages: str = "") -> Table:
    """Good events; `is_chosen` is what the job tells of: no canary, and a wiki of `languages` (`en,de`; empty: all)."""
    return sql(
        f"""
        SELECT
            *,
            `type` IN ('edit', 'new') AS is_edit,
            COALESCE(bot, FALSE) AS is_bot,
            CASE WHEN `type` = 'new' THEN COALESCE(`length`.`old`, 0) ELSE `length`.`old` END AS bytes_before,
            {is_of(languages, "meta.domain")} AS is_chosen
        FROM {{records}}
        WHERE problem IS NULL
        """,
        records=records,
    )


def wiki_edits(changes: Table) -> Table:
    """One row per edit or new page, as often as it is told: the index keeps one of each."""
    return sql(
        f"""
        SELECT
            wiki,
            revision.`new` AS revision_id,
            revision.`old` AS previous_revision_id,
            CAST(event_time AS TIMESTAMP_LTZ(3)) AS event_time,
            `type`,
            title,
            meta.uri AS url,
            meta.domain AS domain,
            {language_of("meta.domain")} AS `language`,
            {country_of("meta.domain")} AS country,
            namespace,
            `user` AS user_name,
            {user_kind_of("`user`")} AS user_kind,
            REGEXP(`user`, '{IP_ADDRESS}') AS is_anonymous,
            is_bot,
            COALESCE(minor, FALSE) AS is_minor,
            `comment`,
            bytes_before,
            `length`.`new` AS bytes_after,
            `length`.`new` - bytes_before AS bytes_changed
        FROM {{changes}}
        WHERE is_edit AND is_chosen
        """,
        changes=changes,
    )


def timed_events(changes: Table, hidings: Table) -> Table:
    """What the windows count of each change, what `late_events` keeps of it, and what tells whether it is late.

    Good rows of wiki_visibility_change are among them, for what they hide has to wait for its edit; `hides_user` is
    null for all others.
    """
    told = sql(
        f"""
        SELECT
            event_time, wiki, meta.domain AS domain, `type`, is_edit, is_bot, `user` AS user_name, title,
            `length`.`new` - bytes_before AS bytes_changed,
            CASE WHEN is_edit THEN revision.`new` END AS revision_id,
            CASE WHEN NOT is_edit THEN meta.id END AS event_id,
            CAST(NULL AS BOOLEAN) AS hides_user,
            CAST(NULL AS BOOLEAN) AS hides_comment,
            is_chosen,
            {RECORD}
        FROM {{changes}}
        UNION ALL SELECT
            event_time, `database`, meta.domain, CAST(NULL AS STRING), FALSE, FALSE, CAST(NULL AS STRING),
            CAST(NULL AS STRING), CAST(NULL AS BIGINT), rev_id, CAST(NULL AS STRING),
            NOT COALESCE(visibility.`user`, TRUE),
            NOT COALESCE(visibility.`comment`, TRUE),
            {is_of("", "meta.domain")},
            {RECORD}
        FROM {{hidings}}
        WHERE problem IS NULL
        """,
        changes=changes,
        hidings=hidings,
    )
    return with_newest(told).where(col("is_chosen"))


def changes_by_minute(events: Table, out_of_order_seconds: int) -> Table:
    """Changes that are in time, each once a minute."""
    columns = """
        wiki, domain, `type`, is_edit, is_bot, user_name, title, bytes_changed, revision_id, event_id
    """
    changes = events.where(col("hides_user").is_null)
    return once_per_minute(changes, columns, "wiki, revision_id, event_id", out_of_order_seconds)


def wiki_activity(events: Table) -> Table:
    """Counts per wiki, minute and bots or people, of events once per minute."""
    return sql(
        f"""
        SELECT *, {language_of("domain")} AS `language`, {country_of("domain")} AS country
        FROM (
            SELECT
                wiki,
                is_bot,
                window_start,
                window_end,
                MAX(domain) AS domain,
                COUNT(*) AS events,
                COUNT(*) FILTER (WHERE `type` = 'edit') AS edits,
                COUNT(*) FILTER (WHERE `type` = 'new') AS new_pages,
                COUNT(*) FILTER (WHERE `type` = 'categorize') AS categorizations,
                COUNT(*) FILTER (WHERE `type` = 'log') AS log_actions,
                COUNT(*) FILTER (WHERE `type` NOT IN ('edit', 'new', 'categorize', 'log')) AS other_events,
                COUNT(*) FILTER (WHERE is_edit AND bytes_changed = 0) AS edits_without_change,
                COALESCE(SUM(bytes_changed) FILTER (WHERE is_edit AND bytes_changed > 0), 0) AS bytes_added,
                COALESCE(-SUM(bytes_changed) FILTER (WHERE is_edit AND bytes_changed < 0), 0) AS bytes_removed,
                COUNT(DISTINCT user_name) FILTER (WHERE is_edit) AS users,
                COUNT(DISTINCT title) FILTER (WHERE is_edit) AS pages
            FROM TABLE(TUMBLE(TABLE {{events}}, DESCRIPTOR(minute_time), INTERVAL '1' MINUTE))
            GROUP BY window_start, window_end, wiki, is_bot
        )
        """,
        events=events,
    ).drop_columns(col("domain"))


def wiki_bots(events: Table) -> Table:
    """Counts per bot and ten minutes, with its share of all edits of that time, of events once per minute."""
    edits = sql(
        """
        SELECT wiki, title, user_name, is_bot, window_start, window_end
        FROM TABLE(TUMBLE(TABLE {minutes}, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE))
        """,
        minutes=sql(
            "SELECT minute_time, wiki, title, user_name, is_bot FROM {events} WHERE is_edit",
            events=events,
        ),
    )
    return sql(
        """
        SELECT
            bot.user_name,
            bot.window_start,
            bot.window_end,
            bot.edits,
            bot.pages,
            bot.wikis,
            everyone.edits AS all_edits,
            CAST(bot.edits AS DOUBLE) / everyone.edits AS share_of_edits
        FROM (
            SELECT
                window_start, window_end, user_name,
                COUNT(*) AS edits,
                COUNT(DISTINCT wiki || ' ' || title) AS pages,
                COUNT(DISTINCT wiki) AS wikis
            FROM {edits}
            WHERE is_bot AND user_name IS NOT NULL
            GROUP BY window_start, window_end, user_name
        ) AS bot
        JOIN (
            SELECT window_start, window_end, COUNT(*) AS edits
            FROM {edits}
            GROUP BY window_start, window_end
        ) AS everyone
        ON bot.window_start = everyone.window_start AND bot.window_end = everyone.window_end
        """,
        edits=edits,
    )


def hidden_users(events: Table, out_of_order_seconds: int) -> Table:
    """The fields that name a user, emptied."""
    return sql(
        """
        SELECT
            wiki, revision_id, CAST(NULL AS STRING) AS user_name, 'hidden' AS user_kind,
            CAST(NULL AS BOOLEAN) AS is_anonymous
        FROM {hidden}
        """,
        hidden=hidden(events, "hides_user", out_of_order_seconds),
    )


def outputs(records: Table, hidings: Table, languages: str = "") -> dict[str, Table]:
    """What the job writes: for each sink its rows."""
    out_of_order_seconds = settings().wiki_out_of_order_seconds
    changes = usable_changes(records, languages)
    timed = timed_events(changes, hidings)
    events = changes_by_minute(timed, out_of_order_seconds)
    return {
        "wiki_edits": wiki_edits(changes),
        "wiki_activity": wiki_activity(events),
        "wiki_bots": wiki_bots(events),
        "wiki_edits_hidden_users": hidden_users(timed, out_of_order_seconds),
        "wiki_edits_hidden_comments": hidden_comments(timed, out_of_order_seconds),
        "late_events": too_late(timed.where(col("hides_user").is_null), JOB, 60, out_of_order_seconds),
        "dead_letters": unusable(records, JOB).union_all(unusable(hidings, JOB)),
    }


def main() -> None:
    t_env = table_environment(
        JOB,
        reads=["wiki_recentchange", "wiki_visibility_change"],
        writes=[
            "wiki_edits", "wiki_activity", "wiki_bots", "wiki_edits_hidden_users", "wiki_edits_hidden_comments",
            "late_events", "dead_letters",
        ],
    )  # fmt: skip
    records, hidings = t_env.from_path("wiki_recentchange"), t_env.from_path("wiki_visibility_change")
    insert(t_env, outputs(records, hidings, settings().wiki_languages))


if __name__ == "__main__":
    main()
