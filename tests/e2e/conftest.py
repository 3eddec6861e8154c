"""What the end-to-end tests share: a run of its own on the real stack, under a prefix of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch.helpers import scan
from kafka import KafkaProducer
from playwright.sync_api import Browser, sync_playwright

from connections import kafka_options
from services.elasticsearch import elasticsearch_client
from settings import ROOT, settings
from stack import elasticsearch, flink, jobs, kafka, security

Document = dict[str, Any]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Chromium on a machine without the internet, as root: no sandbox, and nothing that asks for an update.
BROWSER_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SCREENSHOTS = Path(os.environ.get("CROWDPULSE_SCREENSHOTS", ROOT / ".stack" / "screenshots"))


class Pipeline:
    """Topics, jobs and indices under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.environment = {"CROWDPULSE_PREFIX": prefix, "CROWDPULSE_PORT_BASE": str(settings().port_base)}
        self.elasticsearch = elasticsearch_client(30)

    def produce(self, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> list[tuple[int, int]]:
        """Send (key, value) records; returns partition and offset of each."""
        producer = KafkaProducer(**kafka_options(), max_request_size=4 << 20, linger_ms=20)
        sent = [producer.send(self.prefix + topic, key=key, value=value) for key, value in records]
        places = [future.get(timeout=60) for future in sent]
        producer.close()
        return [(place.partition, place.offset) for place in places]

    def python(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `python -m …` as a user does, with this prefix; its exit code is the caller's to check."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**security.environment(security.role_of(arguments[0])), **self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run(self, *names: str) -> None:
        """Run jobs over what their topics hold now, to the end; together, so that none sees what another writes."""
        runs = jobs.submit_all(
            names,
            prefix=self.prefix,
            fresh=True,
            environment=self.environment | {"CROWDPULSE_BOUNDED_MODE": "latest-offset"},
        )
        for run in runs:
            jobs.wait(run.job_id, seconds=400)

    def start(self, job: str) -> str:
        """Start a job that goes on; returns its id."""
        return jobs.submit(job, prefix=self.prefix, fresh=True, environment=self.environment).job_id

    def count(self, index: str) -> int:
        """How many documents an index holds, 0 where there is none."""
        self.elasticsearch.options(ignore_status=404).indices.refresh(index=self.prefix + index)
        found = self.elasticsearch.count(index=self.prefix + index, ignore_unavailable=True)
        return int(found["count"])

    def documents(self, index: str) -> dict[str, Document]:
        """All documents of an index by id, none where there is no index."""
        self.elasticsearch.options(ignore_status=404).indices.refresh(index=self.prefix + index)
        hits = scan(
            self.elasticsearch,
            index=self.prefix + index,
            query={"query": {"match_all": {}}},
            size=5000,
            ignore_unavailable=True,
        )
        return {hit["_id"]: hit["_source"] for hit in hits}

    def wait_for(self, what: str, holds: Callable[[], bool], seconds: float = 180) -> None:
        """Wait until `holds()`; fails with `what` when it does not within that time."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            time.sleep(0.5)

    def close(self) -> None:
        for job in jobs.listed():
            if job.name.startswith(self.prefix) and job.state not in jobs.ENDED:
                jobs.cancel(job.name)
        elasticsearch.delete_indices(self.prefix)
        self.elasticsearch.close()
        kafka.delete_topics(self.prefix)


@pytest.fixture
def pipeline(running_stack: None) -> Iterator[Pipeline]:
    """A run of its own: topics made, and all of it removed afterwards."""
    run = Pipeline(f"test-{uuid.uuid4().hex[:8]}.")
    kafka.create_topics(run.prefix)
    elasticsearch.put_templates()
    yield run
    run.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; without one these tests are skipped."""
    if BROWSER is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=BROWSER_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def synthetic(tmp_path: Path) -> Callable[..., list[Document]]:
    """`synthetic(limit, …options)`: generated events of recentchange."""

    def events(limit: int, *options: str) -> list[Document]:
        file = tmp_path / f"synthetic-{limit}.jsonl"
        command = ["producers.wikimedia", "--synthetic", "--limit", str(limit), "--output", str(file), *options]
        subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True, timeout=120)
        return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]

    return events


def restarts(job_id: str) -> int:
    """How often Flink has restarted a job."""
    (metric,) = flink.rest(f"/jobs/{job_id}/metrics?get=numRestarts")
    return int(metric["value"])


def key_of(event: Document) -> bytes:
    return f"{event['wiki']}:{event['title']}".encode()


def as_record(event: Document) -> tuple[bytes, bytes]:
    return key_of(event), json.dumps(event, ensure_ascii=False).encode()
