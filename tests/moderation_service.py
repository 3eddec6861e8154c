"""The moderation service as a process of its own, people who chat by it, and a job that decides as a test says."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from websockets.sync.client import ClientConnection, connect

from connections import kafka_options
from settings import ROOT, settings
from stack import security

Json = dict[str, Any]
SECONDS = 10  # for something to be heard
START_SECONDS = 120  # beside all jobs it reads what has been said before
ABUSE = "you are a worthless idiot, nobody wants you here"


class Service:
    """A process of the service, under a prefix."""

    def __init__(self, prefix: str, folder: Path, environment: dict[str, str], is_ready: bool = True) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self._log = (folder / f"{self.address}.log").open("w+")
        settings_of_it = {
            "CROWDPULSE_PREFIX": prefix,
            "CROWDPULSE_PORT_BASE": str(settings().port_base),
            "CROWDPULSE_MODERATION_UNSCORED_SECONDS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.moderation", "--port", self.address.partition(":")[2]],
            cwd=ROOT,
            env={**security.environment("service"), "OMP_NUM_THREADS": "1", **settings_of_it, **environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.wait_for("/readyz" if is_ready else "/healthz")

    def wait_for(self, path: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if requests.get(self.url + path, timeout=5).ok:
                    return
            except requests.ConnectionError:
                pass
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def said(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def ask(self, method: str, path: str, status: int = 200, **arguments: Any) -> Any:
        answer = requests.request(method, self.url + path, timeout=10, **arguments)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    @contextmanager
    def join(self, room: str, user_name: str, **arguments: Any) -> Iterator[Person]:
        with connect(f"ws://{self.address}/ws", **arguments) as socket_of_it:
            yield Person(socket_of_it, room, user_name)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait(timeout=30)
        self._log.close()

    def stop(self) -> str:
        """End it as a scheduler does; returns what it has logged."""
        self._process.terminate()
        self._process.wait(timeout=30)
        said = self.said()
        self._log.close()
        return said


class Person:
    """Somebody in a room."""

    def __init__(self, connection: ClientConnection, room: str, user_name: str) -> None:
        self.connection = connection
        self.tell(type="join", room=room, user_name=user_name)
        self.joined = self.hear("joined")

    def tell(self, **said: Any) -> None:
        self.connection.send(json.dumps(said))

    def send(self, text: str, identity: str | None = None) -> str:
        identity = identity or str(uuid.uuid4())
        self.tell(type="send", message_id=identity, text=text, client_time=datetime.now(UTC).isoformat())
        return identity

    def hear(self, kind: str, identity: str | None = None, state: str | None = None) -> Json:
        """The next of this kind (of this message, in this state); what comes before it is passed over."""
        deadline = time.monotonic() + SECONDS
        while True:
            said: Json = json.loads(self.connection.recv(timeout=max(0.01, deadline - time.monotonic())))
            of = said.get("message", said)
            if said["type"] == kind and (identity in (None, of.get("message_id"))) and state in (None, of.get("state")):
                return said

    def hears_nothing(self, seconds: float = 0.4) -> bool:
        try:
            self.connection.recv(timeout=seconds)
        except TimeoutError:
            return True
        return False


class Job:
    """Writes what jobs/moderation.py writes."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.producer = KafkaProducer(**kafka_options())

    def decides(self, message: Json, decision: str, **more: Any) -> None:
        """Twice, since decisions come at least once."""
        value = {name: message[name] for name in ("message_id", "room", "user_name", "text", "server_time")}
        value |= {
            "decision": decision, "reasons": ["toxic"] if decision in ("flag", "hold") else [], "ngrams": [],
            "toxic": 0.9, "strike_points": 1000, "strikes": 1.0, "action": "none", "muted_until": None,
            "policy_version": "1", "model_version": "m1", "is_late": False,
        }  # fmt: skip
        for _ in range(2):
            self.write("moderation_decisions", message["room"], value | more)

    def write(self, topic: str, key: str, value: Json) -> None:
        self.producer.send(self.prefix + topic, key=key.encode(), value=json.dumps(value).encode()).get(timeout=10)

    def records(self, topic: str) -> list[Json]:
        """All that a topic holds."""
        consumer = KafkaConsumer(**kafka_options(), group_id=None)
        partitions = [
            TopicPartition(self.prefix + topic, each) for each in consumer.partitions_for_topic(self.prefix + topic)
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Json] = []
        while any(consumer.position(each) < ends[each] for each in partitions):
            for records in consumer.poll(timeout_ms=200).values():
                found += [json.loads(each.value) for each in records if each.value]
        consumer.close()
        return found


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
