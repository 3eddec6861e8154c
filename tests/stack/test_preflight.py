"""What is said before anything starts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import cluster, java, ports, preflight
from stack.errors import StackError

GIGABYTE = 1024**3


@pytest.fixture
def fake_java(tmp_path: Path) -> Callable[..., Path]:
    """`fake_java("11.0.2")`: the home of a Java that says it has this version; it cannot compile unless told so."""

    def make(version: str, compiles: bool = False) -> Path:
        home = tmp_path / f"java-{version}"
        (home / "bin").mkdir(parents=True)
        for name in ["java", "javac"] if compiles else ["java"]:
            program = home / "bin" / name
            program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020-01-01' >&2\n")
            program.chmod(0o755)
        return home

    return make


def test_a_java_on_path_that_is_too_old_is_named_with_its_version(fake_java: Callable[..., Path]) -> None:
    home = fake_java("11.0.2")
    found = java.find({"PATH": str(home / "bin")}, installed_under=[])
    assert [(one.home, one.version, one.compiles) for one in found] == [(home, 11, False)]
    (problem,) = preflight.check_java(found)
    assert "too old" in problem
    assert f"11 in {home}" in problem


def test_java_8_names_its_version_in_the_old_way(fake_java: Callable[..., Path]) -> None:
    (found,) = java.find({"JAVA_HOME": str(fake_java("1.8.0_392"))}, installed_under=[])
    assert found.version == 8


def test_a_java_that_is_too_new_for_flink_is_not_called_too_old(fake_java: Callable[..., Path]) -> None:
    found = java.find({"JAVA_HOME": str(fake_java("25"))}, installed_under=[])
    (problem,) = preflight.check_java(found)
    assert "not one that Flink runs on" in problem


def test_no_java_is_said(tmp_path: Path) -> None:
    assert java.find({"PATH": str(tmp_path)}, installed_under=[tmp_path]) == []
    (problem,) = preflight.check_java([])
    assert problem.startswith("Java is missing")


def test_a_java_without_compiler_will_do_until_something_must_be_built(fake_java: Callable[..., Path]) -> None:
    found = java.find({"JAVA_HOME": str(fake_java("17.0.9"))}, installed_under=[])
    assert preflight.check_java(found) == []
    (problem,) = preflight.check_java(found, must_compile=True)
    assert "no compiler" in problem


def test_each_part_takes_the_java_that_fits_it(fake_java: Callable[..., Path], tmp_path: Path) -> None:
    old, plain, full, new = fake_java("11"), fake_java("17.0.1"), fake_java("17.0.2", compiles=True), fake_java("25")
    found = java.find({"JAVA_HOME": str(old), "PATH": str(plain / "bin")}, installed_under=[tmp_path])
    assert [one.home for one in found] == [old, plain, full, new]
    flink, elasticsearch = java.for_flink(found), java.for_elasticsearch_9(found)
    assert flink is not None
    assert flink.home == full
    assert elasticsearch is not None
    assert elasticsearch.home == new
    assert java.for_elasticsearch_9(found[:3]) is None


def test_a_program_called_java_that_does_not_run_is_no_java(tmp_path: Path) -> None:
    (tmp_path / "home/bin").mkdir(parents=True)
    (tmp_path / "home/bin/java").write_text("not a program")
    assert java.find({"JAVA_HOME": str(tmp_path / "home")}, installed_under=[]) == []


def test_maven_is_looked_for_on_path(tmp_path: Path) -> None:
    (problem,) = preflight.check_maven(path=str(tmp_path))
    assert "apt-get install maven" in problem
    (tmp_path / "mvn").write_text("#!/bin/sh\n")
    (tmp_path / "mvn").chmod(0o755)
    assert preflight.check_maven(path=str(tmp_path)) == []


def test_a_full_disk_is_said_for_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    assert preflight.check_disk(tmp_path / "not/yet", wanted_bytes=1) == []
    (problem,) = preflight.check_disk(tmp_path / "not/yet", wanted_bytes=10**18)
    assert str(tmp_path) in problem
    assert "CROWDPULSE_STATE_DIR" in problem


def test_short_memory_names_each_part_with_its_share() -> None:
    wanted = {"kafka": GIGABYTE, "taskmanager": 4 * GIGABYTE}
    assert preflight.check_memory(wanted, available_bytes=5 * GIGABYTE) == []
    (problem,) = preflight.check_memory(wanted, available_bytes=5 * GIGABYTE - 1)
    assert "kafka 1024 MB, taskmanager 4096 MB" in problem


def test_available_memory_is_read_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:      42 kB\n")
    assert preflight.available_memory_bytes(tmp_path / "meminfo") == 42 * 1024


def test_another_system_than_linux_is_refused() -> None:
    assert preflight.check_system("Linux") == []
    assert "Linux only" in preflight.check_system("Darwin")[0]


def test_packages_that_are_missing_are_named() -> None:
    assert preflight.check_python(["json"]) == []
    (problem,) = preflight.check_python(["json", "no_such_package"])
    assert "lacks no_such_package" in problem
    assert "requirements.txt" in problem


def test_a_taken_port_is_said_with_its_part_and_its_holder(own_place: Path) -> None:
    number = ports.port("kafka")
    with socket.create_server((ports.HOST, number)):
        (problem,) = preflight.check_ports({"kafka": ["kafka", "kafka-controller"]})
    assert problem.startswith(f"Port {number}, which kafka needs (kafka), is taken by pid {os.getpid()} ")
    assert preflight.check_ports({"kafka": ["kafka", "kafka-controller"]}) == []


def test_a_port_taken_on_all_addresses_is_taken(own_place: Path) -> None:
    with socket.create_server(("0.0.0.0", ports.port("moto"))):  # noqa: S104 (the case under test)
        assert ports.is_taken(ports.port("moto"))
    assert not ports.is_taken(ports.port("moto"))


def test_up_lists_all_problems_at_once_and_starts_nothing(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "available_memory_bytes", lambda: 1)
    taken = [ports.port("elasticsearch"), ports.port("flink-rest")]
    with socket.create_server((ports.HOST, taken[0])), socket.create_server((ports.HOST, taken[1])):
        with pytest.raises(StackError) as problem:
            cluster.up(build=False)
        lines = str(problem.value).splitlines()[1:]
    assert [line.split(",")[0].split(":")[0] for line in lines] == [
        "- Memory is short",
        f"- Port {taken[0]}",
        f"- Port {taken[1]}",
    ]
    assert not (own_place / "run").exists()
