"""A place of its own for each test of the stack's parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import settings
from stack import processes

# Below Linux's range for outgoing connections (32768 and up), where any client may hold one of these ports.
PORT_BASE = 21000


@pytest.fixture
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Settings with a state folder and ports that no other stack has; what was started there is ended afterwards."""
    place = tmp_path / "state"
    monkeypatch.setenv("CROWDPULSE_STATE_DIR", str(place))
    monkeypatch.setenv("CROWDPULSE_PORT_BASE", str(PORT_BASE))
    settings.cache_clear()
    yield place
    for record in (place / "run").glob("*.json"):
        processes.stop(record.stem, timeout_seconds=5)
    monkeypatch.undo()
    settings.cache_clear()
