"""The ports of the local stack, all on 127.0.0.1, and who listens on one."""

from __future__ import annotations

import errno
import socket
import time
from pathlib import Path

from settings import settings

HOST = "127.0.0.1"
UNKNOWN_HOLDER = "another user's process"

# Offsets from CROWDPULSE_PORT_BASE: with the default 9000, Kafka is 9092 and Elasticsearch 9200, as usual.
OFFSETS = {
    "flink-rest": 81,
    "sql-gateway": 83,
    "live-view": 90,
    "kafka": 92,
    "kafka-controller": 93,
    "moderation": 95,
    "taskmanager-data": 121,
    "taskmanager-rpc": 122,
    "jobmanager-rpc": 123,
    "jobmanager-blob": 124,
    "elasticsearch": 200,
    "elasticsearch-transport": 300,
    "moto": 500,
}


def port(name: str) -> int:
    """The port number of a name in OFFSETS."""
    return settings().port(OFFSETS[name])


def is_taken(number: int) -> bool:
    """Whether something listens on this port of 127.0.0.1 (or of all addresses)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def becomes_free(number: int, timeout_seconds: float = 15.0) -> bool:
    """Whether a port that is taken becomes free by itself: a process that was just killed holds its ports until its
    last thread has ended, and in that time nobody can be named as their holder."""
    deadline = time.monotonic() + timeout_seconds
    while holder(number) == UNKNOWN_HOLDER and time.monotonic() < deadline:
        time.sleep(0.2)
        if not is_taken(number):
            return True
    return not is_taken(number)


def accepts(number: int, timeout_seconds: float = 1.0) -> bool:
    """Whether a connection to this port of 127.0.0.1 is accepted."""
    try:
        with socket.create_connection((HOST, number), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def holder(number: int) -> str:
    """Who listens on a port: `pid 123 (java)`, or `another user's process` when this user may not read it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == number and fields[3] == "0A":  # 0A: listening
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(descriptor.readlink()) in inodes for descriptor in (process / "fd").iterdir()):
                return f"pid {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue  # ended meanwhile, or not ours to read
    return UNKNOWN_HOLDER
