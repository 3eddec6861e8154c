"""What .ci/run installs, told by programs that stand in for apt and all that comes after it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from settings import ROOT

SKIPPED = "the tests on Elasticsearch 9.5 will be skipped"


@pytest.mark.parametrize(
    ("java", "in_apt", "javac", "installed", "skipped"),
    [
        ("17.0.1", True, True, ["openjdk-21-jdk-headless"], False),
        ("17.0.1", False, True, [], True),
        ("25", False, True, [], False),
        (None, True, False, ["openjdk-21-jdk-headless"], False),
        (None, False, False, ["openjdk-17-jdk-headless"], True),
    ],
)
def test_java_21_is_installed_where_apt_has_it_else_it_is_said(
    tmp_path: Path, java: str | None, in_apt: bool, javac: bool, installed: list[str], skipped: bool
) -> None:
    programs, jvms, checkout = tmp_path / "bin", tmp_path / "jvm", tmp_path / "checkout"
    apt = f'echo "$@" >>{tmp_path}/apt; case "$*" in *simulate*) exit {0 if in_apt else 100};; esac'
    for folder in (programs, jvms, checkout / ".ci"):
        folder.mkdir(parents=True)
    for program in ("apt-get", "make", "mvn", "python3", *(["javac"] if javac else [])):
        (programs / program).write_text(f"#!/bin/bash\n{apt if program == 'apt-get' else ''}\n")
        (programs / program).chmod(0o755)
    for program in ("bash", "dirname", "sed"):
        (programs / program).symlink_to(f"/usr/bin/{program}")
    if java:
        (jvms / "java").mkdir()
        (jvms / "java/release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{java}"\n')
    script = checkout / ".ci/run"
    script.write_text((ROOT / ".ci/run").read_text().replace("/usr/lib/jvm", str(jvms)))
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": str(programs)}

    done = subprocess.run(
        ["/usr/bin/bash", script], env=environment, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 0, done.stderr
    log = tmp_path / "apt"
    asked = log.read_text().splitlines() if log.exists() else []
    found = [line for line in asked if line.startswith("install") and "--simulate" not in line]
    assert [line.split()[-1] for line in found] == installed
    assert (SKIPPED in done.stdout) == skipped
