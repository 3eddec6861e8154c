"""The declared tables and the environment that a job runs in: the only code that reads connectors/*.sql."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from pydantic import SecretStr
from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, StatementSet, Table, TableEnvironment, TableResult
from pyflink.table.expressions import col

from connections import flink_kafka_options
from settings import settings

CHECKPOINT_INTERVAL = "execution.checkpointing.interval"

# Options of Flink for each environment that is made from now on, as `flink run -D` gives them: jobs/_several.py.
flink_options: dict[str, str] = {}


def declared_tables() -> list[str]:
    """The names of all declared tables, sorted."""
    files = (file.name for file in resources.files("connectors").iterdir())
    return sorted(name.removesuffix(".sql") for name in files if name.endswith(".sql"))


def ddl(table: str, values: Mapping[str, object] | None = None) -> str:
    """The CREATE TABLE statement of `table`, its ${VARS} filled.

    Values come from the settings (a field `kafka_bootstrap_servers` fills `${KAFKA_BOOTSTRAP_SERVERS}`); `values` go
    before them. A table on Kafka also gets what a secured broker asks for. Raises LookupError for a table that is not
    declared and for a variable that no setting has.
    """
    try:
        text = resources.files("connectors").joinpath(f"{table}.sql").read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(declared_tables())
        raise LookupError(f"There is no connectors/{table}.sql. Declared tables: {known}.") from None
    filled = {name.upper(): value for name, value in settings().model_dump().items()} | dict(values or {})

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in filled:
            raise LookupError(f"connectors/{table}.sql uses ${{{match[1]}}}, which no setting in settings.py has.")
        value = filled[match[1]]
        return _in_sql(value.get_secret_value() if isinstance(value, SecretStr) else str(value))

    statement = re.sub(r"\$\{(\w+)\}", value_of, text).strip().removesuffix(";")
    secured = "".join(f"    '{name}' = '{_in_sql(value)}',\n" for name, value in flink_kafka_options().items())
    return re.sub(r"(?m)^ *'connector' = '(upsert-)?kafka',\n", lambda match: match[0] + secured, statement)


def _in_sql(text: str) -> str:
    """A text as it stands between the quotes of SQL."""
    return text.replace("'", "''")


def table_environment(job: str, reads: Iterable[str], writes: Iterable[str]) -> TableEnvironment:
    """A streaming environment for the job of this name, with the tables that it reads and writes declared."""
    config = Configuration()
    config.set_string("pipeline.name", settings().prefix + job)
    config.set_string("table.local-time-zone", "UTC")
    # Flink's SQL operators keep no row of another: copying rows between them was a quarter of a job's CPU.
    config.set_string("pipeline.object-reuse", "true")
    # A Python worker gets batches of 1,000 rows; it is waited for every 10,000 rows or second, not for each batch.
    config.set_string("python.fn-execution.bundle.size", "10000")
    config.set_string("python.metric.enabled", "false")  # they cost CPU, and nothing reads them
    for name, value in flink_options.items():
        config.set_string(name, value)
    t_env = TableEnvironment.create(
        EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(config).build()
    )
    # A cluster without it would never commit what sinks write in transactions.
    if not t_env.get_config().get(CHECKPOINT_INTERVAL, ""):
        t_env.get_config().set(CHECKPOINT_INTERVAL, "10 s")
    for table in [*reads, *writes]:
        t_env.execute_sql(ddl(table))
    return t_env


def sql(query: str, **tables: Table) -> Table:
    """The table that `query` selects; each `{name}` in it stands for the table given by that name."""
    t_env: Any = next(iter(tables.values()))._t_env
    for name, table in tables.items():
        query = query.replace(f"{{{name}}}", str(table))
    return t_env.sql_query(query)


def insert(t_env: TableEnvironment, outputs: Mapping[str, Table]) -> TableResult:
    """Submits one job that writes each table into the sink of its key. Raises as `statements` does."""
    return statements(t_env, outputs).execute()


def statements(t_env: TableEnvironment, outputs: Mapping[str, Table]) -> StatementSet:
    """The statements of one job that writes each table into the sink of its key.

    Columns go by name. Raises ValueError when a table's columns are not the sink's: the planner goes by position and
    would write one column into another.
    """
    together = t_env.create_statement_set()
    for sink, table in outputs.items():
        columns = sink_columns(t_env, sink)
        given = table.get_schema().get_field_names()
        if set(given) != set(columns):
            raise ValueError(
                f"The columns for {sink} are not the sink's: "
                f"missing {sorted(set(columns) - set(given))}, unknown {sorted(set(given) - set(columns))}."
            )
        together.add_insert(sink, table.select(*[col(name) for name in columns]))
    return together


def sink_columns(t_env: TableEnvironment, table: str) -> list[str]:
    """The columns of `table` that a query has to give, in order: computed and virtual columns are not among them."""
    with t_env.execute_sql(f"DESCRIBE `{table}`").collect() as described:
        return [name for name, _type, _null, _key, extras, *_watermark in described if not extras]
