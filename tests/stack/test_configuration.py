"""What is written for Kafka, Elasticsearch and Flink from the settings."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from jobs._tables import ddl, declared_tables
from settings import settings
from stack import elasticsearch, flink, java, kafka, maven, ports
from stack.errors import StackError


def test_all_ports_differ_and_follow_the_base(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: ports.port(name) for name in ports.OFFSETS}
    assert len(set(before.values())) == len(before)
    monkeypatch.setenv("CROWDPULSE_PORT_BASE", "22000")
    settings.cache_clear()
    assert {name: ports.port(name) - 1000 for name in ports.OFFSETS} == before


def test_flink_reads_its_configuration_as_it_was_meant(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDPULSE_TASK_SLOTS", "3")
    monkeypatch.setenv("CROWDPULSE_PARALLELISM", "2")
    monkeypatch.setenv("CROWDPULSE_TASKMANAGER_MEMORY", "2g")
    settings.cache_clear()
    (own_place / "flink/conf").mkdir(parents=True)
    flink.write_config()
    home = flink.distribution()
    jars = [home / "bin/bash-java-utils.jar", *(home / "lib").glob("flink-dist*.jar")]
    found = java.for_flink()
    assert found is not None
    # Flink's own reader of config.yaml, as its shell scripts use it.
    read = subprocess.run(
        [
            found.home / "bin/java",
            "-cp",
            ":".join(map(str, jars)),
            "org.apache.flink.runtime.util.bash.BashJavaUtils",
            "UPDATE_AND_GET_FLINK_CONFIGURATION",
            "--configDir",
            own_place / "flink/conf",
            "-flatten",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    prefix = "BASH_JAVA_UTILS_EXEC_RESULT:"
    lines = [line.removeprefix(prefix) for line in read.splitlines() if line.startswith(prefix)]
    got = {key: value.strip(" '\"") for key, _, value in (line.partition(":") for line in lines)}
    assert got["rest.port"] == str(ports.port("flink-rest"))
    assert got["taskmanager.numberOfTaskSlots"] == "3"
    assert got["parallelism.default"] == "2"
    assert got["taskmanager.memory.process.size"] == "2g"
    assert got["execution.checkpointing.interval"] == "10 s"
    assert got["execution.checkpointing.externalized-checkpoint-retention"] == "RETAIN_ON_CANCELLATION"
    assert got["execution.checkpointing.dir"] == f"file://{own_place}/data/checkpoints"
    assert got["s3.endpoint"] == f"http://127.0.0.1:{ports.port('moto')}"
    assert got["env.java.opts.all"].endswith("--add-opens=java.base/java.util.concurrent.locks=ALL-UNNAMED")


def test_every_address_of_flink_and_kafka_is_local(own_place: Path) -> None:
    addresses = [value for key, value in flink.config().items() if key.endswith(("address", "host"))]
    assert set(addresses) == {"127.0.0.1"}
    listeners = dict(line.split("=", 1) for line in kafka.properties().splitlines())
    assert listeners["listeners"] == listeners["advertised.listeners"]
    assert listeners["listeners"] == (
        f"PLAINTEXT://127.0.0.1:{ports.port('kafka')},CONTROLLER://127.0.0.1:{ports.port('kafka-controller')}"
    )


def test_foreign_variables_do_not_lead_to_another_flink(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLINK_CONF_DIR", "/elsewhere")
    monkeypatch.setenv("HADOOP_CLASSPATH", "/elsewhere")
    monkeypatch.setenv("CROWDPULSE_PREFIX", "mine.")
    kept = flink.environment()
    assert "FLINK_CONF_DIR" not in kept
    assert "HADOOP_CLASSPATH" not in kept
    assert kept["CROWDPULSE_PREFIX"] == "mine."


def test_the_declared_topics_can_be_made() -> None:
    topics = {topic.name: topic for topic in kafka.topics()}
    assert topics["wiki_recentchange"].partitions == 4
    assert topics["dead_letters"].config == {"max.message.bytes": "8388608", "retention.ms": "2592000000"}
    for topic in topics.values():
        assert int(topic.config.get("max.message.bytes", 0)) <= kafka.MAX_MESSAGE_BYTES


@pytest.mark.parametrize("text", ["posts: 4", "posts: {config: {a: b}}", "posts: {partitions: many}", "- posts"])
def test_a_topic_that_is_declared_wrong_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "topics.yaml").write_text(text)
    with pytest.raises(StackError, match=r"topics\.yaml is wrong .* each topic needs `partitions: N`"):
        kafka.topics(tmp_path / "topics.yaml")


def test_posts_and_scored_posts_have_as_many_partitions() -> None:
    partitions = {topic.name: topic.partitions for topic in kafka.topics()}
    assert partitions["social_media"] == partitions["scored_posts"]


def test_index_templates_are_json_with_the_three_patterns() -> None:
    for file in elasticsearch.TEMPLATES.glob("[a-z]*.json"):
        body = json.loads(file.read_text())
        assert body["index_patterns"] == [file.stem, f"{file.stem}-*", f"*.{file.stem}"], file.name


def test_each_index_takes_just_the_columns_of_its_tables() -> None:
    tables = {name: text for name in declared_tables() if "'connector' = 'elasticsearch'" in (text := ddl(name))}
    written: dict[str, set[str]] = {}
    for name, text in tables.items():
        columns, options = text.split(") WITH (")
        (index,) = re.findall(r"'index' = '(\w+)'", options)
        mapping = json.loads((elasticsearch.TEMPLATES / f"{index}.json").read_text())["template"]["mappings"]
        assert mapping["dynamic"] == "strict", name
        own = set(re.findall(r"^    `?([a-z]\w*)`? [A-Z]", columns, re.MULTILINE))
        assert own <= set(mapping["properties"]), name
        if "'sink.write-mode' = 'update'" not in options:  # else: a part of the documents that another table makes
            written[index] = written.get(index, set()) | own
    for index, fields in written.items():
        mapping = json.loads((elasticsearch.TEMPLATES / f"{index}.json").read_text())["template"]["mappings"]
        assert fields == set(mapping["properties"]), index
    assert len(tables) >= 10


def test_data_of_a_later_elasticsearch_is_not_opened(own_place: Path) -> None:
    base = own_place / "data/elasticsearch"
    base.mkdir(parents=True)
    assert elasticsearch.problem_with_data("8.19.21") == ""
    (base / "version").write_text("9.5.3")
    assert elasticsearch.problem_with_data("9.5.3") == ""
    assert "was written by Elasticsearch 9.5.3, which needs Java 21" in elasticsearch.problem_with_data("8.19.21")


def test_the_jars_are_fetched_again_when_the_pom_changes(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not maven.is_fetched("9.5.3")
    pom = own_place.parent / "pom.xml"
    pom.write_text("<project/>")
    monkeypatch.setattr(maven, "POM", pom)
    bin_dir = own_place.parent / "bin"
    bin_dir.mkdir()
    calls = bin_dir / "calls"
    (bin_dir / "mvn").write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    (bin_dir / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    assert maven.fetch("9.5.3")
    assert not maven.fetch("9.5.3")
    assert maven.fetch("8.19.21")
    pom.write_text("<project></project>")
    assert maven.fetch("9.5.3")
    versions = [line.rpartition("-Delasticsearch.version=")[2] for line in calls.read_text().splitlines()]
    assert versions == ["9.5.3", "8.19.21", "9.5.3"]


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("[ERROR] Could not transfer artifact a:b:jar:1 from/to central: Connection refused", "the network"),
        ("[ERROR] /tmp/x: No space left on device", "a full disk"),
        ("[ERROR] No compiler is provided in this environment", "a Java that cannot compile"),
        ("[ERROR] something else", "the first error below"),
    ],
)
def test_why_maven_failed_is_said(own_place: Path, monkeypatch: pytest.MonkeyPatch, output: str, cause: str) -> None:
    bin_dir = own_place.parent / "bin"
    bin_dir.mkdir()
    (bin_dir / "mvn").write_text(f"#!/bin/sh\necho '{output}'\nexit 1\n")
    (bin_dir / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    with pytest.raises(StackError, match=f"the cause seems to be {cause}") as problem:
        maven.fetch("9.5.3")
    assert str(own_place / "logs/maven.log") in str(problem.value)
    assert output in (own_place / "logs/maven.log").read_text()
    assert not maven.is_fetched("9.5.3")


def test_topics_file_and_flink_configuration_are_plain_yaml(own_place: Path) -> None:
    (own_place / "flink/conf").mkdir(parents=True)
    flink.write_config()
    assert yaml.safe_load((own_place / "flink/conf/config.yaml").read_text()) == flink.config()


class Answering(BaseHTTPRequestHandler):
    """Answers every GET with `status` and `body`, every DELETE well; `deleted` holds the paths of the latter."""

    status = 200
    body: ClassVar[dict[str, object]] = {}
    deleted: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._answer(self.status, json.dumps(self.body).encode())

    def do_DELETE(self) -> None:
        self.deleted.append(self.path)
        self._answer(200, b"{}")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def answering(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Answering]]:
    """A server where the stack's Elasticsearch would be."""
    handler = type("Handler", (Answering,), {"deleted": []})
    offset = ports.port("elasticsearch") - settings().port_base
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setenv("CROWDPULSE_PORT_BASE", str(server.server_port - offset))
        settings.cache_clear()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield handler
        server.shutdown()


def test_an_error_of_elasticsearch_names_no_indices_to_delete(answering: type[Answering]) -> None:
    answering.status, answering.body = 503, {"error": {"reason": "no master"}, "status": 503}

    with pytest.raises(StackError, match="did not delete test-x"):
        elasticsearch.delete_indices("test-x.")
    assert answering.deleted == []


def test_the_indices_of_a_prefix_are_deleted_by_name(answering: type[Answering]) -> None:
    answering.body = {"test-x.b": {}, "test-x.a": {}}

    assert elasticsearch.delete_indices("test-x.") == ["test-x.a", "test-x.b"]
    assert answering.deleted == ["/test-x.a", "/test-x.b"]
