"""Background processes: who they are, and that nobody else is ended in their place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stack import cluster, processes
from stack.errors import StackError


def start(name: str, *command: str, place: Path) -> int:
    return processes.start(name, command, log=place / f"{name}.log")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if file.exists() and file.read_text().endswith("\n"):
            return file.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{file} was not written.")


def test_a_process_is_known_until_it_is_stopped(own_place: Path) -> None:
    pid = start("sleeper", "sleep", "60", place=own_place)
    assert processes.pid("sleeper") == pid
    assert processes.members("sleeper") == [pid]
    assert processes.memory_bytes("sleeper") > 0
    assert processes.stop("sleeper")
    assert processes.pid("sleeper") is None
    assert not lives(pid)
    assert processes.record("sleeper") is None
    assert not processes.stop("sleeper")


def test_a_pid_that_another_program_got_is_not_ours(own_place: Path) -> None:
    start("sleeper", "sleep", "60", place=own_place)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        file = own_place / "run/sleeper.json"
        ours = json.loads(file.read_text())
        file.write_text(json.dumps({**ours, "pid": other.pid, "tick": ours["tick"] - 1}))  # the pid went round
        assert processes.pid("sleeper") is None
        assert processes.members("sleeper") == []
        assert not processes.stop("sleeper")
        processes.kill("sleeper")
        assert lives(other.pid)
        other.kill()
    os.kill(ours["pid"], signal.SIGKILL)


def test_a_record_from_before_the_last_boot_is_of_nobody(own_place: Path) -> None:
    pid = start("sleeper", "sleep", "60", place=own_place)
    file = own_place / "run/sleeper.json"
    ours = json.loads(file.read_text())
    file.write_text(json.dumps({**ours, "boot": "another"}))
    assert processes.pid("sleeper") is None
    assert not processes.stop("sleeper")
    assert lives(pid)
    os.kill(pid, signal.SIGKILL)


def test_what_a_process_left_behind_is_ended_with_it(own_place: Path) -> None:
    child = own_place / "child"
    start("parent", "sh", "-c", f"sleep 60 & echo $! > {child}; wait", place=own_place)
    pid = int(wait_for(child))
    processes.kill("parent")
    assert processes.pid("parent") is None
    assert processes.members("parent") == [pid]
    assert processes.stop("parent")
    assert not lives(pid)


def test_a_process_that_ignores_sigterm_is_killed(own_place: Path) -> None:
    ready = own_place / "ready"
    pid = start("stubborn", "sh", "-c", f"trap '' TERM; echo > {ready}; while :; do sleep 0.05; done", place=own_place)
    wait_for(ready)
    began = time.monotonic()
    assert processes.stop("stubborn", timeout_seconds=0.2)
    assert not lives(pid)
    assert time.monotonic() - began > 0.2


def test_a_process_runs_until_its_last_thread_has_ended(own_place: Path) -> None:
    """A killed JVM is a zombie while other threads of it still end, and hold its ports."""
    pid = start(
        "half", sys.executable, "-c",
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start();"
        "ctypes.CDLL(None).pthread_exit(None)",
        place=own_place,
    )  # fmt: skip
    deadline = time.monotonic() + 10
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lives(pid)
    assert processes.pid("half") == pid
    assert processes.members("half") == [pid]
    processes.kill("half")
    assert processes.pid("half") is None
    assert processes.members("half") == []


def test_a_process_is_asked_to_end_before_it_is_killed(own_place: Path) -> None:
    ready, bye = own_place / "ready", own_place / "bye"
    script = f"trap 'echo bye > {bye}; exit 0' TERM; echo > {ready}; while :; do sleep 0.05; done"
    start("polite", "sh", "-c", script, place=own_place)
    wait_for(ready)
    assert processes.stop("polite", timeout_seconds=10)
    assert bye.read_text() == "bye\n"


def test_a_background_program_has_a_log_and_a_state(own_place: Path) -> None:
    processes.run("greeter", ["sh", "-c", "echo hello; sleep 60"])
    assert wait_for(processes.log_file("greeter")) == "hello\n"
    with pytest.raises(StackError, match="greeter already runs"):
        processes.run("greeter", ["sleep", "1"])
    states = {state.name: state.state for state in cluster.states() if not state.part}
    assert states == {"greeter": "running"}
    processes.kill("greeter")
    states = {state.name: state.state for state in cluster.states() if not state.part}
    assert states == {"greeter": "ended"}


@pytest.mark.parametrize("name", ["Producer", "a/b", "", "../x", "1st"])
def test_a_name_that_is_no_file_name_is_refused(own_place: Path, name: str) -> None:
    with pytest.raises(StackError, match="is no name"):
        processes.run(name, ["true"])


def test_a_program_that_does_not_exist_is_said(own_place: Path) -> None:
    with pytest.raises(StackError, match="no-such-program: No such file"):
        processes.run("ghost", ["no-such-program"])


def test_a_long_log_is_put_aside_at_the_start(own_place: Path) -> None:
    log = processes.log_file("talker")
    log.parent.mkdir(parents=True)
    with log.open("wb") as stream:
        stream.truncate(processes.LOG_KEPT_BYTES + 1)
    processes.run("talker", ["sh", "-c", "echo new"])
    assert wait_for(log) == "new\n"
    assert log.with_name("talker.log.1").stat().st_size == processes.LOG_KEPT_BYTES + 1
