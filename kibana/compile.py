"""The dashboards for Kibana: kibana/dashboards/NAME.yaml -> NAME.ndjson, one saved object a line, by kb-dashboard.

    make dashboards                       with kb-dashboard in an environment of its own, for which it needs Python 3.12
    python -m kibana.compile --check      changes nothing; exit code 1 if a compiled file is not what its YAML gives

What kb-dashboard cannot say is added here: the refresh interval, and that the last value of a text or a list is read
from the document, since a text has no doc values, and of a list's Kibana would show one. `compiled.json` has the hash
of each YAML that was compiled, so that a test can tell without kb-dashboard that one was changed since.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kibana.dashboards import FOLDER, REFRESH_SECONDS, DashboardError, fields, load
from kibana.queries import check
from settings import ROOT

TOOL = ".venv-dashboards/bin/kb-dashboard"
COMPILE_SECONDS = 60
STAMPS = "compiled.json"


class CompileError(Exception):
    """What kb-dashboard says is wrong."""


def compiled(source: Path, tool: str = TOOL) -> str:
    """The ndjson of one YAML file. Raises CompileError."""
    with tempfile.TemporaryDirectory() as folder:
        command = [tool, "compile", "--input-file", str(source), "--output-dir", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
        except FileNotFoundError:
            raise CompileError(
                f"There is no {tool}: `make dashboards` installs it, with Python 3.12 or later."
            ) from None
        except subprocess.TimeoutExpired:
            raise CompileError(f"{tool} took more than {COMPILE_SECONDS} s for {source.name}.") from None
        made = sorted(Path(folder).glob("*.ndjson"))
        if done.returncode or not made:
            raise CompileError(f"{tool} refuses {source.name}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        # The tool writes a combined file too, of the same content here.
        objects = [json.loads(line) for line in made[0].read_text(encoding="utf-8").splitlines() if line]
    return "".join(json.dumps(finished(each), ensure_ascii=False, sort_keys=True) + "\n" for each in objects)


def finished(saved_object: dict[str, Any]) -> dict[str, Any]:
    """The saved object of a dashboard with what kb-dashboard leaves out."""
    attributes = saved_object["attributes"]
    attributes["refreshInterval"] = {"pause": False, "value": REFRESH_SECONDS * 1000}
    panels = json.loads(attributes["panelsJSON"])
    for panel in panels:
        for layer in _layers(panel):
            for column in layer["columns"].values():
                if column.get("operationType") == "last_value" and _of_document(panel, column["sourceField"]):
                    column["params"] = {**column.get("params", {}), "showArrayValues": True}
    attributes["panelsJSON"] = json.dumps(panels, ensure_ascii=False, sort_keys=True)
    return saved_object


def _layers(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if panel["type"] == "lens":
        yield from panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()


def _of_document(panel: dict[str, Any], name: str) -> bool:
    references = panel["embeddableConfig"]["attributes"]["references"]
    indices = [each["id"] for each in references if each["type"] == "index-pattern"]
    return any(fields(index).get(name) == "text" or name in _lists(index) for index in indices)


def _lists(index: str) -> list[str]:
    """The fields of an index that its table declares as arrays; a mapping does not tell."""
    table = ROOT / "connectors" / f"{index}.sql"
    declared = table.read_text(encoding="utf-8") if table.is_file() else ""
    return re.findall(r"^ +`?(\w+)`? ARRAY<", declared, re.MULTILINE)


def stamps(folder: Path = FOLDER) -> dict[str, str]:
    """Name of each YAML file -> SHA-256 of its bytes."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.yaml"))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile all. Exit codes: 0 done or unchanged, 1 a problem or, with --check, a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m kibana.compile",
        description="Dashboards for Kibana: kibana/dashboards/NAME.yaml to NAME.ndjson.",
    )
    parser.add_argument("--check", action="store_true", help="compare with what is there instead of writing")
    parser.add_argument("--tool", default=TOOL, help="the program kb-dashboard (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        check(load().values())  # what we do not know of the language is refused before it is compiled
        wanted = {
            source.with_suffix(".ndjson").name: compiled(source, options.tool)
            for source in sorted(FOLDER.glob("*.yaml"))
        }
    except (DashboardError, CompileError) as error:
        print(error, file=sys.stderr)
        return 1
    wanted[STAMPS] = json.dumps(stamps(), indent=2) + "\n"
    there = {
        file.name: file.read_text(encoding="utf-8")
        for file in [*FOLDER.glob("*.ndjson"), FOLDER / STAMPS]
        if file.is_file()
    }
    changed = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if options.check:
        for name in changed:
            print(f"kibana/dashboards/{name} is not what its YAML gives: run `make dashboards`.", file=sys.stderr)
        return 1 if changed else 0
    for name in changed:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    print(f"{len(wanted) - 1} dashboards compiled, {len(changed)} files changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
