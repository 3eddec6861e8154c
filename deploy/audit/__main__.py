"""`make audit`: known vulnerabilities in what we depend on, and secrets in the files that git keeps.

| what | by | asks |
|---|---|---|
| Python: all that is installed in each environment of ours | pip-audit | PyPI, else OSV |
| JavaScript: services/live_view/package-lock.json | npm audit | the npm registry |
| Java: what the SBOMs of the poms name | this program | OSV |
| secrets: every file that git keeps | detect-secrets | nobody |

A source of advisories that does not answer is said in one line and passed over. Before it is trusted it is asked for a
version that is known to be bad: what a source has nothing on, pip-audit calls healthy. Exit codes: 0 nothing is open,
1 something is (a secret, or a vulnerability that has a fix, not listed in deploy/audit/accepted.yaml), 2 that file is
wrong, or a tool is missing or failed. A vulnerability without a fix is told, and does not fail.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import requests
import yaml

from deploy.audit import sbom
from deploy.audit.sbom import TOOLS, ToolError, run
from settings import ROOT

ACCEPTED = ROOT / "deploy/audit/accepted.yaml"
ENVIRONMENTS = (".venv", ".venv-training", ".venv-dashboards", ".venv-audit")
OSV = "https://api.osv.dev"
# A source of advisories that knows nothing of these knows nothing.
KNOWN_BAD_PYTHON = "jinja2==2.10"  # CVE-2019-10906
KNOWN_BAD_JAVA = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"  # CVE-2021-44228
ANSWER_SECONDS = 20
MOST_QUERIES = 500  # of one request to OSV, which takes 1,000
# Pictures and tables, and files that programs write, whose hashes are none of a password.
NOT_SCANNED = r"\.(npy|png|svg|gz|xz)$|package-lock\.json$|dashboards/compiled\.json$|weights/\w+/evaluation\.json$"
# Tests make up passwords and hashes as they need them; there, only keys of a known form count.
TESTS = ("tests/", "connectors/elasticsearch/src/test/")
MADE_UP = ("Secret Keyword", "Basic Auth Credentials", "Hex High Entropy String", "Base64 High Entropy String")


class Unreachable(Exception):
    """A source of advisories has no answer; the message says which."""


class AcceptedError(Exception):
    """accepted.yaml is wrong; the message says how."""


@dataclass(frozen=True)
class Vulnerability:
    """A known vulnerability of a version of a package. `fixed`: versions without it, empty when there is none."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        fix = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fix yet"
        return f"{self.package} {self.version}: {', '.join(self.ids)} ({fix})"


@dataclass(frozen=True)
class Accepted:
    """A vulnerability that we live with, until a day."""

    id: str
    package: str
    until: date

    def covers(self, found: Vulnerability, today: date) -> bool:
        return self.id in found.ids and self.package == found.package and today <= self.until


@dataclass(frozen=True)
class Secret:
    """What looks like one. `id`: the beginning of its SHA-1."""

    file: str
    line: int
    kind: str
    id: str


def accepted(content: Any) -> tuple[list[Accepted], dict[str, dict[str, str]]]:
    """What accepted.yaml lists: vulnerabilities; and by file and id, what looks like a secret and is none.

    Raises AcceptedError with a sentence.
    """
    if not isinstance(content, dict) or set(content) != {"vulnerabilities", "secrets"}:
        raise AcceptedError("it must have `vulnerabilities` and `secrets`, and nothing else.")
    found = []
    for number, entry in enumerate(content["vulnerabilities"] or [], 1):
        if not isinstance(entry, dict) or set(entry) != {"id", "package", "reason", "until"}:
            raise AcceptedError(f"vulnerability {number} must have id, package, reason and until.")
        if not str(entry["reason"] or "").strip() or not isinstance(entry["until"], date):
            raise AcceptedError(f"vulnerability {number} needs a reason, and a day as `until`, such as 2027-01-31.")
        found.append(Accepted(str(entry["id"]), str(entry["package"]), entry["until"]))
    secrets = content["secrets"] or {}
    for file, entries in secrets.items():
        if not isinstance(entries, dict) or not all(str(what or "").strip() for what in entries.values()):
            raise AcceptedError(f"secrets of {file}: each id needs a word on what it is.")
    return found, {file: {str(key): what for key, what in entries.items()} for file, entries in secrets.items()}


# --- What the sources say. ---


def of_pip_audit(answer: Mapping[str, Any]) -> list[Vulnerability]:
    """What `pip-audit --format json` found."""
    return [
        Vulnerability(each["name"], each["version"], (one["id"], *one.get("aliases", ())), tuple(one["fix_versions"]))
        for each in answer["dependencies"]
        for one in each.get("vulns", ())
    ]


def of_npm_audit(answer: Mapping[str, Any]) -> list[Vulnerability]:
    """What `npm audit --json` found: each advisory once, not again for the packages that depend on such a one."""
    found = []
    for name, each in answer["vulnerabilities"].items():
        fix = each["fixAvailable"]
        fixed = (f"{fix['name']} {fix['version']}",) if isinstance(fix, dict) else ("`npm audit fix`",) if fix else ()
        for via in each["via"]:
            if isinstance(via, dict):
                found.append(Vulnerability(name, via["range"], (via["url"].rpartition("/")[2],), fixed))
    return found


def of_osv(package: str, version: str, record: Mapping[str, Any]) -> Vulnerability:
    """A record of OSV, as it concerns a package of Maven, `group:artifact`."""
    fixed = {
        event["fixed"]
        for affected in record.get("affected", ())
        if affected.get("package", {}).get("name") == package
        for each in affected.get("ranges", ())
        for event in each.get("events", ())
        if "fixed" in event
    }
    return Vulnerability(package, version, (record["id"], *record.get("aliases", ())), tuple(sorted(fixed)))


# --- Asking them. ---


def python_vulnerabilities(environments: Iterable[str] = ENVIRONMENTS) -> list[Vulnerability]:
    """Of what is installed in the environments that there are. Raises Unreachable and ToolError."""
    with tempfile.TemporaryDirectory() as folder:
        bad = Path(folder) / "requirements.txt"
        bad.write_text(KNOWN_BAD_PYTHON + "\n")
        known = ("--requirement", str(bad), "--no-deps", "--disable-pip")
        service = next((one for one in ("pypi", "osv") if _pip_audit(one, *known)), None)
    if service is None:
        raise Unreachable("neither PyPI nor OSV has advisories for Python here")
    found: list[Vulnerability] = []
    for environment in environments:
        for packages in sorted((ROOT / environment).glob("lib/python3*/site-packages")):
            answer = _pip_audit(service, "--path", str(packages))
            if answer is None:
                raise Unreachable(f"{service} has stopped to answer pip-audit")
            found += answer
    return list(dict.fromkeys(found))


def _pip_audit(service: str, *arguments: str) -> list[Vulnerability] | None:
    """What it finds; None where it ends without an answer, as without a network."""
    command = [str(TOOLS / "pip-audit"), "--vulnerability-service", service, "--format", "json", "--progress-spinner"]
    answer = run(*command, "off", "--timeout", str(ANSWER_SECONDS), *arguments, codes=(0, 1))
    return of_pip_audit(json.loads(answer)) if answer.strip() else None


def npm_vulnerabilities(folder: Path = ROOT / "services/live_view") -> list[Vulnerability]:
    """Of a package-lock.json. Raises Unreachable and ToolError."""
    answer = json.loads(run("npm", "audit", "--json", "--package-lock-only", folder=folder, codes=(0, 1)) or "{}")
    if "vulnerabilities" not in answer:
        raise Unreachable("the npm registry has no advisories here")
    return of_npm_audit(answer)


def maven_vulnerabilities(url: str = OSV, poms: Iterable[Path] | None = None) -> list[Vulnerability]:
    """Of what the poms depend on and copy. Raises Unreachable and ToolError."""
    if not any(_asked(url, [KNOWN_BAD_JAVA])):
        raise Unreachable("OSV has no advisories for Java here")
    components = {
        each["purl"].partition("?")[0]: each for pom in poms or sbom.poms() for each in sbom.maven(pom)["components"]
    }
    found = []
    for each, ids in zip(components.values(), _asked(url, list(components)), strict=True):
        for identity in ids:
            record = _json(requests.get, f"{url}/v1/vulns/{identity}")
            found.append(of_osv(f"{each['group']}:{each['name']}", each["version"], record))
    return found


def _asked(url: str, purls: Sequence[str]) -> list[list[str]]:
    """The ids that OSV has for each package. Raises Unreachable."""
    ids = []
    for begin in range(0, len(purls), MOST_QUERIES):
        queries = [{"package": {"purl": purl}} for purl in purls[begin : begin + MOST_QUERIES]]
        results = _json(requests.post, f"{url}/v1/querybatch", json={"queries": queries})["results"]
        ids += [[one["id"] for one in result.get("vulns", ())] for result in results]
    return ids


def _json(method: Callable[..., requests.Response], address: str, **options: Any) -> Any:
    try:
        answer = method(address, timeout=ANSWER_SECONDS, **options)
        answer.raise_for_status()
        return answer.json()
    except requests.RequestException as error:
        raise Unreachable(f"OSV does not answer ({type(error).__name__})") from None


# --- Secrets. ---


def secrets(root: Path = ROOT) -> list[Secret]:
    """What looks like a secret in the files that git keeps. Nobody is asked whether it holds. Raises ToolError."""
    files = [name for name in run("git", "ls-files", "-z", folder=root).split("\0") if (root / name).is_file()]
    answer = run(TOOLS / "detect-secrets", "scan", "--no-verify", "--exclude-files", NOT_SCANNED, *files, folder=root)
    return [
        Secret(file, each["line_number"], each["type"], each["hashed_secret"][:12])
        for file, found in sorted(json.loads(answer)["results"].items())
        for each in found
        if not (file.startswith(TESTS) and each["type"] in MADE_UP)
    ]


# --- What is open. ---


def main() -> int:
    """Ask all, print what is found; returns the exit code."""
    today = datetime.now(UTC).date()
    try:
        lived_with, no_secrets = accepted(yaml.safe_load(ACCEPTED.read_text(encoding="utf-8")))
    except (AcceptedError, yaml.YAMLError) as error:
        print(f"deploy/audit/accepted.yaml is wrong: {error}", file=sys.stderr)
        return 2
    is_open = False
    try:
        for name, look in (
            ("Python", python_vulnerabilities),
            ("JavaScript", npm_vulnerabilities),
            ("Java", maven_vulnerabilities),
        ):
            try:
                found = look()
            except Unreachable as error:
                print(f"{name}: not audited, {error}.")
                continue
            print(f"{name}: {len(found) or 'no'} known vulnerabilities.")
            for each in found:
                is_accepted = any(one.covers(each, today) for one in lived_with)
                is_open |= bool(each.fixed) and not is_accepted
                print(f"  {'accepted' if is_accepted else 'open' if each.fixed else 'known'}: {each}")
        unknown = [each for each in secrets() if each.id not in no_secrets.get(each.file, {})]
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Secrets: {len(unknown) or 'none'} in what git keeps.")
    for one in unknown:
        print(f"  open: {one.file}:{one.line} looks like a {one.kind} (id {one.id})")
    if is_open or unknown:
        print("Upgrade or remove what is open, or list it with a reason in deploy/audit/accepted.yaml.")
    return 1 if is_open or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
