"""Jobs: what is shipped with them, what they are resumed from, and why they failed, in short."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

import pytest

from settings import ROOT
from stack import jobs, layout, package
from stack.errors import StackError


def test_the_shipped_zip_holds_code_and_declarations_only(tmp_path: Path) -> None:
    target = package.make(target=tmp_path / "code.zip")
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        assert archive.read("settings.py") == (ROOT / "settings.py").read_bytes()
    assert {"settings.py", "jobs/_tables.py", "connectors/__init__.py", "connectors/wiki_recentchange.sql"} <= set(
        names
    )
    assert not [name for name in names if name.endswith((".java", ".class", ".jar", ".pyc"))]
    assert not [name for name in names if name.startswith(("tests", "stack", "producers", "."))]


def test_the_same_code_makes_the_same_zip(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "settings.py"):
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
        (tmp_path / "jobs" / name).write_text("x = 1\n")
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors/__init__.py").touch()
    first = package.make(tmp_path, tmp_path / "out/first.zip").read_bytes()
    (tmp_path / "jobs/__pycache__").mkdir()
    (tmp_path / "jobs/__pycache__/a.cpython-311.pyc").write_bytes(b"compiled")
    time.sleep(0.01)
    (tmp_path / "jobs/a.py").touch()
    assert package.make(tmp_path, tmp_path / "out/second.zip").read_bytes() == first
    (tmp_path / "jobs/a.py").write_text("x = 2\n")
    assert package.make(tmp_path, tmp_path / "out/third.zip").read_bytes() != first


def test_the_zip_can_be_imported_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs/data_of_zip_test").mkdir(parents=True)
    (tmp_path / "settings.py").touch()
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors/__init__.py").touch()
    (tmp_path / "jobs/data_of_zip_test/__init__.py").touch()
    (tmp_path / "jobs/data_of_zip_test/words.txt").write_text("of the zip")
    target = package.make(tmp_path, tmp_path / "code.zip")
    monkeypatch.syspath_prepend(f"{target}/jobs")
    from importlib import resources

    assert resources.files("data_of_zip_test").joinpath("words.txt").read_text() == "of the zip"


def checkpoint(job_id: str, number: int, complete: bool = True) -> Path:
    folder = layout.checkpoints_dir() / job_id / f"chk-{number}"
    folder.mkdir(parents=True)
    if complete:
        (folder / "_metadata").touch()
    return folder


def remembered(name: str, job_id: str, resumed_from: Path | str = "") -> None:
    layout.jobs_dir().mkdir(parents=True, exist_ok=True)
    run = {"name": name, "job_id": job_id, "resumed_from": str(resumed_from), "already_ran": False}
    (layout.jobs_dir() / f"{name}.json").write_text(json.dumps(run))


def test_a_job_resumes_from_the_newest_complete_checkpoint_of_its_last_run(own_place: Path) -> None:
    assert jobs.resumable("test.wiki_edits") is None
    remembered("test.wiki_edits", "a")
    assert jobs.resumable("test.wiki_edits") is None
    checkpoint("a", 9)
    newest = checkpoint("a", 10)
    checkpoint("a", 11, complete=False)
    checkpoint("b", 12)
    assert jobs.resumable("test.wiki_edits") == newest


def test_a_run_that_ended_before_its_first_checkpoint_leaves_the_one_before(own_place: Path) -> None:
    before = checkpoint("a", 3)
    remembered("wiki_edits", "b", resumed_from=before)
    assert jobs.resumable("wiki_edits") == before
    (before / "_metadata").unlink()
    assert jobs.resumable("wiki_edits") is None


@pytest.mark.parametrize("name", ["no_such_job", "_tables", "../settings"])
def test_a_job_that_does_not_exist_is_said_with_those_that_do(own_place: Path, name: str) -> None:
    with pytest.raises(StackError, match=r"There is no job .* Jobs: .*wiki_edits"):
        jobs.submit(name)


def test_without_a_cluster_it_is_said_how_to_get_one(own_place: Path) -> None:
    with pytest.raises(StackError, match=r"does not answer: `python -m stack up` starts it"):
        jobs.submit("wiki_edits")


@pytest.mark.parametrize(
    ("stacktrace", "short"),
    [
        ("", ""),
        ("java.lang.IllegalStateException: no", "java.lang.IllegalStateException: no"),
        (
            "org.apache.flink.runtime.JobException: Recovery is suppressed\n\tat a.B.c(B.java:1)\n"
            "Caused by: java.io.IOException: outer\n\tat a.B.c(B.java:2)\n"
            "Caused by: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: no such topic\n\t... 3 more",
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: no such topic",
        ),
        (
            "java.lang.RuntimeException: Error received from SDK harness for instruction 1: "
            "Traceback (most recent call last):\n"
            '  File "udfs/x.py", line 3, in eval\n    return 1 / 0\nZeroDivisionError: division by zero\n\n'
            "\tat org.apache.beam.X.y(X.java:1)\nCaused by: java.lang.RuntimeException: Error received",
            "ZeroDivisionError: division by zero",
        ),
    ],
)
def test_the_innermost_cause_is_shown(stacktrace: str, short: str) -> None:
    assert jobs.in_short(stacktrace) == short
