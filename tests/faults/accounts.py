"""The accounts: every record that was sent is one document, one dead letter or one late event, and the sums agree.

What is expected is counted from the bytes in Kafka, in plain Python and without the jobs' code (recount_*.py of
tests/e2e).
Of a stream that goes on, windows count that every partition has passed; what is open yet, the next check accounts for.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from producers._wikimedia_streams import STREAMS
from settings import settings
from tests.e2e.accounts_social import assert_recount_holds, late_events_of
from tests.e2e.conftest import Document, Pipeline
from tests.e2e.recount_social import KEYS, iso
from tests.e2e.recount_wiki import is_edit, of_pages, of_revisions, recounted_activity, recounted_bots, time_of
from tests.faults.ledger import Ledger, Place, Stored, Topics
from tests.faults.story import CHAT, WIKIMEDIA

SCORE_WAIT_SECONDS = 20
REVISION_STREAMS = WIKIMEDIA[:5]
PAGE_STREAMS = WIKIMEDIA[6:]
NOT_COUNTED = ("wiki", "is_bot", "window_start", "window_end", "language", "country")
MINUTE, TEN_MINUTES, HOUR = timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)


class Accounts:
    """The accounts of one run. Each check raises AssertionError with what does not agree."""

    def __init__(self, run: Pipeline, ledger: Ledger) -> None:
        self._run = run
        self._ledger = ledger
        self._topics = Topics(run.prefix)
        self.viral_engagements: Callable[[Place], int] = lambda _place: settings().viral_engagements

    def checks(self, of: Collection[str]) -> list[Callable[[], None]]:
        """The accounts of these jobs; each takes some seconds, and more the more was sent."""
        needed: dict[Callable[[], None], set[str]] = {
            self.check_kafka: set(),
            self.check_kept: {"kept_records"},
            self.check_edits: {"wiki_edits"},
            self.check_revisions: {"wiki_intent"},
            self.check_users: {"wiki_users"},
            self.check_pages: {"wiki_pages"},
            self.check_posts: {"social_posts", "social_metrics"},
            self.check_chat: {"moderation"},
            self.check_people: {"background_check"},
        }
        return [check for check, its in needed.items() if its <= set(of)]

    def check_kafka(self) -> None:
        """Kafka has what was sent: once, or where the writer is one that may repeat, at least once."""
        for topic, sent in self._ledger.sent.items():
            found = Counter(record.value for record in self._topics.records(topic) if record.value is not None)
            assert not sent - found, f"{(sent - found).total()} records of {topic} are not in Kafka"
            if topic not in self._ledger.may_repeat:
                assert not found - sent, f"{(found - sent).total()} records too many in {topic}"
        told = {(message["room"], message["message_id"]) for _, message in self._messages()}
        assert self._ledger.messages.keys() <= told

    def check_kept(self) -> None:
        """Each unusable record, and no other, is one dead letter; each dead letter and late event is one document.

        The topics of both are written at least once: after a restore a record may be there twice, with one place.
        """
        expected = {
            (topic, *record.place)
            for topic, broken in self._ledger.broken.items()
            for record in self._topics.records(topic)
            if record.value in broken
        }
        letters = {(one["topic"], one["partition"], one["offset"]) for one in self._kept("dead_letters")}
        assert not letters ^ expected
        found = [
            (one["topic"].removeprefix(self._run.prefix), one["partition"], one["offset"])
            for one in self._run.documents("dead_letters").values()
        ]
        assert sorted(found) == sorted(expected)
        late = {(one["job"], one["topic"], one["partition"], one["offset"]) for one in self._kept("late_events")}
        assert self._run.count("late_events") == len(late)
        assert self._run.count("rejected_documents") == 0

    def check_edits(self) -> None:
        """wiki_edits: each edit once; wiki_activity and wiki_bots: what a recount of the events in time gives."""
        topic = "wiki_recentchange"
        changes = self._usable(topic)
        found = {(one["wiki"], one["revision_id"]) for one in self._run.documents("wiki_edits").values()}
        assert found == {(event["wiki"], event["revision"]["new"]) for _, event in changes if is_edit(event)}

        in_time = self._in_time(topic, changes, "wiki_edits")
        closed = _passed(changes, time_of) - timedelta(seconds=settings().wiki_out_of_order_seconds)
        activity = {
            group: counts for group, counts in recounted_activity(in_time).items() if group[2] <= iso(closed - MINUTE)
        }
        told = {
            (one["wiki"], one["is_bot"], one["window_start"]): {
                name: value for name, value in one.items() if name not in NOT_COUNTED
            }
            for one in self._run.documents("wiki_activity").values()
            if one["window_end"] <= iso(closed)
        }
        assert told == activity

        by_window = defaultdict(list)
        for event in in_time:
            by_window[_floor(time_of(event), TEN_MINUTES)].append(event)
        bots = {
            (iso(start), bot): counts
            for start, events in by_window.items()
            if start + TEN_MINUTES <= closed
            for bot, counts in recounted_bots(events).items()
        }
        assert bots == {
            (one["window_start"], one["user_name"]): (one["edits"], one["pages"], one["wikis"], one["all_edits"])
            for one in self._run.documents("wiki_bots").values()
            if one["window_end"] <= iso(closed)
        }

    def check_revisions(self) -> None:
        """wiki_intent: each revision once, with what all its events in time tell; its counts by wiki."""
        parts: list[Document] = []
        passed = []
        for stream in REVISION_STREAMS:
            topic = STREAMS[stream].topic
            events = self._usable(topic) + (self._without_title() if stream == "recentchange" else [])
            parts += self._in_time(topic, events, "wiki_intent")
            passed.append(_passed(events, _revised_at))
        closed = min(passed) - timedelta(seconds=SCORE_WAIT_SECONDS + 1)
        times = {_revision(part): iso(_revised_at(part)) for part in parts if _revision(part)}
        expected = {revision: one for revision, one in of_revisions(parts).items() if times[revision] <= iso(closed)}
        found = {
            (one["wiki"], one["revision_id"]): one
            for one in self._run.documents("wiki_intent").values()
            if one["revised_at"] <= iso(closed)
        }
        assert expected
        assert found.keys() == expected.keys()
        for revision, one in expected.items():
            told = {name: found[revision].get(name) for name in one.keys() - {"shapes", "reverted"}}
            assert told == {name: one[name] for name in told}, revision
            assert set(found[revision]["shapes"]) == one["shapes"]

        def count(events: Iterable[tuple[tuple[str, int], Document]]) -> Counter[tuple[str, str, str]]:
            return Counter(
                (wiki, iso(_floor(datetime.fromisoformat(times[wiki, revision]), 5 * MINUTE)), one["intent"] or "other")
                for (wiki, revision), one in events
            )

        recount = count(expected.items())
        for one in self._run.documents("wiki_intent_by_wiki").values():
            if one["window_end"] > iso(closed):
                continue
            for intent in ("constructive", "good_faith_damage", "vandalism", "bad_faith_harmless", "unscored"):
                recount[one["wiki"], one["window_start"], intent] -= one[intent]
        left = {
            group: number
            for group, number in recount.items()
            if number and group[2] != "other" and group[1] <= iso(closed - 5 * MINUTE)
        }
        assert left == {}

    def check_users(self) -> None:
        """wiki_users: the edits of each user in each hour, of what wiki_intent has judged."""
        topic = "judged_revisions"
        judged = [(record.place, json.loads(record.value or b"")) for record in self._records(topic, committed=True)]
        if not judged:
            return

        def time(one: Document) -> datetime:
            return datetime.fromisoformat(one["revised_at"])

        closed = _passed(judged, time) - timedelta(seconds=SCORE_WAIT_SECONDS)
        edits: Counter[tuple[str, str, str]] = Counter()
        once = {(one["wiki"], one["revision_id"]): one for one in self._in_time(topic, judged, "wiki_users")}
        for one in once.values():
            if one.get("user_name") is None:
                continue
            first = _floor(time(one), TEN_MINUTES) - HOUR + TEN_MINUTES
            for number in range(6):
                start = first + number * TEN_MINUTES
                if start + HOUR <= closed:
                    edits[iso(start), one["wiki"], one["user_name"]] += 1
        found = {
            (one["window_start"], one["wiki"], one["user_name"]): one["edits"]
            for one in self._run.documents("wiki_users").values()
            if one["window_end"] <= iso(closed)
        }
        assert found == {key: edits[key] for key in found.keys() | {key for key, many in edits.items() if many >= 5}}

    def check_pages(self) -> None:
        """wiki_pages: each page once, with the last of its acts."""
        events = [event for stream in PAGE_STREAMS for _, event in self._usable(STREAMS[stream].topic)]
        pages = of_pages(events)
        found = {(one["wiki"], one["page_id"]): one for one in self._run.documents("wiki_pages").values()}
        assert found.keys() == pages.keys()
        assert {page: {name: found[page].get(name) for name in one} for page, one in pages.items()} == pages

    def check_posts(self) -> None:
        """All indices of social posts."""
        records = self._topics.records("social_media")
        newest: dict[int, datetime] = {}
        for place, post in self._usable("social_media"):
            at = datetime.fromisoformat(post["timestamp"])
            newest[place[0]] = max(newest.get(place[0], at), at)
        closed = min(newest.values()) - timedelta(seconds=settings().social_out_of_order_seconds)
        assert_recount_holds(
            self._run,
            [record.value or b"" for record in records],
            [record.place for record in records],
            closed,
            maybe_empty=KEYS.keys(),
            viral_engagements=[self.viral_engagements(record.place) for record in records],
            seconds=5,
        )

    def check_chat(self) -> None:
        """Each message is decided, to one end, and is one document; the minutes count all that were in time."""
        messages = self._messages()
        ids = {(message["room"], message["message_id"]) for _, message in messages}
        decided: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for record in self._topics.records("moderation_decisions"):
            if record.value:
                one = json.loads(record.value)
                decided[one["room"], one["message_id"]].add(
                    json.dumps({name: value for name, value in one.items() if name != "decided_at"}, sort_keys=True)
                )
        assert decided.keys() == ids
        late = {place[1:] for place in late_events_of(self._run, "moderation")}
        late_ids = {(message["room"], message["message_id"]) for place, message in messages if place in late}
        assert {key: told for key, told in decided.items() if len(told) > 1 and key not in late_ids} == {}
        found = [(one["room"], one["message_id"]) for one in self._run.documents("moderation_messages").values()]
        assert sorted(found) == sorted(ids)

        first: dict[tuple[str, str], str] = {}
        for place, message in messages:
            if place not in late:
                first.setdefault((message["room"], message["message_id"]), message["server_time"])
        passed: dict[int, int] = {}
        for record in self._topics.records(CHAT):
            passed[record.place[0]] = max(passed.get(record.place[0], 0), record.milliseconds)
        until = _floor(datetime.fromtimestamp(min(passed.values()) / 1000 - 2, UTC), MINUTE)
        counted = sum(
            one["messages"]
            for one in self._run.documents("moderation_metrics").values()
            if one["window_end"] <= iso(until)
        )
        assert counted == sum(datetime.fromisoformat(time) < until for time in first.values())

    def check_people(self) -> None:
        """A background check of each person: all posts and captions, by month and together."""
        posts: defaultdict[str, dict[str, bool]] = defaultdict(dict)
        names = {profile["username"] for _, profile in self._usable("user_basic_info")}
        for _, post in self._usable("user_posts_description"):
            posts[post["username"]][post["post_id"]] = bool((post["caption"] or "").strip())
        expected = {name: (len(posts[name]), sum(posts[name].values())) for name in names | posts.keys()}
        checks = self._run.documents("background_checks").values()
        assert {one["username"]: (one["posts"], one["captions"]) for one in checks} == expected
        months: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for one in self._run.documents("background_captions").values():
            months[one["username"]][0] += one["posts"]
            months[one["username"]][1] += one["captions"]
        assert {name: tuple(counts) for name, counts in months.items()} == {
            name: counts for name, counts in expected.items() if counts[0]
        }

    def records(self, topic: str, *, committed: bool = False) -> list[Stored]:
        """What a topic of this run holds so far."""
        return self._topics.records(topic, committed=committed)

    def _records(self, topic: str, *, committed: bool = False) -> list[Stored]:
        return [record for record in self._topics.records(topic, committed=committed) if record.value is not None]

    def _usable(self, topic: str) -> list[tuple[Place, Document]]:
        """Records that are no dead letters."""
        broken = self._ledger.broken[topic]
        return [
            (record.place, json.loads(record.value or b""))
            for record in self._records(topic)
            if record.value not in broken
        ]

    def _without_title(self) -> list[tuple[Place, Document]]:
        """Recent changes with a spoilt title: dead letters of wiki_edits, while wiki_intent does without it."""
        broken = self._ledger.broken["wiki_recentchange"]
        events = [(one.place, _parsed(one.value)) for one in self._records("wiki_recentchange") if one.value in broken]
        return [(place, event) for place, event in events if event and not isinstance(event.get("title"), str)]

    def _messages(self) -> list[tuple[Place, Document]]:
        """The chat's messages, without the ticks that tell only the time."""
        return self._usable(CHAT)

    def _in_time(self, topic: str, events: list[tuple[Place, Document]], job: str) -> list[Document]:
        late = {place[1:] for place in late_events_of(self._run, job) if place[0] == topic}
        return [event for place, event in events if place not in late]

    def _kept(self, topic: str) -> list[dict[str, Any]]:
        kept = [json.loads(record.value or b"") for record in self._records(topic, committed=True)]
        return [one | {"topic": one["topic"].removeprefix(self._run.prefix)} for one in kept]


def _parsed(value: bytes | None) -> Document | None:
    """The object that a record holds, if it holds one."""
    try:
        found = json.loads(value or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _passed(events: list[tuple[Place, Document]], time: Callable[[Document], datetime]) -> datetime:
    """The time that every partition has reached."""
    newest: dict[int, datetime] = {}
    for place, event in events:
        newest[place[0]] = max(newest.get(place[0], time(event)), time(event))
    assert newest
    return min(newest.values())


def _floor(time: datetime, length: timedelta) -> datetime:
    """The beginning of the tumbling window that holds a time."""
    return time - (time - datetime(1970, 1, 1, tzinfo=UTC)) % length


def _revision(event: Document) -> tuple[str, int] | None:
    if "predicted_classification" in event:
        return event["wiki_id"], event["revision"]["rev_id"]
    if event["meta"]["stream"] == "mediawiki.recentchange":
        return (event["wiki"], event["revision"]["new"]) if is_edit(event) else None
    return event["database"], event["rev_id"]


def _revised_at(event: Document) -> datetime:
    """The revision's own time, which all events about it carry."""
    if "predicted_classification" in event:
        return datetime.fromisoformat(event["revision"]["rev_dt"])
    if event["meta"]["stream"] == "mediawiki.recentchange":
        return time_of(event)
    return datetime.fromisoformat(event["rev_timestamp"])
