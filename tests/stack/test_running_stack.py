"""The real stack: started once, known by its state, mended, and no trouble to a second one beside it."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaTimeoutError

from connections import kafka_options
from jobs.replay import KeptRecord, SendError, messages_of, send
from jobs.replay import main as main_of_replay
from settings import settings
from stack import cluster, elasticsearch, flink, jobs, kafka, layout, ports, processes
from stack.__main__ import main
from stack.errors import StackError

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

JOB = """\
from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

config = Configuration()
config.set_string("pipeline.name", "{name}")
config.set_string("parallelism.default", "1")
config.set_string("execution.checkpointing.interval", "1 s")
t_env = TableEnvironment.create(EnvironmentSettings.new_instance().with_configuration(config).build())
t_env.execute_sql(
    "CREATE TEMPORARY TABLE numbers (word STRING, number INT) WITH ("
    "'connector' = 'datagen', 'rows-per-second' = '10', 'fields.word.length' = '1')"
)
t_env.execute_sql("CREATE TEMPORARY TABLE sums (word STRING, total INT) WITH ('connector' = 'blackhole')")
t_env.execute_sql("INSERT INTO sums {query}")
"""
SUM = "SELECT word, SUM(number) FROM numbers GROUP BY word"
OTHER_SUM = "SELECT word, total FROM (SELECT word, number, SUM(number) AS total FROM numbers GROUP BY word, number)"


@pytest.fixture
def prefix() -> Iterator[str]:
    """A prefix of this test's own; its topics are deleted afterwards."""
    mine = f"test-{uuid.uuid4().hex[:8]}."
    yield mine
    kafka.delete_topics(mine)


@pytest.fixture(scope="session")
def fetched_jars(running_stack: None) -> Path:
    """Where the jars of the running stack are."""
    return layout.jars_dir()


@pytest.fixture
def second_place(fetched_jars: Path, own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a second stack that need not fetch the jars again."""
    own_place.mkdir()
    (own_place / "jars").symlink_to(fetched_jars, target_is_directory=True)
    return own_place


def test_up_twice_is_one_stack(capfd: pytest.CaptureFixture[str]) -> None:
    pids = {part.name: processes.pid(part.name) for part in cluster.parts()}
    assert None not in pids.values()
    assert main(["up"]) == 0
    assert "The stack is already up." in capfd.readouterr().out
    assert {part.name: processes.pid(part.name) for part in cluster.parts()} == pids
    assert main(["status"]) == 0
    shown = capfd.readouterr().out
    for name, pid in pids.items():
        (line,) = [line for line in shown.splitlines() if line.startswith(name)]
        assert line.split()[1:3] == ["running", str(pid)]


def test_a_killed_taskmanager_is_said_and_brought_back(capfd: pytest.CaptureFixture[str]) -> None:
    killed = processes.pid("taskmanager")
    entry = processes.record("taskmanager")
    assert entry
    left_behind = layout.tmp_dir() / f"tm_{entry.identity}"
    flink.kill_taskmanager()
    assert left_behind.is_dir()
    assert main(["status"]) == 1
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("taskmanager")]
    assert "died" in line
    assert "`python -m stack up` starts it again" in line
    assert main(["up", "--skip-build"]) == 0
    assert "taskmanager had died; starting it again." in capfd.readouterr().out
    assert processes.pid("taskmanager") not in (None, killed)
    assert not left_behind.exists()
    assert main(["status"]) == 0


def test_topics_are_made_as_declared_and_kept_so(prefix: str) -> None:
    assert len(kafka.create_topics(prefix)) == len(kafka.topics())
    assert kafka.create_topics(prefix) == []
    admin = KafkaAdminClient(**kafka_options())
    try:
        described = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
        assert {prefix + topic.name: topic.partitions for topic in kafka.topics()}.items() <= described.items()
        topic = f"{prefix}dead_letters"
        admin.alter_configs([ConfigResource("topic", topic, {"max.message.bytes": "1000"})])
        while True:  # the broker answers before it has applied it; pytest's timeout bounds this
            config = admin.describe_configs([ConfigResource("topic", topic)])["topic"][topic]
            if config["max.message.bytes"]["value"] == "1000":
                break
            time.sleep(0.1)
    finally:
        admin.close()
    assert kafka.create_topics(prefix) == [f"Changed topic {topic}: max.message.bytes=8388608."]


@pytest.fixture
def second_kafka(second_place: Path) -> None:
    """A Kafka with empty topics, which this test may do anything to."""
    kafka.start()
    while problem := kafka.health():  # pytest's timeout bounds this
        assert processes.pid(kafka.NAME), (problem, cluster.last_lines(processes.log_file(kafka.NAME), 5))
        time.sleep(0.2)
    kafka.create_topics("")


@pytest.mark.usefixtures("second_kafka")
def test_a_replay_that_fails_over_and_over_sends_no_more_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def keep(offset: int, value: bytes) -> None:
        letter = {
            "topic": "wiki_page_move", "partition": 0, "offset": offset, "reason": "not_json", "job": "j",
            "record_key": base64.b64encode(b"k").decode(), "record_value": base64.b64encode(value).decode(),
            "rejected_at": "2026-01-01T10:00:00Z",
        }  # fmt: skip
        record = KeptRecord("dead_letters", 0, 0, datetime.now(UTC), "", "", None, json.dumps(letter).encode())
        send([record])

    replay = ["dead_letters", "--topic", "wiki_page_move"]
    for offset, value in ((0, b"a"), (1, b"b"), (2, b"c")):
        keep(offset, value)
    for times in (1, 2, 3):
        assert main_of_replay(replay) == 0
        assert "Sent 3 records" in capsys.readouterr().err
        assert list(messages_of("wiki_page_move")) == [b"a", b"b", b"c"] * times
        for number, value in enumerate((b"a", b"b", b"c")):  # the job refuses them again
            keep(3 * times + number, value)

    assert main_of_replay([*replay, "--dry-run"]) == 0
    assert "3 records would be sent" in capsys.readouterr().err
    assert main_of_replay([*replay, "--export", str(tmp_path / "f")]) == 0
    assert "Wrote 12 records" in capsys.readouterr().err
    assert [json.loads(line)["offset"] for line in (tmp_path / "f").read_text().splitlines()] == list(range(12))


@pytest.mark.usefixtures("second_kafka")
def test_a_replay_has_an_end_whatever_kafka_does() -> None:
    small = [
        KeptRecord("wiki_page_move", 0, number, datetime.now(UTC), "r", "", b"k", b"%d" % number)
        for number in range(2500)
    ]
    too_long = replace(small[0], offset=2500, value=b"x" * 3_000_000)
    assert send(small) == 2500
    assert list(messages_of("wiki_page_move")) == [record.value for record in small]
    with pytest.raises(
        SendError, match=r"wiki_page_move/0/2500 is too long .*\(3,000,000 bytes\).* 2500 records were sent"
    ):
        send([*small, too_long])
    assert send(replace(record, topic="wiki_page_create", value=b"x" * 500_000) for record in small[:40]) == 40

    pid = processes.pid(kafka.NAME)
    assert pid
    messages = messages_of("wiki_page_create", silence_seconds=2)
    next(messages)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(KafkaTimeoutError, match="for 2 s"):
            list(messages)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_index_gets_the_template_of_its_name_whatever_its_prefix() -> None:
    put = elasticsearch.put_templates()
    assert put == elasticsearch.put_templates()
    for file in elasticsearch.TEMPLATES.glob("[a-z]*.json"):
        assert f"crowdpulse_{file.stem}" in put
        for name in (file.stem, f"test-x.{file.stem}", f"{file.stem}-2026-01-02"):
            url = f"{elasticsearch.node().url}/_index_template/_simulate_index/{name}"
            answer = requests.post(url, timeout=30).json()
            assert answer["template"]["mappings"]["properties"], name


def test_a_template_that_elasticsearch_refuses_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "posts.json").write_text('{"index_patterns": ["posts-test"], "no_such_part": {}}')
    with pytest.raises(StackError, match=r"refuses .*posts\.json: .*no_such_part"):
        elasticsearch.put_templates(folder=tmp_path)
    (tmp_path / "posts.json").write_text('{"index_patterns": ')
    with pytest.raises(StackError, match=r"posts\.json is not JSON"):
        elasticsearch.put_templates(folder=tmp_path)


def test_a_job_runs_once_resumes_and_is_refused_when_its_state_no_longer_fits(tmp_path: Path) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}.sums"
    script = tmp_path / "sums.py"
    script.write_text(JOB.format(name=name, query=SUM))
    try:
        first = jobs.submit_script(script, name=name)
        assert jobs.state(first.job_id) == "RUNNING"
        again = jobs.submit_script(script, name=name)
        assert (again.job_id, again.already_ran) == (first.job_id, True)
        taskmanager = flink.rest(f"/jobs/{first.job_id}")
        assert taskmanager["name"] == name
        while jobs.latest_checkpoint(first.job_id) is None:
            assert jobs.state(first.job_id) == "RUNNING"
            time.sleep(0.2)
        assert jobs.cancel(name)
        assert not jobs.cancel(name)
        kept = jobs.latest_checkpoint(first.job_id)
        second = jobs.submit_script(script, name=name)
        assert second.job_id != first.job_id
        assert second.resumed_from == str(kept)
        savepoint = jobs.stop(name)
        assert jobs.stop(name) is None
        third = jobs.submit_script(script, name=name)
        assert third.resumed_from == str(savepoint)
        assert jobs.cancel(name)
        script.write_text(JOB.format(name=name, query=OTHER_SUM))
        with pytest.raises(StackError, match=r"a key has other columns or types.*--fresh"):
            jobs.submit_script(script, name=name)
        assert jobs.running(name) is None
        assert jobs.submit_script(script, name=name, fresh=True).resumed_from == ""
    finally:
        jobs.cancel(name)


def test_several_jobs_are_submitted_by_one_client_each_from_its_checkpoint(prefix: str) -> None:
    kafka.create_topics(prefix)
    names = ("kept_records", "wiki_pages")
    said: list[jobs.Run] = []
    try:
        first = jobs.submit_all(names, prefix=prefix, said=said.append)
        assert [run.name for run in first] == [run.name for run in said] == [prefix + name for name in names]
        while not (kept := jobs.latest_checkpoint(first[1].job_id)):
            time.sleep(0.2)
        jobs.cancel(prefix + "wiki_pages")
        again = {run.name: run for run in jobs.submit_all(names, prefix=prefix)}
        assert again[prefix + "kept_records"] == replace(first[0], already_ran=True)
        assert Path(again[prefix + "wiki_pages"].resumed_from).parent == kept.parent
        with pytest.raises(StackError, match="There is no job no_such_job"):
            jobs.submit_all(["no_such_job"])
    finally:
        for name in names:
            jobs.cancel(prefix + name)


def test_a_job_that_cannot_be_planned_says_why_in_short(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(JOB.format(name="test-wrong", query="SELECT word, no_such_column FROM numbers"))
    with pytest.raises(StackError, match=r"test-wrong was not submitted: .*Column 'no_such_column' not found"):
        jobs.submit_script(script, name="test-wrong")


def test_a_second_stack_runs_beside_the_first_and_leaves_nothing(second_place: Path) -> None:
    main(["up", "--skip-build", "--only", "kafka", "moto"])
    assert main(["run", "producer", "--", sys.executable, "-c", "import time; time.sleep(600)"]) == 0
    started = [pid for name in ("kafka", "moto", "producer") for pid in processes.members(name)]
    assert len(started) >= 3
    assert ports.is_taken(ports.port("kafka"))
    assert main(["down", "--data"]) == 0
    assert [pid for pid in started if Path(f"/proc/{pid}/exe").exists()] == []
    assert not any(ports.is_taken(ports.port(name)) for name in ports.OFFSETS)
    assert list((second_place / "run").iterdir()) == []
    assert not (second_place / "data").exists()


def test_a_part_that_ends_while_it_starts_shows_the_end_of_its_log(
    second_place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROWDPULSE_KAFKA_HEAP", "1m")
    settings.cache_clear()
    assert main(["up", "--skip-build", "--only", "kafka"]) == 1
    said = capfd.readouterr().out
    assert "kafka ended while it started. The end of" in said
    assert "Too small" in said
