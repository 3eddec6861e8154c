"""The Makefile and .ci/run, with small programs in place of pip, apt and all that takes long."""

from __future__ import annotations

import os
import shutil
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
    there = ("apt-get", "make", "mvn", "npm", "chromium", "dockerd", "debootstrap", "python3")
    for program in (*there, *(["javac"] if javac else [])):
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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with nothing in it but the Makefile and what its rule for `.venv` reads."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/tools.sh").touch()
    return tmp_path


def make(checkout: Path, target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "PYTHON=false", target], cwd=checkout, capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize(
    ("pip", "works"),
    [("echo Collecting x; exit 1", False), ("exit 1", False), ("echo Collecting x", True), ("echo quiet", True)],
)
def test_an_environment_is_ready_only_when_pip_says_so(checkout: Path, pip: str, works: bool) -> None:
    programs = checkout / ".venv/bin"
    programs.mkdir(parents=True)
    for name, text in (("pip", pip), ("python", "exit 0")):
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)

    assert (make(checkout, "environment").returncode == 0) == works
    assert (checkout / ".venv/runtime").exists() == works


@pytest.mark.parametrize("target", ["down", "clean"])
def test_where_nothing_was_made_there_is_nothing_to_stop_or_to_download(checkout: Path, target: str) -> None:
    before = sorted(checkout.rglob("*"))

    done = make(checkout, target)

    assert done.returncode == 0, done.stderr
    assert "Python environment" not in done.stdout
    assert sorted(checkout.rglob("*")) == before
