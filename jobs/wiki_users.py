"""Who and what stands out among judged revisions: judged_revisions -> wiki_users, wiki_disagreement.

- `wiki_users`: per user and wiki what the user did in an hour, every ten minutes, beside what is usual on that wiki in
  the same hour.
- `wiki_disagreement`: per ten minutes the revisions that Wikimedia's models and our fallback judge most differently.

All is made of the same minutes, in which a revision counts once. One that comes after its minute has closed counts in
no window and goes to `late_events`. No model is asked here; the state is what the open windows hold.
"""

from __future__ import annotations

from pyflink.table import Table

from jobs._kept import RECORD, once_per_minute, too_late, unusable, with_newest
from jobs._tables import insert, sql, table_environment
from settings import settings

JOB = "wiki_users"
MOST_APART = 20

# A revision that undoes another says so in its comment; these are the words of the larger wikis.
REVERTS = (
    r"(?iu)(\bundid\b|\bundo|\brevert|\brvv?\b|rückgängig|zurückgesetzt|\bannul|révocation|deshech|revertid|desfeita"
    r"|отмен|откат|скасув|відкин|取り消|差し戻|撤销|撤銷|回退|되돌|استرجاع)"
)
# Whom it undoes: [[Special:Contributions/NAME|NAME]], by the wiki's own name of that page; digits are a revision's.
UNDONE_USER = r"\[\[[^\]|/:]+:[^\]|/]+/(?!\d+\|)([^\]|]+)\|\1\]\]"

# Who did less than this on a wiki within an hour is told only if it stands out.
EDITS_TO_TELL = 5
# Behaves like a bot: many edits with nearly always the same comment. Like a person: few, with comments of their own.
BOT_EDITS = 30
BOT_COMMENTS = 0.1
PERSON_COMMENTS = 0.5
# Stands out: so many times what is usual among the others of the same kind on the wiki, by edits or by share of damage.
TIMES_THE_EDITS = 5
TIMES_THE_DAMAGE = 3
LEAST_DAMAGE = 3
LEAST_REVERTED = 3


def timed_revisions(records: Table) -> Table:
    """What the windows count of each good record, and what `late_events` keeps, with what tells whether it is late."""
    return with_newest(
        sql(
            f"""
            SELECT
                event_time, wiki, revision_id, page_id, title, url, user_name, user_kind, is_bot, bytes_changed, intent,
                NULLIF(`comment`, '') AS `comment`,
                COALESCE(damaging, revert_risk) AS damaging,
                CASE WHEN damaging_probability IS NULL THEN 'revert_risk' ELSE 'damaging' END AS wikimedia_model,
                COALESCE(damaging_probability, revert_risk_probability) AS wikimedia_score,
                fallback_score,
                {RECORD}
            FROM {{records}}
            WHERE problem IS NULL
            """,
            records=records,
        )
    )


def revisions_by_minute(revisions: Table, out_of_order_seconds: int) -> Table:
    """Revisions that are in time, each once a minute."""
    columns = """
        wiki, revision_id, page_id, title, url, user_name, user_kind, is_bot, bytes_changed, intent, `comment`,
        damaging, wikimedia_model, wikimedia_score, fallback_score
    """
    return once_per_minute(revisions, columns, "wiki, revision_id", out_of_order_seconds)


def acts(revisions: Table) -> Table:
    """What users did, and what was done to them: a row per revision, and one more for whom it undoes by its comment."""
    return sql(
        f"""
        SELECT
            minute_time, wiki, user_name, is_bot, TRUE AS is_edit, page_id, `comment`, damaging,
            COALESCE(REGEXP(`comment`, '{REVERTS}'), FALSE) AS is_revert
        FROM {{revisions}}
        WHERE user_name IS NOT NULL
        UNION ALL
        SELECT
            minute_time, wiki, undone_user, CAST(NULL AS BOOLEAN), FALSE, CAST(NULL AS BIGINT), CAST(NULL AS STRING),
            CAST(NULL AS BOOLEAN), FALSE
        FROM (
            SELECT minute_time, wiki, user_name, REGEXP_EXTRACT(`comment`, '{UNDONE_USER}', 1) AS undone_user
            FROM {{revisions}}
            WHERE REGEXP(`comment`, '{REVERTS}') AND `comment` LIKE '%[[%:%/%'
        )
        WHERE CHAR_LENGTH(undone_user) BETWEEN 1 AND 255 AND undone_user <> COALESCE(user_name, '')
        """,
        revisions=revisions,
    )


def users_by_hour(revisions: Table) -> Table:
    """What each user did on each wiki in an hour, every ten minutes."""
    return sql(
        """
        SELECT
            window_start, window_end, wiki, user_name,
            COALESCE(MAX(is_bot), FALSE) AS is_bot,
            COUNT(*) FILTER (WHERE is_edit) AS edits,
            COUNT(DISTINCT page_id) AS pages,
            COUNT(`comment`) AS commented,
            COUNT(DISTINCT `comment`) AS comments,
            COUNT(*) FILTER (WHERE is_revert) AS reverts_made,
            COUNT(*) FILTER (WHERE NOT is_edit) AS reverts_seen,
            COUNT(damaging) AS judged,
            COUNT(*) FILTER (WHERE damaging) AS damaging_edits
        FROM TABLE(HOP(TABLE {acts}, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE, INTERVAL '1' HOUR))
        GROUP BY window_start, window_end, wiki, user_name
        """,
        acts=acts(revisions),
    )


def wiki_users(users: Table) -> Table:
    """Users of an hour beside the usual of their wiki: those with some edits, and all who stand out or behave oddly."""
    beside = sql(
        """
        SELECT
            person.*,
            everywhere.wikis,
            kind.users AS wiki_users,
            CAST(kind.edits - person.edits AS DOUBLE) / NULLIF(
                kind.users - CASE WHEN person.edits > 0 THEN 1 ELSE 0 END, 0
            ) AS usual_edits,
            CAST(person.damaging_edits AS DOUBLE) / NULLIF(person.judged, 0) AS damaging_share,
            CAST(kind.damaging_edits - person.damaging_edits AS DOUBLE) / NULLIF(kind.judged - person.judged, 0)
                AS usual_damaging_share
        FROM {users} AS person
        JOIN (
            SELECT window_start, window_end, user_name, COUNT(*) FILTER (WHERE edits > 0) AS wikis
            FROM {users}
            GROUP BY window_start, window_end, user_name
        ) AS everywhere
        ON person.window_start = everywhere.window_start AND person.window_end = everywhere.window_end
            AND person.user_name = everywhere.user_name
        JOIN (
            SELECT
                window_start, window_end, wiki, is_bot,
                COUNT(*) FILTER (WHERE edits > 0) AS users,
                SUM(edits) AS edits,
                SUM(judged) AS judged,
                SUM(damaging_edits) AS damaging_edits
            FROM {users}
            GROUP BY window_start, window_end, wiki, is_bot
        ) AS kind
        ON person.window_start = kind.window_start AND person.window_end = kind.window_end
            AND person.wiki = kind.wiki AND person.is_bot = kind.is_bot
        """,
        users=users,
    )
    rules = {
        "edits": f"edits >= {EDITS_TO_TELL} AND edits >= {TIMES_THE_EDITS} * usual_edits",
        "damage": f"damaging_edits >= {LEAST_DAMAGE} AND damaging_share >= {TIMES_THE_DAMAGE} * usual_damaging_share",
        "reverted": f"reverts_seen >= {LEAST_REVERTED}",
    }
    named = ", ".join(f"CASE WHEN {rule} THEN '{name}' END" for name, rule in rules.items())
    told = sql(
        f"""
        SELECT
            window_start, window_end, wiki, user_name, CASE WHEN edits > 0 THEN is_bot END AS is_bot, edits, pages,
            commented, comments, reverts_made, reverts_seen, judged, damaging_edits, damaging_share, wikis,
            wiki_users, usual_edits, usual_damaging_share,
            ARRAY_REMOVE(ARRAY[{named}], CAST(NULL AS STRING)) AS stands_out_by,
            CASE
                WHEN commented >= {BOT_EDITS} AND comments <= {BOT_COMMENTS} * commented THEN 'bot'
                WHEN edits BETWEEN {EDITS_TO_TELL} AND {BOT_EDITS - 1} AND comments >= {PERSON_COMMENTS} * edits
                    THEN 'person'
            END AS behaves_like
        FROM {{beside}}
        """,
        beside=beside,
    )
    return sql(
        f"""
        SELECT *, COALESCE(is_bot = (behaves_like = 'person'), FALSE) AS is_odd
        FROM {{told}}
        WHERE edits >= {EDITS_TO_TELL} OR CARDINALITY(stands_out_by) > 0
        """,
        told=told,
    )


def wiki_disagreement(revisions: Table) -> Table:
    """The revisions of ten minutes whose score by Wikimedia is furthest from our fallback; no names of users."""
    return sql(
        f"""
        SELECT
            window_start, window_end, `rank`, wiki, revision_id, title, url, user_kind, is_bot, bytes_changed, intent,
            wikimedia_model, wikimedia_score, fallback_score, distance
        FROM (
            SELECT
                *,
                ROW_NUMBER() OVER (
                    PARTITION BY window_start, window_end ORDER BY distance DESC, wiki, revision_id
                ) AS `rank`
            FROM TABLE(TUMBLE(TABLE {{scored}}, DESCRIPTOR(minute_time), INTERVAL '10' MINUTE))
        )
        WHERE `rank` <= {MOST_APART}
        """,
        scored=sql(
            """
            SELECT *, ABS(wikimedia_score - fallback_score) AS distance
            FROM {revisions}
            WHERE wikimedia_score IS NOT NULL AND fallback_score IS NOT NULL
            """,
            revisions=revisions,
        ),
    )


def outputs(records: Table) -> dict[str, Table]:
    """What the job writes: for each sink its rows."""
    wait_seconds = settings().wiki_score_wait_seconds
    timed = timed_revisions(records)
    revisions = revisions_by_minute(timed, wait_seconds)
    return {
        "wiki_users": wiki_users(users_by_hour(revisions)),
        "wiki_disagreement": wiki_disagreement(revisions),
        "late_events": too_late(timed, JOB, 60, wait_seconds),
        "dead_letters": unusable(records, JOB),
    }


def main() -> None:
    t_env = table_environment(
        JOB,
        reads=["judged_revisions"],
        writes=["wiki_users", "wiki_disagreement", "late_events", "dead_letters"],
    )
    insert(t_env, outputs(t_env.from_path("judged_revisions")))


if __name__ == "__main__":
    main()
