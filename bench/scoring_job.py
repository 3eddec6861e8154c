"""Chat messages from Kafka to Kafka for the benchmark, scored by what BENCH_SCORES says.

`batches`: moderation(text) as the jobs use it; `rows`: a plain Python UDF with the same models, one text a call;
`constants`: by no function. All write the same columns, so that they differ in the scoring alone.
"""

from __future__ import annotations

import os
from typing import cast

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from jobs._tables import table_environment
from models.language import languages
from models.runtime import Scorer, load
from settings import settings
from udfs.classifiers import HEADS, LAST, moderation

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


TYPES = {f"{name}_{column}": kind for name, head in HEADS.items() for column, kind in head.types.items()} | LAST


class RowByRow(ScalarFunction):  # type: ignore[misc]
    """moderation(text) for one text a call, without pandas."""

    def open(self, function_context: FunctionContext) -> None:
        self._scorer = Scorer([load(name) for name in HEADS])

    def eval(self, text: str) -> Row:
        results = self._scorer.score([text])
        values: dict[str, object] = {}
        for (name, head), model, scores in zip(HEADS.items(), self._scorer.models, results, strict=True):
            for column, found in head.columns(model, scores).items():
                (value,) = cast("list[str | float | None]", found)
                values[f"{name}_{column}"] = value if value is None or isinstance(value, str) else float(value)
        (language,) = languages([text])
        versions = " ".join(model.version for model in self._scorer.models)
        values |= {"language": language, "trained_language": True, "model_version": versions}
        return Row(*(values.get(name) for name in TYPES))


def main() -> None:
    scores = os.environ["BENCH_SCORES"]
    scored = scores != "constants"
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
        row = DataTypes.ROW([DataTypes.FIELD(name, kind) for name, kind in TYPES.items()])
        function = moderation if scores == "batches" else udf(RowByRow(), result_type=row)
        t_env.create_temporary_function("moderation", function)
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
