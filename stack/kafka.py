"""Kafka: one KRaft node, broker and controller in one, and the topics of stack/topics.yaml."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, TopicAlreadyExistsError

from connections import kafka_options
from settings import settings
from stack import certificates, java, layout, ports, processes, security
from stack.errors import StackError

NAME = "kafka"
TOPICS_FILE = Path(__file__).with_name("topics.yaml")
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

LOG4J = """\
Configuration:
  status: warn
  Appenders:
    Console:
      name: console
      PatternLayout:
        pattern: "%d{ISO8601} %-5p %c{1} %m%n"
  Loggers:
    Root:
      level: warn
      AppenderRef:
        ref: console
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: info
      - name: org.apache.kafka.clients
        level: error
"""


@dataclass(frozen=True)
class Topic:
    """A topic as stack/topics.yaml declares it, without prefix."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def properties() -> str:
    """The broker's server.properties."""
    data = layout.data_dir(NAME)
    protocol = "SASL_SSL" if settings().secured else "PLAINTEXT"
    listeners = (
        f"{protocol}://{ports.HOST}:{ports.port('kafka')},CONTROLLER://{ports.HOST}:{ports.port('kafka-controller')}"
    )
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.bootstrap.servers": f"{ports.HOST}:{ports.port('kafka-controller')}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": protocol,
        "listeners": listeners,
        "advertised.listeners": listeners,
        "log.dirs": data / "log",
        "auto.create.topics.enable": "false",
        "num.partitions": 4,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
        "log.retention.hours": 168,
        "log.segment.bytes": 256 * 1024 * 1024,
        # One broker: what Kafka keeps for itself cannot have three copies.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        **(_security() if settings().secured else {}),
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _security() -> dict[str, object]:
    """What makes the broker ask everybody for a login over TLS, and allow what deploy/security allows.

    The controller is spoken to by the broker alone, with the certificate that both have.
    """
    data = layout.data_dir(NAME)
    return {
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": security.login_line(security.BROKER),
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": data / "server.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": security.folder() / "ca.pem",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{security.SUPERUSER};User:{security.BROKER};User:CN={NAME}",
    }


def _java_command(*arguments: str | Path, heap: str) -> list[str | Path]:
    found = java.for_flink()
    if found is None:
        raise StackError("Kafka needs Java 17 or 21: see `python -m stack up`, which says how to get one.")
    log4j = layout.data_dir(NAME) / "log4j2.yaml"
    return [
        found.home / "bin/java",
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={log4j}",
        "-cp",
        f"{layout.jars_dir() / 'kafka'}/*",
        *arguments,
    ]


def start() -> None:
    """Start the broker if it does not run; its storage is formatted once."""
    if processes.pid(NAME):
        return
    data = layout.data_dir(NAME)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / "log4j2.yaml").write_text(LOG4J)
    server_properties = data / "server.properties"
    certificates.write_secret(server_properties, properties())
    if settings().secured:
        parts = [security.folder() / f"{NAME}.key.pem", security.folder() / f"{NAME}.pem"]
        certificates.write_secret(data / "server.pem", "".join(part.read_text() for part in parts))
    if not (data / "log/meta.properties").exists():
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["format", "--standalone", "-t", cluster_id, "-c", str(server_properties)]
        if settings().secured:
            tool += security.format_arguments()
        # From a file: the arguments of a process are for everybody to see, and there are passwords among them.
        arguments = data / "format-arguments"
        certificates.write_secret(arguments, "\n".join(tool))
        command = _java_command("kafka.tools.StorageTool", f"@{arguments}", heap="256m")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        arguments.unlink()
        if done.returncode != 0:
            raise StackError(f"Kafka's storage cannot be formatted: {(done.stdout + done.stderr).strip()[-800:]}")
    processes.start(
        NAME,
        _java_command("kafka.Kafka", server_properties, heap=settings().kafka_heap),
        log=processes.log_file(NAME),
    )


def stop() -> None:
    """Stop the broker."""
    processes.stop(NAME, timeout_seconds=30)


def _admin(timeout_ms: int = 10_000, servers: str | None = None, **login: str) -> KafkaAdminClient:
    return KafkaAdminClient(
        **(kafka_options() | {"bootstrap_servers": servers or f"{ports.HOST}:{ports.port('kafka')}"} | login),
        client_id="crowdpulse-stack",
        request_timeout_ms=timeout_ms,
        bootstrap_timeout_ms=timeout_ms,
    )


@contextmanager
def _superuser() -> Iterator[KafkaAdminClient]:
    """An admin client of whom may do everything on the secured stack. Raises StackError when Kafka does not answer."""
    password = security.credentials(security.SUPERUSER)["kafka_password"]
    try:
        admin = _admin(sasl_plain_username=security.SUPERUSER, sasl_plain_password=password)
    except (KafkaError, OSError) as error:
        raise StackError(f"Kafka on port {ports.port('kafka')} does not answer ({error}): is the stack up?") from error
    try:
        yield admin
    finally:
        admin.close()


def health() -> str:
    """Empty when the broker answers, else what is missing."""
    if not ports.accepts(ports.port("kafka")):
        return "does not accept connections yet"
    try:
        admin = _admin(timeout_ms=5_000)
    except (KafkaError, OSError) as error:
        return f"does not answer yet ({type(error).__name__})"
    try:
        admin.describe_cluster()
    except (KafkaError, OSError) as error:
        return f"does not answer yet ({type(error).__name__})"
    finally:
        admin.close()
    return ""


def topics(file: Path = TOPICS_FILE) -> list[Topic]:
    """The declared topics. Raises StackError for a file that does not declare them right."""
    declared = yaml.safe_load(file.read_text())
    try:
        return [
            Topic(
                name, int(entry["partitions"]), {key: _value(value) for key, value in entry.get("config", {}).items()}
            )
            for name, entry in declared.items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StackError(
            f"{layout.shown(file)} is wrong ({error}): each topic needs `partitions: N` and may have `config:`."
        ) from error


def _value(value: object) -> str:
    """A value as Kafka takes it; the name of a setting in days stands for that many milliseconds."""
    if isinstance(value, str) and value.endswith("_days"):
        return str(int(getattr(settings(), value)) * 86_400_000)
    return str(value)


def create_topics(prefix: str | None = None, servers: str | None = None) -> list[str]:
    """Create the declared topics that are missing, and bring the configuration of the others up to date.

    `prefix` is put before each name (default: the setting); `servers` are brokers, host:port (default: the stack's).
    On the secured stack the roles get their rights under that prefix too.
    Returns what was done, one sentence each; a topic whose number of partitions differs from the declared one is only
    reported, since keys would change partition.
    Raises StackError when the broker does not answer.
    """
    prefix = settings().prefix if prefix is None else prefix
    said = []
    if settings().secured and servers is None:
        with _superuser() as superuser:
            security.allow(superuser, prefix)
    try:
        admin = _admin(servers=servers)
    except (KafkaError, OSError) as error:
        where = servers or f"port {ports.port('kafka')}"
        raise StackError(f"Kafka on {where} does not answer ({error}): is the stack up?") from error
    try:
        wanted = {prefix + topic.name: topic for topic in topics()}
        there = set(admin.list_topics())
        missing = {
            # -1: the brokers' own default, one copy on the local stack.
            name: {"num_partitions": topic.partitions, "replication_factor": -1, "configs": topic.config}
            for name, topic in wanted.items()
            if name not in there
        }
        if missing:
            with suppress(TopicAlreadyExistsError):  # made by somebody else meanwhile
                admin.create_topics(missing, wait_for_metadata=True)
            said += [f"Created topic {name} ({wanted[name].partitions} partitions)." for name in missing]
        present = sorted(wanted.keys() & there)
        if present:
            said += _update(admin, present, wanted)
    except (KafkaError, OSError) as error:
        raise StackError(f"The topics cannot be created: {error}") from error
    finally:
        admin.close()
    return said


def _update(admin: KafkaAdminClient, names: list[str], wanted: dict[str, Topic]) -> list[str]:
    said = []
    for description in admin.describe_topics(names):
        name, partitions = description["name"], len(description["partitions"])
        if partitions != wanted[name].partitions:
            said.append(
                f"Topic {name} has {partitions} partitions where stack/topics.yaml says {wanted[name].partitions}; "
                "it is left so, since a key would change its partition. `python -m stack down --data` starts anew."
            )
    described = admin.describe_configs([ConfigResource("topic", name) for name in names])
    for name in names:
        now = {key: entry["value"] for key, entry in described.get("topic", {}).get(name, {}).items()}
        changed = {key: value for key, value in wanted[name].config.items() if now.get(key) != value}
        if changed:
            admin.alter_configs([ConfigResource("topic", name, changed)])
            said.append(f"Changed topic {name}: {', '.join(f'{key}={value}' for key, value in changed.items())}.")
    return said


def delete_topics(prefix: str) -> None:
    """Delete every topic whose name starts with `prefix`, and the rights on them: what a test leaves.

    Raises StackError for no prefix.
    """
    if not prefix:
        raise StackError("delete_topics needs a prefix: without one it would delete every topic.")
    admin = _admin()
    try:
        names = [name for name in admin.list_topics() if name.startswith(prefix)]
        if names:
            admin.delete_topics(names)
    finally:
        admin.close()
    if settings().secured:
        with _superuser() as superuser:
            security.disallow(superuser, prefix)
