"""From produce to searchable: how long a post takes from its record in Kafka to its first sight in a search.

At 10, 50 and 80 % of what jobs/social_posts.py was measured to do. A process sends posts that were made before, evenly
in time; a search every 50 ms looks for the newest sequence number of the index, and where there are newer ones
(Elasticsearch has refreshed, every second by itself) the new documents are read. A post's latency is the time at which
that answer was there less the time of its record. Posts of the first seconds are left out, in which the Python workers
start. A post that is never seen is an error.

The reference has nothing between Kafka and Elasticsearch: a process that hands what it polls to one bulk request, the
values as they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from statistics import quantiles
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer
from elasticsearch import ApiError, Elasticsearch
from rich.console import Console

from bench import loads
from bench.measure import Run, Usage
from bench.results import Row
from bench.runs import place
from connections import confluent_kafka_options
from settings import settings
from stack import jobs
from stack.errors import StackError

SHARES = (0.1, 0.5, 0.8)
WARM_UP_SECONDS = 20
SECONDS = 30
POLL_SECONDS = 0.05
QUIET_SECONDS = 20
# Documents get their numbers in order but may become searchable out of it, by as many as are being written at once.
OVERLAP = 2000
MOST_HITS = 10_000
# As that of social_posts, but for the fields, which are those of the records, some of them wrong.
STRAIGHT_SETTINGS = {
    "number_of_shards": 1,
    "number_of_replicas": 0,
    "refresh_interval": "1s",
    "mapping.ignore_malformed": True,
}
STRAIGHT_MAPPINGS = {"properties": {"post_id": {"type": "keyword"}}}
NOTHING_BETWEEN = "Kafka and bulk, nothing between"


class Watch:
    """When which post was first seen in the index, and when the latest was, in seconds since 1970."""

    def __init__(self, client: Elasticsearch, index: str) -> None:
        self.seen: dict[str, float] = {}
        self._client, self._index = client, index
        self.latest = time.time()
        self._state: object = None
        self._newest = -1

    def look(self) -> None:
        """One search, and others where there is something new."""
        try:
            found = self._search(size=1, sort=[{"_seq_no": "desc"}], track_total_hits=True)
        except ApiError:  # the index is not there yet or is being made
            return
        state = found["total"]["value"], [hit["sort"] for hit in found["hits"]]
        if state == self._state:
            return
        self._state = state
        now = time.time()
        after, full = max(self._newest - OVERLAP, -1), True
        while full:
            hits = self._search(
                size=MOST_HITS,
                sort=[{"_seq_no": "asc"}],
                query={"range": {"_seq_no": {"gt": after}}},
                docvalue_fields=["post_id"],
                track_total_hits=False,
            )["hits"]
            for hit in hits:
                self.latest = max(self.latest, self.seen.setdefault(hit["fields"]["post_id"][0], now))
                after = self._newest = max(self._newest, hit["sort"][0])
            full = len(hits) == MOST_HITS

    def _search(self, **query: Any) -> dict[str, Any]:
        answer = self._client.search(index=self._index, source=False, stored_fields="_none_", **query)
        found: dict[str, Any] = answer["hits"]
        return found


def _paced(prefix: str, values: list[tuple[bytes | None, bytes]], rate: float) -> None:
    """Send the posts evenly in time."""
    producer = Producer({**confluent_kafka_options(), "linger.ms": 5})
    began = time.monotonic()
    for number, (key, value) in enumerate(values):
        ahead = began + number / rate - time.monotonic()
        if ahead > 0.002:
            producer.poll(0)
            time.sleep(ahead)
        producer.produce(f"{prefix}social_media", key=key, value=value)
    producer.flush(60)


def _straight(prefix: str) -> None:
    """Kafka to Elasticsearch, a bulk request for what a poll gives, until it is ended."""
    consumer = Consumer(
        {
            **confluent_kafka_options(),
            "group.id": f"{prefix}straight",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([f"{prefix}social_media"])
    client = Elasticsearch(settings().elasticsearch_hosts)
    client.indices.create(index=f"{prefix}straight", settings=STRAIGHT_SETTINGS, mappings=STRAIGHT_MAPPINGS)
    while True:
        operations: list[Any] = []
        for message in consumer.consume(1000, timeout=0.05):
            if message.error() is None:
                operations += [{"index": {"_id": orjson.loads(message.value())["post_id"]}}, message.value()]
        if operations:
            answer = client.bulk(index=f"{prefix}straight", operations=operations, filter_path="errors")
            if answer["errors"]:
                raise StackError("Elasticsearch refused a post.")


@contextmanager
def process(target: Any, *arguments: object) -> Iterator[BaseProcess]:
    """A process of its own, which is ended with the `with`."""
    one = get_context("fork").Process(target=target, args=arguments, daemon=True)
    one.start()
    try:
        yield one
    finally:
        one.kill()
        one.join()


def sent(prefix: str, count: int) -> dict[str, float]:
    """When each post was produced first, in seconds since 1970, by the time of its record."""
    consumer = Consumer(
        {
            **confluent_kafka_options(),
            "group.id": f"{prefix}sent",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([f"{prefix}social_media"])
    times: dict[str, float] = {}
    read, quiet = 0, time.monotonic() + 30
    while read < count and time.monotonic() < quiet:
        for message in consumer.consume(5000, timeout=1):
            if message.error() is None:
                read += 1
                times.setdefault(orjson.loads(message.value())["post_id"], message.timestamp()[1] / 1000)
    consumer.close()
    return times


def one_run(rate: float, seconds: float, *, straight: bool) -> Run:
    """Posts at a rate; `value` is the median latency in seconds. Raises StackError when posts do not arrive."""
    count = round(rate * (WARM_UP_SECONDS + seconds))
    values = [(post.key, post.value) for post in loads.posts(count)]
    posts = len({orjson.loads(value)["post_id"] for _, value in values})
    with place() as prefix, Elasticsearch(settings().elasticsearch_hosts, request_timeout=30) as client:
        if not straight:
            jobs.submit("social_posts", prefix=prefix, fresh=True)
        watch = Watch(client, prefix + ("straight" if straight else "social_posts"))
        with ExitStack() as held:
            if straight:
                held.enter_context(process(_straight, prefix))
            sending = held.enter_context(process(_paced, prefix, values, rate))
            used = held.enter_context(Usage())
            while sending.is_alive() or time.time() - watch.latest < QUIET_SECONDS:
                watch.look()
                time.sleep(POLL_SECONDS)
                if not sending.is_alive() and len(watch.seen) == posts:
                    break
        times = sent(prefix, count)
        if unseen := len(times.keys() - watch.seen.keys()):
            raise StackError(f"{unseen:,} of {len(times):,} posts were not found {QUIET_SECONDS} s after the last one.")
    began = min(times.values()) + WARM_UP_SECONDS
    latencies = [watch.seen[post] - when for post, when in times.items() if when >= began]
    percentiles = quantiles(latencies, n=100, method="inclusive")
    more = {f"p{percent}_seconds": percentiles[percent - 1] for percent in (50, 95, 99)}
    return Run(percentiles[49], seconds, len(latencies), len(latencies), used.cpu_seconds, used.peak_mb, more)


def rows(console: Console, capacity: float, seconds: float) -> list[Row]:
    """Measure at each of SHARES of `capacity` posts a second. Needs the running stack. Raises StackError."""
    found = []
    for share in SHARES:
        rate = share * capacity
        console.print(f"latency: {rate:,.0f} posts/s, {share:.0%} of {capacity:,.0f}")
        own, other = (one_run(rate, seconds, straight=straight) for straight in (False, True))
        console.print(f"  median {own.value:.2f} s, with nothing between {other.value:.2f} s")
        found.append(
            Row("latency", f"social_posts at {share:.0%}: {rate:,.0f} posts/s", NOTHING_BETWEEN, "s", [own], [other])
        )
    return found
