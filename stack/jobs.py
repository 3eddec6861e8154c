"""Flink jobs of this stack: submit, look, cancel.

A job is `jobs/NAME.py`; on the cluster its name is the prefix and NAME. What was submitted is remembered in
`.stack/data/jobs`, so that the next submission of the same name resumes from the newest checkpoint of the last one, or
from the savepoint with which it was stopped.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import requests

from settings import ROOT, settings
from stack import flink, layout, package
from stack.errors import StackError

ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})
SUBMIT_SECONDS = 180
SEVERAL = ROOT / "jobs" / "_several.py"
# What that and Flink's client say of a job.
_SUBMITTING = re.compile(r"Submitting (\w+)$")
_JOB_ID = re.compile(r"JobID ([0-9a-f]{32})")

# How Flink says that a job's state cannot be restored, and what that means.
_STATE_DOES_NOT_FIT = {
    r"is not available in the new program|allowNonRestoredState": "a step of it is gone",
    r"new key serializer": "a key has other columns or types",
    r"StateMigrationException|state is incompatible|new state serializer": "a stored row has other columns or types",
    r"max(imum)? parallelism": "it ran with another maximum parallelism",
}


@dataclass(frozen=True)
class Run:
    """A submitted job: its name on the cluster, the cluster's id, and the checkpoint that it was resumed from.

    `savepoint` is the folder of the savepoint that ended it, if one did.
    """

    name: str
    job_id: str
    resumed_from: str
    already_ran: bool = False
    savepoint: str = ""


@dataclass(frozen=True)
class Job:
    """A job as the cluster lists it; `started` is in seconds since 1970, `seconds` how long it has run."""

    name: str
    job_id: str
    state: str
    started: float
    seconds: float


def known_jobs() -> list[str]:
    """Names of the job files: those of jobs/ that make a table environment."""
    return sorted(
        file.stem
        for file in (ROOT / "jobs").glob("[a-z]*.py")
        if "table_environment(" in file.read_text(encoding="utf-8")
    )


def listed() -> list[Job]:
    """All jobs that the cluster knows, newest first."""
    jobs = [
        Job(entry["name"], entry["jid"], entry["state"], entry["start-time"] / 1000, entry["duration"] / 1000)
        for entry in flink.rest("/jobs/overview")["jobs"]
    ]
    return sorted(jobs, key=lambda job: -job.started)


def running(name: str) -> Job | None:
    """The job of this name (with prefix) that has not ended, or None."""
    return next((job for job in listed() if job.name == name and job.state not in ENDED), None)


def state(job_id: str) -> str:
    """The state of a job: RUNNING, RESTARTING, FINISHED, FAILED, CANCELED and others of Flink's; UNKNOWN for no job."""
    return next((job.state for job in listed() if job.job_id == job_id), "UNKNOWN")


def root_cause(job_id: str) -> str:
    """The innermost reason of a job's last failure, in one or two lines; empty when it has not failed."""
    history = flink.rest(f"/jobs/{job_id}/exceptions?maxExceptions=1")["exceptionHistory"]["entries"]
    return in_short(history[0]["stacktrace"]) if history else ""


def in_short(stacktrace: str) -> str:
    """The innermost cause of a Java stack trace, with the last line of the Python traceback in it if there is one."""
    lines = stacktrace.strip().splitlines()
    if not lines:
        return ""
    causes = [line for line in lines if line.startswith("Caused by: ")]
    cause = (causes[-1] if causes else lines[0]).removeprefix("Caused by: ")
    if "Traceback (most recent call last)" in stacktrace:
        python = re.split(r"Traceback \(most recent call last\):?\s*\n", stacktrace)[-1]
        ends = [
            line for line in python.splitlines() if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Exit)?\b.*:? ?", line)
        ]
        if ends:
            cause = ends[0]
    return cause.strip()[:600]


def latest_checkpoint(job_id: str) -> Path | None:
    """The newest complete checkpoint that is kept of a job, or None."""
    complete = [file.parent for file in (layout.checkpoints_dir() / job_id).glob("chk-*/_metadata")]
    return max(complete, key=lambda folder: int(folder.name.removeprefix("chk-")), default=None)


def _record_file(name: str) -> Path:
    return layout.jobs_dir() / f"{name}.json"


def resumable(name: str) -> Path | None:
    """The checkpoint or savepoint from which a job of this name (with prefix) would be resumed, or None."""
    last = _last_run(name)
    if last is None:
        return None
    if last.savepoint and (Path(last.savepoint) / "_metadata").exists():
        return Path(last.savepoint)
    before = Path(last.resumed_from) if last.resumed_from else None
    return latest_checkpoint(last.job_id) or (before if before and (before / "_metadata").exists() else None)


def submit(
    job: str,
    *,
    prefix: str | None = None,
    fresh: bool = False,
    parallelism: int | None = None,
    environment: Mapping[str, str] | None = None,
    wait_seconds: float = SUBMIT_SECONDS,
) -> Run:
    """Submit jobs/JOB.py and wait until all its tasks run (or it has finished).

    `prefix` and `parallelism` go before the settings; `environment` adds variables, such as CROWDPULSE_BOUNDED_MODE.
    Resumes from the newest kept checkpoint of the last run of that name unless `fresh`. A job of that name that has
    not ended is left alone. Raises StackError with the innermost reason when the job does not come to run.
    """
    _check_known(job)
    prefix = settings().prefix if prefix is None else prefix
    return submit_script(
        ROOT / "jobs" / f"{job}.py",
        name=prefix + job,
        fresh=fresh,
        parallelism=parallelism,
        environment={"CROWDPULSE_PREFIX": prefix, **(environment or {})},
        wait_seconds=wait_seconds,
    )


def _check_known(job: str) -> None:
    if job not in known_jobs():
        raise StackError(f"There is no job {job}. Jobs: {', '.join(known_jobs())}.")


def submit_script(
    script: Path,
    *,
    name: str,
    fresh: bool = False,
    parallelism: int | None = None,
    environment: Mapping[str, str] | None = None,
    wait_seconds: float = SUBMIT_SECONDS,
) -> Run:
    """Submit a Python file as the job `name`, which must be the file's own `pipeline.name`: see `submit`."""
    there = running(name)
    if there:
        return Run(name, there.job_id, "", already_ran=True)
    checkpoint = None if fresh else resumable(name)
    command = ["--python", str(script)]
    # CLAIM: Flink deletes that checkpoint once the job has newer ones.
    command += ["--fromSavepoint", checkpoint.as_uri(), "--claimMode", "CLAIM"] if checkpoint else []
    deadline = time.monotonic() + wait_seconds
    submitted: list[Run] = []

    def take(line: str) -> None:
        if found := _JOB_ID.search(line):
            submitted.append(Run(name, found[1], str(checkpoint or "")))
            _remember(submitted[0])

    status, output = _flink_run(command, parallelism, environment or {}, wait_seconds, take)
    if status or not submitted:
        raise _not_submitted(name, status, output, bool(checkpoint))
    _wait_until_it_works(submitted[0], deadline)
    return submitted[0]


def submit_all(
    jobs: Iterable[str],
    *,
    prefix: str | None = None,
    fresh: bool = False,
    parallelism: int | None = None,
    environment: Mapping[str, str] | None = None,
    wait_seconds: float = SUBMIT_SECONDS,
    said: Callable[[Run], None] = lambda _run: None,
) -> list[Run]:
    """Submit several jobs/JOB.py by one client, which takes a fraction of the time; for the rest see `submit`.

    `said` is called with each run as soon as the cluster has the job, the runs are returned when all tasks of all work.
    Each job may take `wait_seconds`.
    """
    prefix = settings().prefix if prefix is None else prefix
    runs: dict[str, Run] = {}
    wanted: dict[str, Path | None] = {}
    for job in jobs:
        _check_known(job)
        there = running(prefix + job)
        if there:
            runs[job] = Run(prefix + job, there.job_id, "", already_ran=True)
            said(runs[job])
        else:
            wanted[job] = None if fresh else resumable(prefix + job)
    if not wanted:
        return list(runs.values())
    began = time.monotonic()
    being_submitted = ""

    def take(line: str) -> None:
        nonlocal being_submitted
        if found := _SUBMITTING.match(line):
            being_submitted = found[1]
        elif found := _JOB_ID.search(line):
            run = Run(prefix + being_submitted, found[1], str(wanted[being_submitted] or ""))
            _remember(run)
            runs[being_submitted] = run
            said(run)

    arguments = [f"{job}={checkpoint.as_uri()}" if checkpoint else job for job, checkpoint in wanted.items()]
    variables = {"CROWDPULSE_PREFIX": prefix, **(environment or {})}
    command = ["--python", str(SEVERAL)]
    status, output = _flink_run(command, parallelism, variables, wait_seconds * len(wanted), take, arguments)
    if missing := next((job for job in wanted if job not in runs), ""):
        raise _not_submitted(prefix + missing, status, output, bool(wanted[missing]))
    for job in wanted:
        _wait_until_it_works(runs[job], began + wait_seconds * len(wanted))
    return list(runs.values())


def _flink_run(
    options: Sequence[str],
    parallelism: int | None,
    environment: Mapping[str, str],
    wait_seconds: float,
    take: Callable[[str], None],
    arguments: Sequence[str] = (),
) -> tuple[int, str]:
    """Flink's client with our code: its exit status and all that it said; `take` gets each line as it comes.

    After `wait_seconds` it is killed, which is its status then.
    """
    command = [str(layout.flink_home() / "bin/flink"), "run", "--detached", *options]
    command += ["--parallelism", str(parallelism)] if parallelism else []
    command += ["--pyFiles", str(package.make()), *arguments]
    variables = flink.environment() | dict(environment)
    variables |= {"CROWDPULSE_PARALLELISM": str(parallelism)} if parallelism else {}
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=variables,
        cwd=ROOT,
        start_new_session=True,
    ) as client:
        limit = threading.Timer(wait_seconds, os.killpg, (client.pid, signal.SIGKILL))
        limit.start()
        try:
            assert client.stdout
            for line in client.stdout:
                lines.append(line)
                take(line)
        except BaseException:
            os.killpg(client.pid, signal.SIGKILL)
            raise
        finally:
            limit.cancel()
    return client.returncode, "".join(lines)


def _not_submitted(name: str, status: int, output: str, resumed: bool) -> StackError:
    if status == -signal.SIGKILL:
        return StackError(f"{name} was not submitted in time: is the machine overloaded?")
    if resumed and _misfit(output):
        return _changed(name, _misfit(output))
    return StackError(f"{name} was not submitted: {_why_not_submitted(output)}")


def _why_not_submitted(output: str) -> str:
    """The telling lines of `flink run`: the Python traceback when there is one, else the innermost Java cause."""
    log = f"\nMore in {layout.shown(layout.logs_dir())}/flink-*-client-*.log."
    python = re.search(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)+(.+)", output)
    if python and "py4j" not in python[1].lower():
        return str(python[1]).strip()[:800] + log
    causes = re.findall(r"^(?:\s*Caused by)?: (.+)", output, re.MULTILINE)  # py4j begins a Java error with ": "
    telling = [cause for cause in causes if "Python process exits with code" not in cause]
    if telling:
        return str(telling[-1]).strip()[:800] + log
    lines = [line for line in output.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    return (" ".join(lines[-5:])[:800] or "Flink said nothing") + log


def _changed(name: str, reason: str) -> StackError:
    job = name.removeprefix(settings().prefix)
    return StackError(
        f"{name} was changed so that the state of its last run does not fit ({reason}). "
        f"`python -m stack submit {job} --fresh` starts it without that state: it reads its topics anew, and since "
        "every document has a stable id nothing is doubled. A job that writes a topic for others (social_posts) would "
        "write all of it once more: CROWDPULSE_STARTUP_MODE=group-offsets lets it go on where it stopped."
    )


def _misfit(output: str) -> str:
    """Why the state of the last run does not fit, in words; empty when the failure is another one."""
    return next((said for pattern, said in _STATE_DOES_NOT_FIT.items() if re.search(pattern, output)), "")


def _last_run(name: str) -> Run | None:
    try:
        return Run(**json.loads(_record_file(name).read_text()))
    except FileNotFoundError:
        return None


def _remember(run: Run) -> None:
    """Write the record of a run; what is left of the checkpoints before the last run's is of no more use."""
    before = _last_run(run.name)
    if before and before.resumed_from and before.resumed_from != run.resumed_from:
        used = Path(before.resumed_from)
        layout.remove(used if used.parent == layout.data_dir("savepoints") else used.parent)
    file = _record_file(run.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(run), indent=1))


def _wait_until_it_works(run: Run, deadline: float) -> None:
    while True:
        detail = flink.rest(f"/jobs/{run.job_id}")
        tasks: dict[str, int] = detail["status-counts"]
        if detail["state"] == "FINISHED":
            return
        if detail["state"] == "RUNNING" and sum(tasks.values()) == tasks["RUNNING"] + tasks["FINISHED"]:
            return
        reason = root_cause(run.job_id) if detail["state"] in ("FAILED", "FAILING", "RESTARTING") else ""
        if run.resumed_from and _misfit(reason):
            cancel(run.name)
            raise _changed(run.name, _misfit(reason))
        if detail["state"] in ENDED:
            raise StackError(f"{run.name} has {detail['state'].lower()}: {reason}")
        if time.monotonic() > deadline:
            raise StackError(
                f"{run.name} does not run: {reason or _what_it_waits_for(tasks)} "
                "It stays on the cluster: `python -m stack jobs` shows it, `cancel` ends it."
            )
        time.sleep(0.25)


def _what_it_waits_for(tasks: Mapping[str, int]) -> str:
    overview = flink.rest("/overview")
    if not overview["taskmanagers"]:
        return "there is no TaskManager; `python -m stack up` brings it back."
    if tasks["CREATED"] or tasks["SCHEDULED"]:
        return (
            f"it waits for slots, {overview['slots-available']} of {overview['slots-total']} are free; cancel a job, "
            "or set CROWDPULSE_TASK_SLOTS higher and start the stack anew."
        )
    waiting = {state.lower(): count for state, count in tasks.items() if count}
    return f"its tasks are {waiting}; `python -m stack logs taskmanager` may say why."


def wait(job_id: str, states: Collection[str] = ("FINISHED",), seconds: float = 300) -> str:
    """Wait until a job is in one of `states`; returns that state.

    Raises StackError with the innermost reason when it ends in another, or after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        now = state(job_id)
        if now in states:
            return now
        if now in ENDED or now == "UNKNOWN":
            raise StackError(f"Job {job_id} is {now} instead of {' or '.join(states)}: {_reason(job_id, now)}")
        if time.monotonic() > deadline:
            raise StackError(f"Job {job_id} is still {now} after {seconds:.0f} s. {_reason(job_id, now)}")
        time.sleep(0.5)


def _reason(job_id: str, now: str) -> str:
    return "" if now == "UNKNOWN" else root_cause(job_id)


def cancel(name: str, seconds: float = 60) -> bool:
    """Cancel the running job of this name (with prefix) and wait for its end; its newest checkpoint is kept.

    False when none runs. Raises StackError when it has not ended after `seconds`.
    """
    job = running(name)
    if job is None:
        return False
    try:
        answer = requests.patch(f"{flink.rest_url()}/jobs/{job.job_id}?mode=cancel", timeout=30)
    except requests.RequestException as error:
        raise StackError(f"Flink does not answer while {name} is cancelled: `python -m stack status`.") from error
    if not answer.ok and state(job.job_id) not in ENDED:
        raise StackError(f"Flink refuses to cancel {name}: {answer.text[:300]}")
    wait(job.job_id, ENDED, seconds)
    return True


def stop(name: str, seconds: float = 120) -> Path | None:
    """Stop the running job of this name (with prefix) with a savepoint; returns its folder, None when none runs.

    All that the job has read is written and committed, its open windows are kept; the next `submit` goes on from there,
    also with another parallelism or a changed query whose state still fits. Raises StackError when Flink cannot write
    the savepoint, or has not after `seconds`: then the job goes on.
    """
    job = running(name)
    last = _last_run(name)
    if job is None or last is None or last.job_id != job.job_id:
        return None
    folder = layout.data_dir("savepoints").as_uri()
    try:
        answer = requests.post(
            f"{flink.rest_url()}/jobs/{job.job_id}/stop", json={"targetDirectory": folder, "drain": False}, timeout=30
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        raise StackError(f"Flink does not stop {name} ({error}): `python -m stack status`.") from error
    request = answer.json()["request-id"]
    deadline = time.monotonic() + seconds
    while True:
        told = flink.rest(f"/jobs/{job.job_id}/savepoints/{request}")
        operation = told.get("operation") or {}
        if failure := operation.get("failure-cause"):
            raise StackError(f"{name} goes on, its savepoint failed: {in_short(failure['stack-trace'])}")
        if location := operation.get("location"):
            break
        if time.monotonic() > deadline:
            raise StackError(f"{name} has no savepoint after {seconds:.0f} s: `python -m stack logs jobmanager`.")
        time.sleep(0.25)
    wait(job.job_id, ENDED, seconds)
    savepoint = Path(urlsplit(location).path)
    _remember(replace(last, savepoint=str(savepoint)))
    return savepoint
