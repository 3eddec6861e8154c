"""The job wiki_edits for the benchmark: only the sinks named in BENCH_SINKS, into blackholes if BENCH_BLACKHOLE=1."""

from __future__ import annotations

import os
import re

from jobs import wiki_edits
from jobs._tables import ddl, insert, table_environment

READS = ["wiki_recentchange", "wiki_visibility_change"]


def main() -> None:
    sinks = os.environ["BENCH_SINKS"].split(",")
    blackhole = os.environ["BENCH_BLACKHOLE"] == "1"
    t_env = table_environment("wiki_edits_bench", reads=READS, writes=[] if blackhole else sinks)
    if blackhole:
        for sink in sinks:
            columns, _options = re.split(r"\)\s*WITH \(", ddl(sink))
            t_env.execute_sql(f"{columns}) WITH ('connector' = 'blackhole')")
    outputs = wiki_edits.outputs(*map(t_env.from_path, READS))
    insert(t_env, {sink: outputs[sink] for sink in sinks})


if __name__ == "__main__":
    main()
