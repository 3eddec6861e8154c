"""Where the data comes from and goes to: connectors/*.sql, jobs/*.py and kibana/dashboards/*.yaml -> docs/lineage.md.

    python -m stack.lineage            write the page
    python -m stack.lineage --check    exit with 1 if it is not what would be written

Nothing is run: jobs are read for the `reads` and `writes` that they give to `table_environment`, tables for their
connector and for the producers that their comment names, dashboards for the indices of their panels.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kibana.dashboards import FOLDER, TEMPLATES, DashboardError, load
from settings import ROOT
from stack.errors import StackError

PAGE = ROOT / "docs" / "lineage.md"
KEPT_RECORDS = "kept_records"  # the job that shows what the others could not use
KEPT = "kept"  # the graph of its topics, and of indices that no job writes
TITLES = {
    "background": "Background check",
    "moderation": "Chat moderation",
    "social": "Social posts",
    "wiki": "Wikipedia",
    "kept": "Kept records and health",
}
# How Mermaid draws a node: a producer or service, a topic, a job, an index, a folder in S3, a dashboard.
SHAPES = {
    "program": '[/"{}"/]',
    "topic": '(["{}"])',
    "job": '["{}"]',
    "index": '[("{}")]',
    "folder": '[["{}"]]',
    "dashboard": '{{{{"{}"}}}}',
}
HEAD = """\
# Where the data comes from and goes to

Written by `make lineage` from the declared tables, the jobs and the dashboards: do not edit it. Slanted boxes are
programs of ours, rounded ones Kafka topics, rectangles Flink jobs, cylinders Elasticsearch indices, rectangles with
double sides folders in S3, hexagons dashboards.
"""
KEPT_TEXT = """\
What a job cannot use goes to `dead_letters`, what comes too late for its window to `late_events`; both are kept as
topics and shown as indices. `python -m jobs.replay` sends their records to the topic that they came from once more.
"""

Node = tuple[str, str]
Edge = tuple[Node, Node]


@dataclass(frozen=True)
class Table:
    """A declared table: its topics, index or folder, what a row is, and which programs write it besides jobs."""

    name: str
    nodes: tuple[Node, ...]
    grain: str
    programs: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A job with the tables that it reads and writes."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def tables(folder: Path = ROOT / "connectors") -> dict[str, Table]:
    """The declared tables by name. Raises StackError for one whose connector is not known here."""
    found = {}
    for file in sorted(folder.glob("*.sql")):
        text = file.read_text(encoding="utf-8")
        comment = " ".join(line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--"))
        options = dict(re.findall(r"^\s*'([\w.-]+)' = '([^']*)'", text, re.MULTILINE))
        match options.get("connector"):
            case "kafka":
                nodes = [("topic", topic) for topic in options["topic"].replace("${PREFIX}", "").split(";")]
            case "elasticsearch":
                nodes = [("index", options["index"].replace("${PREFIX}", ""))]
            case "filesystem":
                nodes = [("folder", options["path"].removeprefix("s3://${S3_BUCKET}/").replace("${PREFIX}", ""))]
            case other:
                raise StackError(f"{file.name} has the connector {other}: teach stack/lineage.py what that is.")
        programs = re.findall(r"\b(?:producers|services|connectors)/[\w/]+", comment)
        programs += [name.replace(".", "/") for name in re.findall(r"[Ww]ritten by `python -m ([\w.]+)`", comment)]
        grain = comment.partition(". ")[0].removesuffix(".")
        found[file.stem] = Table(file.stem, tuple(nodes), grain, tuple(dict.fromkeys(programs)))
    return found


def jobs(folder: Path = ROOT / "jobs") -> dict[str, Job]:
    """The jobs by name, those files that make a table environment. Raises StackError for tables not given as a list."""
    found = {}
    for file in sorted(folder.glob("[a-z]*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "table_environment":
                given = dict(zip(("job", "reads", "writes"), node.args, strict=False))
                given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                try:
                    names = [tuple(_strings(given[side], tree)) for side in ("reads", "writes")]
                except (KeyError, ValueError) as error:
                    raise StackError(
                        f"jobs/{file.name}: give table_environment `reads` and `writes` as lists of names ({error})."
                    ) from error
                found[file.stem] = Job(file.stem, *names)
    return found


def _strings(value: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The strings of a list in the source; a name stands for the list that is assigned to it."""
    match value:
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            for element in elements:
                yield from _strings(element, tree)
        case ast.Constant(value=str() as text):
            yield text
        case ast.Starred(value=inner):
            yield from _strings(inner, tree)
        case ast.Name(id=name):
            assigned = [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
            ]
            if len(assigned) != 1:
                raise ValueError(f"{name} is assigned {len(assigned)} times")
            yield from _strings(assigned[0], tree)
        case _:
            raise ValueError(f"not understood: {ast.unparse(value)}")


def indices() -> dict[str, str]:
    """The indices, each with who writes it by its template's description."""
    found = {}
    for file in sorted(TEMPLATES.glob("*.json")):
        description = json.loads(file.read_text(encoding="utf-8"))["_meta"]["description"]
        found[file.stem] = description.rpartition("Written by ")[2].rstrip(".").removesuffix(".py")
    return found


def dashboards(folder: Path = FOLDER) -> dict[str, set[str]]:
    """The dashboards by title, each with the indices that its panels read. Raises StackError for a wrong file."""
    try:
        return {dashboard.name: dashboard.indices() for dashboard in load(folder).values()}
    except DashboardError as error:
        raise StackError(str(error)) from error


def edges_by_suite() -> dict[str, set[Edge]]:
    """The edges of each graph, by the first word of its jobs' names.

    Dead letters and late events of all jobs are in the graph KEPT alone, since every other would have them too. Raises
    StackError where a job or a dashboard uses what is not declared.
    """
    declared, all_jobs, templates = tables(), jobs(), indices()
    kept = {node for name in all_jobs[KEPT_RECORDS].reads for node in _table(declared, name, KEPT_RECORDS).nodes}
    suites: dict[str, set[Edge]] = {KEPT: set()}
    for job in all_jobs.values():
        here: Node = ("job", job.name)
        edges = suites.setdefault(job.name.partition("_")[0], set())
        for name in job.reads:
            table = _table(declared, name, job.name)
            edges |= {(node, here) for node in table.nodes}
            edges |= {(("program", program), node) for program in table.programs for node in _filled(program, table)}
        for name in job.writes:
            for node in _table(declared, name, job.name).nodes:
                (suites[KEPT] if node in kept else edges).add((here, node))
    by_jobs = {target for edges in suites.values() for _, target in edges}
    for name, writer in templates.items():
        if ("index", name) not in by_jobs:
            suites[KEPT].add((("program", writer), ("index", name)))
    for title, names in dashboards().items():
        if unknown := sorted(names - set(templates)):
            raise StackError(
                f"The dashboard {title} reads {unknown[0]}, which has no template in kibana/index_templates."
            )
        for edges in suites.values():
            written = {target for _, target in edges}
            edges |= {(("index", name), ("dashboard", title)) for name in names if ("index", name) in written}
    return suites


def _table(declared: dict[str, Table], name: str, job: str) -> Table:
    if name not in declared:
        raise StackError(f"jobs/{job}.py uses {name}, but there is no connectors/{name}.sql.")
    return declared[name]


def _filled(program: str, table: Table) -> list[Node]:
    """Which topics of `table` the program fills: those that its docstring names, or all if it names none of them."""
    source = ROOT / f"{program}.py"
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) if source.exists() else None
    return [node for node in table.nodes if f"`{node[1]}`" in (docstring or "")] or list(table.nodes)


def graph(edges: Iterable[Edge]) -> str:
    """A Mermaid flowchart of these edges; the same edges give the same text."""
    ordered = sorted(edges)
    nodes = sorted({node for edge in ordered for node in edge}, key=lambda node: ([*SHAPES].index(node[0]), node[1]))
    lines = ["```mermaid", "flowchart LR"]
    lines += [f"    {_identifier(node)}{SHAPES[node[0]].format(node[1])}" for node in nodes]
    lines += [f"    {_identifier(source)} --> {_identifier(target)}" for source, target in ordered]
    return "\n".join([*lines, "```"]) + "\n"


def _identifier(node: Node) -> str:
    return re.sub(r"\W", "_", f"{node[0]}_{node[1]}")


def page() -> str:
    """The text of docs/lineage.md. Raises StackError where something is undeclared."""
    declared, all_jobs, suites = tables(), jobs(), edges_by_suite()
    parts = [HEAD]
    for suite in [*sorted(suites.keys() - {KEPT}), KEPT]:
        parts.append(f"## {TITLES.get(suite, suite.capitalize())}\n")
        parts += [KEPT_TEXT] if suite == KEPT else []
        parts.append(graph(suites[suite]))
    rows = ["## Tables\n", "| table | holds | is | written by | read by |", "|---|---|---|---|---|"]
    for table in declared.values():
        places = ", ".join(f"{kind} `{name}`" for kind, name in table.nodes)
        writers = [*table.programs, *(f"jobs/{job.name}" for job in all_jobs.values() if table.name in job.writes)]
        readers = [f"jobs/{job.name}" for job in all_jobs.values() if table.name in job.reads]
        grain = table.grain.replace("|", "\\|")
        rows.append(f"| `{table.name}` | {grain} | {places} | {', '.join(writers)} | {', '.join(readers)} |")
    return "\n".join([*parts, "\n".join(rows) + "\n"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.lineage", description="Draw topics, jobs, indices and dashboards into docs/lineage.md."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is not current")
    options = parser.parse_args(arguments)
    try:
        text = page()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/lineage.md is not current: `make lineage` writes it.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
