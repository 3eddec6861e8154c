"""A job of jobs/ for the benchmark, unchanged but for its sinks: BENCH_JOB names it.

BENCH_BLACKHOLE=1 makes blackholes of all tables that it writes; BENCH_SINKS=a,b writes only these of them.
BENCH_STATE=rocksdb keeps its state there in place of the heap.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module

from pyflink.table import Table, TableEnvironment, TableResult

from jobs._tables import ddl, insert, table_environment


def blackhole(statement: str) -> str:
    """A CREATE TABLE statement with the same columns, whose rows go nowhere."""
    columns, _, _options = statement.rpartition("WITH (")
    return f"{columns}WITH ('connector' = 'blackhole')"


def main() -> None:
    job = import_module(f"jobs.{os.environ['BENCH_JOB']}")
    only = [name for name in os.environ.get("BENCH_SINKS", "").split(",") if name]

    def environment(name: str, reads: Iterable[str], writes: Iterable[str]) -> TableEnvironment:
        writes = [table for table in writes if not only or table in only]
        is_blackhole = os.environ.get("BENCH_BLACKHOLE") == "1"
        t_env = table_environment(name, reads, [] if is_blackhole else writes)
        if is_blackhole:
            for table in writes:
                t_env.execute_sql(blackhole(ddl(table)))
        if state := os.environ.get("BENCH_STATE"):
            t_env.get_config().set("state.backend.type", state)
        return t_env

    def insert_chosen(t_env: TableEnvironment, outputs: Mapping[str, Table]) -> TableResult:
        return insert(t_env, {sink: table for sink, table in outputs.items() if not only or sink in only})

    job.__dict__.update(table_environment=environment, insert=insert_chosen)
    job.main()


if __name__ == "__main__":
    main()
