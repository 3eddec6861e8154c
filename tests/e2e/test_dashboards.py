"""The dashboards over the real stack: each panel's search is answered, its figures are those of a recount, and the live
view shows them in a real browser.

One run of all producers and jobs fills the indices for all of these tests.
"""

from __future__ import annotations

import csv
import io
import json
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from kibana import queries
from kibana.dashboards import Panel, load
from models.policy import Moderator, Policy
from producers._chat_texts import RUDE_NOUNS
from producers.chat import conversation
from settings import ROOT, settings
from stack import elasticsearch, kafka, moto, security
from stack.demo import EVERY_STREAM
from tests.aws_server import AwsServer
from tests.e2e.conftest import SCREENSHOTS, Document, Pipeline

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]

DASHBOARDS = load()
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard.panels if panel.indices()]


@dataclass(frozen=True)
class Filled:
    """A pipeline whose indices are full, and the time in which its events lie."""

    pipeline: Pipeline
    view: queries.View

    def view_of(self, indices: set[str]) -> queries.View:
        """The time to look at: background checks tell of more than a year of posts."""
        if not any(index.startswith("background_") for index in indices):
            return self.view
        return queries.View(self.view.end - timedelta(days=400), self.view.end)

    def documents(self, index: str, time_field: str) -> list[Document]:
        """The documents of an index within the view."""
        start, end = (moment.isoformat(timespec="milliseconds")[:23] for moment in (self.view.start, self.view.end))
        found = self.pipeline.documents(index).values()
        return [each for each in found if each.get(time_field) and start <= each[time_field][:23] <= end]

    def rows(self, dashboard: str, panel: str) -> list[list[Any]]:
        """What a panel shows."""
        return answered(self, DASHBOARDS[dashboard].panel(panel)).rows


@pytest.fixture(scope="module")
def filled(running_stack: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """All jobs over an hour of generated posts, events and talk, and over five people; samples of a job that runs."""
    run = Pipeline(f"test-{uuid.uuid4().hex[:8]}.")
    # So narrow a band that some minutes leave it.
    run.environment |= {"CROWDPULSE_ALERT_WIDTH": "1.5"}
    kafka.create_topics(run.prefix)
    elasticsearch.put_templates()
    try:
        start = datetime.now(UTC) - timedelta(hours=1, minutes=5)
        posts = [
            "--backfill",
            "1",
            "--rate",
            "4",
            "--limit",
            "14000",
            "--seed",
            "7",
            "--late",
            "0.01",
            "--malformed",
            "0.01",
        ]
        edits = ["--synthetic", "--stream", EVERY_STREAM, "--seed", "7", "--backfill-minutes", "45", "--rate", "8"]
        edits += ["--limit", "20000", "--late", "0.01", "--malformed", "0.01"]
        people = ["producers.instagram", "--source", "synthetic", "--seed", "7"]
        for command in (["producers.posts", *posts], ["producers.wikimedia", *edits], people):
            done = run.python(*command, environment=moto.credentials())
            assert done.returncode == 0, done.stderr[-2000:]
        check_people(run, tmp_path_factory.mktemp("ledger") / "enrichment.sqlite")
        moderate_a_chat(run)
        run.run("social_posts", "wiki_edits", "wiki_intent")
        run.run("social_metrics", "wiki_users")
        run.run("kept_records")
        sample_a_job(run)
        yield Filled(run, queries.View(start, datetime.now(UTC) + timedelta(minutes=1)))
    finally:
        run.close()


def check_people(run: Pipeline, ledger: Path) -> None:
    """The background check over what its topics hold; the pictures labelled, which needs AWS or a server like it."""
    with AwsServer() as aws:
        before = dict(run.environment)
        run.environment |= {"CROWDPULSE_ENRICH_IMAGES": "aws", "CROWDPULSE_AWS_ENDPOINT": aws.address}
        run.environment |= {"CROWDPULSE_ENRICH_LEDGER": str(ledger)}
        run.run("background_check")
        run.environment = before


def moderate_a_chat(run: Pipeline) -> None:
    """Forty minutes of talk, rude in the last ten, a policy in the shadow, verdicts, and what the monitor makes of it.

    Moderators know who is rude, but for one message in fifteen.
    """
    begins = datetime.now(UTC) - timedelta(minutes=41)

    def at(seconds: float) -> str:
        return (begins + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    policy, rooms = Policy.default(), ("lobby", "games", "music", "kids")
    stricter = json.loads(policy.to_json()) | {"version": "stricter", "classes": {"toxic": {"flag": 0.4, "hold": 0.9}}}
    policies = {
        "champion": {"version": policy.version, "valid_from": "1970-01-01T00:00:00.000Z", "policy": policy.to_json()},
        "shadow": {"version": "stricter", "valid_from": at(0), "policy": json.dumps(stricter)},
    }
    friendly = conversation(7, rooms, 100, abusive=0.03, spam=0.03, flood=0.02)
    rude = conversation(8, rooms, 100, abusive=0.35, spam=0.03, flood=0.02)
    said = [each.message() for each in (*islice(friendly, 1800), *islice(rude, 600))]
    messages = [each | {"server_time": at(second)} for second, each in enumerate(said)]
    for each in messages[::400]:
        each["text"] = " "  # nothing that could be scored
    judged = Moderator.load().judge([each["text"] for each in messages], [each["room"] for each in messages], policy)
    feedback: list[Document] = []
    for second, (each, judgement) in enumerate(zip(messages, judged, strict=True)):
        is_sampled = judgement.decision == "allow"
        is_rude = any(noun in each["text"] for noun in RUDE_NOUNS) != (second % 15 == 0)
        if judgement.decision == "unscored" or second % (16 if is_sampled else 3):
            continue
        feedback.append(
            {
                "feedback_id": str(uuid.uuid4()),
                "kind": "verdict",
                "verdict": "overturn" if is_sampled == is_rude else "uphold",
                "message_id": each["message_id"],
                "room": each["room"],
                "user_name": each["user_name"],
                "moderator": "mo",
                "server_time": at(second + 30),
                "message_time": each["server_time"],
                "decision": judgement.decision,
                "strike_points": judgement.strike_points,
                "is_sampled": is_sampled,
            }
        )
    rudest = next(each["user_name"] for each in reversed(feedback) if not each["is_sampled"])
    mute = {
        "kind": "mute",
        "user_name": rudest,
        "moderator": "mo",
        "server_time": at(len(messages) + 30),
        "minutes": 30,
    }
    feedback.append(mute | {"feedback_id": str(uuid.uuid4())})

    run.produce(
        "moderation_policies",
        (record(f"{slot}:{each['version']}", {"slot": slot, **each}) for slot, each in policies.items()),
    )
    run.produce("chat_messages", (record(each["room"], each) for each in messages))
    run.produce("moderation_feedback", (record(each["user_name"], each) for each in feedback))
    run.run("moderation")
    assert run.count("moderation_messages") == len(messages)
    monitored = run.python("models.monitor", "--hours", "0.2", "--reference-hours", "0.55")
    assert monitored.returncode == 3, f"rude talk is an alert: {monitored.stdout}{monitored.stderr}"


def record(key: str, value: Mapping[str, Any]) -> tuple[bytes, bytes]:
    return key.encode(), json.dumps(value).encode()


def sample_a_job(run: Pipeline) -> None:
    """A job that goes on, with new events all the time, until services.job_metrics has counted between two samples."""
    pages = ["--synthetic", "--stream", "page-create,page-delete,page-move,page_change", "--seed", "9", "--rate", "20"]
    run.start("wiki_pages")
    sampled = [{"exists": {"field": name}} for name in ("records_in", "event_time_lag_seconds")]
    with background(run, "producers.wikimedia", *pages), background(run, "services.job_metrics"):
        run.wait_for("job metrics", lambda: samples(run, {"bool": {"filter": sampled}}) > 0, seconds=240)


def samples(run: Pipeline, query: dict[str, Any]) -> int:
    """How many samples of jobs the query finds."""
    found = run.elasticsearch.count(index=f"{run.prefix}job_metrics", query=query, ignore_unavailable=True)
    return int(found["count"])


class background:
    """`python -m MODULE …` for as long as the block lasts."""

    def __init__(self, run: Pipeline, *arguments: str) -> None:
        environment = {**security.environment(security.role_of(arguments[0])), **run.environment}
        self._process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, env=environment)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


def answered(filled: Filled, panel: Panel) -> queries.Answer:
    """The panel's answer from Elasticsearch; fails for a search that Elasticsearch refuses."""
    run = filled.pipeline
    view = filled.view_of(panel.indices())
    searches = queries.searches(panel, view)
    replies = [run.elasticsearch.search(index=run.prefix + each.index, body=each.body) for each in searches]
    assert all(reply["_shards"]["failed"] == 0 for reply in replies)
    return queries.answer(panel, [dict(reply) for reply in replies], view)


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=[f"{name}-{panel.id}" for name, panel in PANELS])
def test_every_panel_is_answered_of_fields_that_the_jobs_write(filled: Filled, dashboard: str, panel: Panel) -> None:
    run = filled.pipeline
    for search in queries.searches(panel, filled.view_of(panel.indices())):
        used = set(fields_of({key: search.body.get(key) for key in ("query", "aggs")}))
        assert used
        told = {name: {"filter": {"exists": {"field": name}}} for name in sorted(used)}
        found = run.elasticsearch.search(index=run.prefix + search.index, size=0, aggs=told)
        assert [name for name in told if found["aggregations"][name]["doc_count"] == 0] == []

    answer = answered(filled, panel)

    assert answer.rows
    assert all(len(row) == len(answer.columns) for row in answer.rows)
    figures = [place for place, column in enumerate(answer.columns) if column.role == "metric"]
    assert any(row[place] is not None for row in answer.rows for place in figures)


def fields_of(body: Any) -> Iterator[str]:
    """The fields that a search uses: in aggregations, in queries, in the order and the source of last values."""
    if isinstance(body, list):
        for each in body:
            yield from fields_of(each)
    elif isinstance(body, dict):
        for key, inner in body.items():
            if key == "field":
                yield inner
            elif key == "_source":
                yield from inner
            elif key in ("match", "match_phrase", "range", "term", "terms", "sort") and "field" not in inner:
                yield from (name for each in (inner if isinstance(inner, list) else [inner]) for name in each)
            else:
                yield from fields_of(inner)


def top(counts: Mapping[Any, int], size: int) -> list[int]:
    """The highest figures; equal ones leave open which groups they are of."""
    return sorted(counts.values(), reverse=True)[:size]


def test_social_figures_are_those_of_a_recount(filled: Filled) -> None:
    posts = filled.documents("social_posts", "posted_at")

    def figure(panel: str) -> Any:
        ((value,),) = filled.rows("social-overview", panel)
        return value

    rates = [post["engagement_rate"] for post in posts if post.get("engagement_rate") is not None]
    scored = [post for post in posts if post.get("sentiment")]
    assert figure("posts") == len(posts) > 10_000
    assert figure("likes") == sum(post.get("likes") or 0 for post in posts)
    assert figure("engagement") == pytest.approx(sum(rates) / len(rates))
    assert figure("viral-posts") == sum(post["is_viral"] is True for post in posts) > 0
    assert figure("verified-users") == len({post["user_id"] for post in posts if post.get("is_verified")}) > 0
    assert figure("snapshot-posts") == len(posts)
    assert figure("snapshot-positive") == pytest.approx(
        sum(post["sentiment"] == "positive" for post in scored) / len(scored)
    )
    assert figure("last-update") == max(post["posted_at"] for post in posts)

    platforms = Counter(post["platform"] for post in posts)
    assert dict(filled.rows("social-overview", "posts-by-platform")) == platforms
    hashtags = Counter(tag for post in posts for tag in set(post.get("hashtags") or []))
    assert [row[-1] for row in filled.rows("social-overview", "hashtags")] == top(hashtags, 15)
    kinds = Counter((post["platform"], post["post_type"]) for post in posts if post.get("post_type"))
    shown_kinds = {(first, second): number for first, second, number in filled.rows("social-overview", "post-types")}
    assert shown_kinds == kinds

    per_minute: dict[tuple[str, str], int] = defaultdict(int)
    for post in posts:
        per_minute[post["posted_at"][:16], post["platform"]] += post.get("likes") or 0
    shown = {(when[:16], who): likes for when, who, likes in filled.rows("social-overview", "likes-over-time") if likes}
    assert shown == {key: likes for key, likes in per_minute.items() if likes}

    newest = filled.rows("social-people", "newest")
    assert [row[1] for row in newest] == sorted((post["posted_at"] for post in posts), reverse=True)[:20]
    text_of = {post["post_id"]: post["text"] for post in posts}
    assert all((row[4] or "") == text_of[row[0]] for row in newest)

    unscored = [post for post in posts if post.get("unscored_reason")]
    assert dict(filled.rows("toxicity", "unscored-reasons")) == Counter(post["unscored_reason"] for post in unscored)
    both = [post for post in posts if post.get("stated_sentiment") and post.get("sentiment")]
    right = sum(post["stated_sentiment"] == post["sentiment"] for post in both)
    ((_, agreement),) = queries.answer(*whole(filled, DASHBOARDS["toxicity"].panel("agreement"))).rows
    assert agreement == pytest.approx(right / len(both))


def whole(filled: Filled, panel: Panel) -> tuple[Panel, list[Any], queries.View]:
    """A panel over time, made one group of the whole time."""
    assert panel.lens
    one = {"type": "filters", "label": "all", "filters": [{"label": "all", "query": {"kql": ""}}]}
    chart = type(panel.lens).model_validate(panel.lens.model_dump(exclude_none=True) | {"dimension": one})
    changed = panel.model_copy(update={"lens": chart})
    run = filled.pipeline
    (search,) = queries.searches(changed, filled.view)
    return changed, [dict(run.elasticsearch.search(index=run.prefix + search.index, body=search.body))], filled.view


def test_wikipedia_figures_are_those_of_a_recount(filled: Filled) -> None:
    edits = filled.documents("wiki_edits", "event_time")
    revisions = filled.documents("wiki_intent", "revised_at")

    ((count,),) = filled.rows("wikipedia-bots", "edits")
    assert count == len(edits) > 1_000
    ((share,),) = filled.rows("wikipedia-bots", "bot-share")
    assert share == pytest.approx(sum(edit["is_bot"] for edit in edits) / len(edits))
    by_bots = Counter(edit["user_name"] for edit in edits if edit["is_bot"] and edit.get("user_name"))
    assert [row[1] for row in filled.rows("wikipedia-bots", "top-bots")] == top(by_bots, 12)
    changes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for edit in edits:
        change = edit.get("bytes_changed") or 0
        changes[edit["event_time"][:16]][change < 0] += change
    shown = {row[0][:16]: row[1:] for row in filled.rows("wikipedia-bots", "bytes") if any(row[1:])}
    assert shown == {minute: both for minute, both in changes.items() if any(both)}

    judged = Counter(each["intent"] for each in revisions if each.get("intent"))
    ((vandalism,),) = filled.rows("wikipedia-intent", "vandalism-count")
    assert vandalism == judged["vandalism"] > 0
    ages = Counter(
        (age_group(each["account_age_days"]), each["intent"])
        for each in revisions
        if each.get("account_age_days") is not None and each.get("intent") not in (None, "unscored")
    )
    assert {(age, intent): number for age, intent, number in filled.rows("wikipedia-intent", "newcomers")} == ages
    distances = [each["distance"] for each in filled.documents("wiki_disagreement", "window_end")]
    assert [row[2] for row in filled.rows("wikipedia-intent", "disagreement")] == sorted(distances, reverse=True)[:12]

    activity = filled.documents("wiki_activity", "window_start")
    countries: dict[str, int] = defaultdict(int)
    for each in activity:
        countries[each.get("country") or ""] += each["edits"]
    countries.pop("", None)
    assert {row[0]: row[1] for row in filled.rows("wikipedia-map", "map")} == countries


def age_group(days: float) -> str:
    bounds = [(1, "under a day"), (7, "1 to 6 days"), (30, "7 to 29 days"), (365, "under a year")]
    return next((name for bound, name in bounds if days < bound), "a year or more")


def test_background_figures_are_those_of_a_recount(filled: Filled) -> None:
    checks, months, pictures = (
        [*filled.pipeline.documents(f"background_{index}").values()] for index in ("checks", "captions", "images")
    )

    def rows(panel: str) -> list[list[Any]]:
        return filled.rows("background-check", panel)

    assert rows("people") == [[len(checks)]] == [[5]]
    assert rows("closed") == [[sum(check["status"] != "ok" for check in checks)]] == [[1]]
    ((unscored,),) = rows("unscored-captions")
    assert unscored == sum(check["unscored_captions"] for check in checks) / sum(check["captions"] for check in checks)
    parts = ("score", "toxicity_points", "bullying_points", "sentiment_points", "keywords_points", "images_points")
    assert {row[0]: row[1:7] for row in rows("scores")} == {
        check["username"]: [check.get(part) for part in parts] for check in checks
    }
    assert {(row[0], row[1]) for row in rows("evidence")} == {
        (check["username"], sentence) for check in checks for sentence in check["evidence"]
    }

    themes = {(each, check["username"]): 1 for check in checks for each in set_of(check, "present_keywords", "theme")}
    assert {(theme, who): number for theme, who, number in rows("themes")} == themes != {}
    labels = Counter(name for picture in pictures for name in set_of(picture, "labels", "name"))
    assert {row[0]: row[1] for row in rows("labels")} == labels != {}
    phrases = Counter(phrase for month in months for phrase in set_of(month, "key_phrases", "value"))
    assert [row[1] for row in rows("key-phrases")] == top(phrases, 15)

    # A group of 28 days never holds two months: what is shown are their own figures.
    for panel, field in (("sentiment-over-time", "sentiment_mean"), ("toxic-over-time", "toxic_share")):
        known = [(month["username"], month[field]) for month in months if month.get(field) is not None]
        assert sorted((who, value) for _, who, value in rows(panel) if value is not None) == sorted(known) != []


def test_moderation_figures_are_those_of_a_recount(filled: Filled) -> None:
    messages = filled.documents("moderation_messages", "server_time")
    flagged = {each["message_id"]: each for each in messages if each["decision"] in ("flag", "hold")}
    judged = [each for each in messages if each.get("verdict")]

    def rows(panel: str) -> list[list[Any]]:
        return filled.rows("moderation", panel)

    decisions = Counter(each["decision"] for each in messages)
    assert set(decisions) == {"allow", "flag", "hold", "unscored"}
    assert rows("messages") == [[len(messages)]] == [[2400]]
    assert rows("flagged-share") == [[pytest.approx(decisions["flag"] / len(messages))]]
    assert (rows("held"), rows("unscored")) == ([[decisions["hold"]]], [[decisions["unscored"]]])
    for panel, action in (("warned", "warn"), ("muted", "mute")):
        assert rows(panel) == [[len({each["user_name"] for each in messages if each["action"] == action})]] != [[0]]
    assert rows("strikes") == [[pytest.approx(sum(each["strike_points"] for each in messages) / 1000)]]
    ((median,),) = rows("latency-median")
    assert median == pytest.approx(statistics.median(each["latency_ms"] for each in messages), rel=0.02)

    by_room = Counter((each["room"], each["decision"]) for each in messages)
    assert {(room, decision): number for room, decision, number in rows("rooms")} == by_room
    by_reason = Counter((reason, each["decision"]) for each in messages for reason in each["reasons"] or [])
    assert {(reason, decision): number for reason, decision, number in rows("reasons")} == by_reason
    assert {"toxic", "spam", "flood"} <= {reason for reason, _ in by_reason}
    warned, muted = (sum(each[place] or 0 for each in rows("actions")) for place in (1, 2))
    by_action = Counter(each["action"] for each in messages if not each["is_late"])
    assert (warned, muted) == (by_action["warn"], by_action["mute"])
    users = {row[0]: row[1:] for row in rows("users")}
    known = {each["user_name"]: each for each in filled.documents("moderation_users", "struck_at")}
    assert [row[0] for row in users.values()] == sorted((each["strikes"] for each in known.values()), reverse=True)[:15]
    assert all(row[1] == known[name]["flags"] for name, row in users.items())

    upheld = [each["verdict"] == "uphold" for each in judged if each["message_id"] in flagged]
    assert rows("precision") == [[pytest.approx(sum(upheld) / len(upheld))]]
    sampled = [each for each in judged if each["is_sampled"] and each["decision"] == "allow"]
    overturned = [each for each in sampled if each["verdict"] == "overturn"]
    assert rows("missed") == [[pytest.approx(len(overturned) / len(sampled))]]
    assert {(decision, verdict): number for decision, verdict, number in rows("verdicts")} == Counter(
        (each["decision"], each["verdict"]) for each in judged
    )
    newest_first = sorted(overturned, key=lambda each: str(each["server_time"]), reverse=True)
    assert [row[0] for row in rows("missed-messages")] == [each["message_id"] for each in newest_first[:10]]

    beside = Counter((each["decision"], each["shadow_decision"]) for each in messages if each.get("shadow_decision"))
    assert {("allow", "flag"), ("flag", "flag")} <= set(beside)
    assert {
        (row[1], column): row[number] for row in rows("shadow") for number, column in ((3, "allow"), (4, "flag"))
    } == {(decision, column): beside[decision, column] for decision, _ in beside for column in ("allow", "flag")}
    newest = rows("newest-flagged")
    assert [row[1] for row in newest] == sorted((each["server_time"] for each in flagged.values()), reverse=True)[:15]
    assert all(row[7] == ", ".join(flagged[row[0]]["ngrams"]) for row in newest)

    measured = filled.documents("model_monitoring", "window_end")
    assert rows("alerts") == [[sum(each["is_alert"] for each in measured)]] != [[0]]
    precision = next(each for each in measured if each["metric"] == "flag_precision" and not each.get("item"))
    assert {row[0]: row[2] for row in rows("agreement")}["flag_precision"] == precision["value"]


def set_of(document: Document, field: str, part: str) -> set[str]:
    """The values of a part of the objects in a field, each once."""
    return {each[part] for each in document.get(field) or []}


def test_health_figures_are_those_of_a_recount(filled: Filled) -> None:
    letters = filled.documents("dead_letters", "rejected_at")
    by_reason = Counter((each["reason"], each["job"]) for each in letters)
    shown = {(reason, job): number for reason, job, number in filled.rows("pipeline-health", "dead-letters-by-reason")}
    assert len({reason for reason, _ in shown}) == min(8, len({reason for reason, _ in by_reason}))
    assert shown == {key: number for key, number in by_reason.items() if key[0] in {reason for reason, _ in shown}}
    ((late,),) = filled.rows("pipeline-health", "late-events")
    assert late == len(filled.documents("late_events", "record_time")) > 0
    last: dict[str, Document] = {}
    for sample in filled.documents("index_metrics", "sampled_at"):
        if sample["sampled_at"] >= last.get(sample["index"], sample)["sampled_at"]:
            last[sample["index"]] = sample
    assert {row[0]: row[1] for row in filled.rows("pipeline-health", "documents")} == {
        index: sample["documents"] for index, sample in last.items()
    }


@pytest.fixture(scope="module")
def live_view(filled: Filled) -> Iterator[str]:
    """The address of a live view of these indices, started as a user starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with background(filled.pipeline, "services.live_view", "--port", str(port)):
        filled.pipeline.wait_for("the live view", lambda: answers(f"{address}/readyz"), seconds=120)
        yield address


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def opened(browser: Browser, live_view: str, filled: Filled) -> Iterator[Callable[..., Page]]:
    """`opened("social-overview", refresh="0")`: that dashboard in a tab, when its panels have come."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True, timezone_id="UTC")
    problems: list[str] = []

    def open_page(dashboard: str, **state: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        start = filled.view_of(DASHBOARDS[dashboard].indices()).start
        seen = {"from": start.isoformat()[:19] + "Z", "to": "now", "refresh": "0", **state}
        page.goto(f"{live_view}/d/{dashboard}?{urlencode(seen)}")
        page.wait_for_selector("body[data-as-of]", timeout=30_000)
        return page

    yield open_page
    context.close()
    # That a request failed is said in the console too; one test makes it fail.
    expected = ("Failed to load resource", "does not answer")
    assert [problem for problem in problems if not any(each in problem for each in expected)] == []


def posts_shown(page: Page) -> str:
    return page.locator("[data-panel-id=posts] .metric-value").inner_text()


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_panel_shows_data_in_a_browser(opened: Callable[..., Page], dashboard: str) -> None:
    page = opened(dashboard)

    expect(page.locator("section.panel[data-state=ready]")).to_have_count(
        len(DASHBOARDS[dashboard].panels), timeout=20_000
    )
    charts = [
        panel for panel in DASHBOARDS[dashboard].panels if panel.lens and panel.lens.type not in ("metric", "datatable")
    ]
    for panel in charts:
        section = page.locator(f"[data-panel-id='{panel.id}']")
        assert section.locator("canvas, svg").count()
        assert (
            section.get_by_role("button", name="Table").count()
            == section.get_by_role("button", name="CSV").count()
            == 1
        )
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(600)  # charts grow for a moment
    page.screenshot(path=SCREENSHOTS / f"{dashboard}.png", full_page=True)


def test_a_filter_changes_the_figures_and_goes_along_to_other_dashboards(
    opened: Callable[..., Page], filled: Filled
) -> None:
    posts = filled.documents("social_posts", "posted_at")
    tiktok = sum(post["platform"] == "TikTok" for post in posts)
    page = opened("social-overview")
    everything = posts_shown(page)

    page.locator("[data-control-id=platform] summary").click()
    page.locator("[data-control-id=platform]").get_by_label("TikTok").check()
    expect(page.locator("[data-panel-id=posts] .metric-value")).not_to_have_text(everything, timeout=20_000)
    assert [row.split()[0] for row in table_of(page, "posts-by-platform")] == ["TikTok"]
    assert compact(tiktok) == posts_shown(page)

    page.locator("#dashboards a", has_text="Toxicity").click()
    page.wait_for_url("**/d/toxicity?*f.platform=TikTok*")
    page.wait_for_selector("body[data-as-of]")
    assert page.locator("[data-control-id=platform] summary").inner_text().count("TikTok") == 1


def table_of(page: Page, panel: str) -> list[str]:
    """The rows of the table under a chart, opened as a person opens it."""
    section = page.locator(f"[data-panel-id={panel}]")
    section.get_by_role("button", name="Table").click()
    expect(section.locator("tbody tr").first).to_be_visible()
    return section.locator("tbody tr").all_inner_texts()


def test_time_range_theme_and_drill_down_by_a_click(opened: Callable[..., Page]) -> None:
    page = opened("social-overview")
    page.locator("#theme").select_option("dark")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.locator("#time-range summary").click()
    page.locator("#quick-ranges button").filter(has_text="6 hours").click()
    expect(page.locator("body[data-refreshes='2']")).to_be_visible(timeout=20_000)
    assert "from=now-6h" in page.url

    page.locator("[data-panel-id=posts-by-platform]").get_by_role("link").filter(has_text="See who posts").click()
    page.wait_for_url("**/d/social-people?*from=now-6h*")
    page.wait_for_selector("body[data-as-of]")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def compact(number: int) -> str:
    """As the page writes a count: 1.2K from a thousand on."""
    return f"{number / 1000:.1f}".removesuffix(".0") + "K" if number >= 1000 else str(number)


def test_auto_refresh_shows_new_documents_and_a_failure_is_said(opened: Callable[..., Page], filled: Filled) -> None:
    run = filled.pipeline
    page = opened("social-overview", refresh="5", **{"f.topic": "of this test"})
    expect(page.locator("[data-panel-id=posts] .metric-value")).to_have_text("0")
    post = next(iter(run.documents("social_posts").values()))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    run.elasticsearch.index(
        index=f"{run.prefix}social_posts",
        id="new",
        document=post | {"post_id": "new", "topic": "of this test", "posted_at": now},
        refresh=True,
    )
    try:
        expect(page.locator("[data-panel-id=posts] .metric-value")).to_have_text("1", timeout=20_000)
    finally:
        run.elasticsearch.delete(index=f"{run.prefix}social_posts", id="new", refresh=True)

    page.route("**/data", lambda route: route.abort())
    banner = page.locator("#banner")
    expect(banner).to_be_visible(timeout=20_000)
    assert "These figures are from" in banner.inner_text()
    assert page.locator("body").get_attribute("data-stale") == "true"
    page.unroute("**/data")
    expect(banner).to_be_hidden(timeout=60_000)


def test_each_chart_has_its_table_and_its_csv(opened: Callable[..., Page], filled: Filled) -> None:
    page = opened("social-overview")
    panel = page.locator("[data-panel-id=posts-by-platform]")
    with page.expect_download() as download:
        panel.get_by_role("button", name="CSV").click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))

    assert rows[0] == ["platform", "posts"]
    assert {name: int(number) for name, number in rows[1:]} == dict(filled.rows("social-overview", "posts-by-platform"))
    shown = [row.split() for row in table_of(page, "posts-by-platform")]
    assert [name for name, _ in shown] == [name for name, _ in rows[1:]]


def test_wrong_questions_are_answered_with_a_sentence(live_view: str) -> None:
    def ask(path: str, **body: Any) -> requests.Response:
        return requests.post(f"{live_view}/api/dashboards/{path}", json=body, timeout=10)

    assert requests.get(f"{live_view}/d/nothing", timeout=10).status_code == 404
    assert ask("social-overview/data", **{"from": "yesterday"}).status_code == 422
    assert "no time" in ask("social-overview/data", **{"from": "yesterday"}).json()["detail"]
    assert ask("social-overview/data", **{"from": "now", "to": "now-1h"}).status_code == 422
    assert ask("social-overview/options", control="nothing").status_code == 404
    found = ask("social-overview/options", control="platform", search="tik", **{"from": "now-2h"}).json()["options"]
    assert [each["value"] for each in found] == ["TikTok"]
    elsewhere = requests.get(f"{live_view}/api/dashboards", headers={"Host": "elsewhere.example"}, timeout=10)
    assert elsewhere.status_code == 400
    headers = requests.get(f"{live_view}/d/toxicity", timeout=10).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_without_elasticsearch_the_live_view_says_so(filled: Filled) -> None:
    nowhere = settings().port(7)  # nothing of the stack listens there
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    away = Pipeline(filled.pipeline.prefix)
    away.environment |= {"CROWDPULSE_ELASTICSEARCH_HOSTS": f"http://127.0.0.1:{nowhere}"}
    with background(away, "services.live_view", "--port", str(port)):
        away.wait_for("the live view", lambda: answers(f"{address}/healthz"), seconds=120)
        began = time.monotonic()
        refused = requests.post(f"{address}/api/dashboards/toxicity/data", json={}, timeout=60)
    assert refused.status_code == 503
    assert "Elasticsearch does not answer" in refused.json()["detail"]
    assert time.monotonic() - began < 30
    away.elasticsearch.close()
