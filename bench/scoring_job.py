"""Texts from Kafka to Kafka for the benchmark: scored by moderation(text) if BENCH_UDF=1, else as they are."""

from __future__ import annotations

import os

from jobs._tables import table_environment
from settings import settings

KAFKA = f"""
    'connector' = 'kafka',
    'properties.bootstrap.servers' = '{settings().kafka_bootstrap_servers}',
    'properties.compression.type' = 'lz4',
    'format' = 'json',
    'topic' =
"""
SCORES = """
    toxicity_toxic DOUBLE, sentiment_mean DOUBLE, cyberbullying_label STRING, removal_removed DOUBLE,
    `language` STRING, model_version STRING, unscored_reason STRING
"""


def main() -> None:
    scored = os.environ["BENCH_UDF"] == "1"
    t_env = table_environment("scoring_bench", reads=[], writes=[])
    prefix = settings().prefix
    t_env.execute_sql(
        f"""
        CREATE TABLE texts (id BIGINT, text STRING) WITH (
            {KAFKA} '{prefix}texts', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'
        )
        """
    )
    t_env.execute_sql(
        f"CREATE TABLE scores (id BIGINT, text STRING, {SCORES if scored else ''}) WITH ({KAFKA} '{prefix}scores')"
        if scored
        else f"CREATE TABLE scores (id BIGINT, text STRING) WITH ({KAFKA} '{prefix}scores')"
    )
    if not scored:
        t_env.execute_sql("INSERT INTO scores SELECT id, text FROM texts")
        return
    from udfs.classifiers import moderation

    t_env.create_temporary_function("moderation", moderation)
    t_env.execute_sql(
        """
        INSERT INTO scores
        SELECT
            id, text, m.toxicity_toxic, m.sentiment_mean, m.cyberbullying_label, m.removal_removed,
            m.`language`, m.model_version, m.unscored_reason
        FROM (SELECT id, text, moderation(text) AS m FROM texts)
        """
    )


if __name__ == "__main__":
    main()
