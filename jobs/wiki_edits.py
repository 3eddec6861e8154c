"""Wikipedia live: wiki_recentchange -> wiki_edits, wiki_activity, wiki_bots.

- `wiki_edits`: one document per edit. Its id is the wiki and the new revision, so an edit that is told twice is one
  document, without any state.
- `wiki_activity`: one document per wiki, minute and bots or people, of all types of events.
- `wiki_bots`: one document per bot and ten minutes, made of the same minutes.

Time is `meta.dt`. In the windows an event counts once; one too late for its minute counts in none and goes to
`late_events`, a record that cannot be used to `dead_letters`. The state is what the open windows hold.
"""

from __future__ import annotations

from pyflink.table import Table
from pyflink.table.expressions import col

from jobs._kept import RECORD, on_time, too_late, unusable, with_newest
from jobs._tables import insert, sql, table_environment
from settings import settings

JOB = "wiki_edits"

# The language is the first label of a project's host; `www.wikidata.org`, `commons.wikimedia.org`, `test.wikipedia.org`
# and their like are wikis of no one language.
LANGUAGE_HOST = (
    r"^(?!www\.|ten\.|mul\.)[a-z]{2,3}(-[a-z-]+)?(\.m)?"
    r"\.(wikipedia|wiktionary|wikibooks|wikinews|wikiquote|wikisource|wikiversity|wikivoyage)\.org$"
)
COUNTRIES = {
    "en": "US", "ky": "KG", "ja": "JP", "vi": "VN", "ko": "KR",
    "zh": "CN", "sv": "SE", "et": "EE", "cs": "CZ", "da": "DK",
}  # fmt: skip

# Who is not logged in is told by an IP address or, since 2024, by a temporary account such as ~2026-1234.
IP_ADDRESS = r"^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7})$"
TEMPORARY_ACCOUNT = r"^~\d{4}-"


def language_of(domain: str) -> str:
    """SQL: the language of the wiki at this host, null where it is of no one language."""
    # Not REGEXP_EXTRACT: Flink compiles its pattern for each row, that of REGEXP once.
    return f"""
        CASE
            WHEN {domain} LIKE 'simple.%' THEN 'en'
            WHEN REGEXP({domain}, '{LANGUAGE_HOST}') THEN SPLIT_INDEX({domain}, '.', 0)
        END
    """


def country_of(domain: str) -> str:
    """SQL: the country (ISO 3166 where the language has a well-known one) that stands for the language on a map."""
    # A map and not a CASE: Flink inlines the language's expression at each place where it is used.
    countries = ", ".join(f"'{language}', '{country}'" for language, country in COUNTRIES.items())
    return f"COALESCE(MAP[{countries}][{language_of(domain)}], UPPER({language_of(domain)}))"


def usable_changes(records: Table, languages: str = "") -> Table:
    """Good events; `is_chosen` is what the job tells of: no canary, and a wiki of `languages` (`en,de`; empty: all)."""
    chosen = ", ".join(f"'{language}'" for language in languages.split(","))
    return sql(
        f"""
        SELECT
            *,
            `type` IN ('edit', 'new') AS is_edit,
            COALESCE(bot, FALSE) AS is_bot,
            CASE WHEN `type` = 'new' THEN COALESCE(`length`.`old`, 0) ELSE `length`.`old` END AS bytes_before,
            COALESCE(meta.domain, '') <> 'canary'
            {f"AND COALESCE({language_of('meta.domain')} IN ({chosen}), FALSE)" if languages else ""} AS is_chosen
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
            CASE
                WHEN `user` IS NULL THEN 'hidden'
                WHEN REGEXP(`user`, '{IP_ADDRESS}') THEN 'anonymous'
                WHEN REGEXP(`user`, '{TEMPORARY_ACCOUNT}') THEN 'temporary'
                ELSE 'registered'
            END AS user_kind,
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


def timed_events(changes: Table) -> Table:
    """What the windows count of each change, and what `late_events` keeps of it, with what tells whether it is late."""
    return with_newest(
        sql(
            f"""
            SELECT
                event_time, wiki, meta.domain AS domain, `type`, is_edit, is_bot, `user` AS user_name, title,
                `length`.`new` - bytes_before AS bytes_changed,
                CASE WHEN is_edit THEN revision.`new` END AS revision_id,
                CASE WHEN NOT is_edit THEN meta.id END AS event_id,
                is_chosen,
                {RECORD}
            FROM {{changes}}
            """,
            changes=changes,
        )
    ).where(col("is_chosen"))


def once_per_minute(events: Table, out_of_order_seconds: int) -> Table:
    """Events that are in time in windows of a minute, each once: a copy has the same time and so the same window."""
    return sql(
        """
        SELECT *
        FROM (
            SELECT
                *,
                ROW_NUMBER() OVER (
                    PARTITION BY window_start, window_end, wiki, revision_id, event_id ORDER BY event_time
                ) AS copy_number
            FROM TABLE(TUMBLE(TABLE {events}, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
        )
        WHERE copy_number = 1
        """,
        events=sql(
            f"""
            SELECT
                event_time, wiki, domain, `type`, is_edit, is_bot, user_name, title, bytes_changed, revision_id,
                event_id
            FROM {{events}}
            WHERE {on_time(60, out_of_order_seconds)}
            """,
            events=events,
        ),
    )


def wiki_activity(events: Table) -> Table:
    """Counts per wiki, minute and bots or people, of events once per minute."""
    # The minutes are told anew by their time: between the statements of a job the planner forgets that `window_start`
    # is one of a window, and would aggregate without end. The test of the plan says so.
    minutes = sql("SELECT *, window_time AS minute_time FROM {events}", events=events).drop_columns(
        col("window_start"), col("window_end"), col("window_time")
    )
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
            FROM TABLE(TUMBLE(TABLE {{minutes}}, DESCRIPTOR(minute_time), INTERVAL '1' MINUTE))
            GROUP BY window_start, window_end, wiki, is_bot
        )
        """,
        minutes=minutes,
    ).drop_columns(col("domain"))


def wiki_bots(events: Table) -> Table:
    """Counts per bot and ten minutes, with its share of all edits of that time, of events once per minute."""
    edits = sql(
        """
        SELECT wiki, title, user_name, is_bot, window_start, window_end
        FROM TABLE(TUMBLE(TABLE {minutes}, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE))
        """,
        minutes=sql(
            "SELECT window_time AS minute_time, wiki, title, user_name, is_bot FROM {events} WHERE is_edit",
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


def outputs(records: Table, languages: str = "") -> dict[str, Table]:
    """What the job writes: for each sink its rows."""
    out_of_order_seconds = settings().wiki_out_of_order_seconds
    changes = usable_changes(records, languages)
    timed = timed_events(changes)
    events = once_per_minute(timed, out_of_order_seconds)
    return {
        "wiki_edits": wiki_edits(changes),
        "wiki_activity": wiki_activity(events),
        "wiki_bots": wiki_bots(events),
        "late_events": too_late(timed, JOB, 60, out_of_order_seconds),
        "dead_letters": unusable(records, JOB),
    }


def main() -> None:
    t_env = table_environment(
        JOB,
        reads=["wiki_recentchange"],
        writes=["wiki_edits", "wiki_activity", "wiki_bots", "late_events", "dead_letters"],
    )
    insert(t_env, outputs(t_env.from_path("wiki_recentchange"), settings().wiki_languages))


if __name__ == "__main__":
    main()
