"""Kafka and Elasticsearch from Maven's parts, which take the environment that apache/kafka and elasticsearch take.

python tests/compose/standin.py kafka | elasticsearch
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stack.elasticsearch import LOG4J as ELASTICSEARCH_LOG4J
from stack.kafka import LOG4J as KAFKA_LOG4J

CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"  # any 16 bytes in base64
NOT_PROPERTIES = {"KAFKA_HEAP_OPTS"}


def kafka() -> None:
    """As apache/kafka: KAFKA_NODE_ID is node.id, and so on; the storage is formatted once."""
    properties = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in os.environ.items()
        if key.startswith("KAFKA_") and key not in NOT_PROPERTIES
    }
    home = Path.home()
    (home / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    (home / "log4j2.yaml").write_text(KAFKA_LOG4J)
    java = ["java", *os.environ.get("KAFKA_HEAP_OPTS", "").split(), "-cp", "/opt/kafka/libs/*"]
    java += [f"-Dlog4j2.configurationFile={home / 'log4j2.yaml'}"]
    config = str(home / "server.properties")
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", config]
    subprocess.run([*java, *tool], check=True, timeout=120)
    os.execvp("java", [*java, "kafka.Kafka", config])  # noqa: S606 (no shell, fixed program)


def elasticsearch() -> None:
    """As elasticsearch: a variable with a dot in its name is a setting; all addresses are bound."""
    home = Path("/usr/share/elasticsearch")
    (home / "config/elasticsearch.yml").write_text("network.host: 0.0.0.0\n")
    (home / "config/log4j2.properties").write_text(ELASTICSEARCH_LOG4J)
    (home / "config/jvm.options.d").mkdir(exist_ok=True)
    (home / "config/jvm.options.d/standin.options").write_text("-Xlog:disable\n-Xlog:all=warning:stderr\n")
    settings = [f"-E{key}={value}" for key, value in os.environ.items() if "." in key]
    environment = {key: value for key, value in os.environ.items() if "." not in key}
    if Path("/java/bin/java").exists():  # the machine's, where this version needs a later one than Flink
        environment["ES_JAVA_HOME"] = "/java"
    program = str(home / "bin/elasticsearch")
    os.execve(program, [program, *settings], environment)  # noqa: S606 (no shell, fixed program)


if __name__ == "__main__":
    {"kafka": kafka, "elasticsearch": elasticsearch}[sys.argv[1]]()
