"""Samples of the Flink jobs: what is made of Flink's answers, and what happens while it or Elasticsearch is away.

`flink_answers.json` was recorded from Flink 2.3: two samples of the job wiki_edits, of which five vertices are kept
(two sources, one of which writes to Elasticsearch too; one that writes to Kafka and goes on; one in the middle; one at
the end) and of each answer what the service reads.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from elasticsearch import Elasticsearch

from services import job_metrics
from services.elasticsearch import elasticsearch_client
from services.job_metrics import Flink, FlinkAway, Index, Job, Sampler, index_document, job_document, job_of, wanted
from settings import settings
from stack import elasticsearch
from tests.conftest import at
from tests.local_server import LocalServer, QuietHandler

Answer = dict[str, Any]

RECORDED: dict[str, Answer] = json.loads(Path(__file__).with_name("flink_answers.json").read_text(encoding="utf-8"))
JOB = RECORDED["after"]["details"]["jid"]
RECENT_CHANGES, VISIBILITY_CHANGES, LATE, _, ACTIVITY = (
    vertex["id"] for vertex in RECORDED["after"]["details"]["vertices"]
)


Change = Callable[[Answer], object]


def sampled(which: str, *changes: Change) -> Job:
    """A recorded sample, first changed."""
    answers = copy.deepcopy(RECORDED[which])
    for change in changes:
        change(answers)
    sampled_at = datetime.fromisoformat(answers["sampled_at"])
    return job_of("wiki_edits", answers["details"], answers["metrics"], answers["asked"], sampled_at)


def total(vertex: str, name: str, value: object) -> Change:
    """One of a vertex's totals is this."""
    return lambda answers: next(
        found["metrics"].update({name: value}) for found in answers["details"]["vertices"] if found["id"] == vertex
    )


def gauge(name: str, value: str) -> Change:
    """One of the job's own metrics is this."""
    return lambda answers: next(found.update(value=value) for found in answers["metrics"] if found["id"] == name)


def metric(vertex: str, ending: str, **aggregates: float) -> Change:
    """The aggregates over a vertex's subtasks of the metric whose name ends so are these."""
    return lambda answers: next(
        found.update(aggregates) for found in answers["asked"][vertex] if found["id"].endswith(ending)
    )


def test_a_document_tells_what_flink_told() -> None:
    assert job_document(sampled("after"), sampled("before")) == {
        "job": "wiki_edits",
        "job_id": "87d0b94cf1d8a726acbb24f0f09a6422",
        "sampled_at": "2026-11-21T19:53:29.119Z",
        "state": "RUNNING",
        "uptime_seconds": 997.526,
        "restarts": 0,
        "records_in": (49601 - 49410) + (167 - 166),
        "records_out": (35726 - 35598) + 0 + 0,  # wiki_edits, late_events, wiki_activity
        "bytes_in": (41364226 - 41224797) + (162702 - 161706),
        "bytes_out": 19314401 - 19245127,
        "records_in_per_second": 18.111,  # 192 in 10.601 s
        "records_out_per_second": 12.074,
        "event_time_lag_seconds": 11.53,
        "read_lag_seconds": 0.024,
        "pending_records": 0,
        "last_checkpoint_seconds": 0.061,
        "last_checkpoint_age_seconds": 3.634,
        "checkpoint_bytes": 305821,
        "failed_checkpoints": 1,
        "late_dropped": 0,
        "busy_ratio": round(1300 / (1300 + 20036), 4),  # of wiki_activity
        "backpressured_ratio": 0.0,
    }


SINCE_THE_SAMPLE_BEFORE = {
    "records_in", "records_out", "bytes_in", "bytes_out", "records_in_per_second", "records_out_per_second",
    "event_time_lag_seconds", "late_dropped", "busy_ratio", "backpressured_ratio",
}  # fmt: skip


def nulls(document: Answer) -> set[str]:
    return {name for name, value in document.items() if value is None}


def test_the_first_sample_of_a_job_and_the_first_after_a_restart_tell_no_differences() -> None:
    assert nulls(job_document(sampled("after"), None)) == SINCE_THE_SAMPLE_BEFORE
    # Although all counters may be further again already.
    document = job_document(sampled("after", gauge("numRestarts", "1")), sampled("before"))
    assert nulls(document) == SINCE_THE_SAMPLE_BEFORE
    assert document["restarts"] == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            [total(RECENT_CHANGES, "read-records", 12), total(RECENT_CHANGES, "read-bytes", 900)],
            {"records_in": None, "records_in_per_second": None, "bytes_in": None, "records_out": 128},
            id="a counter that went back",
        ),
        pytest.param(
            [total(VISIBILITY_CHANGES, "read-records-complete", False)],
            {"records_in": None, "records_out": 128, "bytes_in": 140425},
            id="records of one subtask are not known",
        ),
        pytest.param(
            [total(ACTIVITY, "write-records", 2427 + 30)],
            {"records_in": 192, "records_out": 128 + 30},
            id="a vertex at the end writes",
        ),
        pytest.param(
            [total(LATE, "write-records", 99999)],
            {"records_out": 128},
            id="what a vertex hands on is not written",
        ),
        pytest.param(
            [metric(LATE, "Writer.numRecordsSend", sum=11649.0 + 2)],
            {"records_out": 128 + 2},
            id="a vertex that hands on writes too",
        ),
        pytest.param(
            [
                lambda answers: answers["asked"].update(
                    {ACTIVITY: [{"id": "GlobalWindowAggregate[9].numLateRecordsDropped", "sum": 3.0}]}
                )
            ],
            {"late_dropped": 3, "records_out": 128},
            id="a window drops what is late",
        ),
        pytest.param(
            [lambda answers: answers["asked"].update({RECENT_CHANGES: []})],
            {"records_in": 192, "records_out": None, "bytes_out": None, "event_time_lag_seconds": 11.031},
            id="the writer of a source is not known",
        ),
        pytest.param(
            [metric(VISIBILITY_CHANGES, "watermarkLag", min=90000.0, max=95000.0)],
            {"event_time_lag_seconds": 90.0},
            id="the source furthest behind",
        ),
        pytest.param(
            [total(VISIBILITY_CHANGES, "read-records", 166), metric(VISIBILITY_CHANGES, "watermarkLag", min=90000.0)],
            {"event_time_lag_seconds": 11.53},
            id="a source without records stands still",
        ),
        pytest.param(
            [
                total(VISIBILITY_CHANGES, "read-records", 166),
                metric(VISIBILITY_CHANGES, "watermarkLag", min=90000.0),
                metric(VISIBILITY_CHANGES, "pendingRecords", sum=7.0),
            ],
            {"event_time_lag_seconds": 90.0, "pending_records": 7},
            id="a source whose records wait is behind",
        ),
        pytest.param(
            [
                gauge("lastCheckpointDuration", "-1"),
                gauge("lastCheckpointFullSize", "-1"),
                gauge("lastCheckpointCompletedTimestamp", "-1"),
            ],
            {"last_checkpoint_seconds": None, "last_checkpoint_age_seconds": None, "checkpoint_bytes": None},
            id="no checkpoint yet",
        ),
        pytest.param(
            [total(ACTIVITY, "accumulated-busy-time", "NaN")],
            {"busy_ratio": round(249 / (249 + 21088), 4)},
            id="busy time that is not known",
        ),
        pytest.param(
            [
                total(LATE, "accumulated-backpressured-time", 26 + 15000),
                total(LATE, "accumulated-idle-time", 1936242 + 5000),
            ],
            {"backpressured_ratio": round(15000 / (15000 + 5000 + 249), 4)},
            id="backpressure",
        ),
    ],
)
def test_figures(changes: list[Change], expected: Answer) -> None:
    document = job_document(sampled("after", *changes), sampled("before"))
    assert {name: document[name] for name in expected} == expected


def test_a_job_whose_tasks_do_not_run_has_a_document_without_figures() -> None:
    def fail(answers: Answer) -> None:
        answers["details"]["state"] = "RESTARTING"
        answers["metrics"] = []
        answers["asked"] = {vertex: [] for vertex in answers["asked"]}
        for vertex in answers["details"]["vertices"]:
            vertex["metrics"] = {name: False if "complete" in name else 0 for name in vertex["metrics"]}

    document = job_document(sampled("after", fail), sampled("before"))
    assert set(document) - nulls(document) == {"job", "job_id", "sampled_at", "state"}
    assert document["state"] == "RESTARTING"


def test_only_sources_and_writers_are_asked_about() -> None:
    names = [
        "Source__KafkaSource-a.pendingRecords",
        "Source__KafkaSource-a.numRecordsIn",
        "Source__KafkaSource-a.KafkaSourceReader.KafkaConsumer.records-lag-max",
        "Calc[2].numRecordsOut",
        "GlobalWindowAggregate[4].watermarkLatency",
        "GlobalWindowAggregate[4].numLateRecordsDropped",
        "edits[4]__Writer.numRecordsSend",
        "edits[4]__Writer.numRecordsSendErrors",
        "edits[4]__Writer.numBytesSend",
        "numRecordsIn",
    ]
    assert wanted(names) == [
        "GlobalWindowAggregate[4].numLateRecordsDropped",
        "Source__KafkaSource-a.pendingRecords",
        "edits[4]__Writer.numBytesSend",
        "edits[4]__Writer.numRecordsSend",
    ]


NOON = at(0).timestamp() * 1000


@pytest.mark.parametrize(
    ("before", "newest", "added", "expected_newest", "age"),
    [
        pytest.param(None, NOON, None, "2026-01-02T12:00:00.000Z", 30.0, id="first"),
        pytest.param(90, NOON, 10, "2026-01-02T12:00:00.000Z", 30.0, id="more"),
        pytest.param(100, NOON + 250, 0, "2026-01-02T12:00:00.250Z", 29.75, id="as many"),
        pytest.param(150, NOON, None, "2026-01-02T12:00:00.000Z", 30.0, id="deleted"),
        pytest.param(0, None, 100, None, None, id="no time"),
    ],
)
def test_an_index(
    before: int | None, newest: float | None, added: int | None, expected_newest: str | None, age: float | None
) -> None:
    then = None if before is None else Index("posts", at(20), before, 5, None)
    assert index_document(Index("posts", at(30), 100, 12345, newest), then) == {
        "index": "posts",
        "sampled_at": "2026-01-02T12:00:30.000Z",
        "documents": 100,
        "added": added,
        "bytes": 12345,
        "newest": expected_newest,
        "newest_age_seconds": age,
    }


class RecordedFlink(QuietHandler):
    """Answers as Flink did, as of `sample`; `gone` are jobs in its list that it no longer knows."""

    prefix = ""
    sample = "before"
    gone: ClassVar[set[str]] = set()
    unknown_names: ClassVar[set[str]] = set()
    broken = False
    clock = 0

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        answer = "no JSON" if self.broken else self._answer(address.path, parse_qs(address.query))
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str, query: dict[str, list[str]]) -> object:
        recorded = RECORDED[self.sample]
        if path == "/taskmanagers/metrics":
            RecordedFlink.clock += 1
            return [{"id": query["get"][0], "sum": self.clock}]
        if path == "/jobs/overview":
            others = [("b" * 32, "test-1.wiki_edits", "RUNNING"), ("c" * 32, "wiki_edits", "CANCELED")]
            others += [(job_id, "wiki_users", "RUNNING") for job_id in self.gone]
            listed = [{"jid": job_id, "name": name, "state": state} for job_id, name, state in others]
            job = {**recorded["overview"], "name": self.prefix + recorded["overview"]["name"]}
            return {"jobs": [job, *listed]}
        if not path.startswith(f"/jobs/{JOB}"):
            return None
        if path == f"/jobs/{JOB}":
            return recorded["details"]
        if path == f"/jobs/{JOB}/metrics":
            return recorded["metrics"]
        metrics = [m for m in recorded["asked"][path.split("/")[4]] if m["id"] not in self.unknown_names]
        if "get" not in query:
            return [{"id": metric["id"]} for metric in metrics]
        names = query["get"][0].split(",")
        # As Flink does: one unknown name, and it tells of none.
        return metrics if set(names) == {metric["id"] for metric in metrics} else []


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> type[RecordedFlink]:
    monkeypatch.setattr(job_metrics, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(job_metrics, "LOOK_SECONDS", 0)
    return type("Recorded", (RecordedFlink,), {})


@pytest.fixture
def flink(handler: type[BaseHTTPRequestHandler]) -> Iterator[Flink]:
    with LocalServer(handler) as server:
        yield Flink(server.address + "/")


def test_flink_is_asked_for_the_jobs_of_the_prefix_that_run(flink: Flink, handler: type[RecordedFlink]) -> None:
    (before,) = flink.jobs("")
    handler.sample, handler.gone = "after", {"d" * 32}
    (after,) = flink.jobs("")
    document = job_document(after, before)
    assert (document["job"], document["job_id"], document["records_in"], document["records_out"]) == (
        "wiki_edits", JOB, 192, 128,
    )  # fmt: skip
    assert flink.jobs("other.") == []


def test_names_of_metrics_that_flink_no_longer_knows_are_asked_anew(flink: Flink, handler: type[RecordedFlink]) -> None:
    names = [metric["id"] for metric in RECORDED["before"]["asked"][VISIBILITY_CHANGES]]
    flink.jobs("")
    handler.unknown_names = {name for name in names if name.endswith("watermarkLag")}
    (job,) = flink.jobs("")
    assert job.sources[VISIBILITY_CHANGES].pending is None
    (job,) = flink.jobs("")
    assert job.sources[VISIBILITY_CHANGES].pending == 0
    assert job.sources[VISIBILITY_CHANGES].lag_seconds is None


def test_what_is_not_flink_is_said(flink: Flink, handler: type[RecordedFlink], free_address: str) -> None:
    with pytest.raises(FlinkAway, match="does not answer"):
        Flink(free_address).jobs("")
    handler.broken = True
    with pytest.raises(FlinkAway, match="does not answer"):
        flink.jobs("")
    handler.broken = False
    flink.jobs("")


@pytest.fixture
def free_address() -> str:
    """Where nobody answers."""
    with LocalServer(QuietHandler) as server:
        return server.address


def test_what_is_away_is_said_once(
    flink: Flink, handler: type[RecordedFlink], free_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Elasticsearch(free_address, request_timeout=2) as client:
        sampler = Sampler(flink, client)
        handler.broken = True
        assert not sampler.sample()
        assert not sampler.sample()
        flink_is_away, elasticsearch_is_away = capsys.readouterr().err.splitlines()
        assert flink_is_away.startswith(f"Flink at {flink.url} does not answer (JSONDecodeError).")
        assert elasticsearch_is_away.startswith("Elasticsearch at ")
        assert "(ConnectionError: " in elasticsearch_is_away
        handler.broken = False
        assert not sampler.sample()
        assert capsys.readouterr().err == f"Flink at {flink.url} answers again.\n"


def test_the_pause_grows_while_something_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = iter([True, False, False, False, True, True])
    clock, samples = [1000.0], list[float]()

    def sample(_: Sampler) -> bool:
        samples.append(clock[0])
        clock[0] += 1  # a sample takes its time, which is part of the pause
        try:
            return next(outcomes)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(Sampler, "sample", sample)
    monkeypatch.setattr("services.job_metrics.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("services.job_metrics.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    with pytest.raises(KeyboardInterrupt):
        job_metrics.run(Sampler.__new__(Sampler), every_seconds=10)
    assert [later - earlier for earlier, later in pairwise(samples)] == [10, 20, 30, 30, 10, 10]


@pytest.mark.stack
def test_samples_are_written_and_tell_what_the_indices_hold(
    flink: Flink, handler: type[RecordedFlink], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = handler.prefix = f"test-{uuid.uuid4().hex[:8]}."
    monkeypatch.setattr(job_metrics, "settings", lambda: settings().model_copy(update={"prefix": prefix}))
    elasticsearch.put_templates()

    def written(index: str) -> list[Answer]:
        client.indices.refresh(index=prefix + index)
        hits = client.search(index=prefix + index, sort=["sampled_at"], size=100)["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    with elasticsearch_client() as client:
        try:
            sampler = Sampler(flink, client)
            assert sampler.sample()
            for second in range(3):
                edit = {"event_time": at(second).isoformat()}
                client.index(index=f"{prefix}wiki_edits", document=edit, refresh=True)
            handler.sample = "after"
            assert sampler.sample()
            client.indices.refresh(index=f"{prefix}*")
            client.index(index=f"{prefix}wiki_edits", document={"event_time": at(9).isoformat()}, refresh=True)
            assert sampler.sample()

            jobs = written("job_metrics")
            assert [(job["job"], job["records_in"]) for job in jobs] == [
                ("wiki_edits", None), ("wiki_edits", 192), ("wiki_edits", 0),
            ]  # fmt: skip
            edits = [index for index in written("index_metrics") if index["index"] == "wiki_edits"]
            assert [(index["documents"], index["added"]) for index in edits] == [(3, None), (4, 1)]
            assert [index["newest"] for index in edits] == ["2026-01-02T12:00:02.000Z", "2026-01-02T12:00:09.000Z"]
            assert all(index["bytes"] > 0 for index in edits)
            assert {index["index"] for index in written("index_metrics")} == {
                "wiki_edits", "job_metrics", "index_metrics",
            }  # fmt: skip
        finally:
            elasticsearch.delete_indices(prefix)
