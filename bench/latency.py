"""From produce to searchable: how long a post takes from Kafka's time of its record to its first sight in a search.

python -m producers.posts sends 500 posts/s of the moment while jobs/social_posts.py and jobs/social_metrics.py run on,
all settings as they are. A search every 50 ms looks for the newest sequence number of the index; where there are newer
ones (Elasticsearch has refreshed, every second by itself), the new documents are read. A post's latency is the time at
which that answer was there less the time that the producer put into the record. Posts of the first 20 s are left out,
in which the Python workers start; so are later versions of a post. A post that is never seen is an error.
"""

from __future__ import annotations

import time
import uuid
from statistics import quantiles
from typing import Any

import orjson
from elasticsearch import ApiError, Elasticsearch
from kafka import KafkaConsumer
from rich.console import Console
from rich.table import Table

from bench.social_posts import JOBS, producer, remove
from settings import settings
from stack import elasticsearch, jobs, kafka
from stack.errors import StackError

RATE = 500
WARM_UP_SECONDS = 20
SECONDS = 60
POLL_SECONDS = 0.05
QUIET_SECONDS = 15
# Documents get their numbers in order but may become searchable out of it, by as many as are being written at once.
OVERLAP = 1000
MOST_HITS = 10_000


class Watch:
    """When which post was first seen in the index, and when the latest was, in seconds since 1970."""

    def __init__(self, client: Elasticsearch, index: str) -> None:
        self.seen: dict[str, float] = {}
        self._client, self._index = client, index
        self.latest = time.time()
        self._state: object = None
        self._newest = -1

    def look(self) -> None:
        """One search, and another where there is something new."""
        try:
            found = self._search(size=1, sort=[{"_seq_no": "desc"}], track_total_hits=True)
        except ApiError:  # the index is not there yet or is being made
            return
        state = found["total"]["value"], [hit["sort"] for hit in found["hits"]]
        if state == self._state:
            return
        self._state = state
        after, full = max(self._newest - OVERLAP, -1), True
        while full:
            hits = self._search(
                size=MOST_HITS,
                sort=[{"_seq_no": "asc"}],
                query={"range": {"_seq_no": {"gt": after}}},
                docvalue_fields=["post_id"],
                track_total_hits=False,
            )["hits"]
            now = time.time()
            for hit in hits:
                self.latest = max(self.latest, self.seen.setdefault(hit["fields"]["post_id"][0], now))
                after = self._newest = max(self._newest, hit["sort"][0])
            full = len(hits) == MOST_HITS

    def _search(self, **query: Any) -> dict[str, Any]:
        answer = self._client.search(index=self._index, source=False, stored_fields="_none_", **query)
        found: dict[str, Any] = answer["hits"]
        return found


def sent(prefix: str) -> dict[str, float]:
    """When each post was produced first, in seconds since 1970, by the time of its record."""
    consumer = KafkaConsumer(
        f"{prefix}social_media",
        bootstrap_servers=settings().kafka_bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=5000,
    )
    times: dict[str, float] = {}
    for record in consumer:
        times.setdefault(orjson.loads(record.value)["post_id"], record.timestamp / 1000)
    consumer.close()
    return times


def main(console: Console) -> None:
    """Measure and print. Needs the running stack. Raises StackError when posts do not arrive."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    seconds = WARM_UP_SECONDS + SECONDS
    try:
        kafka.create_topics(prefix)
        elasticsearch.put_templates()
        for job in JOBS:
            jobs.submit(job, prefix=prefix, fresh=True)
        console.print(f"{RATE} posts/s for {seconds} s …")
        with Elasticsearch(settings().elasticsearch_hosts, request_timeout=30) as client:
            watch = Watch(client, f"{prefix}social_posts")
            options = ("--rate", str(RATE), "--duration", str(seconds), "--malformed", "0")
            with producer(prefix, *options) as sending:
                while sending.poll() is None or time.time() - watch.latest < QUIET_SECONDS:
                    watch.look()
                    time.sleep(POLL_SECONDS)
        times = sent(prefix)
        unseen = len(times.keys() - watch.seen.keys())
        if unseen:
            raise StackError(f"{unseen:,} of {len(times):,} posts were not found {QUIET_SECONDS} s after the last one.")
        began = min(times.values()) + WARM_UP_SECONDS
        console.print(_table([watch.seen[post] - when for post, when in times.items() if when >= began]))
    finally:
        remove(prefix)


def _table(latencies: list[float]) -> Table:
    table = Table(
        "posts/s", "posts", "p50 (s)", "p95 (s)", "p99 (s)", "longest (s)", title="From produce to searchable"
    )  # fmt: skip
    for column in table.columns:
        column.justify = "right"
    percentiles = quantiles(latencies, n=100, method="inclusive")
    found = [*(percentiles[percent - 1] for percent in (50, 95, 99)), max(latencies)]
    table.add_row(f"{RATE}", f"{len(latencies):,}", *(f"{seconds:.2f}" for seconds in found))
    return table
