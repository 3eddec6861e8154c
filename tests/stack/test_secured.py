"""The secured stack refuses whom it should, and lets each role do its work and no more. `make test-secured` runs these.

Each refusal has the same call beside it with the right credentials, which goes through.
"""

from __future__ import annotations

import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import KafkaError as Reason
from confluent_kafka.admin import AdminClient
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from connections import confluent_kafka_options, kafka_options
from services.elasticsearch import request_options
from settings import Role, settings
from stack import certificates, elasticsearch, jobs, kafka, layout, security
from stack.errors import StackError

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not settings().secured, reason="the running stack is the open one: `make test-secured`"),
]

REFUSED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The PEM file of an authority that signed nothing here."""
    folder = tmp_path_factory.mktemp("stranger")
    certificates.make(folder, ("nobody",))
    return str(folder / "ca.pem")


@pytest.fixture(scope="module")
def prefix(running_stack: None) -> Iterator[str]:
    """Topics of their own, with the rights on them."""
    chosen = f"test-{uuid.uuid4().hex[:8]}."
    kafka.create_topics(chosen)
    yield chosen
    elasticsearch.delete_indices(chosen)
    kafka.delete_topics(chosen)


# --- Who gets in ---


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ssl.ca.location": "STRANGER"}, Reason._SSL),
        ({"sasl.password": "wrong"}, Reason._AUTHENTICATION),
        ({"sasl.username": "nobody"}, Reason._AUTHENTICATION),
        ({"security.protocol": "SSL"}, Reason._ALL_BROKERS_DOWN),  # TLS, and no login
        ({"security.protocol": "SASL_PLAINTEXT"}, Reason._ALL_BROKERS_DOWN),
        ({"security.protocol": "PLAINTEXT"}, Reason._ALL_BROKERS_DOWN),
    ],
    ids=["another authority", "wrong password", "unknown user", "no login", "no TLS", "neither"],
)
def test_kafka_lets_nobody_in_without_all_of_it(changed: dict[str, str], reason: int, stranger: str) -> None:
    reasons: list[int] = []
    changed = {name: value.replace("STRANGER", stranger) for name, value in changed.items()}
    options: dict[str, Any] = {**confluent_kafka_options(), "log_level": 0}
    assert AdminClient(options).list_topics(timeout=30).topics

    refused = AdminClient({**options, **changed, "error_cb": lambda error: reasons.append(error.code())})
    with pytest.raises(Exception, match="_TRANSPORT"):
        refused.list_topics(timeout=3)
    deadline = time.monotonic() + 20
    while reason not in reasons and time.monotonic() < deadline:
        refused.poll(0.5)

    assert reason in reasons


def test_the_programs_own_client_is_refused_too(stranger: str) -> None:
    KafkaAdminClient(**kafka_options()).close()
    for changed in ({"ssl_cafile": stranger}, {"sasl_plain_password": "wrong"}):
        with pytest.raises(KafkaTimeoutError):
            KafkaAdminClient(**(kafka_options() | changed), bootstrap_timeout_ms=2_000)


def test_elasticsearch_lets_nobody_in_without_all_of_it(stranger: str) -> None:
    url = f"{settings().elasticsearch_hosts}/_cluster/health"
    good = request_options()
    assert requests.get(url, timeout=30, **good).ok

    no_login = {"verify": good["verify"]}
    wrong_key = no_login | {"headers": {"Authorization": "ApiKey d3Jvbmc6d3Jvbmc="}}
    wrong_password = no_login | {"auth": (security.SUPERUSER, "wrong")}
    for options in (no_login, wrong_key, wrong_password):
        assert requests.get(url, timeout=30, **options).status_code == 401
    for authority in (stranger, True):
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, timeout=30, **(good | {"verify": authority}))
    with pytest.raises(requests.ConnectionError):
        requests.get(url.replace("https://", "http://"), timeout=30, **good)


def test_the_controller_takes_only_the_brokers_certificate() -> None:
    """Its port is for the broker: neither the topics' users nor anybody without a certificate get an answer."""
    port = settings().port(93)
    for protocol in ("SSL", "SASL_SSL", "PLAINTEXT"):
        options = {**confluent_kafka_options(), "bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}
        with pytest.raises(Exception, match="_TRANSPORT"):
            AdminClient({**options, "security.protocol": protocol}).list_topics(timeout=2)


# --- What each may do in Kafka: deploy/security/kafka_acls.yaml ---


def _login(role: Role) -> dict[str, str]:
    password = security.credentials(role)["kafka_password"]
    return kafka_options() | {"sasl_plain_username": role, "sasl_plain_password": password}


def _write(role: Role, topic: str) -> None:
    producer = KafkaProducer(**_login(role), enable_idempotence=False, max_block_ms=10_000)
    try:
        producer.send(topic, key=b"somebody", value=b"{}").get(timeout=30)
    finally:
        producer.close()


def _read(role: Role, topic: str) -> None:
    _write("admin", topic)
    # kafka-python waits without a word for a topic that its user may not know of: the other client says so.
    login = {"sasl.username": role, "sasl.password": security.credentials(role)["kafka_password"]}
    known = AdminClient({**confluent_kafka_options(), **login}).list_topics(topic, timeout=30).topics[topic]
    if known.error and known.error.code() == Reason.TOPIC_AUTHORIZATION_FAILED:
        raise TopicAuthorizationFailedError(str(known.error))
    consumer = KafkaConsumer(**_login(role), group_id=None)
    try:
        consumer.assign([TopicPartition(topic, number) for number in known.partitions])
        consumer.seek_to_beginning()
        deadline = time.monotonic() + 30
        while not consumer.poll(timeout_ms=500):
            assert time.monotonic() < deadline, f"{role} got nothing of {topic}"
    finally:
        consumer.close()


def _create(role: Role, topic: str) -> None:
    admin = KafkaAdminClient(**_login(role))
    try:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": -1}})
    finally:
        admin.close()


def _delete(role: Role, topic: str) -> None:
    admin = KafkaAdminClient(**_login(role))
    try:
        admin.delete_topics([topic])
    finally:
        admin.close()


@pytest.mark.parametrize(
    ("role", "action", "topic", "may"),
    [
        ("producer", _write, "wiki_recentchange", True),
        ("producer", _write, "chat_messages", True),
        ("producer", _write, "moderation_decisions", False),
        ("producer", _write, "dead_letters", False),
        ("producer", _read, "wiki_revision_create", True),  # of producers/liftwing.py
        ("producer", _read, "social_media", False),
        ("producer", _read, "moderation_decisions", False),
        ("job", _read, "user_basic_info", True),
        ("job", _read, "dead_letters", True),
        ("job", _write, "scored_posts", True),
        ("job", _write, "moderation_decisions", True),
        ("job", _write, "wiki_recentchange", False),
        ("job", _write, "moderation_policies", False),
        ("job", _delete, "social_media", False),
        ("service", _write, "chat_messages", True),
        ("service", _read, "moderation_decisions", True),
        ("service", _write, "moderation_decisions", False),
        ("service", _write, "moderation_policies", False),
        ("service", _read, "user_basic_info", False),
        ("reader", _read, "user_basic_info", True),
        ("reader", _write, "social_media", False),
        ("reader", _create, "mine", False),
        ("admin", _write, "moderation_policies", True),
        ("admin", _create, "mine", True),
        ("admin", _delete, "mine", True),
    ],
)
def test_a_role_does_its_work_in_kafka_and_no_more(role: Role, action: Any, topic: str, may: bool, prefix: str) -> None:
    if may:
        action(role, prefix + topic)
    else:
        with pytest.raises(REFUSED):
            action(role, prefix + topic)


def test_nobody_but_the_superuser_gives_rights() -> None:
    everything = ACL(
        "User:admin",
        "*",
        ACLOperation.ALL,
        ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType.CLUSTER, "kafka-cluster"),
    )
    for role in security.ROLES:
        admin = KafkaAdminClient(**_login(role))
        try:
            refused = admin.create_acls([everything])["failed"]
        except KafkaError as error:
            refused = [error]
        finally:
            admin.close()
        assert refused, role


def test_rights_end_with_the_topics() -> None:
    gone = f"test-{uuid.uuid4().hex[:8]}."
    kafka.create_topics(gone)
    _write("producer", f"{gone}social_media")

    kafka.delete_topics(gone)
    with pytest.raises(REFUSED):  # who had the right still would be told that there is no such topic
        _write("producer", f"{gone}social_media")


# --- What each may do in Elasticsearch: deploy/security/elasticsearch ---


@pytest.mark.parametrize(
    ("role", "method", "path", "may"),
    [
        ("job", "PUT", "PREFIXwiki_edits/_doc/1", True),  # makes the index too
        ("job", "DELETE", "PREFIXwiki_edits/_doc/2", True),
        ("job", "GET", "PREFIXwiki_edits/_search", False),
        ("job", "DELETE", "PREFIXwiki_edits", False),
        ("job", "PUT", "PREFIXjob_metrics/_doc/1", False),
        ("job", "PUT", "another_index/_doc/1", False),
        ("job", "PUT", "_index_template/PREFIXmine", False),
        ("service", "GET", "PREFIXwiki_edits/_search", True),
        ("service", "PUT", "PREFIXjob_metrics/_doc/1", True),
        ("service", "GET", "PREFIXjob_metrics/_stats", True),
        ("service", "PUT", "PREFIXwiki_edits/_doc/1", False),
        ("service", "DELETE", "PREFIXjob_metrics", False),
        ("reader", "GET", "PREFIXwiki_edits/_search", True),
        ("reader", "PUT", "PREFIXwiki_edits/_doc/1", False),
        ("reader", "DELETE", "PREFIXwiki_edits/_doc/1", False),
        ("reader", "DELETE", "PREFIXwiki_edits", False),
        ("reader", "GET", "_security/role", False),
        ("admin", "PUT", "_security/user/mine", False),
        ("admin", "GET", "_security/api_key", False),
        ("admin", "PUT", "another_index/_doc/1", False),
        ("admin", "PUT", "_index_template/PREFIXmine", True),
        ("admin", "DELETE", "_index_template/PREFIXmine", True),
        ("admin", "DELETE", "PREFIXwiki_edits", True),
    ],
)
def test_a_role_does_its_work_in_elasticsearch_and_no_more(
    role: Role, method: str, path: str, may: bool, prefix: str
) -> None:
    key = security.credentials(role)["elasticsearch_api_key"]
    body: dict[str, Any] | None = {} if "/_doc/" in path and method == "PUT" else None
    if "_index_template" in path and method == "PUT":
        body = {"index_patterns": [f"{prefix}nothing"], "priority": 900}
    elif "/user/" in path:
        body = {"password": "long enough", "roles": ["superuser"]}

    answer = requests.request(
        method,
        f"{settings().elasticsearch_hosts}/{path.replace('PREFIX', prefix)}",
        json=body,
        params={"refresh": "true"} if "/_doc/" in path else None,
        headers={"Authorization": f"ApiKey {key}"},
        verify=settings().elasticsearch_ssl_ca,
        timeout=30,
    )

    if may:
        assert answer.ok or answer.json().get("result") == "not_found", answer.text
    else:
        assert answer.status_code == 403, answer.text


def test_a_producer_has_no_key_of_elasticsearch() -> None:
    assert "elasticsearch_api_key" not in security.credentials("producer")


# --- What is kept, and what is shown ---


def test_keys_and_passwords_are_for_this_user_only() -> None:
    files = [path for path in security.folder().iterdir() if path.name != "ca.pem" and "key" in path.name]
    files += [security.folder() / "credentials.json", layout.data_dir("kafka") / "server.properties"]
    files += [layout.data_dir("kafka") / "server.pem", elasticsearch.base_dir() / "config/elasticsearch.key.pem"]
    assert len(files) == 6
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(security.folder().stat().st_mode) == 0o700


def _secrets() -> set[str]:
    return {value for role in (*security.ROLES, security.SUPERUSER, security.BROKER)
            for value in security.credentials(role).values()}  # fmt: skip


def test_what_flink_shows_and_logs_holds_no_password(prefix: str) -> None:
    """Of a job that reads and writes both: its pages, the cluster's configuration, and all logs of the stack."""
    run = jobs.submit("kept_records", prefix=prefix, fresh=True, environment={"CROWDPULSE_PREFIX": prefix})
    try:
        pages = [f"jobs/{run.job_id}{page}" for page in ("", "/config", "/exceptions", "/plan", "/jobmanager/config")]
        pages += ["jobmanager/config", "jobmanager/environment", "config", "jars"]
        shown = [requests.get(f"{settings().flink_url}/{page}", timeout=30).text for page in pages]
    finally:
        jobs.cancel(f"{prefix}kept_records")
    logs = [file.read_text(errors="replace") for file in layout.logs_dir().iterdir() if file.is_file()]
    assert logs

    for text in [*shown, *logs]:
        assert not [secret for secret in _secrets() if secret in text]


def test_a_stack_is_not_started_the_other_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        with monkeypatch.context() as other:
            other.setenv("CROWDPULSE_SECURED", "0")
            settings.cache_clear()
            with pytest.raises(StackError, match="CROWDPULSE_SECURED=1"):
                security.prepare()
            other.setenv("CROWDPULSE_SECURED", "1")
            other.setenv("CROWDPULSE_STATE_DIR", str(tmp_path))
            (tmp_path / "data/kafka").mkdir(parents=True)
            settings.cache_clear()
            with pytest.raises(StackError, match="without security"):
                security.prepare()
    finally:
        settings.cache_clear()
