"""`make sbom`: what the software is made of, as CycloneDX JSON in .stack/sbom, a file for each environment and pom.

Python: what is installed, and so all that the requirements bring along; by cyclonedx-py. Java: by Maven's CycloneDX
plugin, with the jars that stack/pom.xml copies besides its dependencies. JavaScript: by npm, from package-lock.json.
Exit codes: 0 written, 1 a tool is missing or failed, or a file lacks what is pinned.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from settings import ROOT
from stack import layout

TOOLS = ROOT / ".venv-audit/bin"
CYCLONEDX_MAVEN = "org.cyclonedx:cyclonedx-maven-plugin:2.9.1"
POM = {"": "http://maven.apache.org/POM/4.0.0"}
TOOL_SECONDS = 300

Sbom = dict[str, Any]


class ToolError(Exception):
    """A tool is missing or failed; the message says which."""


def run(*command: str | Path, folder: Path = ROOT, codes: tuple[int, ...] = (0,)) -> str:
    """What a program prints. Raises ToolError for one that is missing, hangs or ends with another code."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)
    except FileNotFoundError:
        raise ToolError(f"{words[0]} is missing: `make audit` and `make sbom` install what they need.") from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"{words[0]} has not ended after {TOOL_SECONDS} s.") from None
    if done.returncode not in codes:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise ToolError(f"{words[0]} ended with {done.returncode}: {' '.join(last)[:300]}")
    return done.stdout


def pinned(requirements: Path) -> set[tuple[str, str]]:
    """Names and versions of the lines `name==version` of a requirements file, without those that it takes in by -r."""
    found = re.findall(
        r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.+!-]+)", requirements.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {(normal(name), version) for name, version in found}


def normal(name: str) -> str:
    """A name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python(environment: Path, requirements: Path) -> Sbom:
    """What is installed in an environment. Raises ToolError, also where it lacks what `requirements` pins."""
    # Their check against the schema takes most of a minute and has nothing to say of their own output.
    found: Sbom = json.loads(run(TOOLS / "cyclonedx-py", "environment", environment, "--of", "JSON", "--no-validate"))
    there = {(normal(each["name"]), each["version"]) for each in found["components"]}
    if lacking := pinned(requirements) - there:
        names = ", ".join(sorted("==".join(each) for each in lacking))
        raise ToolError(f"{environment.name} lacks {names} of {requirements.name}: make it anew.")
    return found


def maven(pom: Path) -> Sbom:
    """What a pom, with its modules, depends on and copies. Raises ToolError."""
    with tempfile.TemporaryDirectory() as folder:
        goal = "makeAggregateBom" if ElementTree.parse(pom).find("modules", POM) is not None else "makeBom"  # noqa: S314
        run(
            "mvn", "--quiet", "--batch-mode", "--no-transfer-progress", "-f", pom, f"{CYCLONEDX_MAVEN}:{goal}",
            f"-DoutputDirectory={folder}", "-DoutputFormat=json", "-DoutputName=sbom",
        )  # fmt: skip
        found: Sbom = json.loads((Path(folder) / "sbom.json").read_text(encoding="utf-8"))
    found["components"] += copied(pom)
    return found


def copied(pom: Path) -> list[Sbom]:
    """The jars and archives that a pom copies by `artifactItem`, which are no dependencies of it."""
    tree = ElementTree.parse(pom)  # noqa: S314 (our own file)
    properties = {each.tag.rpartition("}")[2]: each.text or "" for each in tree.iterfind("properties/*", POM)}
    found = []
    for item in tree.iterfind(".//artifactItem", POM):
        group, name, version = (
            re.sub(r"\$\{([\w.]+)\}", lambda match: properties[match[1]], item.findtext(tag, "", POM))
            for tag in ("groupId", "artifactId", "version")
        )
        kind = item.findtext("type", "jar", POM)
        purl = f"pkg:maven/{group}/{name}@{version}?type={kind}"
        found.append(
            {"type": "library", "bom-ref": purl, "group": group, "name": name, "version": version, "purl": purl}
        )
    return found


def npm(folder: Path) -> Sbom:
    """What a package-lock.json names. Raises ToolError."""
    found: Sbom = json.loads(run("npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only", folder=folder))
    return found


def poms() -> list[Path]:
    """The poms that are no module of another."""
    return [ROOT / "connectors/pom.xml", ROOT / "stack/pom.xml"]


def main() -> int:
    """Write them all; returns the exit code."""
    target = layout.state_dir() / "sbom"
    target.mkdir(parents=True, exist_ok=True)
    try:
        written = {"python": python(ROOT / ".venv", ROOT / "requirements.txt")}
        for name in ("training", "dashboards"):
            if (ROOT / f".venv-{name}/bin/python").exists():
                written[f"python-{name}"] = python(ROOT / f".venv-{name}", ROOT / f"requirements-{name}.txt")
        written |= {f"maven-{pom.parent.name}": maven(pom) for pom in poms()}
        written["npm-live_view"] = npm(ROOT / "services/live_view")
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    for name, content in written.items():
        (target / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"{layout.shown(target / f'{name}.json')}: {len(content['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
