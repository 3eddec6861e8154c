"""producers/synthetic_posts.py: posts that fit the contract, realism in numbers, and faults that are what they say."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from statistics import mean, median, stdev
from typing import Any, NamedTuple

import pytest

from producers import _post_texts, synthetic_posts
from producers.synthetic_posts import SURGE_EVERY_SECONDS, SyntheticPost, cities, events, population, surge

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
USERS = 2000
FAULTS: dict[str, Any] = {"late": 0.02, "duplicates": 0.02, "malformed": 0.02, "odd": 0.02}


class Told(NamedTuple):
    event: SyntheticPost
    fields: dict[str, Any]

    @property
    def time(self) -> float:
        """The post's own time in Unix seconds."""
        time: str = self.fields["timestamp"]
        return datetime.fromisoformat(time).timestamp()


@cache
def told(**options: Any) -> list[Told]:
    """10,000 records as they come, with those faults that `options` ask for; malformed ones left out."""
    made = events(**{"start": START, "limit": 10_000, "users": USERS, "odd": 0.0, **options})
    return [Told(event, json.loads(event.value)) for event in made if event.kind != "malformed"]


def of_kind(kind: str, **options: Any) -> list[Told]:
    return [each for each in told(**options) if each.event.kind == kind]


def posts(**options: Any) -> list[dict[str, Any]]:
    return [each.fields for each in of_kind("post", **options)]


def share_of(name: str, value: object, of: list[dict[str, Any]]) -> float:
    return mean(bool(fields[name] == value) for fields in of)


def test_the_same_arguments_give_the_same_bytes() -> None:
    first = list(events(start=START, limit=1000, **FAULTS))

    assert first == list(events(start=START, limit=1000, **FAULTS))
    assert first != list(events(start=START, limit=1000, seed=2, **FAULTS))


def test_another_seed_or_start_has_other_posts_by_the_same_people() -> None:
    names = {fields["user_id"]: fields["username"] for fields in posts()}
    for other in (posts(seed=2, limit=2000), posts(start=START + timedelta(days=1), limit=2000)):
        assert not {fields["post_id"] for fields in posts()} & {fields["post_id"] for fields in other}
        assert all(names.get(fields["user_id"], fields["username"]) == fields["username"] for fields in other)


COUNT = ("likes", "shares", "comments", "views", "followers")
RULES: dict[str, Callable[[Any], bool]] = {
    "post_id": lambda value: 1 <= len(value) <= 128,
    "user_id": lambda value: 1 <= len(value) <= 128,
    "username": lambda value: isinstance(value, str) and value != "",
    "platform": lambda value: value in {"Twitter", "Instagram", "Facebook", "LinkedIn", "TikTok", "YouTube"},
    "timestamp": lambda value: re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value) is not None,
    "post_type": lambda value: value in {"text", "image", "video", "link", "poll", "story", "live"},
    "content_type": lambda value: (
        value in {"educational", "entertainment", "news", "promotional", "personal", "humor", "opinion"}
    ),
    "topic": lambda value: value in _post_texts.TOPICS and value == value.lower(),
    "hashtags": lambda value: isinstance(value, list) and all(tag and not re.search(r"[#\s]", tag) for tag in value),
    "sentiment": lambda value: value in {"positive", "neutral", "negative"},
    "location": lambda value: value in {city.name for city in cities()},
    **{name: lambda value: type(value) is int and 0 <= value < 2**31 for name in COUNT},
    "engagement_rate": lambda value: value is None or value >= 0,
    **{name: lambda value: isinstance(value, bool) for name in ("is_verified", "is_influencer", "is_viral")},
    "language": lambda value: value in _post_texts.LANGUAGES,
    "text": lambda value: value == "" or 20 <= len(value) <= 280,
}


@pytest.mark.parametrize("name", RULES)
def test_each_field_keeps_its_rule(name: str) -> None:
    wrong = [each.fields[name] for each in told(late=0.02, duplicates=0.02) if not RULES[name](each.fields[name])]

    assert set(told()[0].fields) == set(RULES)
    assert wrong == []


def test_what_follows_from_counts_follows_from_them() -> None:
    for each in told():
        fields = each.fields
        reactions = fields["likes"] + fields["shares"] + fields["comments"]
        assert fields["views"] >= fields["likes"]
        assert fields["engagement_rate"] == (reactions / fields["views"] if fields["views"] else None)
        assert fields["is_influencer"] == (fields["followers"] >= 50_000)
        assert fields["is_viral"] == (reactions >= 1000 and fields["views"] >= 3 * fields["followers"])
    assert any(each.fields["views"] == 0 for each in told())
    assert 0.002 < share_of("is_viral", True, posts()) < 0.05
    assert 0.01 < share_of("is_influencer", True, posts()) < 0.15


def test_followers_have_a_heavy_tail() -> None:
    followers = sorted((user.followers for user in population()), reverse=True)

    assert len(followers) == 20_000
    assert median(followers) < 200
    assert 5 <= sum(each > 1_000_000 for each in followers) <= 20
    assert sum(followers[:200]) > 0.7 * sum(followers)  # the first hundredth has most of all
    # The Hill estimate of the tail's exponent, by the 500 largest.
    assert 500 / sum(math.log(each / followers[500]) for each in followers[:500]) == pytest.approx(0.8, abs=0.05)


def test_people_are_stable_and_unlike_each_other() -> None:
    people = population(5000)
    homes = cities()

    assert people == population(5000)
    assert len({user.user_id for user in people}) == len({user.username for user in people}) == 5000
    assert {user.platform for user in people} == set(synthetic_posts.PLATFORMS)
    assert {user.city for user in people} == set(range(len(homes)))
    abroad = [user for user in people if homes[user.city].language != "en"]
    assert mean(user.language == homes[user.city].language for user in abroad) == pytest.approx(0.85, abs=0.03)
    assert {user.language for user in abroad if user.language != homes[user.city].language} == {"en"}


@pytest.mark.parametrize("users", [1, 2, 30])
def test_a_few_people_are_enough(users: int) -> None:
    assert len({event.key for event in events(start=START, limit=500, users=users)}) == users


def test_a_user_keeps_platform_and_home_and_has_favourite_topics() -> None:
    by_user = defaultdict(list)
    for fields in posts(users=500):
        by_user[fields["user_id"]].append(fields)
    busy = [theirs for theirs in by_user.values() if len(theirs) >= 20]

    assert len(busy) > 20
    assert all(len({fields["platform"] for fields in theirs}) == 1 for theirs in busy)
    assert all(len({fields["location"] for fields in theirs}) == 1 for theirs in busy)
    favourites = [
        sum(number for _, number in Counter(fields["topic"] for fields in theirs).most_common(3)) / len(theirs)
        for theirs in busy
    ]
    assert mean(favourites) > 0.6  # a quarter, were they drawn from all twelve


@pytest.mark.parametrize(("city", "evening", "night"), [("London", 20, 4), ("Tokyo", 11, 19), ("New York", 1, 9)])
def test_a_city_posts_in_its_evening_and_sleeps_in_its_night(city: str, evening: int, night: int) -> None:
    """The hours are of UTC."""
    awake, asleep = (
        share_of("location", city, posts(start=START.replace(hour=hour), limit=4000)) for hour in (evening, night)
    )

    assert awake > 4 * asleep


def strongest_surge(*moods: str) -> synthetic_posts.Surge:
    first = int(START.timestamp() // SURGE_EVERY_SECONDS)
    found = [surge(1, number, cities()) for number in range(first, first + 100)]
    return max((each for each in found if not moods or each.mood in moods), key=lambda each: each.peak)


def test_a_surge_builds_and_fades() -> None:
    one = strongest_surge()
    rising = [one.share(one.start + part * one.rise) for part in (0, 0.2, 0.5, 1)]
    falling = [one.share(one.start + part * one.rise) for part in (1, 2, 4, 7.9, 8)]

    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert (rising[0], falling[-1]) == (0, 0)
    assert rising[-1] == pytest.approx(one.peak)


def test_a_surge_is_seen_in_its_hashtag_topic_mood_city_and_in_viral_posts() -> None:
    one = strongest_surge()
    peak = datetime.fromtimestamp(one.start + one.rise, UTC)
    during = posts(start=peak, rate=1000.0)
    surging = [fields for fields in during if one.hashtag in fields["hashtags"]]
    others = [fields for fields in during if one.hashtag not in fields["hashtags"]]

    assert len(surging) / len(during) == pytest.approx(one.peak, abs=0.04)
    assert {fields["topic"] for fields in surging} == {one.topic}
    assert share_of("sentiment", one.mood, surging) > 0.7
    assert share_of("location", cities()[one.city].name, surging) > 0.35
    assert share_of("is_viral", True, surging) > 3 * share_of("is_viral", True, others)


def test_engagement_follows_followers_content_and_platform_and_is_log_normal() -> None:
    ordinary = [fields for fields in posts() if fields["views"] > 0 and not fields["is_viral"]]

    def views_per_follower(name: str, value: str) -> Any:
        return median(fields["views"] / fields["followers"] for fields in ordinary if fields[name] == value)

    def likes_per_view(platform: str) -> Any:
        popular = [fields for fields in ordinary if fields["platform"] == platform and fields["views"] > 1000]
        return median(fields["likes"] / fields["views"] for fields in popular)

    assert views_per_follower("content_type", "humor") > 2 * views_per_follower("content_type", "promotional")
    assert views_per_follower("post_type", "video") > views_per_follower("post_type", "link")
    assert views_per_follower("platform", "TikTok") > 2 * views_per_follower("platform", "Facebook")
    assert likes_per_view("TikTok") > 2 * likes_per_view("LinkedIn")
    large, small = (
        [fields["views"] for fields in ordinary if (fields["followers"] > 5000) == is_large]
        for is_large in (True, False)
    )
    assert median(large) > 20 * median(small)
    # Of one platform and kind, the logarithm of views per follower is normal of standard deviation 1.
    logs = [
        math.log(fields["views"] / fields["followers"])
        for fields in ordinary
        if (fields["platform"], fields["content_type"], fields["post_type"]) == ("Instagram", "personal", "image")
        and fields["followers"] > 1000
    ]
    assert stdev(logs) == pytest.approx(1.0, abs=0.2)
    assert mean(logs) == pytest.approx(median(logs), abs=0.15)


def test_corrections_tell_the_same_post_with_higher_counts_within_15_seconds() -> None:
    latest: dict[str, Told] = {}
    checked = 0
    for each in told(corrections=0.2, limit=5000):
        before = latest.get(each.fields["post_id"])
        assert (before is None) == (each.event.kind == "post")
        if before:
            checked += 1
            assert each.event.key == before.event.key
            assert all(each.fields[name] > before.fields[name] for name in ("likes", "shares", "comments", "views"))
            assert 1 <= each.event.time - each.time <= 15
            assert each.event.time > before.event.time
            same = RULES.keys() - {"likes", "shares", "comments", "views", "engagement_rate", "is_viral"}
            assert {name: each.fields[name] for name in same} == {name: before.fields[name] for name in same}
        latest[each.fields["post_id"]] = each
    assert checked / len(latest) == pytest.approx(0.2 / 0.8, abs=0.03)  # a corrected version may be corrected again


@pytest.mark.parametrize("rate", [0.1, 50.0, 2000.0])
def test_posts_are_at_most_5_seconds_out_of_order_and_corrections_at_most_15(rate: float) -> None:
    newest = 0.0
    behind: dict[str, list[float]] = {"post": [], "correction": []}
    for each in told(rate=rate, limit=3000):
        newest = max(newest, each.time)
        behind[each.event.kind].append(newest - each.time)
        assert each.time <= each.event.time

    assert max(behind["post"]) <= 5
    assert 0 < max(behind["correction"]) <= 15


def test_posts_of_the_same_second_are_out_of_order() -> None:
    times = [each.time for each in of_kind("post")]

    assert mean(before > after for before, after in pairwise(times)) > 0.4


@pytest.mark.parametrize("rate", [0.5, 50.0, 3000.0])
def test_records_are_told_in_order_at_the_rate(rate: float) -> None:
    times = [each.event.time for each in told(rate=rate, limit=2000, duplicates=0.02, late=0.02)]

    assert times == sorted(times)
    assert START.timestamp() <= times[0]
    assert times[-1] - START.timestamp() == pytest.approx(1999 / rate, abs=3 / rate)


def test_a_clock_says_when_records_are_told() -> None:
    ticks = iter(range(1_800_000_000, 1_900_000_000))
    times = [
        event.time
        for event in events(start=START, users=USERS, limit=100, corrections=0.0, clock=lambda: float(next(ticks)))
    ]

    assert times == [1_800_000_000.0 + number for number in range(100)]


def test_late_posts_are_30_to_90_minutes_late() -> None:
    late = of_kind("late", **FAULTS)
    ages = [each.event.time - each.time for each in late]

    assert len(late) / len(told(**FAULTS)) == pytest.approx(0.02, abs=0.005)
    assert 30 * 60 <= min(ages) < 35 * 60
    assert 85 * 60 < max(ages) <= 90 * 60


def test_a_copy_follows_directly_after_its_original() -> None:
    everything = list(events(start=START, users=USERS, limit=5000, late=0.05, odd=0.05, duplicates=0.1, malformed=0.01))
    copies = 0
    for before, event in pairwise(everything):
        if event.kind == "copy":
            copies += 1
            assert event._replace(kind=before.kind, detail=before.detail) == before
            assert event.detail == before.kind

    assert copies / 5000 == pytest.approx(0.1 / 1.1, abs=0.01)
    assert {event.detail for event in everything if event.kind == "copy"} == {"post", "correction", "late", "odd"}


def test_a_limit_counts_all_but_malformed_records() -> None:
    kinds = Counter(
        event.kind for event in events(start=START, users=USERS, limit=5000, oversized_bytes=10_000, **FAULTS)
    )

    assert kinds.pop("malformed") == 100
    assert sum(kinds.values()) == 5000
    assert set(kinds) == {"post", "correction", "late", "odd", "copy"}


def parsed(value: bytes) -> Any:
    """None where it is no JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return None


def field(value: bytes, name: str) -> Any:
    return parsed(value).get(name, "is missing")


NOW = START + timedelta(hours=30)

# What is wrong with a record of each kind, in the order in which they come.
MALFORMED: dict[str, Callable[[bytes], bool]] = {
    "not_json": lambda value: value.startswith(b"<") and parsed(value) is None,
    "truncated": lambda value: value.startswith(b"{") and parsed(value) is None and value.decode() != "",
    "empty": lambda value: value == b"",
    "invalid_utf8": lambda value: value.decode(errors="ignore").encode() != value,
    "array": lambda value: isinstance(parsed(value), list),
    "oversized": lambda value: len(value) > 10_000,
    "missing_post_id": lambda value: field(value, "post_id") == "is missing",
    "null_user_id": lambda value: field(value, "user_id") is None,
    "wrong_type": lambda value: field(value, "platform") == 7,
    "unknown_platform": lambda value: field(value, "platform") == "Fotolog",
    "empty_post_id": lambda value: field(value, "post_id") == "",
    "nonsense_time": lambda value: field(value, "timestamp") == "2026-13-45T99:99:99Z",
    "future": lambda value: datetime.fromisoformat(field(value, "timestamp")) == NOW + timedelta(days=1),
}


def test_each_kind_of_malformed_record_is_what_its_name_says_and_breaks_one_rule() -> None:
    everything = list(
        events(start=START, users=USERS, limit=1000, malformed=0.104, odd=0.0, oversized_bytes=10_000, now=NOW)
    )
    malformed = [event for event in everything if event.kind == "malformed"]
    good = {json.loads(event.value)["post_id"] for event in everything if event.kind != "malformed"}

    assert tuple(MALFORMED) == synthetic_posts.MALFORMED_KINDS
    assert [event.detail for event in malformed] == [*MALFORMED] * 8
    for event in malformed:
        assert [kind for kind, holds in MALFORMED.items() if holds_safely(holds, event.value)] == [event.detail]
        fields = parsed(event.value)
        if isinstance(fields, dict):
            assert fields.get("post_id") not in good
            broken = {name for name, rule in RULES.items() if name not in fields or not keeps(rule, fields[name])}
            expected = {
                "oversized": {"text"}, "missing_post_id": {"post_id"}, "null_user_id": {"user_id"},
                "wrong_type": {"platform"}, "unknown_platform": {"platform"}, "empty_post_id": {"post_id"},
                "nonsense_time": {"timestamp"}, "future": set(),
            }  # fmt: skip
            assert broken == expected[event.detail]


def keeps(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return rule(value)
    except TypeError:
        return False


def holds_safely(holds: Callable[[bytes], bool], value: bytes) -> bool:
    try:
        return holds(value)
    except (AttributeError, TypeError, ValueError):  # not an object, or the field is of another kind
        return False


def test_without_a_now_the_future_is_a_day_after_the_telling() -> None:
    future = [event for event in events(start=START, users=USERS, limit=150, malformed=0.1) if event.detail == "future"]

    assert future
    for event in future:
        ahead = datetime.fromisoformat(json.loads(event.value)["timestamp"]).timestamp() - event.time
        assert ahead == pytest.approx(86_400, abs=0.001)


ODD: dict[str, Callable[[dict[str, Any]], bool]] = {
    "negative_likes": lambda fields: fields["likes"] < 0,
    "views_below_likes": lambda fields: 0 <= fields["views"] < fields["likes"],
    "unknown_post_type": lambda fields: not RULES["post_type"](fields["post_type"]),
    "location_number": lambda fields: isinstance(fields["location"], int),
    "followers_string": lambda fields: isinstance(fields["followers"], str),
}


def test_odd_posts_come_in_turn_and_are_odd_in_one_way_only() -> None:
    odd = of_kind("odd", **FAULTS)

    assert tuple(ODD) == synthetic_posts.ODD_KINDS
    assert len(odd) / len(told(**FAULTS)) == pytest.approx(0.02, abs=0.005)
    assert [each.event.detail for each in odd[:10]] == [*ODD, *ODD]
    for each in odd:
        assert [kind for kind, holds in ODD.items() if holds(each.fields)] == [each.event.detail]
        required = ("post_id", "user_id", "platform", "timestamp")
        assert all(RULES[name](each.fields[name]) for name in required)


def test_texts_are_many_and_name_their_hashtags_and_people() -> None:
    texts = {fields["text"] for fields in posts()}
    names = {user.username for user in population(USERS)}

    assert len(texts) > 0.85 * len(posts())
    wordless = [fields for fields in posts() if not fields["text"]]
    assert {fields["post_type"] for fields in wordless} == {"image", "story"}
    assert 0.005 < len(wordless) / len(posts()) < 0.02
    for fields in (each for each in posts() if each["text"]):
        assert re.findall(r"#(\w+)", fields["text"]) == fields["hashtags"]
        assert set(re.findall(r"@([\w.-]+)", fields["text"])) <= names
    assert 0.05 < mean("@" in text for text in texts) < 0.25
    assert 0.2 < mean(re.search("[\U0001f300-\U0001faff☕❤✨⚡✈⚽]", text) is not None for text in texts) < 0.8
    assert any("sooo" in text for text in texts)


@pytest.mark.parametrize("language", _post_texts.LANGUAGES)
def test_each_language_has_its_own_sentences_for_each_topic_and_sentiment(language: str) -> None:
    texts = _post_texts.Texts()
    seen: dict[str, str] = {}
    for topic in _post_texts.TOPICS:
        for sentiment in _post_texts.SENTIMENTS:
            for step in range(20):
                text = texts.text(
                    lambda step=step: step / 20,  # type: ignore[misc]
                    language=language,
                    topic=topic,
                    sentiment=sentiment,
                    content_type="personal",
                    hashtags=[],
                    mention="",
                )
                assert len(text) >= 20
                assert seen.setdefault(text, sentiment) == sentiment


def test_the_longest_text_is_short_enough() -> None:
    texts = _post_texts.Texts()
    sentences = [
        *(text for made in texts._sentences.values() for text in made),
        *texts._abuse,
    ]
    opener = max(len(text) for made in _post_texts._OPENERS.values() for text in made)
    tail = max(len(text) for made in texts._tails.values() for text in made)
    tags = max(sum(sorted(map(len, topic.hashtags))[-4:]) for topic in _post_texts.TOPICS.values()) + 4 * 2
    surge_tag = 2 + max(len(city.name) for city in cities()) + 12
    name = 2 + max(len(user.username) for user in population())
    stretching = 15

    assert max(map(len, sentences)) + opener + tail + tags + surge_tag + name + stretching + 10 <= 280


def test_sentiments_differ_by_topic() -> None:
    shares = {
        topic: share_of("sentiment", "positive", [fields for fields in posts() if fields["topic"] == topic])
        for topic in ("food", "politics")
    }

    assert shares["food"] > 1.5 * shares["politics"]
    assert all(share_of("sentiment", sentiment, posts()) > 0.15 for sentiment in _post_texts.SENTIMENTS)


def is_abusive(text: str) -> bool:
    nouns = [*_post_texts._NOUNS, *(noun.translate(_post_texts._LEET) for noun in _post_texts._NOUNS)]
    return any(
        re.search(rf"(?<!\w){re.escape(noun)}(?!\w)", text.replace("errr", "er").replace("sst", "st")) for noun in nouns
    )


@pytest.mark.parametrize("abusive", [0.0, 0.02, 1.0])
def test_the_share_of_abusive_texts_is_as_asked_for(abusive: float) -> None:
    made = posts(abusive=abusive, limit=5000, start=START + timedelta(days=5))
    found = [fields for fields in made if is_abusive(fields["text"])]

    assert abusive * 0.85 <= len(found) / len(made) <= min(abusive * 2, 1)
    assert {(fields["sentiment"], fields["language"]) for fields in found} <= {("negative", "en")}


def test_a_surge_of_bad_mood_has_more_abuse() -> None:
    one = strongest_surge("negative")
    made = posts(start=datetime.fromtimestamp(one.start + one.rise, UTC), rate=1000.0, abusive=0.1)
    surging = [is_abusive(fields["text"]) for fields in made if one.hashtag in fields["hashtags"]]
    others = [is_abusive(fields["text"]) for fields in made if one.hashtag not in fields["hashtags"]]

    assert mean(surging) == pytest.approx(0.4, abs=0.05)
    assert mean(others) == pytest.approx(0.1, abs=0.05)


def test_cities_are_on_the_earth_and_have_a_language() -> None:
    homes = cities()
    names = [city.name for city in homes]

    assert len(set(names)) == len(names) >= 30
    for city in homes:
        assert city.language in _post_texts.LANGUAGES
        assert re.fullmatch("[A-Z]{2}", city.country)
        assert -90 <= city.latitude <= 90
        assert -180 <= city.longitude <= 180


def test_where_and_in_which_language_people_post_goes_together() -> None:
    by_city = {city.name: city.language for city in cities()}
    abroad = [fields for fields in posts() if by_city[fields["location"]] != "en"]

    assert mean(fields["language"] == by_city[fields["location"]] for fields in abroad) > 0.75
    assert bisect([0.3, 0.7], share_of("language", "en", posts())) == 1  # about half of all
