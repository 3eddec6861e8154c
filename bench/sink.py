"""The sink, Kafka -> wiki_edits -> Elasticsearch, against raw bulk requests from two processes.

The job writes its index of edits alone, so that it does little but read, parse and write. The reference sends the same
documents under the same ids: requests that were made beforehand, as bytes, by two processes that do nothing else, each
with one request under way. What it cannot be: faster than Elasticsearch itself.
"""

from __future__ import annotations

import time
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection

import orjson
import urllib3
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from rich.console import Console

from bench.measure import Run, Usage
from bench.results import Row
from bench.runs import load, place, run_job
from settings import settings
from stack import elasticsearch
from stack.errors import StackError

EVENTS = 300_000
PROCESSES = 2
DOCUMENTS_OF_A_REQUEST = 2000
INDEX = "wiki_edits"


def requests_of(client: Elasticsearch, index: str) -> list[bytes]:
    """The documents of an index as bodies of bulk requests."""
    client.indices.refresh(index=index)
    bodies: list[bytes] = []
    lines: list[bytes] = []
    for hit in scan(client, index=index, query={"query": {"match_all": {}}}, size=5000):
        lines += [orjson.dumps({"create": {"_index": index, "_id": hit["_id"]}}), orjson.dumps(hit["_source"])]
        if len(lines) == 2 * DOCUMENTS_OF_A_REQUEST:
            bodies.append(b"\n".join(lines) + b"\n")
            lines = []
    return [*bodies, *([b"\n".join(lines) + b"\n"] if lines else [])]


def _send(bodies: list[bytes], said: Connection) -> None:
    """Send the bodies one after the other when told to; tells how many answers had an error."""
    pool = urllib3.PoolManager()
    url = f"{settings().elasticsearch_hosts.split(';')[0]}/_bulk?filter_path=errors"
    said.send("ready")
    said.recv()
    errors = 0
    for body in bodies:
        answer = pool.request("POST", url, body=body, headers={"Content-Type": "application/x-ndjson"})
        errors += answer.status != 200 or orjson.loads(answer.data)["errors"]
    said.send(errors)


def run_raw(bodies: list[bytes], documents: int, prefix: str) -> Run:
    """Send them from PROCESSES processes into empty indices; `value` is documents a second. Raises StackError."""
    elasticsearch.delete_indices(prefix)
    context = get_context("fork")
    pipes = [context.Pipe() for _ in range(PROCESSES)]
    workers = [
        context.Process(target=_send, args=(bodies[number::PROCESSES], pipes[number][1])) for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for here, _ in pipes:
        here.recv()
    with Usage({f"sender {number}": worker.pid or 0 for number, worker in enumerate(workers)}) as used:
        began = time.monotonic()
        for here, _ in pipes:
            here.send("go")
        errors = sum(here.recv() for here, _ in pipes)
        seconds = time.monotonic() - began
    for worker in workers:
        worker.join()
    if errors:
        raise StackError(f"Elasticsearch refused documents of {errors} raw bulk requests.")
    return Run(documents / seconds, seconds, 0, documents, used.cpu_seconds, used.peak_mb)


def rows(console: Console, events: int, rounds: int) -> list[Row]:
    """Measure it. Needs the running stack. Raises StackError."""
    runs: list[Run] = []
    raw: list[Run] = []
    with place() as prefix, Elasticsearch(settings().elasticsearch_hosts, request_timeout=120) as client:
        console.print("sink")
        records = load(console, prefix, "wiki_edits", events)
        for number in range(1, rounds + 1):
            one = run_job(prefix, "wiki_edits", records, sinks=[INDEX])
            runs.append(replace(one, value=one.documents / one.seconds))
            raw.append(run_raw(requests_of(client, prefix + INDEX), one.documents, prefix))
            console.print(f"  round {number} of {rounds}: {runs[-1].value:,.0f} documents/s, raw {raw[-1].value:,.0f}")
    return [Row("sink", "wiki_edits, its index of edits alone", "raw bulk, 2 processes", "documents/s", runs, raw)]
