"""The Flink SQL client on this stack, with every table of connectors/*.sql and function of udfs/functions.sql."""

from __future__ import annotations

import os
from pathlib import Path

from settings import ROOT, take_role
from stack import flink, layout, package


def initial_statements(live: bool) -> str:
    """What the client runs first: settings, then the declared tables and functions.

    A query ends at the newest record and prints its result once; when `live`, it goes on and prints every change.
    """
    from jobs._tables import ddl, declared_tables

    values = {"BOUNDED_MODE": "unbounded" if live else "latest-offset"}
    statements = [
        "SET 'sql-client.execution.result-mode' = 'tableau'",
        f"SET 'execution.runtime-mode' = '{'streaming' if live else 'batch'}'",
        *(ddl(table, values) for table in declared_tables()),
        (ROOT / "udfs/functions.sql").read_text(encoding="utf-8").strip().removesuffix(";"),
    ]
    return ";\n".join(statements) + ";\n"


def write_initial_statements(live: bool) -> Path:
    """Write `.stack/tables.sql`, readable by this user only since it may hold passwords. Returns its path."""
    file = layout.state_dir() / "tables.sql"
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(initial_statements(live))
    return file


def client(live: bool = False, file: str | None = None) -> None:
    """Become the SQL client (this process ends with it). `file` holds statements to run instead of asking for them.

    Raises StackError when Flink does not answer.
    """
    flink.rest("/config")
    take_role("reader")
    program = str(layout.flink_home() / "bin/sql-client.sh")
    arguments = [program, "-i", str(write_initial_statements(live)), "--pyFiles", str(package.make())]
    arguments += ["-f", file] if file else []
    os.execve(program, arguments, flink.environment())  # noqa: S606 (no shell, fixed program)
