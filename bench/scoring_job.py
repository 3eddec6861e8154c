"""Chat messages from Kafka to Kafka for the benchmark: scored by moderation(text) if BENCH_UDF=1, else by constants.

Both write the same columns, so that they differ in the scoring alone.
"""

from __future__ import annotations

import os

from jobs._tables import table_environment
from settings import settings

KAFKA = f"""
    'connector' = 'kafka',
    'properties.bootstrap.servers' = '{settings().kafka_bootstrap_servers}',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601',
"""
MESSAGE = "message_id STRING, room STRING, user_name STRING, sent_at TIMESTAMP_LTZ(3), text STRING"
SCORES = {
    "toxicity_label": ("STRING", "'clean'"),
    "toxicity_toxic": ("DOUBLE", "RAND()"),
    "cyberbullying_label": ("STRING", "'not_cyberbullying'"),
    "cyberbullying_bullying": ("DOUBLE", "RAND()"),
    "sentiment_label": ("STRING", "'neutral'"),
    "sentiment_mean": ("DOUBLE", "RAND()"),
    "removal_removed": ("DOUBLE", "RAND()"),
    "language": ("STRING", "'en'"),
    "model_version": ("STRING", "'cyberbullying@0123456789ab toxicity@0123456789ab sentiment@0123456789ab'"),
    "unscored_reason": ("STRING", "CAST(NULL AS STRING)"),
}


def main() -> None:
    scored = os.environ["BENCH_UDF"] == "1"
    t_env = table_environment("scoring_bench", reads=[], writes=[])
    prefix = settings().prefix
    t_env.execute_sql(
        f"""
        CREATE TABLE messages ({MESSAGE}, WATERMARK FOR sent_at AS sent_at - INTERVAL '5' SECOND) WITH (
            {KAFKA} 'topic' = '{prefix}messages',
            'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'
        )
        """
    )
    columns = ", ".join(f"`{name}` {kind}" for name, (kind, _) in SCORES.items())
    t_env.execute_sql(f"CREATE TABLE scores ({MESSAGE}, {columns}) WITH ({KAFKA} 'topic' = '{prefix}scores')")
    if scored:
        from udfs.classifiers import moderation

        t_env.create_temporary_function("moderation", moderation)
    values = ", ".join(f"m.`{name}`" if scored else constant for name, (_, constant) in SCORES.items())
    t_env.execute_sql(
        f"""
        INSERT INTO scores
        SELECT message_id, room, user_name, sent_at, text, {values}
        FROM (SELECT *{", moderation(text) AS m" if scored else ""} FROM messages)
        """
    )


if __name__ == "__main__":
    main()
