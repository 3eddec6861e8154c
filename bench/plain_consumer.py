"""The reference of bench/social_posts.py: one Python loop over the topic, without Flink.

It reads a post with kafka-python, scores it with three scikit-learn pipelines (TF-IDF of words and characters and a
linear SVM: cyberbullying, toxicity, sentiment; the reference that the models' cards are judged beside), and indexes it
under its id.

To be fair: the pipelines are trained before the clock starts, on all of the training data, with the strength that was
best for them; the clock starts at the first record, so that connecting and finding the topic are left out; one
connection to Elasticsearch is kept open; the index has the same mapping and refresh interval as the job's; nothing is
waited for but the answers; no offsets are committed. It checks less than the job: no rules for single fields, no dead
letters, no scored topic, no detection of languages. It is one process; so many more can run as there are cores free.

    python -m bench.plain_consumer      in the training environment; a line with a prefix in, a line with figures out

Exit codes: 0 done, 2 a data set is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping

from elasticsearch import BadRequestError, Elasticsearch
from kafka import KafkaConsumer
from sklearn.pipeline import Pipeline

from models import data, evaluate
from models.registry import Registry
from models.train import TASKS, read
from settings import settings

MODELS = ("cyberbullying", "toxicity", "sentiment")
AS_THEY_ARE = (
    "post_id", "user_id", "username", "platform", "post_type", "content_type", "topic", "hashtags", "location", "text",
    "likes", "shares", "comments", "views", "followers", "is_verified", "is_influencer", "is_viral",
)  # fmt: skip
QUIET_MS = 10_000  # a topic that has fewer records than were asked for


def trained() -> dict[str, Pipeline]:
    """The three pipelines. Raises data.MissingDataError."""
    data.require({name for model in MODELS for name in TASKS[model].sets})
    pipelines = {}
    for model in MODELS:
        task, split = TASKS[model], read(TASKS[model])
        strength = (Registry().champion(model) or {"reference": {"strength": 0.2}})["reference"]["strength"]
        pipelines[model] = evaluate.reference(strength, task.balanced).fit(split.texts, split.labels)
    return pipelines


def consume(pipelines: Mapping[str, Pipeline], prefix: str, limit: int) -> tuple[int, float]:
    """Index posts until `limit` are indexed or no more come; how many were, and in how many seconds."""
    consumer = KafkaConsumer(
        f"{prefix}social_media",
        bootstrap_servers=settings().kafka_bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=QUIET_MS,
    )
    client = Elasticsearch(settings().elasticsearch_hosts)
    indexed, began, ended = 0, 0.0, 0.0
    for record in consumer:
        began = began or time.monotonic()
        try:
            post = json.loads(record.value)
            text = post["text"]
            reactions = post["likes"] + post["shares"] + post["comments"]
            document = {field: post.get(field) for field in AS_THEY_ARE}
            document |= {
                "posted_at": post["timestamp"],
                "stated_sentiment": post["sentiment"],
                "stated_language": post["language"],
                "engagement_rate": reactions / post["views"] if post["views"] else None,
                "cyberbullying": pipelines["cyberbullying"].predict([text])[0],
                "is_toxic": bool(pipelines["toxicity"].predict([text])[0] == "toxic"),
                "sentiment": pipelines["sentiment"].predict([text])[0],
            }
            client.index(index=f"{prefix}plain.social_posts", id=post["post_id"], document=document)
        except (ValueError, KeyError, TypeError, BadRequestError):
            continue  # a malformed record
        indexed += 1
        ended = time.monotonic()
        if indexed == limit:
            break
    consumer.close()
    client.close()
    return indexed, ended - began


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.plain_consumer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posts", type=int, default=2000, metavar="N", help="how many to index (default: 2000)")
    options = parser.parse_args(arguments)
    try:
        pipelines = trained()
    except data.MissingDataError as error:
        print(error, file=sys.stderr)
        return 2
    print("ready", flush=True)
    for line in sys.stdin:
        posts, seconds = consume(pipelines, line.strip(), options.posts)
        print(posts, seconds, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
