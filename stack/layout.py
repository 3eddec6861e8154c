"""Where the local stack keeps its files: one function a place, all under `CROWDPULSE_STATE_DIR`."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

from settings import ROOT, settings


def state_dir() -> Path:
    """The folder of this checkout's stack, absolute."""
    return settings().state_dir.expanduser().absolute()


def jars_dir() -> Path:
    """What Maven fetched."""
    return state_dir() / "jars"


def logs_dir() -> Path:
    """One log a part."""
    return state_dir() / "logs"


def run_dir() -> Path:
    """One record a process: see stack/processes.py."""
    return state_dir() / "run"


def data_dir(part: str) -> Path:
    """What a part stores: `down --data` deletes it."""
    return state_dir() / "data" / part


def flink_home() -> Path:
    """The Flink distribution of this stack: `bin/flink` and `bin/sql-client.sh` are for everybody."""
    return state_dir() / "flink"


def checkpoints_dir() -> Path:
    """One folder a job id, in it `chk-N`."""
    return data_dir("checkpoints")


def jobs_dir() -> Path:
    """One record a submitted job: see stack/jobs.py."""
    return data_dir("jobs")


def shipped_code() -> Path:
    """The zip that `flink run -pyfs` ships: see stack/package.py."""
    return state_dir() / "crowdpulse.zip"


def tmp_dir() -> Path:
    """Flink's temporary files."""
    return state_dir() / "tmp"


def foreign_dir(part: str) -> Path:
    """A place outside the checkout, for a part whose user cannot enter the checkout."""
    checkout = hashlib.sha256(str(state_dir()).encode()).hexdigest()[:10]
    return Path("/var/tmp") / f"crowdpulse-{checkout}-{part}"  # noqa: S108 (owned by the part's user, mode 700)


def shown(path: Path) -> str:
    """`path` as a person types it: relative to the checkout where it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def remove(folder: Path) -> None:
    """Delete a folder with all in it, if it is there."""
    while folder.exists():
        with suppress(FileNotFoundError):  # another process, as Flink after a job's end, deletes of it too
            shutil.rmtree(folder)
