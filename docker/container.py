"""What the containers of docker-compose.yml run: `python docker/container.py COMMAND`.

It uses the scripts of the local stack; only the addresses differ: they are the names of the services.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import requests
import yaml
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from settings import settings
from stack import __main__ as stack_commands
from stack import demo, elasticsearch, flink, kafka, layout, moto, ports
from stack.errors import StackError

# To the container's output, which `docker compose logs` shows and Docker rotates.
LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.hadoop.name = org.apache.hadoop
logger.hadoop.level = WARN
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""

# The topic that tells whether a producer works, and has worked before.
TOPIC_OF = {"wikimedia": "wiki_recentchange", "posts": "social_media"}
SEEN = Path("/tmp/seen")  # noqa: S108 (the container's own)


def write_flink_config() -> None:
    """Write Flink's configuration: that of the local stack, with the addresses of the containers."""
    everywhere = "0.0.0.0"  # noqa: S104 (inside the compose network; docker-compose.yml says what is published)
    config = flink.config() | {
        "rest.address": "jobmanager",
        "rest.bind-address": everywhere,
        "jobmanager.rpc.address": "jobmanager",
        "jobmanager.bind-host": everywhere,
        "taskmanager.host": socket.gethostname(),
        "taskmanager.bind-host": everywhere,
        "jobmanager.memory.process.size": os.environ["JOBMANAGER_MEMORY"],
        "s3.endpoint": f"http://moto:{ports.port('moto')}",
    }
    conf = layout.flink_home() / "conf"
    (conf / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, width=10_000))
    (conf / "log4j-console.properties").write_text(LOG4J)


def run_flink(part: str) -> None:
    """Become the JobManager or the TaskManager."""
    write_flink_config()
    os.chdir(layout.tmp_dir())  # Python workers must import the code shipped with a job, not the image's
    script = str(layout.flink_home() / "bin" / f"{part}.sh")
    environment = {key: value for key, value in flink.environment().items() if key != "PYTHONPATH"}
    os.execve(script, [script, "start-foreground"], environment)  # noqa: S606 (no shell, fixed program)


def login() -> tuple[str, str] | None:
    """User and password of Elasticsearch; None where it asks for none."""
    chosen = settings()
    if not chosen.elasticsearch_username:
        return None
    return chosen.elasticsearch_username, chosen.elasticsearch_password.get_secret_value()


def set_up() -> None:
    """Make the topics, the index templates, Kibana's password and the bucket; what is there already stays."""
    for sentence in kafka.create_topics(servers=settings().kafka_bootstrap_servers):
        print(sentence)
    address = settings().elasticsearch_hosts
    auth = login()
    print(f"{len(elasticsearch.put_templates(address, auth=auth))} index templates are in Elasticsearch.")
    if auth:
        answer = requests.post(
            f"{address}/_security/user/kibana_system/_password",
            json={"password": os.environ["KIBANA_PASSWORD"]},
            auth=auth,
            timeout=30,
        )
        if not answer.ok:
            raise StackError(f"Elasticsearch does not take Kibana's password: {answer.text[:400]}")
        print("Kibana's user has its password.")
    moto.create_bucket(address=f"http://moto:{ports.port('moto')}")
    print("S3 has its bucket.")


def produce(name: str) -> None:
    """Become a producer of the demo; one that has told of the past before goes on from now."""
    source = os.environ.get("SOURCE", "synthetic")
    commands = demo.producers(source)
    command = next(command for known, command in commands.items() if known.startswith(name))
    if records(TOPIC_OF[name]):
        command = demo.going_on(command)
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606 (no shell, fixed program)


def records(topic: str) -> int:
    """How many records were ever written to a topic, over all partitions."""
    name = settings().prefix + topic
    consumer = KafkaConsumer(bootstrap_servers=settings().kafka_bootstrap_servers, request_timeout_ms=10_000)
    try:
        partitions = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
        return sum(consumer.end_offsets(partitions).values()) if partitions else 0
    finally:
        consumer.close()


def documents(index: str) -> int:
    """How many documents an index has."""
    name = settings().prefix + index
    answer = requests.get(f"{settings().elasticsearch_hosts}/{name}/_count", auth=login(), timeout=10)
    answer.raise_for_status()
    return int(answer.json()["count"])


def unhealthy(what: str) -> str:
    """Why a part is not healthy, empty when it is.

    An address must answer; a TaskManager must be registered; what a producer or the sampler writes must have grown
    since the last look.
    """
    if what == "taskmanager":
        found = requests.get(f"{flink.rest_url()}/taskmanagers", timeout=5).json()["taskmanagers"]
        host = socket.gethostname()
        return "" if any(host in one["path"] for one in found) else "It is not registered at the JobManager."
    if what in TOPIC_OF or what == "metrics":
        before = int(SEEN.read_text()) if SEEN.exists() else 0
        now = documents("index_metrics") if what == "metrics" else records(TOPIC_OF[what])
        SEEN.write_text(str(now))
        return "" if now > before else f"What it writes has {now} records, and had {before} at the last look."
    requests.get(what, timeout=5).raise_for_status()
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 a problem (a sentence says which)."""
    top = argparse.ArgumentParser(prog="container.py", description="What the containers of docker-compose.yml run.")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("flink").add_argument("part", choices=["jobmanager", "taskmanager"])
    commands.add_parser("setup")
    commands.add_parser("submit").add_argument("jobs", nargs="+")
    commands.add_parser("produce").add_argument("name", choices=sorted(TOPIC_OF))
    commands.add_parser("healthy").add_argument("what", help="an address, taskmanager, metrics, or a producer")
    options = top.parse_args(arguments)
    try:
        match options.command:
            case "flink":
                run_flink(options.part)
            case "setup":
                set_up()
            case "submit":
                write_flink_config()
                return stack_commands.main(["submit", *options.jobs])
            case "produce":
                produce(options.name)
            case "healthy":
                problem = unhealthy(options.what)
                print(problem or "healthy")
                return 1 if problem else 0
    except (StackError, KafkaError, requests.RequestException) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
