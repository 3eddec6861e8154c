"""Makes what all jobs need: the topics of stack/topics.yaml in Kafka, the index templates in Elasticsearch.

Addresses and login come from the settings. What is there already stays. Exit code 1: one of them does not answer.
"""

from __future__ import annotations

import sys

from settings import settings
from stack import elasticsearch, kafka
from stack.errors import StackError


def main() -> int:
    """Make both, and print a sentence for each thing made."""
    chosen = settings()
    try:
        for sentence in kafka.create_topics(servers=chosen.kafka_bootstrap_servers):
            print(sentence)
        first = chosen.elasticsearch_hosts.split(";")[0]
        put = elasticsearch.put_templates(first)
        print(f"{len(put)} templates are in Elasticsearch.")
    except StackError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
