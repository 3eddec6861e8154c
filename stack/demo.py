"""`make demo`: the whole of Crowdpulse on this machine, with something to look at.

Starts the stack, the producers and the jobs in the background, waits until each index has documents, and shows them.
Run again, it starts only what is missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import requests
from elasticsearch import ApiError, Elasticsearch, TransportError
from rich.console import Console
from rich.table import Table

from services.elasticsearch import elasticsearch_client
from settings import settings
from stack import cluster, flink, jobs, processes, security, services
from stack.errors import StackError

JOBS = (
    "kept_records", "wiki_edits", "wiki_intent", "wiki_users", "wiki_pages", "social_posts", "social_metrics",
    "background_check", "moderation",
)  # fmt: skip
WAIT_SECONDS = 300


@dataclass(frozen=True)
class Index:
    """An index of the demo: how its newest documents are found, and the fields to show of them."""

    name: str
    newest_by: str
    shown: tuple[str, ...]


INDICES = (
    Index("wiki_edits", "event_time", ("event_time", "wiki", "title", "user_name", "user_kind", "bytes_changed")),
    Index(
        "wiki_activity", "window_start", ("window_start", "wiki", "is_bot", "events", "edits", "users", "bytes_added")
    ),
    Index("wiki_bots", "window_start", ("window_start", "user_name", "edits", "wikis", "share_of_edits")),
    Index(
        "wiki_intent",
        "revised_at",
        ("revised_at", "wiki", "title", "user_kind", "intent", "damaging_probability", "fallback_score"),
    ),
    Index(
        "wiki_intent_by_wiki",
        "window_start",
        ("window_start", "wiki", "is_bot", "user_kind", "edits", "vandalism", "unscored"),
    ),
    Index("wiki_intent_by_topic", "window_start", ("window_start", "wiki", "topic", "edits", "vandalism_share")),
    Index("wiki_disagreement", "window_start", ("window_start", "rank", "title", "wikimedia_score", "fallback_score")),
    Index(
        "wiki_users",
        "window_start",
        ("window_start", "wiki", "user_name", "edits", "reverts_seen", "stands_out_by", "is_odd"),
    ),
    Index("wiki_pages", "last_act_at", ("last_act_at", "wiki", "title", "state", "last_act", "moved_from")),
    Index(
        "wiki_page_rates",
        "window_start",
        ("window_start", "wiki", "performer_kind", "pages_created", "pages_moved", "pages_deleted"),
    ),
    Index("social_posts", "posted_at", ("posted_at", "platform", "topic", "sentiment", "toxicity", "likes", "text")),
    Index(
        "social_metrics",
        "window_start",
        ("window_start", "platform", "topic", "sentiment", "posts", "likes", "toxic_posts"),
    ),
    Index("social_hashtags", "window_start", ("window_start", "rank", "hashtag", "posts", "trend")),
    Index("social_locations", "window_start", ("window_start", "location", "country", "posts", "likes")),
    Index("social_users", "window_start", ("window_start", "window_end", "username", "posts", "reach", "toxic_share")),
    Index("social_influencers", "window_start", ("window_start", "window_end", "rank", "username", "engagements")),
    Index("social_agreement", "window_start", ("window_start", "stated_sentiment", "sentiment", "agrees", "posts")),
    Index("social_alerts", "window_start", ("window_start", "dimension", "name", "metric", "value", "lower", "upper")),
    Index("background_checks", "updated_at", ("username", "status", "score", "posts", "images", "missing", "evidence")),
    Index(
        "background_captions",
        "period_start",
        ("period_start", "username", "captions", "sentiment_mean", "toxic_share", "bullying_share"),
    ),
    Index("background_images", "posted_at", ("posted_at", "username", "post_id", "s3_path", "labels")),
    Index("moderation_messages", "server_time", ("server_time", "room", "user_name", "decision", "reasons", "text")),
    Index("moderation_users", "struck_at", ("struck_at", "user_name", "strikes", "flags", "action", "muted_until")),
    Index("moderation_metrics", "window_start", ("window_start", "room", "messages", "allowed", "flagged", "held")),
    Index("job_metrics", "sampled_at", ("sampled_at", "job", "records_in", "records_out", "event_time_lag_seconds")),
    Index("index_metrics", "sampled_at", ("sampled_at", "index", "documents", "added", "newest_age_seconds")),
    Index("dead_letters", "rejected_at", ("rejected_at", "topic", "partition", "offset", "reason", "detail")),
    Index("late_events", "event_time", ("event_time", "watermark", "late_seconds", "topic", "offset", "job")),
)

# Generated: some of the past at once, then on at this rate; a few records are late or malformed on purpose.
EVERY_STREAM = (
    "recentchange,revision-create,revision-score,revert-risk,outlink-topics,visibility-change,page_change,"
    "page-create,page-delete,page-move"
)
WIKIMEDIA = {
    "synthetic": [
        "--synthetic", "--stream", EVERY_STREAM, "--seed", "1", "--backfill-minutes", "30", "--rate", "60",
        "--late", "0.001", "--malformed", "0.001",
    ],
    "live": ["--stream", EVERY_STREAM.replace("revision-score,", "")],  # which Wikimedia has ended
}  # fmt: skip
POSTS = ["--seed", "1", "--backfill", "1", "--rate", "30"]
# Five made up people with the posts of a year, then two new ones a minute.
INSTAGRAM = ["--backfill-days", "365", "--rate", "2"]
# Some people in four rooms, a few of them rude.
CHAT = ["--seed", "1", "--rate", "2"]
# The public streams may hold no bots, no late and no malformed events for a while, and their windows last longer than
# the demo waits; an alert is not for every hour.
MAYBE_EMPTY = {
    "synthetic": {"social_alerts"},
    "live": {
        "social_alerts", "wiki_bots", "wiki_intent_by_wiki", "wiki_intent_by_topic", "wiki_disagreement", "wiki_users",
        "wiki_pages", "wiki_page_rates", "dead_letters", "late_events",
    },
}  # fmt: skip


def producers(source: str) -> dict[str, list[str]]:
    """The producers of the demo by name, each with its command."""
    return {
        f"wikimedia-{source}": ["producers.wikimedia", *WIKIMEDIA[source]],
        "posts": ["producers.posts", *POSTS],
        "instagram": ["producers.instagram", *INSTAGRAM],
        "chat": ["producers.chat", *CHAT],
    }


def going_on(command: list[str]) -> list[str]:
    """The command of a producer that has told of the past before: of other things, and from now on.

    What it told again would be late, and documents of edits are written once. A person's posts are not late.
    """
    if command[0] == "producers.instagram":
        return command
    past = next((index for index, argument in enumerate(command) if argument.startswith("--backfill")), len(command))
    command = command[:past] + command[past + 2 :]
    if "--seed" in command:
        command[command.index("--seed") + 1] = str(int(time.time()) % 1_000_000)
    return command


def expected(source: str) -> set[str]:
    """The indices that fill within minutes."""
    return {index.name for index in INDICES} - MAYBE_EMPTY[source]


def start(console: Console, source: str) -> None:
    """Bring up what is missing: the stack, the jobs, the producer. Raises StackError."""
    if source == "live" and not settings().wikimedia_user_agent:
        raise StackError(
            "The public streams want to know who reads them: set CROWDPULSE_WIKIMEDIA_USER_AGENT, for example to"
            " `my-crowdpulse/1.0 (https://example.org/me; me@example.org)`. `make demo` without SOURCE=live needs none."
        )
    if source == "live" and not processes.pid("wikimedia-live"):
        check_live_streams()
    cluster.up(console)
    with elasticsearch_client(30) as client:
        ran_before = count(client, "wiki_edits") > 0
    # The producers first: a job that has waited on empty topics takes the first partition to fill for all of the time.
    for name, command in producers(source).items():
        if processes.pid(name):
            console.print(f"Producer {name} already runs.")
        else:
            program = [sys.executable, "-m", *(going_on(command) if ran_before else command)]
            processes.run(name, program, security.environment(security.role_of(command[0])))
            console.print(f"Producer {name} runs in the background; `python -m stack logs {name}` shows what it says.")
    services.start_job_metrics()
    with console.status(f"Submitting {len(JOBS)} jobs …"):
        jobs.submit_all(
            JOBS,
            said=lambda run: console.print(f"Job {run.name} {'already runs' if run.already_ran else 'is submitted'}."),
        )
    console.print("All jobs run.")


def check_live_streams() -> None:
    """Raise StackError, which offers generated events, unless the public streams answer within 10 s as they should."""
    address = f"{settings().wikimedia_url.rstrip('/')}/recentchange"
    headers = {"User-Agent": settings().wikimedia_user_agent, "Accept": "text/event-stream"}
    try:
        with requests.get(address, headers=headers, stream=True, timeout=5) as response:
            status, kind = response.status_code, response.headers.get("Content-Type", "")
            retry_after = response.headers.get("Retry-After", "")
    except (requests.RequestException, UnicodeError) as error:
        problem = f"cannot be reached ({type(error).__name__}): is there a network, and does it need a proxy?"
    else:
        if status == 200 and kind.startswith("text/event-stream"):
            return
        wait = f"in {retry_after} s" if retry_after.isdecimal() else "in some minutes"
        problem = {
            200: f"answered with {kind or 'something unnamed'} instead of an event stream: check the network's log-in"
            " page or proxy, and CROWDPULSE_WIKIMEDIA_URL.",
            403: "answered 403: Wikimedia refuses clients that do not say who they are. Make"
            " CROWDPULSE_WIKIMEDIA_USER_AGENT a name with an address, as its User-Agent policy asks.",
            429: "answered 429: too many connections or requests from this address. End its other readers, and try"
            f" again {wait}.",
        }.get(status, f"answered {status}: check CROWDPULSE_WIKIMEDIA_URL, or try again later.")
    raise StackError(f"{address} {problem} `make demo` without SOURCE=live needs no network: its events are generated.")


def wait_for_documents(console: Console, client: Elasticsearch, source: str) -> None:
    """Wait until every index that the source fills has documents. Raises StackError with what is wrong, if anything."""
    deadline = time.monotonic() + WAIT_SECONDS
    with console.status("Waiting for documents …") as status:
        while empty := [name for name in expected(source) if not count(client, name)]:
            status.update(f"Waiting for documents in {', '.join(sorted(empty))} …")
            for producer in producers(source):
                if not processes.pid(producer):
                    log = processes.log_file(producer)
                    last = cluster.last_lines(log, 5) if log.exists() else []
                    raise StackError(f"The producer {producer} has ended:\n" + "\n".join(last))
            for job in JOBS:
                if not jobs.running(settings().prefix + job):
                    raise StackError(f"The job {job} has ended: look at {flink.rest_url()}.")
            if time.monotonic() > deadline:
                raise StackError(
                    f"No documents in {', '.join(sorted(empty))} after {WAIT_SECONDS} s: `python -m stack logs` and"
                    f" {flink.rest_url()} show what the parts say."
                )
            time.sleep(1)


def count(client: Elasticsearch, index: str) -> int:
    """The documents of an index; 0 where there is none yet."""
    try:
        return int(client.count(index=settings().prefix + index, ignore_unavailable=True)["count"])
    except (ApiError, TransportError):
        return 0


def show(console: Console, client: Elasticsearch) -> None:
    """Print what each index holds, and its three newest documents."""
    counts = Table(
        "index", "documents", title="What is in Elasticsearch", title_justify="left", box=None, pad_edge=False
    )
    counts.columns[1].justify = "right"
    for index in INDICES:
        counts.add_row(index.name, f"{count(client, index.name):,}")
    console.print(counts)
    for index in INDICES:
        name = settings().prefix + index.name
        found = client.search(index=name, size=3, sort=[{index.newest_by: "desc"}], ignore_unavailable=True)
        samples = Table(*index.shown, title=index.name, title_justify="left", box=None, pad_edge=False)
        for hit in found["hits"]["hits"]:
            samples.add_row(*(_shown(hit["_source"].get(field)) for field in index.shown))
        console.print()
        console.print(samples)


def _shown(value: object) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
    return text if len(text) <= 48 else text[:47] + "…"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m stack.demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--source", choices=sorted(WIKIMEDIA), default="synthetic", help="where Wikipedia's events come from"
    )
    options = parser.parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    began = time.monotonic()
    try:
        start(console, options.source)
        with elasticsearch_client(30) as client:
            wait_for_documents(console, client, options.source)
            show(console, client)
        services.start_live_view()
        services.start_moderation()
    except StackError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 1
    console.print(
        f"""
The demo runs, after {time.monotonic() - began:.0f} s; events go on coming.
  dashboards     {services.live_view_url()}
  chat           {services.moderation_url()}, and for moderators {services.moderation_url()}/moderator
  Flink          {flink.rest_url()}
  Elasticsearch  {settings().elasticsearch_hosts}/wiki_edits/_search?sort=event_time:desc
                 {settings().elasticsearch_hosts}/wiki_intent/_search?q=intent:vandalism
                 {settings().elasticsearch_hosts}/social_posts/_search?sort=posted_at:desc
                 {settings().elasticsearch_hosts}/background_checks/_search?sort=score:desc
  SQL client     make sql
  what runs      make status
  stop it all    make down""",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
