"""Samples of how the Flink jobs and the indices do -> Elasticsearch: indices `job_metrics` and `index_metrics`.

    python -m services.job_metrics               one sample every ten seconds, until it is stopped
    python -m services.job_metrics --every 60    one a minute
    python -m services.job_metrics --once        one sample, then end; what is counted between two samples is null

Grain: one document per job and sample, and one per index and sample; connectors/job_metrics.sql and
connectors/index_metrics.sql have the columns. One process of it is enough: a second one counts everything once more.
Jobs that have ended are not sampled; nor are those whose name, less the prefix of the settings, still has a dot: they
are another prefix's, or a query of the SQL client. Indices are those that have a template in kibana/index_templates;
`_meta.time_field` of the template is the field whose maximum is `newest`.

While Flink or Elasticsearch is away it says so once, and tries again after a pause that grows to 30 s. What passes
meanwhile is in the next sample that is written.

Flink asks its workers for their metrics only when it is asked, and not again within `metrics.fetcher.update-interval`
(10 s unless it is configured). A sample waits for that, so that the figures of all jobs are of its own time: where the
samples shall come more often than that, configure it.
Exit codes: 0 stopped or done, 1 `--once` found Flink or Elasticsearch away, 2 wrong input.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from elasticsearch import ApiError, Elasticsearch, TransportError
from elasticsearch.helpers import BulkIndexError, bulk

from kibana.dashboards import TEMPLATES, time_field
from producers._command_line import positive, stop_on_signals
from redaction import hide_secrets
from services.elasticsearch import elasticsearch_client
from settings import settings

ENDED = {"FINISHED", "CANCELED", "FAILED"}
JOB_METRICS = (
    "uptime", "numRestarts", "numberOfFailedCheckpoints",
    "lastCheckpointDuration", "lastCheckpointFullSize", "lastCheckpointCompletedTimestamp",
)  # fmt: skip
# Vertices of these names, all of them after a shuffle, may drop what comes after its time.
MAY_DROP = (
    "GlobalWindowAggregate", "WindowAggregate", "WindowDeduplicate", "WindowJoin", "WindowRank", "OverAggregate",
)  # fmt: skip
LATE_DROPPED = "umLateRecordsDropped"  # numLate…; leftNumLate… and rightNumLate… of a join
LONGEST_PAUSE_SECONDS = 30.0
TIMEOUT_SECONDS = 10
# How long a sample waits for new metrics at most, how often it looks for them, and how long those of all workers may
# take to come when those of one have.
RENEWAL_SECONDS, LOOK_SECONDS, SETTLE_SECONDS = 12.0, 0.25, 0.3
# Flink knows some metrics of an operator only when there is something to tell.
NAMES_KEPT_SECONDS = 60.0
# Flink's REST interface knows no address of more than 4,096 characters; a name has 120 at most.
NAMES_AT_ONCE = 25

Answer = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What a source of a job has read since its tasks started, and where it is; None where Flink does not know.

    `lag_seconds`: wall clock less watermark, of its furthest subtask, since one without records stands still.
    `read_lag_seconds`: from Kafka's time of a record until it was read, of the last record of the slowest subtask.
    """

    records: int | None
    bytes: int | None
    pending: int | None
    lag_seconds: float | None
    read_lag_seconds: float | None


@dataclass(frozen=True)
class Job:
    """A job at the time of a sample, its counters since its tasks started.

    `sent` is records and bytes to all sinks; `late_dropped` is rows that came to a window after its end, or to an OVER
    after its time, and which Flink dropped there without a word; `spent` is, by vertex, how many milliseconds its
    subtasks were busy, backpressured and idle. `gauges` are the job's own metrics that Flink knows, by Flink's names.
    """

    name: str
    job_id: str
    state: str
    sampled_at: datetime
    sources: Mapping[str, Source]
    sent: tuple[int | None, int | None]
    late_dropped: int | None
    spent: Mapping[str, tuple[float, float, float]]
    gauges: Mapping[str, float]

    @property
    def records_in(self) -> int | None:
        return _sum([source.records for source in self.sources.values()])

    @property
    def bytes_in(self) -> int | None:
        return _sum([source.bytes for source in self.sources.values()])


def wanted(metrics: Iterable[str]) -> list[str]:
    """Those of a vertex's metrics that tell where a source is, what a sink's writer has sent and what was dropped."""
    return sorted(
        metric
        for metric in metrics
        if metric.endswith((".numRecordsSend", ".numBytesSend", LATE_DROPPED))
        or (
            metric.startswith("Source__")
            and metric.endswith((".pendingRecords", ".watermarkLag", ".currentEmitEventTimeLag"))
        )
    )


def to_ask_about(details: Answer) -> list[str]:
    """The vertices of a job whose own totals do not tell all: what they write, how far they have read, what they drop.

    They are the sources, those that write to a sink and to other vertices too, and those that may drop what is late;
    the total of a vertex at the end of the plan is what it has written.
    """
    inner = _inner(details)
    return [
        vertex["id"]
        for vertex in details["vertices"]
        if _writes_and_goes_on(vertex, inner) or vertex["name"].startswith(MAY_DROP)
    ]


def job_of(
    name: str,
    details: Answer,
    job_metrics: list[Answer],
    asked: Mapping[str, list[Answer]],
    sampled_at: datetime,
) -> Job:
    """A job from Flink's answers.

    `details` is that of /jobs/ID; `job_metrics` that of /jobs/ID/metrics; `asked` has, for each vertex of
    `to_ask_about`, the answer of /jobs/ID/vertices/VERTEX/subtasks/metrics?agg=sum,min,max about what is `wanted`.
    """
    sources: dict[str, Source] = {}
    records: list[int | None] = []
    sizes: list[int | None] = []
    spent = {}
    dropped: list[int | None] = [0]
    inner = _inner(details)
    for vertex in details["vertices"]:
        totals, which = vertex["metrics"], vertex["id"]
        answer = asked.get(which, [])
        dropped += [_whole(late) for late in _aggregates(answer, LATE_DROPPED, "sum")]
        if _writes_and_goes_on(vertex, inner):
            if ": Writer" in vertex["name"]:
                records.append(_sum([_whole(sent) for sent in _aggregates(answer, ".numRecordsSend", "sum")]))
                sizes.append(_sum([_whole(sent) for sent in _aggregates(answer, ".numBytesSend", "sum")]))
            if _is_source(vertex):
                sources[which] = Source(
                    _total(totals, "read-records"),
                    _total(totals, "read-bytes"),
                    _sum([_whole(pending) for pending in _aggregates(answer, ".pendingRecords", "sum")]),
                    _seconds(max(_aggregates(answer, ".watermarkLag", "min"), default=None)),
                    _seconds(max(_aggregates(answer, ".currentEmitEventTimeLag", "max"), default=None)),
                )
        elif which not in inner:
            records.append(_total(totals, "write-records"))
            sizes.append(_total(totals, "write-bytes"))
        times = [_number(totals.get(f"accumulated-{kind}-time")) for kind in ("busy", "backpressured", "idle")]
        if None not in times:
            spent[which] = (times[0] or 0.0, times[1] or 0.0, times[2] or 0.0)
    gauges = {metric["id"]: _number(metric.get("value")) for metric in job_metrics}
    return Job(
        name=name,
        job_id=details["jid"],
        state=details["state"],
        sampled_at=sampled_at,
        sources=sources,
        sent=(_sum(records), _sum(sizes)),
        late_dropped=_sum(dropped),
        spent=spent,
        gauges={key: value for key, value in gauges.items() if value is not None and value >= 0},  # -1 is Flink's none
    )


def job_document(now: Job, before: Job | None) -> Answer:
    """The document of a job; `before` is the same job at the sample before, None where there is none.

    `event_time_lag_seconds` is that of the source furthest behind among those that have records waiting or have read
    some since; the watermark of a source without records stands still and holds nothing back.
    """
    restarts = now.gauges.get("numRestarts")
    if before and (restarts is None or restarts != before.gauges.get("numRestarts")):
        before = None
    seconds = (now.sampled_at - before.sampled_at).total_seconds() if before else 0.0
    records_in = _since(now.records_in, before.records_in if before else None)
    records_out = _since(now.sent[0], before.sent[0] if before else None)
    read_before = {which: source.records for which, source in before.sources.items()} if before else {}
    lags = [
        source.lag_seconds
        for which, source in now.sources.items()
        if source.lag_seconds is not None and (source.pending or _since(source.records, read_before.get(which)))
    ]
    busy, backpressured = _ratios(now, before)
    completed_at = now.gauges.get("lastCheckpointCompletedTimestamp")
    return {
        "job": now.name,
        "job_id": now.job_id,
        "sampled_at": _iso(now.sampled_at),
        "state": now.state,
        "uptime_seconds": _seconds(now.gauges.get("uptime")),
        "restarts": _whole(restarts),
        "records_in": records_in,
        "records_out": records_out,
        "bytes_in": _since(now.bytes_in, before.bytes_in if before else None),
        "bytes_out": _since(now.sent[1], before.sent[1] if before else None),
        "records_in_per_second": _rate(records_in, seconds),
        "records_out_per_second": _rate(records_out, seconds),
        "event_time_lag_seconds": max(lags, default=None),
        "read_lag_seconds": max(
            (source.read_lag_seconds for source in now.sources.values() if source.read_lag_seconds is not None),
            default=None,
        ),
        "pending_records": _sum([source.pending for source in now.sources.values() if source.pending is not None]),
        "last_checkpoint_seconds": _seconds(now.gauges.get("lastCheckpointDuration")),
        "last_checkpoint_age_seconds": (
            None if completed_at is None else round(now.sampled_at.timestamp() - completed_at / 1000, 3)
        ),
        "checkpoint_bytes": _whole(now.gauges.get("lastCheckpointFullSize")),
        "failed_checkpoints": _whole(now.gauges.get("numberOfFailedCheckpoints")),
        "late_dropped": _since(now.late_dropped, before.late_dropped if before else None),
        "busy_ratio": busy,
        "backpressured_ratio": backpressured,
    }


@dataclass(frozen=True)
class Index:
    """An index at the time of a sample. `newest`: the highest value of its time field, in Unix milliseconds."""

    name: str
    sampled_at: datetime
    documents: int
    bytes: int
    newest: float | None


def index_document(now: Index, before: Index | None) -> Answer:
    """The document of an index; `before` is the same index at the sample before, None where there is none."""
    newest = None if now.newest is None else datetime.fromtimestamp(now.newest / 1000, UTC)
    return {
        "index": now.name,
        "sampled_at": _iso(now.sampled_at),
        "documents": now.documents,
        "added": _since(now.documents, before.documents if before else None),
        "bytes": now.bytes,
        "newest": newest and _iso(newest),
        "newest_age_seconds": newest and round((now.sampled_at - newest).total_seconds(), 3),
    }


class FlinkAway(Exception):
    """Flink's REST interface does not answer as it should; the message says how."""


class Flink:
    """The REST interface at an address.

    A sample takes, of 2 to 4 ms each: 1 request for the jobs, 2 for each of them, 1 for each vertex that `to_ask_about`
    names (another one, every minute, for the names of its metrics), and 1 each LOOK_SECONDS until the metrics are new.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._names: dict[tuple[str, str], tuple[float, list[str]]] = {}

    def jobs(self, prefix: str) -> list[Job]:
        """The jobs of this prefix that have not ended. Raises FlinkAway."""
        try:
            self._wait_for_new_metrics()
            sampled_at = datetime.now(UTC)
            names = {
                job["jid"]: job["name"].removeprefix(prefix)
                for job in self._get("/jobs/overview")["jobs"]
                if job["name"].startswith(prefix) and job["state"] not in ENDED
            }
            found = [self._job(job_id, name, sampled_at) for job_id, name in names.items() if "." not in name]
        except requests.RequestException as error:
            raise FlinkAway(f"does not answer ({type(error).__name__})") from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise FlinkAway(f"gives an answer that is not Flink's ({error!r})") from error
        self._names = {key: value for key, value in self._names.items() if key[0] in names}
        return [job for job in found if job]

    def _job(self, job_id: str, name: str, sampled_at: datetime) -> Job | None:
        """None when Flink no longer knows the job."""
        try:
            details = self._get(f"/jobs/{job_id}")
            metrics = self._get(f"/jobs/{job_id}/metrics", get=",".join(JOB_METRICS))
            asked = {which: self._vertex(job_id, which) for which in to_ask_about(details)}
        except requests.HTTPError as error:
            if error.response.status_code == 404:
                return None
            raise
        return job_of(name, details, metrics, asked, sampled_at)

    def _vertex(self, job_id: str, which: str) -> list[Answer]:
        path, key = f"/jobs/{job_id}/vertices/{which}/subtasks/metrics", (job_id, which)
        asked_at, names = self._names.get(key, (-math.inf, []))
        if time.monotonic() - asked_at > NAMES_KEPT_SECONDS:
            names = wanted(metric["id"] for metric in self._get(path))
            self._names[key] = time.monotonic(), names
        answers: list[Answer] = []
        for first in range(0, len(names), NAMES_AT_ONCE):
            answers += self._get(path, agg="sum,min,max", get=",".join(names[first : first + NAMES_AT_ONCE]))
        # To one name that it does not know, as after a restart, Flink answers with none.
        if not names or len(answers) < len(names):
            self._names.pop(key, None)
        return answers

    def _wait_for_new_metrics(self) -> None:
        clock = before = self._workers_clock()
        began = time.monotonic()
        while clock and clock == before and time.monotonic() - began < RENEWAL_SECONDS:
            time.sleep(LOOK_SECONDS)
            clock = self._workers_clock()
        time.sleep(SETTLE_SECONDS)

    def _workers_clock(self) -> Any:
        """A metric of the workers that never stands still; empty without workers."""
        return self._get("/taskmanagers/metrics", agg="sum", get="Status.JVM.CPU.Time")

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._session.get(self.url + path, params=parameters, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer.json()


def time_fields() -> dict[str, str]:
    """The time field of each index that has a template."""
    return {file.stem: time_field(file.stem) for file in sorted(TEMPLATES.glob("*.json"))}


def indices(client: Elasticsearch, prefix: str, fields: Mapping[str, str | None]) -> list[Index]:
    """The indices, of those in `fields`, that there are; in two requests. Raises ApiError and TransportError."""
    sampled_at = datetime.now(UTC)
    searches: list[Answer] = []
    for name, field in fields.items():
        newest = {"aggs": {"newest": {"max": {"field": field}}}} if field else {}
        searches += [
            {"index": prefix + name, "ignore_unavailable": True},
            {"size": 0, "track_total_hits": True, **newest},
        ]
    answers = dict(zip(fields, client.msearch(searches=searches)["responses"], strict=True))
    there = {name: answer for name, answer in answers.items() if answer.get("_shards", {}).get("successful")}
    if not there:
        return []
    sizes = client.indices.stats(index=[prefix + name for name in there], metric="store")["indices"]
    return [
        Index(
            name=name,
            sampled_at=sampled_at,
            documents=answer["hits"]["total"]["value"],
            bytes=sizes[prefix + name]["primaries"]["store"]["size_in_bytes"],
            newest=answer.get("aggregations", {}).get("newest", {}).get("value"),
        )
        for name, answer in there.items()
        if prefix + name in sizes
    ]


class Sampler:
    """Takes samples and writes them; says when Flink or Elasticsearch goes away and when it is back."""

    def __init__(self, flink: Flink, client: Elasticsearch) -> None:
        self._flink = flink
        self._client = client
        self._fields = time_fields()
        self._jobs: dict[str, Job] = {}
        self._indices: dict[str, Index] = {}
        self._away: set[str] = set()

    def sample(self) -> bool:
        """Write one sample; whether all of it could be taken and written."""
        jobs: list[Job] = []
        prefix = settings().prefix
        flink, elasticsearch = f"Flink at {self._flink.url}", f"Elasticsearch at {settings().elasticsearch_hosts}"
        try:
            jobs = self._flink.jobs(prefix)
            self._is_back(flink)
        except FlinkAway as problem:
            self._is_away(flink, str(problem))
        try:
            found = indices(self._client, prefix, self._fields)
            actions = [
                _action(prefix, "job_metrics", job.job_id, job_document(job, self._jobs.get(job.job_id)))
                for job in jobs
            ] + [
                _action(prefix, "index_metrics", index.name, index_document(index, self._indices.get(index.name)))
                for index in found
            ]
            bulk(self._client, actions)
        except BulkIndexError as error:
            self._is_away(elasticsearch, f"refuses documents, the first with {json.dumps(error.errors[0])[:600]}")
            return False
        except (ApiError, TransportError) as error:
            self._is_away(elasticsearch, f"does not do its part ({type(error).__name__}: {str(error)[:300]})")
            return False
        self._is_back(elasticsearch)
        # Only now: what passes while nothing can be written counts in the next sample that can.
        if flink not in self._away:
            self._jobs = {job.job_id: job for job in jobs}
        self._indices = {index.name: index for index in found}
        return flink not in self._away

    def _is_away(self, what: str, problem: str) -> None:
        if what not in self._away:
            print(f"{what} {problem}. Trying again.", file=sys.stderr, flush=True)
        self._away.add(what)

    def _is_back(self, what: str) -> None:
        if what in self._away:
            print(f"{what} answers again.", file=sys.stderr, flush=True)
        self._away.discard(what)


def run(sampler: Sampler, every_seconds: float) -> None:
    """Take samples until the process is stopped; the pause doubles, to LONGEST_PAUSE_SECONDS, while one fails."""
    pause, due = every_seconds, time.monotonic()
    while True:
        done = sampler.sample()
        pause = every_seconds if done else max(every_seconds, min(2 * pause, LONGEST_PAUSE_SECONDS))
        due = max(due + pause, time.monotonic())
        time.sleep(max(0, due - time.monotonic()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m services.job_metrics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--every", type=positive, default=10, metavar="SECONDS", help="between two samples (10)")
    parser.add_argument("--once", action="store_true", help="one sample, then end")
    options = parser.parse_args(arguments)
    stop_on_signals()
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # it would tell of each try, with a traceback
    try:
        with elasticsearch_client(TIMEOUT_SECONDS) as client:
            sampler = Sampler(Flink(settings().flink_url), client)
            if options.once:
                return 0 if sampler.sample() else 1
            run(sampler, options.every)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    return 0


def _action(prefix: str, index: str, key: str, document: Answer) -> Answer:
    return {"_index": prefix + index, "_id": f"{key}|{document['sampled_at']}", "_source": document}


def _inner(details: Answer) -> set[str]:
    """The vertices that others read from."""
    return {edge["id"] for node in details["plan"]["nodes"] for edge in node.get("inputs", [])}


def _writes_and_goes_on(vertex: Answer, inner: set[str]) -> bool:
    """Whether a vertex's own totals are not what it writes to sinks: it is a source, or others read from it too."""
    return _is_source(vertex) or (vertex["id"] in inner and ": Writer" in vertex["name"])


def _is_source(vertex: Answer) -> bool:
    return bool(vertex["name"].startswith("Source: "))


def _ratios(now: Job, before: Job | None) -> tuple[float | None, float | None]:
    """How busy, and how backpressured, was the vertex that was most so since the sample before."""
    shares = []
    for which, spent in now.spent.items():
        if before and which in before.spent:
            # To Flink, busy is what the wall clock leaves of the others: it may go back a little.
            passed = [max(0, later - earlier) for later, earlier in zip(spent, before.spent[which], strict=True)]
            if sum(passed) > 0:
                shares.append((passed[0] / sum(passed), passed[1] / sum(passed)))
    if not shares:
        return None, None
    return round(max(share[0] for share in shares), 4), round(max(share[1] for share in shares), 4)


def _total(totals: Answer, what: str) -> int | None:
    """A total over a vertex's subtasks; None while Flink does not know that of each."""
    return _whole(_number(totals.get(what))) if totals.get(f"{what}-complete") else None


def _aggregates(answer: list[Answer], ending: str, over_subtasks: str) -> list[float]:
    """The aggregates over subtasks of the metrics whose names end so."""
    found = [_number(metric.get(over_subtasks)) for metric in answer if metric["id"].endswith(ending)]
    return [number for number in found if number is not None]


def _number(value: object) -> float | None:
    """A number as Flink gives it, which may be text; None for what is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)


def _sum(numbers: list[int | None]) -> int | None:
    """None where one is unknown, or there are none."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None


def _since(now: int | None, before: int | None) -> int | None:
    """How much more than before; None where one of them is unknown or a counter has begun anew."""
    return None if now is None or before is None or now < before else now - before


def _rate(number: int | None, seconds: float) -> float | None:
    return round(number / seconds, 3) if number is not None and seconds > 0 else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
