"""What each revision changed and whether it does harm: -> wiki_intent, judged_revisions (topic), counts of the intents.

Four kinds of events tell of a revision: its creation, the recent change, ORES's score, and predictions (of Lift Wing or
of the page's topics). All of them carry the revision's own time, so windows of a second tie them: a full outer join
that no order and no copy changes, and whose state ends with the window (docs/decisions/0008). A revision without a
score is `unscored`; of a score without a revision `has_revision` is false. A window closes when what may still come
(`wiki_score_wait_seconds`) would be too late; that goes to `late_events`.

- `wiki_intent`, `judged_revisions`: one row per revision.
- `wiki_intent_by_wiki`, `wiki_intent_by_topic`: counts and shares of the intents per five minutes.
- `wiki_intent_hidden_users`, `_comments`: what is hidden later (`wiki_visibility_change`) leaves the documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyflink.table import Table
from pyflink.table.expressions import col

from jobs._hidden import hidden, hidden_comments
from jobs._kept import RECORD, on_time, too_late, unusable, with_newest
from jobs._tables import insert, sql, table_environment
from jobs._wikis import country_of, is_of, language_of, user_kind_of
from settings import settings
from udfs.reverts import revert_fallback

JOB = "wiki_intent"

REVISION, CHANGE = "revision/create", "recentchange"
SCORE, PREDICTION = "revision/score", "page/prediction_classification_change"
HIDING = "revision/visibility-change"
# What the events tell, whatever their shape. Where several tell a fact of the revision they agree, so that MAX takes
# what there is; of several scores of its harm it takes the worst. What it takes does not depend on the order.
TOLD = {
    "domain": "STRING", "url": "STRING", "request_id": "STRING", "page_id": "BIGINT", "title": "STRING",
    "namespace": "INT", "parent_id": "BIGINT", "type": "STRING", "user_name": "STRING", "is_bot": "BOOLEAN",
    "is_trusted": "BOOLEAN", "registered_at": "TIMESTAMP_LTZ(3)", "edit_count": "BIGINT", "comment": "STRING",
    "is_minor": "BOOLEAN", "bytes_after": "BIGINT", "bytes_changed": "BIGINT", "rev_content_changed": "BOOLEAN",
    "topics": "STRING", "score_topics": "STRING", "score_errors": "STRING",
    "damaging": "BOOLEAN", "damaging_probability": "DOUBLE",
    "goodfaith": "BOOLEAN", "goodfaith_probability": "DOUBLE", "reverted_probability": "DOUBLE",
    "score_version": "STRING", "revert_risk": "BOOLEAN", "revert_risk_probability": "DOUBLE",
    "revert_risk_version": "STRING", "hides_user": "BOOLEAN", "hides_comment": "BOOLEAN",
}  # fmt: skip
LEAST = {"goodfaith", "goodfaith_probability"}
# Something is known of the harm.
HAS_SCORE = """
    COALESCE(damaging, goodfaith, revert_risk) IS NOT NULL OR COALESCE(
        damaging_probability, goodfaith_probability, reverted_probability, revert_risk_probability
    ) IS NOT NULL
"""
INTENTS = ("constructive", "good_faith_damage", "vandalism", "bad_faith_harmless")


def part(records: Table, shape: str, key: str, told: dict[str, str], where: str = "TRUE") -> Table:
    """Good records of one shape as parts of a revision; `told` gives the SQL of the columns of TOLD that it knows."""
    columns = ", ".join(f"CAST({told.get(name, 'NULL')} AS {kind}) AS `{name}`" for name, kind in TOLD.items())
    return sql(
        f"""
        SELECT event_time, CAST('{shape}' AS STRING) AS shape, {key}, {columns}, {RECORD}
        FROM {{records}}
        WHERE problem IS NULL AND {where}
        """,
        records=records,
    )


def _meta(**told: str) -> dict[str, str]:
    return {"domain": "meta.domain", "url": "meta.uri", "request_id": "meta.request_id"} | told


def _performer(groups: str, is_bot: str, registered_at: str, edit_count: str) -> dict[str, str]:
    return {
        "user_name": "performer.user_text",
        "is_bot": f"performer.{is_bot}",
        "is_trusted": f"ARRAY_CONTAINS(performer.{groups}, 'bot') OR ARRAY_CONTAINS(performer.{groups}, 'sysop')",
        "registered_at": f"performer.{registered_at}",
        "edit_count": f"performer.{edit_count}",
    }


def _of_page() -> dict[str, str]:
    return _meta(
        page_id="page_id", title="REPLACE(page_title, '_', ' ')", namespace="page_namespace", parent_id="rev_parent_id"
    ) | _performer("`user_groups`", "user_is_bot", "user_registration_dt", "user_edit_count")


def of_revisions(records: Table) -> Table:
    """Parts of wiki_revision_create."""
    told = _of_page() | {
        "type": "CASE WHEN rev_parent_id IS NULL THEN 'new' ELSE 'edit' END",
        "comment": "`comment`",
        "is_minor": "rev_minor_edit",
        "bytes_after": "rev_len",
        "bytes_changed": "CASE WHEN rev_parent_id IS NULL THEN rev_len END",
        # Absent for new pages.
        "rev_content_changed": "COALESCE(rev_content_changed, CASE WHEN rev_parent_id IS NULL THEN TRUE END)",
    }
    return part(records, REVISION, "`database` AS wiki, rev_id AS revision_id", told)


def of_changes(records: Table) -> Table:
    """Parts of wiki_recentchange: only this stream tells the length before."""
    told = _meta(
        title="REPLACE(title, '_', ' ')", namespace="namespace", parent_id="NULLIF(revision.`old`, 0)", type="`type`",
        user_name="`user`", is_bot="bot", comment="`comment`", is_minor="minor", bytes_after="`length`.`new`",
        bytes_changed="`length`.`new` - CASE WHEN `type` = 'new' THEN 0 ELSE `length`.`old` END",
    )  # fmt: skip
    where = "`type` IN ('edit', 'new') AND revision.`new` IS NOT NULL"
    return part(records, CHANGE, "wiki, revision.`new` AS revision_id", told, where)


def of_scores(records: Table) -> Table:
    """Parts of wiki_revision_score: some have neither damaging nor goodfaith, some nothing but errors."""
    told = _of_page() | {
        "score_topics": "ARRAY_JOIN(COALESCE(scores.articletopic.prediction, scores.drafttopic.prediction,"
        " scores.itemtopic.prediction), '|')",
        "score_errors": "ARRAY_JOIN(MAP_KEYS(errors), '|')",
        "damaging": _said("scores.damaging.prediction"),
        "damaging_probability": "scores.damaging.probability['true']",
        "goodfaith": _said("scores.goodfaith.prediction"),
        "goodfaith_probability": "scores.goodfaith.probability['true']",
        "reverted_probability": "scores.reverted.probability['true']",
        "score_version": "COALESCE(scores.damaging.model_version, scores.reverted.model_version)",
    }
    return part(records, SCORE, "`database` AS wiki, rev_id AS revision_id", told)


def of_predictions(records: Table) -> Table:
    """Parts of wiki_predictions: the risk of a revert, or what the page is about."""
    prediction = "predicted_classification"
    is_risk, is_topic = f"{prediction}.model_name LIKE 'revertrisk%'", f"{prediction}.model_name LIKE '%topic%'"

    def risk(what: str) -> str:
        return f"CASE WHEN {is_risk} THEN {what} END"

    told = _meta(
        page_id="page.page_id",
        title="REPLACE(page.page_title, '_', ' ')",
        namespace="page.namespace_id",
        parent_id="revision.rev_parent_id",
        comment="revision.`comment`",
        is_minor="revision.is_minor_edit",
        bytes_after="revision.rev_size",
        bytes_changed="revision.rev_size - CASE WHEN revision.rev_parent_id IS NULL THEN 0 ELSE"
        " prior_state.revision.rev_size END",
        topics=f"CASE WHEN {is_topic} THEN ARRAY_JOIN({prediction}.predictions, '|') END",
        revert_risk=risk(_said(f"{prediction}.predictions")),
        revert_risk_probability=risk(f"{prediction}.probabilities['true']"),
        revert_risk_version=risk(f"CONCAT_WS(' ', {prediction}.model_name, {prediction}.model_version)"),
    ) | _performer("`groups`", "is_bot", "registration_dt", "edit_count")
    return part(records, PREDICTION, "wiki_id AS wiki, revision.rev_id AS revision_id", told)


def of_hidings(records: Table) -> Table:
    """Parts of wiki_visibility_change: their time is that of the hiding, not that of the revision."""
    told = {"domain": "meta.domain", "hides_user": "NOT visibility.`user`", "hides_comment": "NOT visibility.`comment`"}
    return part(records, HIDING, "`database` AS wiki, rev_id AS revision_id", told)


def _said(predictions: str) -> str:
    return f"CASE {predictions}[1] WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"


def all_told(parts: Sequence[Table]) -> Table:
    """All that is told of revisions, but for canaries, with what tells whether it is late."""
    # Together: what one stream tells late is late by the time that all of them have reached.
    told = with_newest(reduce(Table.union_all, parts))
    return sql(f"SELECT * FROM {{told}} WHERE {is_of('', 'domain')}", told=told)


def merged(parts: Table, wait_seconds: int) -> Table:
    """One row per revision of all that was told of it in time; `merged_time` is its time."""
    told = ", ".join(f"{'MIN' if name in LEAST else 'MAX'}(`{name}`) AS `{name}`" for name in TOLD)
    shapes = ", ".join(
        f"MAX(CASE WHEN shape = '{shape}' THEN shape END)" for shape in (REVISION, CHANGE, SCORE, PREDICTION)
    )
    return sql(
        f"""
        SELECT
            window_time AS merged_time, wiki, revision_id,
            MAX(revised_at) AS revised_at,
            ARRAY_REMOVE(ARRAY[{shapes}], CAST(NULL AS STRING)) AS shapes,
            {told}
        FROM TABLE(TUMBLE(TABLE {{parts}}, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
        GROUP BY window_start, window_end, window_time, wiki, revision_id
        """,
        parts=sql(
            f"""
            SELECT
                event_time, CAST(event_time AS TIMESTAMP_LTZ(3)) AS revised_at, shape, wiki, revision_id,
                {", ".join(f"`{name}`" for name in TOLD)}
            FROM {{parts}}
            WHERE shape <> '{HIDING}' AND {on_time(1, wait_seconds)}
            """,
            parts=parts,
        ),
    )


def judged(revisions: Table, languages: str = "") -> Table:
    """Merged revisions of wikis of `languages`, with their intent and with what follows from the rest."""
    return sql(
        f"""
        SELECT
            merged_time, wiki, revision_id, revised_at, shapes,
            {", ".join(f"`{name}`" for name in TOLD if name not in ("is_bot", "namespace", "topics"))},
            COALESCE(topics, score_topics) AS topics,
            COALESCE(is_bot, FALSE) AS is_bot,
            COALESCE(namespace, -9) AS namespace,
            {language_of("domain")} AS `language`,
            {country_of("domain")} AS country,
            {user_kind_of("user_name")} AS user_kind,
            TIMESTAMPDIFF(SECOND, registered_at, revised_at) / 86400e0 AS account_age_days,
            ARRAY_CONTAINS(shapes, '{REVISION}') AS has_revision,
            {HAS_SCORE} AS has_score,
            CASE
                WHEN damaging AND goodfaith THEN 'good_faith_damage'
                WHEN damaging AND NOT goodfaith THEN 'vandalism'
                WHEN NOT damaging AND goodfaith THEN 'constructive'
                WHEN NOT damaging AND NOT goodfaith THEN 'bad_faith_harmless'
                WHEN NOT ({HAS_SCORE}) THEN 'unscored'
            END AS intent
        FROM {{revisions}}
        WHERE {is_of(languages, "domain")}
        """,
        revisions=revisions,
    )


def with_fallback(revisions: Table) -> Table:
    """Judged revisions with our own score, made of the performer and the size of the change alone."""
    return revisions.add_columns(
        revert_fallback(
            col("account_age_days") * 86400.0,
            (col("user_kind") == "hidden").then(None, col("user_kind") == "registered"),
            col("is_trusted").if_null(col("is_bot")),
            col("bytes_changed"),
        ).alias("fallback")
    )


def wiki_intent(revisions: Table) -> Table:
    """One row per revision, for the index and for the topic."""
    return sql(
        """
        SELECT
            wiki, revision_id, parent_id, page_id, revised_at, `type`, title, url, domain, `language`, country,
            namespace, user_name, user_kind, is_bot, registered_at, account_age_days, edit_count, `comment`, is_minor,
            bytes_after, bytes_changed, rev_content_changed,
            SPLIT(topics, '|') AS topics,
            request_id, shapes, has_revision, has_score,
            SPLIT(score_errors, '|') AS score_errors,
            damaging, damaging_probability, goodfaith, goodfaith_probability, reverted_probability, score_version,
            revert_risk, revert_risk_probability, revert_risk_version, intent,
            fallback.score AS fallback_score,
            fallback.model_version AS fallback_version
        FROM {revisions}
        """,
        revisions=revisions,
    )


def wiki_intent_by_wiki(revisions: Table) -> Table:
    """Counts and shares of the intents per five minutes, wiki, bots or people, kind of user and namespace."""
    return intents(revisions, "wiki, is_bot, user_kind, namespace")


def wiki_intent_by_topic(revisions: Table) -> Table:
    """The same per five minutes, wiki and topic of the page, where that is known; a page has several."""
    of_topics = sql(
        """
        SELECT merged_time, wiki, topic, intent
        FROM {revisions} CROSS JOIN UNNEST(SPLIT(topics, '|')) AS of_page (topic)
        """,
        revisions=revisions,
    )
    return intents(of_topics, "wiki, topic")


def intents(revisions: Table, groups: str) -> Table:
    """How many revisions of each group and five minutes have which intent; the shares are of those that have one."""
    known = ", ".join(f"'{intent}'" for intent in INTENTS)
    return sql(
        f"""
        SELECT *, {", ".join(f"CAST({intent} AS DOUBLE) / NULLIF(judged, 0) AS {intent}_share" for intent in INTENTS)}
        FROM (
            SELECT
                window_start, window_end, {groups},
                COUNT(*) AS edits,
                COUNT(*) FILTER (WHERE intent IN ({known})) AS judged,
                COUNT(*) FILTER (WHERE intent = 'unscored') AS unscored,
                {", ".join(f"COUNT(*) FILTER (WHERE intent = '{intent}') AS {intent}" for intent in INTENTS)}
            FROM TABLE(TUMBLE(TABLE {{revisions}}, DESCRIPTOR(merged_time), INTERVAL '5' MINUTE))
            GROUP BY window_start, window_end, {groups}
        )
        """,
        revisions=sql(f"SELECT merged_time, intent, {groups} FROM {{revisions}}", revisions=revisions),
    )


def hidden_users(parts: Table, wait_seconds: int) -> Table:
    """The fields that name a user, or were made of the account, emptied."""
    return sql(
        """
        SELECT
            wiki, revision_id,
            CAST(NULL AS STRING) AS user_name,
            'hidden' AS user_kind,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS registered_at,
            CAST(NULL AS DOUBLE) AS account_age_days,
            CAST(NULL AS BIGINT) AS edit_count,
            CAST(NULL AS DOUBLE) AS fallback_score,
            CAST(NULL AS STRING) AS fallback_version
        FROM {hidden}
        """,
        hidden=hidden(parts, "hides_user", wait_seconds),
    )


def outputs(revisions: Table, changes: Table, scores: Table, predictions: Table, hidings: Table) -> dict[str, Table]:
    """What the job writes: for each sink its rows. Records that no job can read are told where they are read first."""
    wait_seconds, languages = settings().wiki_score_wait_seconds, settings().wiki_languages
    parts = all_told(
        [
            of_revisions(revisions), of_changes(changes), of_scores(scores), of_predictions(predictions),
            of_hidings(hidings),
        ],
    )  # fmt: skip
    judged_revisions = judged(merged(parts, wait_seconds), languages)
    documents = wiki_intent(with_fallback(judged_revisions))
    return {
        "wiki_intent": documents,
        "judged_revisions": documents,
        "wiki_intent_by_wiki": wiki_intent_by_wiki(judged_revisions),
        "wiki_intent_by_topic": wiki_intent_by_topic(judged_revisions),
        "wiki_intent_hidden_users": hidden_users(parts, wait_seconds),
        "wiki_intent_hidden_comments": hidden_comments(parts, wait_seconds),
        "late_events": too_late(parts.where(col("shape") != HIDING), JOB, 1, wait_seconds),
        "dead_letters": reduce(
            Table.union_all,
            [unusable(table, JOB) for table in (revisions, changes.where(col("error").is_null), scores, predictions)],
        ),
    }


def main() -> None:
    reads = [
        "wiki_revision_create", "wiki_revision_change", "wiki_revision_score", "wiki_predictions",
        "wiki_visibility_change",
    ]  # fmt: skip
    t_env = table_environment(
        JOB,
        reads=reads,
        writes=[
            "wiki_intent", "judged_revisions", "wiki_intent_by_wiki", "wiki_intent_by_topic",
            "wiki_intent_hidden_users", "wiki_intent_hidden_comments", "late_events", "dead_letters",
        ],
    )  # fmt: skip
    insert(t_env, outputs(*map(t_env.from_path, reads)))


if __name__ == "__main__":
    main()
