"""Chat moderation: chat_messages, moderation_policies, moderation_feedback -> moderation_decisions and its indices.

- `moderation_decisions`: a decision per message, some tenths of a second after it: allow, flag, hold or unscored.
- `moderation_messages`: one document per message, with the newest verdict of a moderator.
- `moderation_users`: strikes of each user who has some; `moderation_metrics`: counts per minute and room.

All is by event time, the server's: the policy is the one that was in force at a message's time, and a user's messages
count in the order of their times, so a replay decides the same. A message that comes later than writers may be is
decided all the same, but for spam, floods and strikes, and goes to `late_events` too. Every text is scored once, for
the decision and for the challenger beside it. The state is what the windows of spam, floods and strikes hold, and the
policies.
"""

from __future__ import annotations

from pyflink.table import Table
from pyflink.table.expressions import col

from jobs._kept import RECORD, unusable, with_newest
from jobs._tables import insert, sql, table_environment
from jobs.policy import ensure_published
from models.policy import Policy
from settings import settings
from udfs.moderation import judge_function

JOB = "moderation"
# A writer that is not sure sends a message again under its id, within seconds; so long it is known, and left out.
REPEAT_SECONDS = 300
# Rooms are shared among so many keys of the join with policies, or one subtask would do it all.
SHARES = 16
# Of a message, until it is judged.
MESSAGE = "event_time, message_id, room, user_name, text, server_time, is_late"
# What the judgement tells, with its types.
JUDGEMENT = {
    "decision": "STRING", "reasons": "ARRAY<STRING>", "ngrams": "ARRAY<STRING>", "toxic": "DOUBLE",
    "removed": "DOUBLE", "bullying": "DOUBLE", "cyberbullying": "STRING", "sentiment": "DOUBLE",
    "language": "STRING", "unscored_reason": "STRING", "strike_points": "BIGINT", "warn_at": "BIGINT",
    "mute_at": "BIGINT", "mute_minutes": "INT", "policy_version": "STRING", "model_version": "STRING",
    "shadow_decision": "STRING", "shadow_policy_version": "STRING", "shadow_model_version": "STRING",
}  # fmt: skip
JUDGED = f"{MESSAGE}, copies, burst, {', '.join(f'`{name}`' for name in JUDGEMENT)}"
# What moderation_decisions has of it.
TOLD = ", ".join(f"`{name}`" for name in JUDGEMENT if name not in ("warn_at", "mute_at", "mute_minutes"))
TOLD = f"message_id, room, user_name, text, server_time, is_late, copies, burst, {TOLD}"
# What the strikes of a message lead to, from the policy at its time.
ACTION = """
    CASE
        WHEN strikes * 1000 >= mute_at THEN 'mute'
        WHEN strikes * 1000 >= warn_at THEN 'warn'
        ELSE 'none'
    END
"""
MUTED_UNTIL = """
    CASE
        WHEN NOT is_pardon AND strikes * 1000 >= mute_at
            THEN CAST(event_time AS TIMESTAMP_LTZ(3)) + INTERVAL '1' MINUTE * mute_minutes
    END
"""
# Seconds since 1970: a strike's age is counted in them.
SECONDS = "CAST(TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', CAST(event_time AS TIMESTAMP(3))) AS BIGINT)"


def timed_messages(records: Table, out_of_order_ms: int) -> Table:
    """Messages, each with whether it `is_late`: behind the newest of its partition, or behind the watermark."""
    return sql(
        f"""
        SELECT
            event_time, message_id, room, user_name, text, server_time,
            CAST(event_time AS TIMESTAMP_LTZ(3)) <= GREATEST(
                newest_time - INTERVAL '0.001' SECOND * {out_of_order_ms},
                COALESCE(CURRENT_WATERMARK(event_time), TO_TIMESTAMP_LTZ(0, 3))
            ) AS is_late,
            newest_time - INTERVAL '0.001' SECOND * {out_of_order_ms} AS `watermark`,
            {RECORD}
        FROM {{records}}
        WHERE record_value IS NOT NULL
        """,
        records=with_newest(sql("SELECT * FROM {records} WHERE problem IS NULL", records=records)),
    )


def told_once(messages: Table) -> Table:
    """Messages without the repeats of one: of those in time, the first record of an id in its room counts."""
    return sql(
        f"""
        SELECT {MESSAGE}
        FROM (
            SELECT *,
                MIN(record_offset) OVER (
                    PARTITION BY room, message_id ORDER BY event_time
                    RANGE BETWEEN {_seconds(REPEAT_SECONDS)} PRECEDING AND CURRENT ROW
                ) AS first_offset
            FROM (SELECT {MESSAGE}, record_offset FROM {{messages}} WHERE NOT is_late)
        )
        WHERE record_offset = first_offset
        UNION ALL
        SELECT {MESSAGE} FROM {{messages}} WHERE is_late
        """,
        messages=messages,
    )


def late_messages(messages: Table) -> Table:
    """Rows of `late_events`."""
    return sql(
        f"""
        SELECT
            record_topic AS topic, record_partition AS `partition`, record_offset AS `offset`, record_time,
            record_key, record_value, CAST(event_time AS TIMESTAMP_LTZ(3)) AS event_time, `watermark`, '{JOB}' AS job
        FROM {{messages}}
        WHERE is_late
        """,
        messages=messages,
    )


def policies_in_force(records: Table) -> Table:
    """The versions of the policy of each slot, by the time from which they are in force; for each share of rooms."""
    keys = ", ".join(f"slot || '/{share}'" for share in range(SHARES))
    return sql(
        f"""
        SELECT policy_key, policy, event_time
        FROM (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY policy_key ORDER BY event_time DESC) AS newest
            FROM (
                SELECT policy_key, policy, event_time
                FROM {{records}} CROSS JOIN UNNEST(ARRAY[{keys}]) AS shares (policy_key)
                WHERE problem IS NULL
            )
        )
        WHERE newest = 1
        """,
        records=records,
    )


def with_policies(messages: Table, policies: Table) -> Table:
    """Messages with the policy, and the shadow's, that were in force at their time; null where there was none."""
    return sql(
        f"""
        SELECT m.*, champion.policy AS policy, shadow.policy AS shadow_policy
        FROM (
            SELECT {MESSAGE}, 'champion/' || share AS champion_key, 'shadow/' || share AS shadow_key
            FROM (SELECT *, CAST(MOD(ABS(HASH_CODE(room)), {SHARES}) AS STRING) AS share FROM {{messages}})
        ) AS m
        LEFT JOIN {{policies}} FOR SYSTEM_TIME AS OF m.event_time AS champion ON m.champion_key = champion.policy_key
        LEFT JOIN {{policies}} FOR SYSTEM_TIME AS OF m.event_time AS shadow ON m.shadow_key = shadow.policy_key
        """,
        messages=messages,
        policies=policies,
    )


def counted(messages: Table, copies_seconds: int, burst_seconds: int) -> Table:
    """Messages with the `copies` of their text, and the `burst` of messages, by their user up to them; late ones: 1."""
    return sql(
        f"""
        SELECT {MESSAGE}, policy, shadow_policy, copies,
            COUNT(*) OVER (
                PARTITION BY user_name ORDER BY event_time
                RANGE BETWEEN {_seconds(burst_seconds)} PRECEDING AND CURRENT ROW
            ) AS burst
        FROM (
            SELECT {MESSAGE}, policy, shadow_policy,
                COUNT(*) OVER (
                    PARTITION BY user_name, text_key ORDER BY event_time
                    RANGE BETWEEN {_seconds(copies_seconds)} PRECEDING AND CURRENT ROW
                ) AS copies
            FROM (
                SELECT *, LOWER(TRIM(REGEXP_REPLACE(text, '(?U)\\s+', ' '))) AS text_key
                FROM {{messages}} WHERE NOT is_late
            )
        )
        UNION ALL
        SELECT {MESSAGE}, policy, shadow_policy, CAST(1 AS BIGINT), CAST(1 AS BIGINT) FROM {{messages}} WHERE is_late
        """,
        messages=messages,
    )


def judged(messages: Table, default_policy: str, challenger: str) -> Table:
    """Messages with what the models and the policy say of them. A late one is no strike: its time is over."""
    function = judge_function(default_policy, challenger)
    arguments = ("text", "room", "copies", "burst", "policy", "shadow_policy")
    found = ", ".join(f"found.`{name}` AS `{name}`" for name in JUDGEMENT)
    found = found.replace("found.`strike_points`", "CASE WHEN is_late THEN 0 ELSE found.`strike_points` END")
    return sql(
        f"SELECT {MESSAGE}, copies, burst, {found} FROM {{messages}}",
        messages=messages.add_columns(function(*[col(name) for name in arguments]).alias("found")),
    )


def pardons(feedback: Table, strike_minutes: int) -> Table:
    """The first overturning of each message that struck, with `points`: what was left of the strike, negative."""
    seconds = strike_minutes * 60
    return sql(
        f"""
        SELECT event_time, message_id, room, user_name, server_time,
            -(strike_points * ({seconds} - age) / {seconds}) AS points
        FROM (
            SELECT *,
                MIN(record_offset) OVER (
                    PARTITION BY room, message_id ORDER BY event_time
                    RANGE BETWEEN {_seconds(seconds)} PRECEDING AND CURRENT ROW
                ) AS first_offset
            FROM (
                SELECT *,
                    CAST(TIMESTAMPDIFF(SECOND, message_time, CAST(event_time AS TIMESTAMP_LTZ(3))) AS BIGINT) AS age
                FROM {{feedback}}
                WHERE problem IS NULL AND kind = 'verdict' AND verdict = 'overturn' AND strike_points > 0
                    AND decision IN ('flag', 'hold')
            )
            WHERE age BETWEEN 0 AND {seconds}
        )
        WHERE record_offset = first_offset
        """,
        feedback=feedback,
    )


def strikes(messages: Table, pardoned: Table, strike_minutes: int) -> Table:
    """Messages that struck and pardons, each with the `strikes` of its user from then on.

    A strike of p points counts p * (1 - age / `strike_minutes`), and nothing when it is older. A pardon takes away what
    was left of one, and fades likewise from its own time: for a while that leaves a credit of up to p / 4.
    """
    nothing = ", ".join(f"CAST(NULL AS {kind})" for kind in JUDGEMENT.values())
    acts = sql(
        f"""
        SELECT {JUDGED}, strike_points AS points, FALSE AS is_pardon FROM {{messages}}
        WHERE strike_points > 0
        UNION ALL
        SELECT
            event_time, message_id, room, user_name, CAST(NULL AS STRING), server_time, FALSE,
            CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), {nothing}, points, TRUE
        FROM {{pardoned}}
        """,
        messages=messages,
        pardoned=pardoned,
    )
    seconds = strike_minutes * 60
    return sql(
        f"""
        SELECT
            *,
            -- The sum of p * (1 - (now - then) / seconds) over the acts of the window.
            CAST((total * {seconds} - (total * second_now - moments)) / {seconds} AS DOUBLE) / 1000 AS strikes
        FROM (
            SELECT *,
                SUM(points) OVER recent AS total,
                SUM(points * second_now) OVER recent AS moments,
                COUNT(*) OVER recent AS acts,
                SUM(CASE WHEN is_pardon THEN 1 ELSE 0 END) OVER recent AS pardons
            FROM (SELECT *, {SECONDS} AS second_now FROM {{acts}})
            WINDOW recent AS (
                PARTITION BY user_name ORDER BY event_time
                RANGE BETWEEN {_seconds(seconds)} PRECEDING AND CURRENT ROW
            )
        )
        """,
        acts=acts,
    )


def decisions(messages: Table, struck: Table) -> Table:
    """All messages with what was decided; those that strike with what the strikes of their users lead to."""
    return sql(
        f"""
        SELECT *, CURRENT_TIMESTAMP AS decided_at
        FROM (
            SELECT
                event_time, {TOLD},
                GREATEST(strikes, 0) AS strikes, {ACTION} AS `action`, {MUTED_UNTIL} AS muted_until
            FROM {{struck}} WHERE NOT is_pardon
            UNION ALL
            SELECT event_time, {TOLD}, CAST(NULL AS DOUBLE), 'none', CAST(NULL AS TIMESTAMP_LTZ(3))
            FROM (SELECT {JUDGED} FROM {{messages}}) WHERE strike_points = 0
        )
        """,
        messages=messages,
        struck=struck,
    )


def with_latency(decided: Table) -> Table:
    """Decisions with `latency_ms`, from the server's time to the decision. Whole seconds first: Flink has no other."""
    return sql(
        """
        SELECT *,
            CAST(TIMESTAMPDIFF(SECOND, FLOOR(server_time TO SECOND), FLOOR(decided_at TO SECOND)) AS BIGINT) * 1000
            + EXTRACT(MILLISECOND FROM decided_at) - EXTRACT(MILLISECOND FROM server_time) AS latency_ms
        FROM {decided}
        """,
        decided=decided,
    )


def moderation_users(struck: Table) -> Table:
    """The state of each user after each strike and pardon; of a pardon what strikes led to is null: it stays."""
    return sql(
        f"""
        SELECT
            user_name,
            CAST(event_time AS TIMESTAMP_LTZ(3)) AS struck_at,
            GREATEST(strikes, 0) AS strikes,
            acts - pardons AS flags,
            CAST(pardons AS BIGINT) AS pardons,
            CASE WHEN NOT is_pardon THEN {ACTION} END AS `action`,
            {MUTED_UNTIL} AS muted_until,
            CASE WHEN NOT is_pardon THEN message_id END AS last_message_id,
            CASE WHEN NOT is_pardon THEN room END AS last_room,
            policy_version
        FROM {{struck}}
        """,
        struck=struck,
    )


def moderation_metrics(decided: Table) -> Table:
    """Counts per minute, room, policy and model."""
    return sql(
        """
        SELECT
            window_start, window_end, room, policy_version, model_version,
            COUNT(*) AS messages,
            COUNT(DISTINCT user_name) AS users,
            COUNT(*) FILTER (WHERE decision = 'allow') AS allowed,
            COUNT(*) FILTER (WHERE decision = 'flag') AS flagged,
            COUNT(*) FILTER (WHERE decision = 'hold') AS held,
            COUNT(*) FILTER (WHERE decision = 'unscored') AS unscored,
            COUNT(*) FILTER (WHERE ARRAY_CONTAINS(reasons, 'spam')) AS spam,
            COUNT(*) FILTER (WHERE ARRAY_CONTAINS(reasons, 'flood')) AS floods,
            COUNT(*) FILTER (WHERE `action` = 'warn') AS warnings,
            COUNT(*) FILTER (WHERE `action` = 'mute') AS mutes,
            SUM(strike_points) AS strike_points,
            AVG(toxic) AS mean_toxic,
            AVG(bullying) AS mean_bullying,
            COUNT(shadow_decision) AS shadow_messages,
            COUNT(*) FILTER (WHERE shadow_decision <> decision) AS shadow_changes,
            COUNT(*) FILTER (WHERE shadow_decision IN ('flag', 'hold')) AS shadow_flagged,
            AVG(CAST(latency_ms AS DOUBLE)) AS mean_latency_ms,
            MAX(latency_ms) AS max_latency_ms
        FROM TABLE(TUMBLE(TABLE {decided}, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
        GROUP BY window_start, window_end, room, policy_version, model_version
        """,
        decided=sql("SELECT * FROM {decided} WHERE NOT is_late", decided=decided),
    )


def moderation_verdicts(feedback: Table) -> Table:
    """Verdicts; the last of a message to be written is the newest, as they are told in the order of their times."""
    return sql(
        """
        SELECT
            message_id, room, verdict, server_time AS verdict_at, moderator, decision AS decision_at_verdict,
            COALESCE(is_sampled, FALSE) AS is_sampled
        FROM {feedback}
        WHERE problem IS NULL AND kind = 'verdict'
        """,
        feedback=feedback,
    )


def moderation_mutes(feedback: Table) -> Table:
    """Mutes by hand, and their ends."""
    return sql(
        """
        SELECT
            user_name,
            server_time AS muted_by_hand_at,
            server_time + INTERVAL '1' MINUTE * COALESCE(minutes, 0) AS muted_by_hand_until,
            moderator AS muted_by
        FROM {feedback}
        WHERE problem IS NULL AND kind IN ('mute', 'unmute')
        """,
        feedback=feedback,
    )


def _seconds(number: int) -> str:
    """SQL: an interval of so many seconds; as days and hours, since Flink takes no seconds of four digits."""
    minutes, seconds = divmod(number, 60)
    hours, minutes = divmod(minutes, 60)
    return f"INTERVAL '{hours // 24} {hours % 24:02}:{minutes:02}:{seconds:02}' DAY TO SECOND"


def outputs(records: Table, policies: Table, feedback: Table) -> dict[str, Table]:
    """What the job writes: for each sink its rows."""
    rules = settings()
    timed = timed_messages(records, rules.chat_out_of_order_ms)
    messages = judged(
        counted(
            with_policies(told_once(timed), policies_in_force(policies)),
            rules.moderation_copies_seconds,
            rules.moderation_burst_seconds,
        ),
        Policy.default().to_json(),
        rules.moderation_challenger,
    )
    minutes = rules.moderation_strike_minutes
    struck = strikes(messages, pardons(feedback, minutes), minutes)
    decided = with_latency(decisions(messages, struck))
    told = decided.drop_columns(col("event_time"))
    return {
        "moderation_decisions": sql(
            "SELECT ENCODE(room, 'UTF-8') AS record_key, * FROM {told}", told=told.drop_columns(col("latency_ms"))
        ),
        "moderation_messages": told,
        "moderation_verdicts": moderation_verdicts(feedback),
        "moderation_users": moderation_users(struck),
        "moderation_mutes": moderation_mutes(feedback),
        "moderation_metrics": moderation_metrics(decided),
        "late_events": late_messages(timed),
        "dead_letters": sql(
            "SELECT * FROM {messages} UNION ALL SELECT * FROM {verdicts} UNION ALL SELECT * FROM {policies}",
            messages=unusable(records, JOB),
            verdicts=unusable(feedback, JOB),
            policies=unusable(policies, JOB),
        ),
    }


def main() -> None:
    reads = ["chat_messages", "moderation_policies", "moderation_feedback"]
    writes = [
        "moderation_decisions", "moderation_messages", "moderation_verdicts", "moderation_users", "moderation_mutes",
        "moderation_metrics", "late_events", "dead_letters",
    ]  # fmt: skip
    t_env = table_environment(JOB, reads, writes)
    # People wait for a decision: time is told often, and neither a worker nor a buffer is waited for longer than this.
    t_env.get_config().set("pipeline.auto-watermark-interval", "50 ms")
    t_env.get_config().set("python.fn-execution.bundle.time", "50")
    t_env.get_config().set("execution.buffer-timeout.interval", "10 ms")
    ensure_published()  # the default, where no policy is there
    insert(t_env, outputs(*(t_env.from_path(table) for table in reads)))


if __name__ == "__main__":
    main()
