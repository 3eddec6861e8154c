"""deploy/audit: what counts as open, from the answers of the tools; a planted key; what an SBOM must list."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.audit import __main__ as audit
from deploy.audit import sbom
from deploy.audit.__main__ import Accepted, AcceptedError, Unreachable, Vulnerability, accepted
from settings import ROOT
from tests.local_server import LocalServer, QuietHandler

TODAY = date(2026, 11, 22)
FOUND = Vulnerability("jinja2", "2.10", ("PYSEC-2019-217", "CVE-2019-10906"), ("2.10.1",))

has_tools = pytest.mark.skipif(
    not (sbom.TOOLS / "detect-secrets").exists(), reason="`make audit` makes .venv-audit, which is not there"
)


@pytest.mark.parametrize(
    ("entry", "covers"),
    [
        (Accepted("CVE-2019-10906", "jinja2", date(2026, 11, 22)), True),
        (Accepted("CVE-2019-10906", "jinja2", date(2026, 11, 21)), False),  # its time is over
        (Accepted("CVE-2019-10906", "markupsafe", date(2027, 1, 1)), False),
        (Accepted("CVE-2019-8341", "jinja2", date(2027, 1, 1)), False),
    ],
)
def test_a_vulnerability_is_accepted_by_id_and_package_until_a_day(entry: Accepted, covers: bool) -> None:
    assert entry.covers(FOUND, TODAY) is covers


def test_what_we_accept_can_be_read() -> None:
    accepted(yaml.safe_load(audit.ACCEPTED.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("vulnerabilities: []", "`vulnerabilities` and `secrets`"),
        ("{vulnerabilities: [{id: A, package: b, until: 2027-01-01}], secrets: {}}", "vulnerability 1 must have"),
        ("{vulnerabilities: [{id: A, package: b, reason: '', until: 2027-01-01}], secrets: {}}", "needs a reason"),
        ("{vulnerabilities: [{id: A, package: b, reason: c, until: soon}], secrets: {}}", "a day as `until`"),
        ("{vulnerabilities: [], secrets: {a.py: {abc: }}}", "secrets of a.py"),
    ],
)
def test_a_list_without_reasons_is_refused(content: str, problem: str) -> None:
    with pytest.raises(AcceptedError, match=problem):
        accepted(yaml.safe_load(content))


def test_what_pip_audit_answers() -> None:
    found = {"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": ["CVE-2019-10906"], "description": "…"}
    answer = {
        "dependencies": [
            {"name": "jinja2", "version": "2.10", "vulns": [found]},
            {"name": "requests", "version": "2.34.2", "vulns": []},
            {"name": "own", "skip_reason": "Dependency not found on PyPI and could not be audited: own (1.0)"},
        ],
        "fixes": [],
    }
    assert audit.of_pip_audit(answer) == [FOUND]


def test_what_npm_audit_answers() -> None:
    advisory = {
        "source": 1097678, "name": "minimist", "dependency": "minimist", "title": "Prototype Pollution",
        "url": "https://github.com/advisories/GHSA-xvch-5gv4-984h", "severity": "critical", "range": "<0.2.4",
    }  # fmt: skip
    fix = {"name": "mkdirp", "version": "0.5.6", "isSemVerMajor": False}
    answer = {
        "auditReportVersion": 2,
        "vulnerabilities": {
            "minimist": {"name": "minimist", "severity": "critical", "via": [advisory], "fixAvailable": fix},
            "mkdirp": {"name": "mkdirp", "severity": "critical", "via": ["minimist"], "fixAvailable": fix},
            "old": {"name": "old", "severity": "low", "via": [advisory | {"range": "*"}], "fixAvailable": False},
        },
    }
    assert audit.of_npm_audit(answer) == [
        Vulnerability("minimist", "<0.2.4", ("GHSA-xvch-5gv4-984h",), ("mkdirp 0.5.6",)),
        Vulnerability("old", "*", ("GHSA-xvch-5gv4-984h",), ()),
    ]


LOG4SHELL = {
    "id": "GHSA-jfh8-c2jp-5v3q",
    "aliases": ["CVE-2021-44228"],
    "affected": [
        {
            "package": {"ecosystem": "Maven", "name": "org.apache.logging.log4j:log4j-core"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.13.0"}, {"fixed": "2.15.0"}]}],
        },
        {
            "package": {"ecosystem": "Maven", "name": "org.ops4j.pax.logging:pax-logging-log4j2"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.8.0"}, {"fixed": "1.9.2"}]}],
        },
    ],
}


@contextmanager
def osv(known: Mapping[str, list[str]]) -> Iterator[str]:
    """A server that speaks OSV's two requests; `known`: ids by package URL."""

    class Osv(QuietHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            ids = [known.get(query["package"]["purl"], []) for query in asked]
            self.answer({"results": [{"vulns": [{"id": one} for one in some]} if some else {} for some in ids]})

        def do_GET(self) -> None:
            self.answer(LOG4SHELL)

        def answer(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with LocalServer(Osv) as server:
        yield server.address


def test_java_is_asked_of_osv_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    log4j = {"group": "org.apache.logging.log4j", "name": "log4j-core", "version": "2.14.1"}
    kafka = {"group": "org.apache.kafka", "name": "kafka_2.13", "version": "4.3.1"}
    purls = [f"pkg:maven/{each['group']}/{each['name']}@{each['version']}?type=jar" for each in (kafka, log4j)]
    components = [each | {"purl": purl} for each, purl in zip((kafka, log4j), purls, strict=True)]
    monkeypatch.setattr(sbom, "maven", lambda _pom: {"components": components})

    with osv({audit.KNOWN_BAD_JAVA: ["GHSA-jfh8-c2jp-5v3q"]}) as url:
        found = audit.maven_vulnerabilities(url, [Path("pom.xml")])

    ids = ("GHSA-jfh8-c2jp-5v3q", "CVE-2021-44228")
    assert found == [Vulnerability("org.apache.logging.log4j:log4j-core", "2.14.1", ids, ("2.15.0",))]


def test_a_source_that_knows_nothing_is_not_believed() -> None:
    with osv({}) as url, pytest.raises(Unreachable, match="no advisories for Java"):
        audit.maven_vulnerabilities(url, [])


@has_tools
def test_a_planted_key_is_found(tmp_path: Path) -> None:
    planted = "AKIA" + "QYLPMN5HHHFPZAM2"
    (tmp_path / "notes.txt").write_text(f"the bucket's key is {planted}\n")
    (tmp_path / "config.py").write_text("def f() -> None: ...\n\n\ndatabase_password = " + '"kR7#mQ2x!v9"\n')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_login.py").write_text(f'PASSWORD = "made-up-1"\nKEY = "{planted}"\n')
    (tmp_path / "own.env").write_text(f"KEY={planted}\n")  # git does not keep it
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "notes.txt", "config.py", "tests"], cwd=tmp_path, check=True)

    found = audit.secrets(tmp_path)

    assert [(each.file, each.line, each.kind) for each in found] == [
        ("config.py", 4, "Secret Keyword"),
        ("notes.txt", 1, "AWS Access Key"),
        ("tests/test_login.py", 2, "AWS Access Key"),
    ]


@has_tools
def test_the_sbom_lists_what_is_pinned() -> None:
    pinned = sbom.pinned(ROOT / "requirements.txt")
    assert {"apache-flink", "moto"} <= {name for name, _ in pinned}

    found = sbom.python(ROOT / ".venv", ROOT / "requirements.txt")

    assert found["bomFormat"] == "CycloneDX"
    purls = {each.get("purl") for each in found["components"]}
    assert {f"pkg:pypi/{name}@{version}" for name, version in pinned} <= purls


@has_tools
def test_an_environment_that_lacks_what_is_pinned_is_said(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("requests==0.0.1\n")
    with pytest.raises(sbom.ToolError, match=r"lacks requests==0\.0\.1"):
        sbom.python(ROOT / ".venv", tmp_path / "requirements.txt")


def test_the_sbom_of_the_stack_has_the_jars_that_are_copied() -> None:
    names = {(each["name"], each["version"]) for each in sbom.copied(ROOT / "stack/pom.xml")}

    assert {name for name, _ in names} == {
        "flink-sql-connector-kafka", "flink-sql-gateway", "flink-s3-fs-hadoop", "elasticsearch"
    }  # fmt: skip
    assert not [version for _, version in names if "$" in version]
