"""What the containers of docker-compose.yml run: `python docker/container.py COMMAND`.

It uses the scripts of the local stack; only the addresses differ: they are the names of the services.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

import requests
import yaml
from growing import records
from kafka.errors import KafkaError

from services.elasticsearch import request_options
from settings import settings
from stack import demo, elasticsearch, flink, jobs, kafka, layout, moto, ports
from stack.errors import StackError

# To the container's output, which `docker compose logs` shows and Docker rotates.
LOG4J = f"""\
{flink.LOG4J_LEVELS}rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss,SSS}} %-5p %c{{1}} - %m%n
"""

SUBMIT_SECONDS = 600  # for each job: all of it may be starting on two cores

# The topic that tells whether a producer has worked before.
TOPIC_OF = {"wikimedia": "wiki_recentchange", "posts": "social_media", "instagram": "user_posts_description"}


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
        # Small enough for all of it in 8 GB.
        "jobmanager.memory.process.size": "860m",
        "taskmanager.memory.framework.off-heap.size": "128m",  # as Flink has it: one slot a job needs no more
        "env.java.opts.client": f"{flink.CLIENT_JAVA_OPTIONS} -Xmx192m",
        "s3.endpoint": f"http://moto:{ports.port('moto')}",
    }
    conf = layout.flink_home() / "conf"
    (conf / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, width=10_000))
    (conf / "log4j-console.properties").write_text(LOG4J)


def run_flink(part: str) -> None:
    """Become the JobManager or the TaskManager."""
    write_flink_config()
    for left in layout.tmp_dir().glob("tm_*"):  # by this container's last TaskManager, which was killed
        layout.remove(left)
    os.chdir(layout.tmp_dir())  # Python workers must import the code shipped with a job, not the image's
    script = str(layout.flink_home() / "bin" / f"{part}.sh")
    environment = {key: value for key, value in flink.environment().items() if key != "PYTHONPATH"}
    os.execve(script, [script, "start-foreground"], environment)  # noqa: S606 (no shell, fixed program)


def set_up() -> None:
    """Make the topics, the index templates, Kibana's password and the bucket; what is there already stays."""
    for sentence in kafka.create_topics(servers=settings().kafka_bootstrap_servers):
        print(sentence)
    address = settings().elasticsearch_hosts
    print(f"{len(elasticsearch.put_templates(address))} index templates are in Elasticsearch.")
    if settings().elasticsearch_username:
        answer = requests.post(
            f"{address}/_security/user/kibana_system/_password",
            json={"password": os.environ["KIBANA_PASSWORD"]},
            timeout=30,
            **request_options(),
        )
        if not answer.ok:
            raise StackError(f"Elasticsearch does not take Kibana's password: {answer.text[:400]}")
        print("Kibana's user has its password.")
    moto.create_bucket(address=f"http://moto:{ports.port('moto')}")
    print("S3 has its bucket.")


def submit(names: Sequence[str]) -> None:
    """Submit jobs, each from its last checkpoint if it has one; a job that runs is left alone."""
    write_flink_config()
    for run in jobs.submit_all(names, wait_seconds=SUBMIT_SECONDS):
        print(f"{run.name} {'already runs' if run.already_ran else 'runs'} ({run.job_id}).")


def produce(name: str) -> None:
    """Become a producer of the demo; one that has told of the past before goes on from now."""
    source = os.environ.get("SOURCE", "synthetic")
    commands = demo.producers(source)
    command = next(command for known, command in commands.items() if known.startswith(name))
    if records(TOPIC_OF[name]):
        command = demo.going_on(command)
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606 (no shell, fixed program)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 a problem (a sentence says which)."""
    top = argparse.ArgumentParser(prog="container.py", description="What the containers of docker-compose.yml run.")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("flink").add_argument("part", choices=["jobmanager", "taskmanager"])
    commands.add_parser("setup")
    commands.add_parser("submit").add_argument("jobs", nargs="+")
    commands.add_parser("produce").add_argument("name", choices=sorted(TOPIC_OF))
    options = top.parse_args(arguments)
    try:
        match options.command:
            case "flink":
                run_flink(options.part)
            case "setup":
                set_up()
            case "submit":
                submit(options.jobs)
            case "produce":
                produce(options.name)
    except (StackError, KafkaError, requests.RequestException) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
